package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon/channels"
)

// channelView is a channel in the list.
type channelView struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// ForPeople channels write messages, not payloads.
	ForPeople bool   `json:"for_people"`
	Retired   string `json:"retired,omitempty"`
	// Fields are those of a subscription's endpoint.
	Fields []fieldView `json:"fields"`
}

type fieldView struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Required    bool            `json:"required"`
	Default     json.RawMessage `json:"default,omitempty"`
	Example     string          `json:"example,omitempty"`
	Values      []string        `json:"values,omitempty"`
	// Secret fields are write-only: they are answered masked.
	Secret   bool `json:"secret"`
	ReadOnly bool `json:"read_only,omitempty"`
	// Template fields may hold ${…} expressions.
	Template bool `json:"template,omitempty"`
	// Shared fields may be set for the installation.
	Shared bool `json:"shared,omitempty"`
	// Separator is between texts that are given as one.
	Separator string      `json:"separator,omitempty"`
	Min       int         `json:"min,omitempty"`
	Max       int         `json:"max,omitempty"`
	Fields    []fieldView `json:"fields,omitempty"`
}

func (s *Server) listChannels(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	names := sortedKeys(s.deps.Channels)
	return answer(c, http.StatusOK, newPage(names, len(names), s.viewChannel, nil))
}

func (s *Server) viewChannel(name string) channelView {
	about := s.deps.Channels[name].Describe()
	return channelView{
		Name: name, Title: about.Title, Description: about.Text, ForPeople: about.ForPeople, Retired: about.Retired,
		Fields: viewFields(about.Fields),
	}
}

func viewFields(fields []channels.Field) []fieldView {
	views := make([]fieldView, len(fields))
	for i, f := range fields {
		views[i] = fieldView{
			Name: f.Name, Type: string(f.Type), Description: f.Text, Required: f.Required, Default: f.Default, Example: f.Example,
			Values: f.Values, Secret: f.Secret, ReadOnly: f.ReadOnly, Template: f.Template, Shared: f.Shared,
			Separator: f.Separator, Min: f.Min, Max: f.Max,
		}
		if f.Fields != nil {
			views[i].Fields = viewFields(f.Fields)
		}
	}
	return views
}
