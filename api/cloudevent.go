package api

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/sources"
)

// scopeExtension carries an event's scope in a CloudEvent, whose attributes
// hold no objects: "feed:internal-utils,project:x".
const scopeExtension = "carillonscope"

// publishMode returns the handler for the form that a post to /v1/events is in.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
func (s *Server) publishMode(c echo.Context) echo.HandlerFunc {
	header := c.Request().Header
	mediaType, _, _ := mime.ParseMediaType(header.Get(echo.HeaderContentType))
	switch {
	case mediaType == sources.CloudEventType:
		return s.publishStructured
	case mediaType == sources.CloudEventsType:
		return s.publishCloudEvents
	case sources.IsBinaryCloudEvent(header):
		return s.publishBinary
	}
	return s.publishNative
}

func (s *Server) publishStructured(c echo.Context) error {
	body, err := readBody(c, carillon.MaxEventBytes, func(mediaType string) bool { return mediaType == sources.CloudEventType })
	if err != nil {
		return err
	}
	return s.publishCloudEvent(c, body)
}

func (s *Server) publishBinary(c echo.Context) error {
	data, err := readBody(c, carillon.MaxEventBytes, anyJSON)
	if err != nil {
		return err
	}
	text, err := sources.StructuredCloudEvent(c.Request().Header, data)
	if err != nil {
		return err
	}
	// What the headers say is held to the same rules as what a body says.
	if err := checkJSON(text); err != nil {
		return err
	}
	return s.publishCloudEvent(c, text)
}

// publishCloudEvent answers as a post of an event of our own form is answered.
func (s *Server) publishCloudEvent(c echo.Context, text json.RawMessage) error {
	event, err := s.readCloudEvent(text)
	if err != nil {
		return err
	}
	return s.publishOne(c, event, true)
}

// readCloudEvent makes the event of a CloudEvent in JSON. Extensions that are
// not ours are left out: senders add those of tracing and the like.
func (s *Server) readCloudEvent(text json.RawMessage) (carillon.Event, error) {
	f := readFields("", text)
	var event carillon.Event
	if version := f.required("specversion", maxNameBytes); version != "" && version != "1.0" {
		f.wrong("specversion", "is %q; CloudEvents 1.0 is what is read here", version)
	}
	id := f.required("id", carillon.MaxSourceBytes)
	event.Source = f.required("source", carillon.MaxSourceBytes)
	if event.Source == carillon.OwnSource {
		f.wrong("source", "%q is the source of Carillon's own events", event.Source)
	}
	event.ID = carillon.EventID(event.Source, id)
	event.Type = strings.TrimPrefix(f.required("type", carillon.MaxTypeBytes+len(sources.TypePrefix)), sources.TypePrefix)
	event.Actor = f.text("actor", carillon.MaxActorBytes)
	event.Subject = f.text("subject", carillon.MaxSubjectBytes)
	event.Time = f.exactTime("time")
	event.Scope = f.scopeText(scopeExtension)
	if contentType := f.text("datacontenttype", maxParamBytes); contentType != "" && !jsonContent(contentType) {
		f.wrong("datacontenttype", "is %q; data must be JSON", carillon.Clip(contentType, maxNameBytes))
	}
	switch data := f.raw("data"); {
	case f.members == nil:
	case f.has("data_base64"):
		f.wrong("data_base64", "is not read: data must be JSON, in data")
	case data == nil:
		f.wrong("data", "is required")
	case data[0] != '{':
		f.wrong("data", "must be a JSON object")
	default:
		var compact bytes.Buffer
		if err := json.Compact(&compact, data); err != nil {
			return event, err
		}
		event.Data = compact.Bytes()
	}
	if event.Type != "" {
		if err := s.checkContent(f, event); err != nil {
			return event, err
		}
	}
	f.known = append(f.known, sortedKeys(f.members)...) // other extensions
	return event, f.done()
}

func jsonContent(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && anyJSON(mediaType)
}

// scopeText takes a scope as [carillon.Event.ScopeText] writes it.
func (f *fields) scopeText(name string) map[string]string {
	text := f.text(name, carillon.MaxScopeKeys*(2*carillon.MaxScopeBytes+len(":,")))
	if text == "" {
		return nil
	}
	scope := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, ":")
		_, twice := scope[key]
		if !ok || key == "" || value == "" || twice || len(key) > carillon.MaxScopeBytes || len(value) > carillon.MaxScopeBytes {
			f.wrong(name, "must be key:value, such as feed:internal-utils,project:x, each key once and each part at most %d bytes",
				carillon.MaxScopeBytes)
			return nil
		}
		scope[key] = value
	}
	if len(scope) > carillon.MaxScopeKeys {
		f.wrong(name, "has %d keys, at most %d are allowed", len(scope), carillon.MaxScopeKeys)
	}
	return scope
}
