package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// streamPath is where alerts are streamed: the one answer without an end.
const streamPath = "/v1/alerts/stream"

const (
	// maxStreams is how many streams a process keeps open.
	maxStreams = 200
	// streamLook is how often the database is asked for new alerts, and
	// streamBeat how often a stream that has none says that it is there.
	streamLook = time.Second
	streamBeat = 15 * time.Second
	// streamBack is how far a look goes back: processes' clocks differ, and an
	// alert is stamped before it is committed.
	streamBack = 30 * time.Second
	// streamWrite bounds one write to a client that does not read.
	streamWrite = 10 * time.Second
)

// streamAlerts sends the alerts of an inbox as they come, as Server-Sent Events.
// It begins with what came after the alert that Last-Event-ID names, or now.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func (s *Server) streamAlerts(c echo.Context) error {
	q := readQuery(c)
	owner := q.text("owner")
	if err := q.done(); err != nil {
		return err
	}
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		return carillon.Errorf(carillon.CodeUnavailable, "there are %d streams open already, which is the limit", maxStreams)
	}
	defer s.streams.Add(-1)
	stream := alertStream{server: s, owner: owner, sent: map[string]time.Time{}, from: s.deps.Now()}
	if err := stream.resume(c, c.Request().Header.Get("Last-Event-ID")); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, "text/event-stream")
	header.Set(echo.HeaderCacheControl, "no-store")
	c.Response().WriteHeader(http.StatusOK)
	if stream.write(c, ": the alerts of this inbox follow\n\n") != nil {
		return nil // the client is gone
	}
	ticker := time.NewTicker(streamLook)
	defer ticker.Stop()
	beat := time.Now()
	for {
		wrote, err := stream.look(c)
		if err != nil {
			// The status is sent: the client asks again, from its last alert on.
			return nil
		}
		switch {
		case wrote:
			beat = time.Now()
		case time.Since(beat) > streamBeat:
			if stream.write(c, ": still here\n\n") != nil {
				return nil
			}
			beat = time.Now()
		}
		select {
		case <-ticker.C:
		case <-c.Request().Context().Done():
			return nil
		case <-s.stopping:
			return nil
		}
	}
}

// alertStream is one open stream.
type alertStream struct {
	server *Server
	owner  string
	// from is where the next look begins, and sent are the alerts since then.
	from time.Time
	sent map[string]time.Time
}

// resume has the stream begin after an alert that the client has. One that is
// gone leaves what was made later.
func (a *alertStream) resume(c echo.Context, last string) error {
	if last != "" && (len(last) > maxParamBytes || !strings.HasPrefix(last, carillon.AlertPrefix)) {
		return carillon.Errorf(carillon.CodeInvalid, "Last-Event-ID must be the id of an alert, such as %s01JD…", carillon.AlertPrefix)
	}
	if last != "" {
		a.from = time.UnixMicro(1)
	}
	alerts, err := a.since(c)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(alerts, func(alert carillon.Alert) bool { return alert.ID == last })
	for i, alert := range alerts {
		if last == "" || i <= at || at < 0 && alert.ID < last {
			a.sent[alert.ID] = alert.At
		}
	}
	return nil
}

func (a *alertStream) since(c echo.Context) ([]carillon.Alert, error) {
	return a.server.deps.Store.Alerts(c.Request().Context(), carillon.AlertFilter{
		Owner: a.owner, After: a.from.Add(-streamBack), Limit: carillon.MaxAlerts,
	})
}

// look sends what is new.
func (a *alertStream) look(c echo.Context) (wrote bool, err error) {
	begun := a.server.deps.Now()
	alerts, err := a.since(c)
	if err != nil {
		return false, err
	}
	for _, alert := range alerts {
		if _, known := a.sent[alert.ID]; known {
			continue
		}
		data, err := json.Marshal(viewAlert(alert))
		if err != nil {
			return wrote, fmt.Errorf("write alert: %w", err)
		}
		if err := a.write(c, fmt.Sprintf("event: alert\nid: %s\ndata: %s\n\n", alert.ID, data)); err != nil {
			return wrote, err
		}
		a.sent[alert.ID], wrote = alert.At, true
	}
	a.from = begun
	for id, at := range a.sent {
		if at.Before(begun.Add(-2 * streamBack)) {
			delete(a.sent, id)
		}
	}
	return wrote, nil
}

func (a *alertStream) write(c echo.Context, text string) error {
	control := http.NewResponseController(c.Response())
	if err := control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := c.Response().Write([]byte(text)); err != nil {
		return err
	}
	return control.Flush()
}
