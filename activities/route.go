package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/matching"
)

// RouteInput asks which subscriptions an event concerns.
type RouteInput struct {
	// Run is the asking run; its RunID, the first of the chain, owns the claim.
	Run carillon.Run `json:"run"`
	// Publication is the event; nil when it is to be read from Run's history.
	Publication *carillon.Publication `json:"publication,omitempty"`
}

// RouteResult is the answer.
type RouteResult struct {
	// Duplicate says that another run rang for the event before.
	Duplicate bool `json:"duplicate,omitempty"`
	// Plans are the first [PageSize] deliveries, ordered by subscription.
	Plans []Plan `json:"plans,omitempty"`
	// More says that there are deliveries after the last plan.
	More bool `json:"more,omitempty"`
	// ConditionErrors are subscriptions whose condition could not be
	// evaluated, which counts as no match.
	ConditionErrors []carillon.ConditionError `json:"condition_errors,omitempty"`
	// ConfigVersion was in force when the deliveries were written: their first
	// attempts know every change up to it. 0 when that was another time, which
	// leaves it to them to ask.
	ConfigVersion int64 `json:"config_version,omitempty"`
}

// Plan is what a run needs to see one delivery through. It never holds a
// secret, nor an endpoint's path or query.
type Plan struct {
	Subscription string                 `json:"subscription"`
	Name         string                 `json:"name,omitempty"`
	Channel      string                 `json:"channel"`
	Host         string                 `json:"host,omitempty"`
	State        carillon.DeliveryState `json:"state"`
	// Attempts, NextAt and FirstFailedAt are as a run that was interrupted left
	// them.
	Attempts      int       `json:"attempts,omitempty"`
	NextAt        time.Time `json:"next_at,omitzero"`
	FirstFailedAt time.Time `json:"first_failed_at,omitzero"`
	// Delays are the waits before the second attempt, the third, and so on,
	// with their jitter drawn.
	Delays     []carillon.Duration    `json:"delays,omitempty"`
	Disable    carillon.DisablePolicy `json:"disable"`
	Generation int64                  `json:"generation"`
	// Slow says that the endpoint keeps what asks it waiting: no attempt at it is
	// part of a workflow task.
	Slow bool `json:"slow,omitempty"`
	// Holds says that what is given up is held, not failed.
	Holds bool `json:"holds,omitempty"`
	// Progress is what the attempt before left, of a delivery that was made in
	// part.
	Progress json.RawMessage `json:"progress,omitempty"`
	// Gathered says that another run sends it, with others in one request.
	Gathered bool `json:"gathered,omitempty"`
}

// maxPlanName bounds the copy of a subscription's name in a plan.
const maxPlanName = 60

// Route claims the event for the run, matches it, and writes all delivery rows,
// in one transaction. A claim that the same run made before is read back and
// never matched again, so a crash loses no subscription and adds none.
func (a *Activities) Route(ctx context.Context, in RouteInput) (RouteResult, error) {
	pub, err := a.publication(ctx, in.Publication, in.Run, "")
	if err != nil {
		return RouteResult{}, fmt.Errorf("read event: %w", err)
	}
	snap, err := a.snapshots.atLeast(ctx, pub.ConfigVersion)
	if err != nil {
		return RouteResult{}, err
	}
	matched, conditionErrors, err := snap.match(ctx, pub)
	if err != nil {
		return RouteResult{}, err
	}
	rows := a.rows(pub, in.Run, matched)
	began := a.now()
	claimed, err := a.store.Claim(ctx, carillon.Claim{
		Publication: *pub, Run: in.Run, Deliveries: rows, ConditionErrors: conditionErrors,
	})
	if err != nil {
		return RouteResult{}, fmt.Errorf("claim event %s: %w", pub.Event.ID, err)
	}
	if claimed.Result == carillon.ClaimDuplicate {
		return RouteResult{Duplicate: true}, nil
	}
	// What was held at the look can be pending by the time of the claim.
	rows = claimed.Deliveries
	if claimed.Result == carillon.ClaimOwned {
		rows, err = a.store.DeliveryPage(ctx, pub.Event.ID, in.Run.RunID, "", PageSize+1)
		if err != nil {
			return RouteResult{}, fmt.Errorf("read deliveries of %s: %w", pub.Event.ID, err)
		}
	}
	if claimed.Result == carillon.ClaimNew {
		a.snapshots.confirm(claimed.ConfigVersion, began)
	}
	page := a.plan(rows, snap)
	return RouteResult{
		Plans: page.Plans, More: page.More, ConditionErrors: conditionErrors, ConfigVersion: claimed.ConfigVersion,
	}, nil
}

// rows are the deliveries of an event that is new, the first page of them in
// the run.
func (a *Activities) rows(pub *carillon.Publication, run carillon.Run, matched []*entry) []carillon.Delivery {
	now := a.now()
	rows := make([]carillon.Delivery, len(matched))
	for i, sub := range matched {
		if i > 0 && i%PageSize == 0 {
			run.WorkflowID = PageWorkflowID(carillon.EventWorkflowID(pub.Event.ID), i/PageSize+1)
		}
		rows[i] = carillon.Delivery{
			EventID: pub.Event.ID, SubscriptionID: sub.ID, State: carillon.Pending, Run: run,
			EventType: pub.Event.Type, Channel: sub.Channel, Host: a.host(sub),
			ReceivedAt: pub.ReceivedAt, UpdatedAt: now,
		}
		if !sub.Batch.IsZero() {
			rows[i].Run.WorkflowID = carillon.GatherWorkflowID(sub.ID)
		} else if a.channels.ForPeople(sub.Channel) {
			rows[i].MaxPerMinute = sub.MaxPerMinute
		}
		if reason, held := sub.Held(); held {
			rows[i].State = carillon.Held
			rows[i].Error = reason
		}
	}
	return rows
}

// PageInput asks for the deliveries that one page of a large fan-out has.
type PageInput struct {
	EventID string `json:"event"`
	// Owner is the run that claimed the event.
	Owner string `json:"owner"`
	// After is the last subscription of the page before.
	After string `json:"after"`
	// ConfigVersion is the event's.
	ConfigVersion int64 `json:"config_version"`
}

// PageResult is one page.
type PageResult struct {
	Plans []Plan `json:"plans"`
	More  bool   `json:"more,omitempty"`
	// ConfigVersion is that of [RouteResult].
	ConfigVersion int64 `json:"config_version,omitempty"`
}

// Page reads one page of the deliveries that Route wrote.
func (a *Activities) Page(ctx context.Context, in PageInput) (PageResult, error) {
	snap, err := a.snapshots.atLeast(ctx, in.ConfigVersion)
	if err != nil {
		return PageResult{}, err
	}
	now := a.now()
	version, err := a.store.ConfigVersion(ctx)
	if err != nil {
		return PageResult{}, err
	}
	a.snapshots.confirm(version, now)
	rows, err := a.store.DeliveryPage(ctx, in.EventID, in.Owner, in.After, PageSize+1)
	if err != nil {
		return PageResult{}, fmt.Errorf("read deliveries of %s: %w", in.EventID, err)
	}
	page := a.plan(rows, snap)
	page.ConfigVersion = version
	return page, nil
}

// PageWorkflowID names the run of page n of an event's deliveries. The event's
// own run has page 1; where the event has none, page 1 has a run like the others.
func PageWorkflowID(eventRun string, n int) string {
	return fmt.Sprintf("%s/page/%d", eventRun, n)
}

// plan makes the first page of rows into plans. Where the subscription was
// deleted meanwhile, the attempt will say so.
func (a *Activities) plan(rows []carillon.Delivery, snap *snapshot) PageResult {
	more := len(rows) > PageSize
	if more {
		rows = rows[:PageSize]
	}
	plans := make([]Plan, len(rows))
	for i, row := range rows {
		plans[i] = Plan{
			Subscription: row.SubscriptionID, Channel: row.Channel, Host: row.Host,
			State: row.State, Attempts: row.Attempts, NextAt: row.NextAt, FirstFailedAt: row.FirstFailedAt, Progress: row.Progress,
			Slow: a.bulkheads.slow(row.SubscriptionID), Gathered: carillon.IsGather(row.Run.WorkflowID),
		}
		sub, ok := snap.index.Get(row.SubscriptionID)
		if !ok {
			continue
		}
		plans[i].describe(sub)
		plans[i].Delays = a.delays(sub.Retry.Schedule)
	}
	return PageResult{Plans: plans, More: more}
}

// describe copies what a run goes by of a subscription.
func (p *Plan) describe(sub *entry) {
	p.Name = carillon.Clip(sub.Name, maxPlanName)
	p.Disable = sub.Retry.Disable
	p.Generation = sub.Generation
	profile, _ := carillon.LookupProfile(sub.Profile)
	p.Holds = profile.Holds
}

// delays draws each delay out by 0 to 10 %, so that deliveries which failed
// together do not come back together.
func (a *Activities) delays(schedule []carillon.Duration) []carillon.Duration {
	drawn := make([]carillon.Duration, len(schedule))
	for i, d := range schedule {
		drawn[i] = a.draw(d)
	}
	return drawn
}

func (a *Activities) draw(d carillon.Duration) carillon.Duration {
	return DrawOut(d, a.jitter())
}

// DrawOut makes a delay longer by a share, in [0,1), of a tenth.
func DrawOut(d carillon.Duration, share float64) carillon.Duration {
	extra := time.Duration(float64(d) * 0.1 * share)
	return carillon.Duration((time.Duration(d) + extra).Round(time.Millisecond))
}

func (a *Activities) host(sub *entry) string {
	if sender, ok := a.channels[sub.Channel]; ok {
		return carillon.Clip(sender.Host(sub.Endpoint), carillon.MaxHostBytes)
	}
	return ""
}

// match returns the subscriptions that the event concerns, ordered by id.
func (s *snapshot) match(ctx context.Context, pub *carillon.Publication) ([]*entry, []carillon.ConditionError, error) {
	event, err := matching.Read(pub)
	if err != nil {
		return nil, nil, err
	}
	var matched []*entry
	var failures []carillon.ConditionError
	for _, sub := range s.index.Candidates(event) {
		failed, err := sub.Decide(ctx, event)
		if noAnswer, ok := errors.AsType[*matching.NoAnswerError](err); ok {
			if len(failures) < carillon.MaxConditionErrors {
				failures = append(failures, carillon.ConditionError{
					SubscriptionID: sub.ID, Error: carillon.Clip(noAnswer.Error(), carillon.MaxErrorBytes),
				})
			}
		} else if err != nil {
			return nil, nil, err
		} else if failed == "" {
			matched = append(matched, sub)
		}
	}
	return matched, failures, nil
}
