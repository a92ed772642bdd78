package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/formats"
)

// defaultFormat is how payloads are written unless a subscription says so.
const defaultFormat = "standard"

// maxFormatOptionsBytes is for the content of a format that has its own.
const maxFormatOptionsBytes = 32 << 10

// formatView is a format in the list.
type formatView struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// EventTypes lists the types that it carries.
	EventTypes []formatTypeView   `json:"event_types"`
	Options    []formatOptionView `json:"options"`
	Headers    []formatHeaderView `json:"headers"`
	// TokenHeader takes the endpoint's token.
	TokenHeader string `json:"token_header,omitempty"`
}

// formatTypeView is a type that a format carries. Name is what the product
// calls it.
type formatTypeView struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

type formatOptionView struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Values      []string `json:"values,omitempty"`
	Default     string   `json:"default,omitempty"`
}

type formatHeaderView struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func (s *Server) listFormats(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	names := formats.Names()
	return answer(c, http.StatusOK, newPage(names, len(names), s.viewFormat, nil))
}

func (s *Server) viewFormat(name string) formatView {
	format, _ := formats.Lookup(name)
	about := format.Describe()
	view := formatView{
		Name: name, Title: about.Title, Description: about.Text, TokenHeader: about.TokenHeader,
		EventTypes: []formatTypeView{}, Options: []formatOptionView{}, Headers: []formatHeaderView{},
	}
	for _, t := range s.deps.Catalog.Types() {
		if format.Carries(t.Name) {
			view.EventTypes = append(view.EventTypes, formatTypeView{Type: t.Name, Name: t.Products[name]})
		}
	}
	for _, o := range about.Options {
		view.Options = append(view.Options, formatOptionView{Name: o.Name, Description: o.Text, Values: o.Values, Default: o.Default})
	}
	for _, h := range about.Headers {
		view.Headers = append(view.Headers, formatHeaderView{Name: h.Name, Description: h.Text})
	}
	return view
}

// readFormat has the format read its options.
func readFormat(f *fields, sub *carillon.Subscription) error {
	if sub.Format = f.text("format", maxNameBytes); sub.Format == "" {
		sub.Format = defaultFormat
	}
	posted := f.raw("format_options")
	format, ok := formats.Lookup(sub.Format)
	if !ok {
		f.wrong("format", "must be one of %s", join(formats.Names()))
		return nil
	}
	if len(posted) > maxFormatOptionsBytes {
		f.wrong("format_options", "is %d bytes long, at most %d are allowed", len(posted), maxFormatOptionsBytes)
		return nil
	}
	var err error
	sub.FormatOptions, err = format.Prepare(posted, sub.EventTypes)
	return f.include("format_options", err)
}

// checkFormat refuses what does not go with the format: types named that it
// does not carry, and fields of the endpoint. Under a wildcard such events are
// left out.
func (s *Server) checkFormat(f *fields, sub carillon.Subscription) error {
	if carries := channels.Carries(sub); carries != nil {
		for i, pattern := range sub.EventTypes {
			if _, known := s.deps.Catalog.Type(pattern); known && !carries(pattern) {
				f.wrong("event_types/"+strconv.Itoa(i), "%s is not carried by the format %s; it carries %s",
					pattern, sub.Format, strings.Join(s.carried(carries), ", "))
			}
		}
	}
	if sub.Endpoint == nil {
		return nil // said already
	}
	return f.include("endpoint", channels.CheckFormat(sub))
}

func (s *Server) carried(carries func(eventType string) bool) []string {
	var names []string
	for _, t := range s.deps.Catalog.Types() {
		if carries(t.Name) {
			names = append(names, t.Name)
		}
	}
	return names
}

// neverCarried warns of wildcards none of whose types the format carries.
func (s *Server) neverCarried(sub carillon.Subscription) []carillon.Problem {
	carries := channels.Carries(sub)
	if carries == nil {
		return nil
	}
	var found []carillon.Problem
	carried := s.carried(carries)
	for i, pattern := range sub.EventTypes {
		matches := func(name string) bool { return carillon.MatchesType(pattern, name) }
		if !slices.ContainsFunc(carried, matches) {
			found = append(found, carillon.Problem{
				Pointer: "/event_types/" + strconv.Itoa(i),
				Detail:  fmt.Sprintf("no event of %s is carried by the format %s: this never matches", pattern, sub.Format),
			})
		}
	}
	return found
}
