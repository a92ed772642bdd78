package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/formats"
)

// maxTemplateBytes is for a template with its options; maxPreviewBytes has an
// event beside it.
const (
	maxTemplateBytes = maxFormatOptionsBytes
	maxPreviewBytes  = carillon.MaxEventBytes + maxTemplateBytes
)

// previewView is what a template makes of an event.
type previewView struct {
	ContentType string `json:"content_type,omitempty"`
	// Payload is what would be sent; absent where there is an Error.
	Payload *string `json:"payload,omitempty"`
	// Error says why there is no payload for this event.
	Error *previewErrorView `json:"error,omitempty"`
	// Event is the one that was rendered.
	Event carillon.Event `json:"event"`
}

type previewErrorView struct {
	Detail  string `json:"detail"`
	Pointer string `json:"pointer,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
}

// previewTemplate renders a template of the format custom for one event. It
// sends and keeps nothing.
func (s *Server) previewTemplate(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxPreviewBytes, onlyJSON)
	if err != nil {
		return err
	}
	f := readFields("", body)
	options, err := templateOptions(f)
	if err != nil {
		return err
	}
	event, err := s.previewEvent(c, f)
	if err != nil {
		return err
	}
	format, _ := formats.Lookup("custom")
	var types []string
	if event.Type != "" {
		types = []string{event.Type}
	}
	kept, err := format.Prepare(options, types)
	if err := f.atRoot("format_options", err); err != nil {
		return err
	}
	if err := f.done(); err != nil {
		return err
	}
	view := previewView{Event: event}
	payload, err := format.Render(formats.Request{Event: event, Options: kept})
	if failed, ok := errors.AsType[*conditions.RenderError](err); ok {
		p := failed.Problem
		view.Error = &previewErrorView{Detail: p.Detail, Pointer: "/content" + p.Pointer, Line: p.Line, Column: p.Column}
		return answer(c, http.StatusOK, view)
	}
	if err != nil {
		return err
	}
	text := string(payload.Body)
	view.ContentType, view.Payload = payload.ContentType, &text
	return answer(c, http.StatusOK, view)
}

// templateOptions takes the members that are options of the format custom.
func templateOptions(f *fields) (json.RawMessage, error) {
	options := map[string]json.RawMessage{}
	for _, name := range []string{"content", "content_type", "escape"} {
		if value := f.raw(name); value != nil {
			options[name] = value
		}
	}
	if f.members != nil && len(options["content"]) > maxTemplateBytes {
		return nil, carillon.Errorf(carillon.CodeTooLarge, "the template is larger than %d KiB", maxTemplateBytes>>10)
	}
	return json.Marshal(options)
}

// previewEvent returns the event to render: one that was posted, a past one, or
// the catalog's example of a type.
func (s *Server) previewEvent(c echo.Context, f *fields) (carillon.Event, error) {
	given := 0
	for _, name := range []string{"event", "event_id", "event_type"} {
		if f.has(name) {
			given++
		}
	}
	if f.members != nil && given != 1 {
		f.wrong("event", "is required, or else event_id or event_type, and only one of them")
	}
	posted, id, name := f.raw("event"), f.named("event_id"), f.text("event_type", carillon.MaxTypeBytes)
	if given != 1 {
		return carillon.Event{}, nil
	}
	switch {
	case posted != nil:
		if len(posted) > carillon.MaxEventBytes {
			return carillon.Event{}, carillon.Errorf(carillon.CodeTooLarge, "the event is larger than %d KiB", carillon.MaxEventBytes>>10)
		}
		event, _, err := s.readEvent(posted)
		if event.Time.IsZero() {
			event.Time = s.deps.Now().UTC()
		}
		return event, f.below("event", err)
	case id != "":
		pub, err := s.pastEvent(c.Request().Context(), id)
		if err != nil {
			return carillon.Event{}, err
		}
		return pub.Event, nil
	default:
		if err := s.deps.Catalog.CheckType(name); err != nil {
			problems, _ := problemsOf(err)
			f.wrong("event_type", "%s", problems[0].Detail)
			return carillon.Event{}, nil
		}
		known, _ := s.deps.Catalog.Type(name)
		return known.Example, nil
	}
}

// atRoot adds the problems of members that were read as those of another one.
func (f *fields) atRoot(name string, err error) error {
	if err == nil {
		return nil
	}
	problems, ok := problemsOf(err)
	if !ok {
		return err
	}
	for _, p := range problems {
		p.Pointer = strings.TrimPrefix(p.Pointer, "/"+name)
		f.problems = append(f.problems, p)
	}
	return nil
}

// importProGet converts the content of a ProGet webhook into a template.
func (s *Server) importProGet(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxTemplateBytes, onlyJSON)
	if err != nil {
		return err
	}
	f := readFields("", body)
	content, contentType := f.free("content", maxTemplateBytes), f.text("content_type", maxNameBytes)
	if f.members != nil && content == "" && len(f.problems) == 0 {
		f.wrong("content", "is required: the content of a ProGet webhook")
	}
	if err := f.done(); err != nil {
		return err
	}
	imported, err := formats.ImportProGet(content, contentType)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, imported)
}
