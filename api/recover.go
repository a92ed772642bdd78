package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/workflows"
)

// maxRate bounds a recovery's deliveries a second; 0 is no limit.
const maxRate = 10_000

func (s *Server) enableSubscription(c echo.Context) error { return s.setState(c, carillon.Enabled) }

func (s *Server) pauseSubscription(c echo.Context) error { return s.setState(c, carillon.Paused) }

func (s *Server) disableSubscription(c echo.Context) error { return s.setState(c, carillon.Disabled) }

// setState changes whether a subscription takes deliveries. Enabling closes the
// breaker and hands what was held to the recovery, also when it was enabled
// before: an answer that got lost can be asked for again.
func (s *Server) setState(c echo.Context, state carillon.SubscriptionState) error {
	for try := 1; ; try++ {
		sub, err := s.namedSubscription(c)
		if err != nil {
			return err
		}
		if sub.State != state {
			sub.State, sub.UpdatedAt = state, s.deps.Now().UTC().Truncate(time.Microsecond)
			if state == carillon.Disabled {
				sub.DisabledReason = "disabled by hand"
			}
			sub, err = s.deps.Store.UpdateSubscription(c.Request().Context(), sub, sub.Version, actorOf(c))
		}
		if carillon.CodeOf(err) == carillon.CodeStale && !conditional(c) && try < updateTries {
			continue
		}
		if err == nil && state == carillon.Enabled {
			sub.Health, err = s.closeBreaker(c.Request().Context(), sub)
		}
		if err == nil && state == carillon.Enabled {
			err = s.recoverHeld(c, sub)
		}
		if err != nil {
			return err
		}
		return s.saved(c, http.StatusOK, sub, nil)
	}
}

// recoverHeld asks for what was held, and tells who wants to know.
func (s *Server) recoverHeld(c echo.Context, sub carillon.Subscription) error {
	ctx := c.Request().Context()
	backlog := carillon.Backlog{
		SubscriptionID: sub.ID, States: []carillon.DeliveryState{carillon.Held}, Before: s.deps.Now().UTC(),
	}
	_, held, err := s.deps.Store.Backlog(ctx, backlog, 1)
	if err != nil {
		return err
	}
	if held > 0 {
		if _, err := s.deps.Publisher.Recover(ctx, backlog, 0); err != nil {
			return &carillon.Error{
				Code:    carillon.CodeUnavailable,
				Message: "the subscription is enabled, but what it held is not being delivered: enable it once more",
				Err:     err,
			}
		}
	}
	event, err := carillon.OwnEvent("subscription.enabled", carillon.GenerationKey(sub.ID, sub.Generation), sub.ID, sub.UpdatedAt,
		map[string]any{"subscription": sub.ID, "name": sub.Name, "channel": sub.Channel})
	if err != nil {
		return err
	}
	// Carillon says so, not the caller, whose key may not let it publish.
	if _, err = s.tell(ctx, event); carillon.CodeOf(err) == carillon.CodeEventReused {
		return nil // told before; the name was changed since
	}
	return err
}

type recoverView struct {
	// Matched counts the deliveries that the request chooses.
	Matched int  `json:"matched"`
	DryRun  bool `json:"dry_run"`
	// Run is absent in a dry run.
	Run *runView `json:"run,omitempty"`
}

// recoverSubscription hands deliveries that are held or failed to the recovery.
func (s *Server) recoverSubscription(c echo.Context) error {
	sub, err := s.namedSubscription(c)
	if err != nil {
		return err
	}
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	backlog, rate, dryRun, err := readRecover(body, sub.ID, s.deps.Now().UTC())
	if err != nil {
		return err
	}
	if sub.State != carillon.Enabled && !dryRun {
		return carillon.Errorf(carillon.CodeConflict, "the subscription is %s: enable it first", sub.State)
	}
	ctx := c.Request().Context()
	view := recoverView{DryRun: dryRun}
	if _, view.Matched, err = s.deps.Store.Backlog(ctx, backlog, 1); err != nil {
		return err
	}
	if dryRun {
		return answer(c, http.StatusOK, view)
	}
	if _, err := s.closeBreaker(ctx, sub); err != nil {
		return err
	}
	run, err := s.deps.Publisher.Recover(ctx, backlog, rate)
	if err != nil {
		return err
	}
	runView := s.viewRun(run)
	view.Run = &runView
	return answer(c, http.StatusAccepted, view)
}

func readRecover(body json.RawMessage, subscription string, now time.Time) (carillon.Backlog, float64, bool, error) {
	f := readFields("", body)
	backlog := carillon.Backlog{
		SubscriptionID: subscription, Since: f.time("since"), Until: f.time("until"), Before: now,
	}
	for _, state := range f.texts("states", 2, maxNameBytes) {
		switch state := carillon.DeliveryState(state); state {
		case carillon.Held, carillon.Failed:
			backlog.States = append(backlog.States, state)
		default:
			f.wrong("states", "must be held, failed, or both")
		}
	}
	if len(backlog.States) == 0 {
		backlog.States = []carillon.DeliveryState{carillon.Held}
	}
	var rate float64
	if raw := f.raw("rate"); raw != nil {
		if err := json.Unmarshal(raw, &rate); err != nil || rate < 0 || rate > maxRate {
			f.wrong("rate", "must be a number of deliveries a second from 0 (no limit) to %d", maxRate)
		}
	}
	dryRun := f.yes("dry_run")
	return backlog, rate, dryRun, f.done()
}

type progressView struct {
	Running   bool `json:"running"`
	Left      int  `json:"left"`
	Succeeded int  `json:"succeeded"`
	Failed    int  `json:"failed"`
	// HandedOver counts what the subscription's batches deliver.
	HandedOver int        `json:"handed_over,omitempty"`
	Failures   int        `json:"failures"`
	InFlight   int        `json:"in_flight"`
	NextAt     *time.Time `json:"next_at,omitempty"`
	Run        runView    `json:"run"`
}

// recovery shows where a subscription's recovery stands.
func (s *Server) recovery(c echo.Context) error {
	sub, err := s.namedSubscription(c)
	if err != nil {
		return err
	}
	p, running, err := s.deps.Publisher.Recovery(c.Request().Context(), sub.ID)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, progressView{
		Running: running, Left: p.Left, Succeeded: p.Succeeded, Failed: p.Failed, Failures: p.Failures,
		InFlight: p.InFlight, HandedOver: p.HandedOver, NextAt: someTime(p.NextAt),
		Run: runView{WorkflowID: workflows.RecoverWorkflowID(sub.ID)},
	})
}

func (s *Server) cancelRecovery(c echo.Context) error {
	sub, err := s.namedSubscription(c)
	if err != nil {
		return err
	}
	if err := s.deps.Publisher.CancelRecovery(c.Request().Context(), sub.ID); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// redeliver hands a delivery that has ended to a run of its own. Clicks under
// one number, or one Idempotency-Key, get one run, however late they come.
func (s *Server) redeliver(c echo.Context) error {
	d, err := s.namedDelivery(c)
	if err != nil {
		return err
	}
	number, asSent, err := readRedelivery(c, d.Redeliveries)
	if err != nil {
		return err
	}
	key, err := readIdempotencyKey(c)
	if err != nil {
		return err
	}
	if key != "" && key == d.RedeliveryKey {
		number = d.Redeliveries
	}
	if number <= d.Redeliveries {
		run := carillon.Run{WorkflowID: workflows.RedeliveryWorkflowID(d.EventID, d.SubscriptionID, number)}
		return answer(c, http.StatusAccepted, acceptedView{ID: d.EventID, Run: s.viewRun(run)})
	}
	ctx := c.Request().Context()
	from, err := s.redeliverable(ctx, d)
	if err != nil {
		return err
	}
	if _, err := s.deps.Store.Subscription(ctx, d.SubscriptionID); err != nil {
		return err
	}
	event, err := s.deps.Store.Event(ctx, d.EventID)
	if err != nil {
		return err
	}
	pub, err := s.deps.History.Publication(ctx, event.Run, d.EventID)
	if err != nil {
		return err
	}
	again := carillon.Redelivery{EventID: d.EventID, SubscriptionID: d.SubscriptionID, Number: number, Key: key, From: from}
	if asSent {
		if again.PayloadSHA256, err = s.asSent(ctx, d); err != nil {
			return err
		}
	}
	run, err := s.deps.Publisher.Redeliver(ctx, pub, again)
	if err != nil {
		return err
	}
	return answer(c, http.StatusAccepted, acceptedView{ID: d.EventID, Run: s.viewRun(run)})
}

// redeliverable returns the states that the delivery may be redelivered from.
// One that is under way may not, unless its run was ended without telling.
func (s *Server) redeliverable(ctx context.Context, d carillon.Delivery) ([]carillon.DeliveryState, error) {
	from := carillon.Redeliverable()
	if d.State != carillon.Pending && d.State != carillon.Retrying {
		return from, nil
	}
	end, err := s.deps.History.End(ctx, d.Run.WorkflowID)
	if err != nil {
		return nil, err
	}
	if end == carillon.RunOpen {
		return nil, carillon.Errorf(carillon.CodeInProgress, "the delivery is %s: use retry-now", d.State)
	}
	return append(from, carillon.Pending, carillon.Retrying), nil
}

// readIdempotencyKey returns a fingerprint of the caller's Idempotency-Key,
// empty when there is none.
// https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
func readIdempotencyKey(c echo.Context) (string, error) {
	key := c.Request().Header.Get("Idempotency-Key")
	if key == "" {
		return "", nil
	}
	if !printable(key) {
		return "", carillon.Errorf(carillon.CodeInvalid, "the Idempotency-Key must be at most %d bytes of text", maxParamBytes)
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16]), nil
}

// How a redelivery's payload comes about.
const (
	renderAnew   = "anew"    // what the subscription makes of the event now
	renderAsSent = "as_sent" // the very bytes of the last attempt, or nothing
)

// readRedelivery reads which redelivery is asked for, the next when the body is
// empty, and whether it is to send what was sent before.
func readRedelivery(c echo.Context, done int) (number int, asSent bool, err error) {
	if c.Request().ContentLength == 0 {
		return done + 1, false, nil
	}
	body, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return 0, false, err
	}
	f := readFields("", body)
	number = done + 1
	if raw := f.raw("number"); raw != nil {
		if err := json.Unmarshal(raw, &number); err != nil || number < 1 || number > done+1 {
			f.wrong("number", "must be a number from 1 to %d, the next redelivery", done+1)
		}
	}
	render := f.text("render", maxNameBytes)
	if render != "" && render != renderAnew && render != renderAsSent {
		f.wrong("render", "must be %s or %s", renderAnew, renderAsSent)
	}
	return number, render == renderAsSent, f.done()
}
