package api

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// eventTypeView is an event type in the list.
type eventTypeView struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// Own says that only Carillon publishes such events.
	Own bool `json:"own"`
	// Scoped lists the scope keys that such events carry.
	Scoped []string `json:"scoped"`
	// Products is what other products call the type.
	Products map[string]string `json:"products"`
}

type eventTypeDetailView struct {
	eventTypeView
	// Schema is the JSON Schema of the data.
	Schema  json.RawMessage `json:"schema"`
	Example carillon.Event  `json:"example"`
}

func viewEventType(t catalog.Type) eventTypeView {
	return eventTypeView{
		Name: t.Name, Title: t.Title, Description: t.Description, Own: t.Own, Scoped: append([]string{}, t.Scoped...),
		Products: t.Products,
	}
}

// listEventTypes answers all: they are compiled in, and few.
func (s *Server) listEventTypes(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	types := s.deps.Catalog.Types()
	return answer(c, http.StatusOK, newPage(types, len(types), viewEventType, nil))
}

func (s *Server) eventType(c echo.Context) error {
	name, err := param(c, "type")
	if err != nil {
		return err
	}
	t, ok := s.deps.Catalog.Type(name)
	if !ok {
		problems, _ := problemsOf(s.deps.Catalog.CheckType(name))
		return carillon.Errorf(carillon.CodeNotFound, "%s", problems[0].Detail)
	}
	return answer(c, http.StatusOK, eventTypeDetailView{
		eventTypeView: viewEventType(t), Schema: t.Schema, Example: t.Example,
	})
}
