package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/sources"
)

// maxUpstreamBytes is for what a registry sends: an envelope of several
// notifications, each of which becomes an event of at most 256 KiB.
const maxUpstreamBytes = 1 << 20

// maxStarts is how many events of one envelope are started at once: registries
// wait for half a second only.
const maxStarts = 16

// acceptedView answers a publish: the event is Temporal's now.
type acceptedView struct {
	ID  string  `json:"id"`
	Run runView `json:"run"`
}

// publish takes one event, or a batch of CloudEvents.
func (s *Server) publish(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	return s.publishMode(c)(c)
}

// publishNative takes one event in our own form.
func (s *Server) publishNative(c echo.Context) error {
	body, err := readBody(c, carillon.MaxEventBytes, onlyJSON)
	if err != nil {
		return err
	}
	event, named, err := s.readEvent(body)
	if err != nil {
		return err
	}
	return s.publishOne(c, event, named)
}

// publishOne starts one event and answers with its run. named says whether the
// producer gave it an id.
func (s *Server) publishOne(c echo.Context, event carillon.Event, named bool) error {
	accepted, err := s.start(c.Request().Context(), event)
	if err != nil {
		return unknownResult(err, named)
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/events/"+accepted.ID)
	return answer(c, http.StatusAccepted, accepted)
}

// readEvent makes the event that a producer posted; its time is zero when the
// producer gave none. named says whether the producer gave an id.
func (s *Server) readEvent(body json.RawMessage) (event carillon.Event, named bool, err error) {
	f := readFields("", body)
	event = carillon.Event{
		Type:    f.required("type", carillon.MaxTypeBytes),
		Source:  f.required("source", carillon.MaxSourceBytes),
		Actor:   f.text("actor", carillon.MaxActorBytes),
		Scope:   f.scope("scope"),
		Subject: f.text("subject", carillon.MaxSubjectBytes),
		Time:    f.exactTime("time"),
	}
	if event.Source == carillon.OwnSource {
		f.wrong("source", "%q is the source of Carillon's own events", event.Source)
	}
	if named = f.has("id"); named {
		event.ID = carillon.EventID(event.Source, f.required("id", carillon.MaxSourceBytes))
	} else {
		f.raw("id")
		event.ID = carillon.NewID(carillon.EventPrefix, s.deps.Now())
	}
	switch data := f.raw("data"); {
	case f.members == nil:
	case data == nil:
		f.wrong("data", "is required")
	case data[0] != '{':
		f.wrong("data", "must be a JSON object")
	default:
		var compact bytes.Buffer
		if err := json.Compact(&compact, data); err != nil {
			return event, named, err
		}
		event.Data = compact.Bytes()
	}
	if event.Type != "" {
		if err := s.checkContent(f, event); err != nil {
			return event, named, err
		}
	}
	return event, named, f.done()
}

// checkContent checks the type, and the data against it.
func (s *Server) checkContent(f *fields, event carillon.Event) error {
	known, ok := s.deps.Catalog.Type(event.Type)
	switch {
	case !ok:
		return f.include("type", s.deps.Catalog.CheckType(event.Type))
	case known.Own:
		f.wrong("type", "only Carillon itself publishes %s", event.Type)
		return nil
	case event.Data == nil:
		return nil
	}
	return f.include("data", s.deps.Catalog.CheckData(event))
}

// start publishes an event, if the caller's key lets it.
func (s *Server) start(ctx context.Context, event carillon.Event) (acceptedView, error) {
	if err := mayPublish(ctx, event.Source, event.Scope); err != nil {
		return acceptedView{}, err
	}
	return s.tell(ctx, event)
}

// tell publishes an event, whoever asks.
func (s *Server) tell(ctx context.Context, event carillon.Event) (acceptedView, error) {
	posted, err := s.posted([]carillon.Event{event})
	if err != nil {
		return acceptedView{}, err
	}
	run, err := s.deps.Publisher.Publish(ctx, posted[0].Event, posted[0].Fingerprint)
	if err != nil {
		return acceptedView{}, err
	}
	return acceptedView{ID: event.ID, Run: s.viewRun(run)}, nil
}

// mayPublish returns the refusal of a key that is bound to other sources or
// scopes.
func mayPublish(ctx context.Context, source string, scope map[string]string) error {
	if key, ok := callerOf(ctx); ok {
		return key.MayPublish(source, scope)
	}
	return nil
}

// unknownResult tells a producer what to do when nobody knows whether the
// event was taken.
func unknownResult(err error, named bool) error {
	if carillon.CodeOf(err) != carillon.CodeUnavailable {
		return err
	}
	const same = "it is not known whether the event was taken: post it again with the same source and id, which is safe"
	const other = "it is not known whether the event was taken: post it again; " +
		"because it has no id, that can make a second event, which an id of yours in the event prevents"
	text := other
	if named {
		text = same
	}
	return &carillon.Error{Code: carillon.CodeUnavailable, Message: newProblem(err).Detail + "; " + text, Err: err}
}

type upstreamView struct {
	Events []acceptedView `json:"events"`
}

// publishUpstream takes what a registry sends in its own format. A registry
// repeats what was not answered with success, so this is to be safe to repeat:
// the adapter gives the same events the same ids.
func (s *Server) publishUpstream(c echo.Context) error {
	src, body, err := s.admitUpstream(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	// Before the adapter, which remembers what it was told.
	if err := mayPublish(ctx, src.Name, src.Scope); err != nil {
		return err
	}
	adapter, ok := sources.Lookup(src.Kind)
	if !ok {
		return carillon.Errorf(carillon.CodeConflict, "this version has no adapter for the source's kind, %s", src.Kind)
	}
	events, err := adapter.Events(ctx, sources.Upstream{
		Body: body, Header: c.Request().Header, Source: src, ReceivedAt: s.deps.Now().UTC(), Catalog: s.deps.Catalog,
	}, s.deps.Memory)
	if err != nil {
		return err
	}
	view := upstreamView{Events: make([]acceptedView, len(events))}
	for _, event := range events {
		if len(event.Data) > carillon.MaxEventBytes {
			return carillon.Errorf(carillon.CodeTooLarge, "a notification is larger than %d KiB", carillon.MaxEventBytes>>10)
		}
	}
	var starting errgroup.Group
	starting.SetLimit(maxStarts)
	for i, event := range events {
		starting.Go(func() error {
			accepted, err := s.start(ctx, event)
			if carillon.CodeOf(err) == carillon.CodeEventReused {
				// The registry tells the same fact in other words. The first telling
				// stands; refusing this one would stop the registry's queue for ever.
				s.deps.Log.LogAttrs(ctx, slog.LevelWarn, "event was published before with other content",
					slog.String("source", src.Name), slog.String("event", event.ID))
				return nil
			}
			view.Events[i] = accepted
			return err
		})
	}
	if err := starting.Wait(); err != nil {
		return unknownResult(err, true)
	}
	view.Events = slices.DeleteFunc(view.Events, func(v acceptedView) bool { return v.ID == "" })
	return answer(c, http.StatusAccepted, view)
}
