package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/sources"
	"github.com/carillon-dev/carillon/workflows"
)

// publishEvents takes up to a hundred events of our own form: all or none.
func (s *Server) publishEvents(c echo.Context) error {
	if err := readQuery(c).done(); err != nil {
		return err
	}
	body, err := readBody(c, workflows.MaxBatchBytes, onlyJSON)
	if err != nil {
		return err
	}
	f := readFields("", body)
	list := f.raw("events")
	if f.members != nil && list == nil {
		f.wrong("events", "is required")
	}
	if err := f.done(); err != nil {
		return err
	}
	return s.publishBatch(c, "/events", list, s.readEvent)
}

// publishCloudEvents takes up to a hundred CloudEvents: all or none.
func (s *Server) publishCloudEvents(c echo.Context) error {
	body, err := readBody(c, workflows.MaxBatchBytes, func(mediaType string) bool { return mediaType == sources.CloudEventsType })
	if err != nil {
		return err
	}
	return s.publishBatch(c, "", body, func(text json.RawMessage) (carillon.Event, bool, error) {
		event, err := s.readCloudEvent(text)
		return event, true, err
	})
}

// publishBatch starts one run for all events of a list, which is at the pointer.
func (s *Server) publishBatch(c echo.Context, pointer string, list json.RawMessage, read reader) error {
	events, named, err := s.readBatch(pointer, list, read)
	if err != nil {
		return err
	}
	view := upstreamView{Events: make([]acceptedView, len(events))}
	if len(events) > 0 {
		ctx := c.Request().Context()
		if err := mayPublishAll(ctx, pointer, events); err != nil {
			return err
		}
		if err := s.spendMore(c, len(events)-1); err != nil {
			return err
		}
		posted, err := s.posted(events)
		if err != nil {
			return err
		}
		runs, err := s.deps.Publisher.PublishAll(ctx, posted)
		if err != nil {
			return unknownResult(err, named)
		}
		for i, run := range runs {
			view.Events[i] = acceptedView{ID: events[i].ID, Run: s.viewRun(run)}
		}
	}
	return answer(c, http.StatusAccepted, view)
}

// reader makes an event of its text; named says whether the producer gave an id.
type reader func(text json.RawMessage) (event carillon.Event, named bool, err error)

// readBatch reads all events of a batch; the pointers of what is wrong begin
// with the place of one. named says whether all have a producer's id.
func (s *Server) readBatch(pointer string, list json.RawMessage, read reader) (events []carillon.Event, named bool, err error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(list, &parts); err != nil || parts == nil {
		return nil, false, carillon.Invalid(pointer, "must be a JSON array of events")
	}
	if len(parts) > workflows.MaxBatchEvents {
		return nil, false, carillon.Invalid(pointer, "has %d events, at most %d are allowed", len(parts), workflows.MaxBatchEvents)
	}
	named = true
	events = make([]carillon.Event, len(parts))
	numbers := map[string]int{} // where an id was first
	var problems []carillon.Problem
	for i, part := range parts {
		at := pointer + "/" + strconv.Itoa(i)
		if len(part) > carillon.MaxEventBytes {
			return nil, false, carillon.Errorf(carillon.CodeTooLarge, "the event at %s is larger than %d KiB", at, carillon.MaxEventBytes>>10)
		}
		event, hasID, err := read(part)
		if err != nil {
			found, ok := problemsOf(err)
			if !ok {
				return nil, false, err
			}
			for _, p := range found {
				p.Pointer = at + p.Pointer
				problems = append(problems, p)
			}
			continue
		}
		named = named && hasID
		if first, twice := numbers[event.ID]; twice {
			same, err := sameEvent(events[first], event)
			if err != nil {
				return nil, false, err
			}
			if !same {
				problems = append(problems, carillon.Problem{Pointer: at + "/id", Detail: fmt.Sprintf(
					"is the id of %s/%d, which has the same source and other content", pointer, first)})
			}
		} else {
			numbers[event.ID] = i
		}
		events[i] = event
	}
	if len(problems) > 0 {
		return nil, false, &carillon.Error{Code: carillon.CodeInvalid, Message: "the input is not valid", Problems: problems}
	}
	return events, named, nil
}

// mayPublishAll is [mayPublish] for all events of a list at the pointer.
func mayPublishAll(ctx context.Context, pointer string, events []carillon.Event) error {
	var refused *carillon.Error
	for i, event := range events {
		e, ok := errors.AsType[*carillon.Error](mayPublish(ctx, event.Source, event.Scope))
		if !ok {
			continue
		}
		if refused == nil {
			refused = carillon.Errorf(e.Code, "%s", e.Message)
		}
		for _, p := range e.Problems {
			p.Pointer = pointer + "/" + strconv.Itoa(i) + p.Pointer
			refused.Problems = append(refused.Problems, p)
		}
	}
	if refused == nil {
		return nil
	}
	return refused
}

// posted completes events that were read. The fingerprint is of what was said,
// so the time is added after it.
func (s *Server) posted(events []carillon.Event) ([]carillon.Posted, error) {
	posted := make([]carillon.Posted, len(events))
	for i, event := range events {
		fingerprint, err := carillon.Fingerprint(event)
		if err != nil {
			return nil, err
		}
		if event.Time.IsZero() {
			event.Time = s.deps.Now().UTC().Truncate(time.Microsecond)
		}
		posted[i] = carillon.Posted{Event: event, Fingerprint: fingerprint}
	}
	return posted, nil
}

func sameEvent(a, b carillon.Event) (bool, error) {
	first, err := carillon.Fingerprint(a)
	if err != nil {
		return false, err
	}
	second, err := carillon.Fingerprint(b)
	return first == second, err
}
