package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	// Holds says that what is given up is held, not failed.
	Holds bool `json:"holds,omitempty"`
}

// maxPlanName bounds the copy of a subscription's name in a plan.
const maxPlanName = 60

// Route claims the event for the run, matches it, and writes all delivery rows,
// in one transaction. A claim that the same run made before is read back and
// never matched again, so a crash loses no subscription and adds none.
func (a *Activities) Route(ctx context.Context, in RouteInput) (RouteResult, error) {
	pub, err := a.publication(ctx, in.Publication, in.Run)
	if err != nil {
		return RouteResult{}, fmt.Errorf("read event: %w", err)
	}
	snap, err := a.snapshots.atLeast(ctx, pub.ConfigVersion, a.store, a.conditions)
	if err != nil {
		return RouteResult{}, err
	}
	matched, conditionErrors, err := snap.match(ctx, pub)
	if err != nil {
		return RouteResult{}, err
	}
	now := a.now()
	rows := make([]carillon.Delivery, len(matched))
	for i, sub := range matched {
		rows[i] = carillon.Delivery{
			EventID: pub.Event.ID, SubscriptionID: sub.ID, State: carillon.Pending,
			Run:       carillon.Run{WorkflowID: pageID(in.Run.WorkflowID, i/PageSize), RunID: in.Run.RunID},
			EventType: pub.Event.Type, Channel: sub.Channel, Host: a.host(sub),
			ReceivedAt: pub.ReceivedAt, UpdatedAt: now,
		}
		if reason, held := sub.Held(); held {
			rows[i].State = carillon.Held
			rows[i].Error = reason
		}
	}
	claimed, err := a.store.Claim(ctx, carillon.Claim{
		Publication: *pub, Run: in.Run, Deliveries: rows, ConditionErrors: conditionErrors,
	})
	if err != nil {
		return RouteResult{}, fmt.Errorf("claim event %s: %w", pub.Event.ID, err)
	}
	if claimed == carillon.ClaimDuplicate {
		return RouteResult{Duplicate: true}, nil
	}
	// What was held at the look can be pending by the time of the claim.
	held := func(d carillon.Delivery) bool { return d.State == carillon.Held }
	if claimed == carillon.ClaimOwned || slices.ContainsFunc(rows, held) {
		rows, err = a.store.DeliveryPage(ctx, pub.Event.ID, in.Run.RunID, "", PageSize+1)
		if err != nil {
			return RouteResult{}, fmt.Errorf("read deliveries of %s: %w", pub.Event.ID, err)
		}
	}
	page := a.plan(rows, snap)
	return RouteResult{Plans: page.Plans, More: page.More, ConditionErrors: conditionErrors}, nil
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
}

// Page reads one page of the deliveries that Route wrote.
func (a *Activities) Page(ctx context.Context, in PageInput) (PageResult, error) {
	snap, err := a.snapshots.atLeast(ctx, in.ConfigVersion, a.store, a.conditions)
	if err != nil {
		return PageResult{}, err
	}
	rows, err := a.store.DeliveryPage(ctx, in.EventID, in.Owner, in.After, PageSize+1)
	if err != nil {
		return PageResult{}, fmt.Errorf("read deliveries of %s: %w", in.EventID, err)
	}
	return a.plan(rows, snap), nil
}

// pageID names the run that sees a page of deliveries through: the event's own
// run for the first.
func pageID(eventRun string, page int) string {
	if page == 0 {
		return eventRun
	}
	return PageWorkflowID(eventRun, page+1)
}

// PageWorkflowID names the run of page n, from 2, of an event's deliveries.
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
			State: row.State, Attempts: row.Attempts, NextAt: row.NextAt, FirstFailedAt: row.FirstFailedAt,
		}
		sub, ok := snap.byID[row.SubscriptionID]
		if !ok {
			continue
		}
		plans[i].Name = carillon.Clip(sub.Name, maxPlanName)
		plans[i].Delays = a.delays(sub.Retry.Schedule)
		plans[i].Disable = sub.Retry.Disable
		plans[i].Generation = sub.Generation
		profile, _ := carillon.LookupProfile(sub.Profile)
		plans[i].Holds = profile.Holds
	}
	return PageResult{Plans: plans, More: more}
}

// delays draws each delay out by 0 to 10 %, so that deliveries which failed
// together do not come back together.
func (a *Activities) delays(schedule []carillon.Duration) []carillon.Duration {
	drawn := make([]carillon.Duration, len(schedule))
	for i, d := range schedule {
		extra := time.Duration(float64(d) * 0.1 * a.jitter())
		drawn[i] = carillon.Duration((time.Duration(d) + extra).Round(time.Millisecond))
	}
	return drawn
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
	for _, sub := range s.entries {
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
	slices.SortFunc(matched, func(x, y *entry) int { return cmp.Compare(x.ID, y.ID) })
	return matched, failures, nil
}
