package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/messages"
)

// messageView is what people are told of an event, before a channel writes it
// in its own way.
type messageView struct {
	Title string     `json:"title"`
	Text  string     `json:"text,omitempty"`
	Facts []factView `json:"facts"`
	Link  *linkView  `json:"link,omitempty"`
	Level string     `json:"level"`
	Topic string     `json:"topic,omitempty"`
	// Errors say which of the subscription's own words cannot be written for this
	// event: the default ones are there in their place.
	Errors []previewErrorView `json:"errors,omitempty"`
	// Event is the one that is told.
	Event carillon.Event `json:"event"`
}

type factView struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

type linkView struct {
	Label string `json:"label"`
	URL   string `json:"url"`
}

// previewMessage writes what people are told of one event. It sends and keeps
// nothing.
func (s *Server) previewMessage(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, maxPreviewBytes, onlyJSON)
	if err != nil {
		return err
	}
	f := readFields("", body)
	s.channelForPeople(f)
	own := messageOf(f)
	event, err := s.previewEvent(c, f)
	if err != nil {
		return err
	}
	var types []string
	if event.Type != "" {
		types = []string{event.Type}
	}
	if err := f.below("endpoint/message", own.Check(types)); err != nil {
		return err
	}
	if err := f.done(); err != nil {
		return err
	}
	m, problems, err := messages.Try(event, own)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, viewMessage(m, problems, event))
}

func viewMessage(m messages.Message, problems []carillon.Problem, event carillon.Event) messageView {
	view := messageView{
		Title: m.Title, Text: m.Text, Facts: make([]factView, len(m.Facts)), Level: string(m.Level), Topic: m.Topic, Event: event,
	}
	for i, fact := range m.Facts {
		view.Facts[i] = factView(fact)
	}
	if m.Link.URL != "" {
		link := linkView(m.Link)
		view.Link = &link
	}
	for _, p := range problems {
		view.Errors = append(view.Errors, previewErrorView{
			Detail: p.Detail, Pointer: "/endpoint/message" + p.Pointer, Line: p.Line, Column: p.Column,
		})
	}
	return view
}

// channelForPeople takes the channel, which must be one that writes messages.
func (s *Server) channelForPeople(f *fields) {
	name := f.required("channel", maxNameBytes)
	if name == "" || s.deps.Channels.ForPeople(name) {
		return
	}
	named := slices.DeleteFunc(sortedKeys(s.deps.Channels), func(name string) bool { return !s.deps.Channels.ForPeople(name) })
	f.wrong("channel", "is none that writes messages for people: there are %s", strings.Join(named, ", "))
}

// messageOf takes the subscription's own words out of the endpoint, the rest of
// which does not matter here.
func messageOf(f *fields) messages.Overrides {
	raw := f.raw("endpoint")
	if raw == nil {
		return messages.Overrides{}
	}
	endpoint := readFields(f.at+"/endpoint", raw)
	var own messages.Overrides
	if given := endpoint.raw("message"); given != nil {
		m := readFields(endpoint.at+"/message", given)
		own.Title = m.free("title", conditions.MaxTemplateBytes)
		own.Text = m.free("text", conditions.MaxTemplateBytes)
		problems, _ := problemsOf(m.done())
		f.problems = append(f.problems, problems...)
	}
	f.problems = append(f.problems, endpoint.problems...)
	return own
}
