package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-dev/carillon"
)

// The registered names of the activities of batches.
const (
	Gather   = "Gather"
	Send     = "Send"
	Settle   = "Settle"
	Wake     = "Wake"
	Regather = "Regather"
)

// MaxGathered bounds the deliveries that one look at a subscription's batches
// sees, and with them what a request can carry and a history keeps of it.
const MaxGathered = 5000

// GatherInput asks what waits for a subscription's next request.
type GatherInput struct {
	Subscription string `json:"subscription"`
	// Take asks for the deliveries, too.
	Take bool `json:"take,omitempty"`
}

// GatherResult is the answer, and what the run goes by.
type GatherResult struct {
	// State is the subscription's; empty when it was deleted.
	State      carillon.SubscriptionState `json:"state"`
	Name       string                     `json:"name,omitempty"`
	Channel    string                     `json:"channel,omitempty"`
	Host       string                     `json:"host,omitempty"`
	Generation int64                      `json:"generation,omitempty"`
	Disable    carillon.DisablePolicy     `json:"disable,omitempty"`
	Holds      bool                       `json:"holds,omitempty"`
	// Delays are the waits after failed requests, with their jitter drawn.
	Delays []carillon.Duration `json:"delays,omitempty"`
	Window carillon.Duration   `json:"window"`
	Max    int                 `json:"max"`
	// Waiting counts what is under way, at most [MaxGathered], and Unsuccessful
	// those of them that a request failed with.
	Waiting      int `json:"waiting"`
	Unsuccessful int `json:"unsuccessful,omitempty"`
	// OpenedAt is when the oldest that waits was received, and NextAt when the
	// oldest unsuccessful one is due.
	OpenedAt time.Time `json:"opened_at,omitzero"`
	NextAt   time.Time `json:"next_at,omitzero"`
	// Summed says that a request tells of its events in sum, however many.
	Summed bool `json:"summed,omitempty"`
	// Rows are those of the next request, the oldest first.
	Rows []GatheredRow `json:"rows,omitempty"`
}

// GatheredRow is one delivery. Its keys are short: there are many in a history.
type GatheredRow struct {
	Event         string    `json:"e"`
	Type          string    `json:"t,omitempty"`
	Attempts      int       `json:"n,omitempty"`
	FirstFailedAt time.Time `json:"f,omitzero"`
	// Before is the run with the attempts before it was held; empty when there
	// were none.
	Before string `json:"b,omitempty"`
}

// Gather looks at the deliveries that wait for a subscription's next request.
// While none of them is unsuccessful, a request takes Max at most.
func (a *Activities) Gather(ctx context.Context, in GatherInput) (GatherResult, error) {
	sub, err := a.store.Subscription(ctx, in.Subscription)
	if err != nil && carillon.CodeOf(err) != carillon.CodeNotFound {
		return GatherResult{}, err
	}
	out, batch := GatherResult{Max: 1}, carillon.Batch{}
	if err == nil {
		batch = a.batch(&sub)
		profile, _ := carillon.LookupProfile(sub.Profile)
		out = GatherResult{
			State: sub.State, Name: carillon.Clip(sub.Name, maxPlanName), Channel: sub.Channel,
			Generation: sub.Generation, Disable: sub.Retry.Disable, Holds: profile.Holds,
			Delays: a.delays(sub.Retry.Schedule), Window: batch.Window, Max: max(1, batch.Max),
			Summed: a.channels.ForPeople(sub.Channel),
		}
	}
	rows, err := a.store.Gathered(ctx, in.Subscription, MaxGathered)
	if err != nil {
		return GatherResult{}, err
	}
	out.Waiting = len(rows)
	for i, row := range rows {
		if i == 0 {
			out.OpenedAt, out.Host = row.ReceivedAt, row.Host
		}
		if row.State == carillon.Retrying {
			if out.Unsuccessful == 0 {
				out.NextAt = row.NextAt
			}
			out.Unsuccessful++
		}
	}
	if !in.Take {
		return out, nil
	}
	if out.Unsuccessful == 0 || batch.IsZero() {
		rows = rows[:min(len(rows), out.Max)]
	}
	for _, row := range rows {
		taken := GatheredRow{Event: row.EventID, Type: row.EventType, Attempts: row.Attempts, FirstFailedAt: row.FirstFailedAt}
		// Regather counts its attempts anew, and leaves what the last came to.
		if row.Attempts == 0 && (row.Status != 0 || row.Duration > 0) {
			taken.Before = row.Run.RunID
		}
		out.Rows = append(out.Rows, taken)
	}
	return out, nil
}

// batch is how a subscription's events are gathered. One that writes for people
// has them gathered when they come faster than a person can read.
func (a *Activities) batch(sub *carillon.Subscription) carillon.Batch {
	if sub.Batch.IsZero() && a.channels.ForPeople(sub.Channel) {
		return carillon.Batch{Window: carillon.Duration(time.Minute), Max: MaxGathered}
	}
	return sub.Batch
}

// SettleInput is what became of deliveries that went in one request, or in
// several that looked for the one that was refused.
type SettleInput struct {
	Subscription string `json:"subscription"`
	// Run is the one whose history has the requests.
	Run    carillon.Run   `json:"run"`
	Groups []SettledGroup `json:"groups"`
	// Tells is the event that the endpoint's health learns Outcome by; empty when
	// it learns nothing.
	Tells   string           `json:"tells,omitempty"`
	Outcome carillon.Outcome `json:"outcome,omitempty"`
}

// SettledGroup are deliveries that stand alike.
type SettledGroup struct {
	State      carillon.DeliveryState `json:"state"`
	Status     int                    `json:"status,omitempty"`
	Error      string                 `json:"error,omitempty"`
	DurationMS int64                  `json:"duration_ms,omitempty"`
	NextAt     time.Time              `json:"next_at,omitzero"`
	Rows       []GatheredRow          `json:"rows"`
}

// SettleResult says what the database knew better.
type SettleResult struct {
	// Reopened says that the subscription takes deliveries by now: what was to be
	// held is pending.
	Reopened bool `json:"reopened,omitempty"`
}

// Settle writes where deliveries stand, each on its own, and lets the endpoint's
// health learn of the request once.
func (a *Activities) Settle(ctx context.Context, in SettleInput) (SettleResult, error) {
	now := a.now()
	if err := a.troubles.refresh(ctx, now, a.store.InTrouble); err != nil {
		a.log.DebugContext(ctx, "the endpoints in trouble are not known anew", "error", err)
	}
	var rows []carillon.Delivery
	last := map[string]failure{}
	for _, group := range in.Groups {
		for _, r := range group.Rows {
			row := carillon.Delivery{
				EventID: r.Event, SubscriptionID: in.Subscription, State: group.State, Attempts: r.Attempts,
				Status: group.Status, Error: group.Error, Duration: time.Duration(group.DurationMS) * time.Millisecond,
				NextAt: group.NextAt, FirstFailedAt: r.FirstFailedAt, UpdatedAt: now,
			}
			if r.Event == in.Tells {
				row.Outcome = a.telling(Row{Subscription: in.Subscription, Outcome: in.Outcome})
				last[in.Subscription] = failure{event: r.Event, attempts: r.Attempts, status: group.Status, err: group.Error}
			}
			rows = append(rows, row)
		}
	}
	recorded, err := a.store.Settle(ctx, in.Run, rows)
	if err != nil {
		return SettleResult{}, err
	}
	a.learn(ctx, recorded.Health, last)
	if in.Outcome.Failed() {
		a.bulkheads.recorded(in.Subscription) // after the breaker opened
	}
	return SettleResult{Reopened: len(recorded.Reopened) > 0}, nil
}

// WakeInput names subscriptions for whose batches there is something new.
type WakeInput struct {
	Subscriptions []Woken `json:"subscriptions"`
}

// Woken is one subscription, and how many deliveries are new.
type Woken struct {
	Subscription string `json:"subscription"`
	Name         string `json:"name,omitempty"`
	Events       int    `json:"events"`
}

// Wake tells the runs that gather. The deliveries' rows are written before, so
// whoever is woken sees them, and waking again is harmless.
func (a *Activities) Wake(ctx context.Context, in WakeInput) error {
	for _, woken := range in.Subscriptions {
		if err := a.publisher.Gather(ctx, woken.Subscription, woken.Name, woken.Events); err != nil {
			return fmt.Errorf("wake the batches of %s: %w", woken.Subscription, err)
		}
	}
	return nil
}

// RegatherInput hands a backlog to its subscription's batches.
type RegatherInput struct {
	Backlog carillon.Backlog `json:"backlog"`
	Name    string           `json:"name,omitempty"`
}

// RegatherResult counts the deliveries that were handed over.
type RegatherResult struct {
	Deliveries int `json:"deliveries"`
}

// Regather makes what a recovery is to deliver part of the subscription's
// batches, and wakes the run that sends them.
func (a *Activities) Regather(ctx context.Context, in RegatherInput) (RegatherResult, error) {
	n, err := a.store.Regather(ctx, in.Backlog, a.now())
	if err != nil {
		return RegatherResult{}, err
	}
	// Also when there is none: the try before may have moved them and not told.
	id := in.Backlog.SubscriptionID
	if err := a.publisher.Gather(ctx, id, in.Name, n); err != nil {
		return RegatherResult{}, fmt.Errorf("wake the batches of %s: %w", id, err)
	}
	return RegatherResult{Deliveries: n}, nil
}
