package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/sources"
)

// Limits of a batch of CloudEvents.
const (
	maxBatchEvents = 100
	maxBatchBytes  = 512 << 10
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
		return s.publishBatch
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

// publishBatch takes up to a hundred CloudEvents: all are checked before the
// first is started.
func (s *Server) publishBatch(c echo.Context) error {
	body, err := readBody(c, maxBatchBytes, func(mediaType string) bool { return mediaType == sources.CloudEventsType })
	if err != nil {
		return err
	}
	events, err := s.readBatch(body)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	for _, event := range events {
		if err := mayPublish(ctx, event.Source, event.Scope); err != nil {
			return err
		}
	}
	view := upstreamView{Events: make([]acceptedView, len(events))}
	failed := make([]error, len(events))
	var starting sync.WaitGroup
	turn := make(chan struct{}, maxStarts)
	for i, event := range events {
		turn <- struct{}{}
		starting.Go(func() {
			defer func() { <-turn }()
			view.Events[i], failed[i] = s.start(ctx, event)
		})
	}
	starting.Wait()
	if err := batchFailure(failed); err != nil {
		return err
	}
	return answer(c, http.StatusAccepted, view)
}

// readBatch reads all CloudEvents of a batch; the pointers of what is wrong
// begin with the number of one.
func (s *Server) readBatch(body json.RawMessage) ([]carillon.Event, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(body, &parts); err != nil || parts == nil {
		return nil, carillon.Invalid("", "must be a JSON array of CloudEvents")
	}
	if len(parts) > maxBatchEvents {
		return nil, carillon.Invalid("", "has %d CloudEvents, at most %d are allowed", len(parts), maxBatchEvents)
	}
	events := make([]carillon.Event, len(parts))
	numbers := map[string]int{} // where an id was first
	var problems []carillon.Problem
	for i, part := range parts {
		at := "/" + strconv.Itoa(i)
		if len(part) > carillon.MaxEventBytes {
			return nil, carillon.Errorf(carillon.CodeTooLarge, "the CloudEvent at %s is larger than %d KiB", at, carillon.MaxEventBytes>>10)
		}
		event, err := s.readCloudEvent(part)
		if err != nil {
			found, ok := problemsOf(err)
			if !ok {
				return nil, err
			}
			for _, p := range found {
				p.Pointer = at + p.Pointer
				problems = append(problems, p)
			}
			continue
		}
		if first, twice := numbers[event.ID]; twice {
			same, err := sameEvent(events[first], event)
			if err != nil {
				return nil, err
			}
			if !same {
				problems = append(problems, carillon.Problem{
					Pointer: at + "/id", Detail: fmt.Sprintf("is the id of /%d, which has the same source and other content", first),
				})
			}
		} else {
			numbers[event.ID] = i
		}
		events[i] = event
	}
	if len(problems) > 0 {
		return nil, &carillon.Error{Code: carillon.CodeInvalid, Message: "the input is not valid", Problems: problems}
	}
	return events, nil
}

func sameEvent(a, b carillon.Event) (bool, error) {
	first, err := carillon.Fingerprint(a)
	if err != nil {
		return false, err
	}
	second, err := carillon.Fingerprint(b)
	return first == second, err
}

// batchFailure says what a producer can do when not every event was started:
// each has an id, so all can be posted again. What is not known weighs more
// than what was refused, which a repetition tells again.
func batchFailure(failed []error) error {
	var refused error
	for i, err := range failed {
		e, known := errors.AsType[*carillon.Error](err)
		switch {
		case err == nil:
		case known && e.Code == carillon.CodeEventReused:
			if refused == nil {
				refused = &carillon.Error{Code: e.Code, Err: err, Message: fmt.Sprintf(
					"the CloudEvent at /%d: %s; those before and after it are taken, or are safe to post again", i, e.Message)}
			}
		default:
			return unknownResult(err, true)
		}
	}
	return refused
}
