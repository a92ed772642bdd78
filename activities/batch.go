package activities

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-dev/carillon"
)

// The registered names of the activities of shared runs.
const (
	RouteBatch   = "RouteBatch"
	AttemptBatch = "AttemptBatch"
)

const (
	// MaxBatchDeliveries bounds the deliveries that one shared run tries, and
	// with them its history: each attempt takes at most 8 KiB there. What is
	// beyond goes to runs of pages.
	MaxBatchDeliveries = 1000
	// batchResultBytes is how much one call of AttemptBatch answers before it
	// begins no further attempt, those under way counted with the most that
	// they can take: the rest is for the next workflow task. Temporal takes 4
	// MiB as one answer to a task, and what failed is in it twice: here, and in
	// the starts of the runs that go on with it.
	batchResultBytes = 3 << 18
	// batchTime is how long one call begins attempts: a slow receiver must not
	// keep from the index what became of the others.
	batchTime = 5 * time.Second
	// tryTime bounds one attempt with its wait and its reads, so that the call
	// answers what the others came to.
	tryTime = 40 * time.Second
	// MaxAttemptBytes is the most that one attempt takes as JSON.
	MaxAttemptBytes = 8 << 10
)

// RouteBatchInput asks which subscriptions the events of a shared run concern.
type RouteBatchInput struct {
	// Run is the asking run; its RunID, the first of the chain, owns the claims.
	Run carillon.Run `json:"run"`
	// Publications are the events; nil when they are to be read from Run's
	// history.
	Publications []carillon.Publication `json:"publications,omitempty"`
}

// RouteBatchResult is the answer.
type RouteBatchResult struct {
	// Plans are what the deliveries of all events go by, one a subscription, or
	// two where only some are gathered: pending, never tried, their delays
	// without jitter.
	Plans []Plan `json:"plans,omitempty"`
	// ConfigVersion is the one in force at the claim: the first tries know what
	// had changed by then.
	ConfigVersion int64 `json:"config_version,omitempty"`
	// Events are in the order of the publications.
	Events []Routed `json:"events"`
}

// Routed is one event of a shared run after its claim.
type Routed struct {
	// Duplicate says that another run rang for the event before, and Conflict
	// that it was another event under the same id: this one was taken by two
	// processes at once.
	Duplicate bool `json:"duplicate,omitempty"`
	Conflict  bool `json:"conflict,omitempty"`
	// Paged says that runs of pages try its deliveries, from the first on.
	Paged bool `json:"paged,omitempty"`
	// Pending and Held are indexes into the plans.
	Pending []int `json:"pending,omitempty"`
	Held    []int `json:"held,omitempty"`
	// ReadBack are deliveries as a run that was interrupted left them.
	ReadBack []Plan `json:"read_back,omitempty"`
	// Jitter is the share, in [0,1), of a tenth by which the event's delays are
	// drawn out.
	Jitter float64 `json:"jitter"`
	// ConditionErrors counts conditions that could not be evaluated.
	ConditionErrors int `json:"condition_errors,omitempty"`
}

// RouteBatch is [Activities.Route] for all events of a shared run, in one
// transaction.
func (a *Activities) RouteBatch(ctx context.Context, in RouteBatchInput) (RouteBatchResult, error) {
	pubs := in.Publications
	if pubs == nil {
		var err error
		if pubs, err = a.histories.Publications(ctx, in.Run); err != nil {
			return RouteBatchResult{}, fmt.Errorf("read events: %w", err)
		}
	}
	var version int64
	for i := range pubs {
		version = max(version, pubs[i].ConfigVersion)
	}
	snap, err := a.snapshots.atLeast(ctx, version)
	if err != nil {
		return RouteBatchResult{}, err
	}
	out := RouteBatchResult{Events: make([]Routed, len(pubs))}
	claims := make([]carillon.Claim, len(pubs))
	room := MaxBatchDeliveries
	for i := range pubs {
		matched, conditionErrors, err := snap.match(ctx, &pubs[i])
		if err != nil {
			return RouteBatchResult{}, err
		}
		out.Events[i] = Routed{
			Paged: len(matched) > min(PageSize, room), Jitter: a.jitter(), ConditionErrors: len(conditionErrors),
		}
		first := in.Run.WorkflowID
		if out.Events[i].Paged {
			first = PageWorkflowID(carillon.EventWorkflowID(pubs[i].Event.ID), 1)
		} else {
			room -= len(matched)
		}
		claims[i] = carillon.Claim{
			Publication: pubs[i], Run: in.Run, ConditionErrors: conditionErrors,
			Deliveries: a.rows(&pubs[i], carillon.Run{WorkflowID: first, RunID: in.Run.RunID}, matched),
		}
	}
	began := a.now()
	claimed, err := a.store.ClaimAll(ctx, claims)
	if err != nil {
		return RouteBatchResult{}, fmt.Errorf("claim %d events: %w", len(pubs), err)
	}
	// The brake of a channel for people has some deliveries gathered, and others
	// not.
	type plan struct {
		subscription string
		gathered     bool
	}
	plans := map[plan]int{}
	for i, claim := range claimed {
		routed := &out.Events[i]
		switch {
		case claim.Result == carillon.ClaimDuplicate:
			*routed = Routed{Duplicate: true, Conflict: claim.Conflict}
		case claim.Result == carillon.ClaimOwned:
			rows, err := a.store.DeliveryPage(ctx, pubs[i].Event.ID, in.Run.RunID, "", PageSize)
			if err != nil {
				return RouteBatchResult{}, fmt.Errorf("read deliveries of %s: %w", pubs[i].Event.ID, err)
			}
			// As it was written, whatever would match now.
			first := PageWorkflowID(carillon.EventWorkflowID(pubs[i].Event.ID), 1)
			routed.Paged = slices.ContainsFunc(rows, func(d carillon.Delivery) bool { return d.Run.WorkflowID == first })
			if !routed.Paged {
				routed.ReadBack = a.plan(rows, snap).Plans
			}
		case routed.Paged:
		default:
			out.ConfigVersion = claim.ConfigVersion
			a.snapshots.confirm(claim.ConfigVersion, began)
			for _, row := range claim.Deliveries {
				key := plan{row.SubscriptionID, carillon.IsGather(row.Run.WorkflowID)}
				n, ok := plans[key]
				if !ok {
					n = len(out.Plans)
					plans[key] = n
					out.Plans = append(out.Plans, a.steady(row, snap))
				}
				if row.State == carillon.Held {
					routed.Held = append(routed.Held, n)
				} else {
					routed.Pending = append(routed.Pending, n)
				}
			}
		}
	}
	return out, nil
}

// steady is the plan of a delivery that is new, its delays without jitter.
func (a *Activities) steady(row carillon.Delivery, snap *snapshot) Plan {
	plan := Plan{
		Subscription: row.SubscriptionID, Channel: row.Channel, Host: row.Host, State: carillon.Pending,
		Slow: a.bulkheads.slow(row.SubscriptionID), Gathered: carillon.IsGather(row.Run.WorkflowID),
	}
	if sub, ok := snap.index.Get(row.SubscriptionID); ok {
		plan.describe(sub)
		plan.Delays = sub.Retry.Schedule
	}
	return plan
}

// AttemptBatchInput asks for the first tries of a shared run's deliveries. It
// is only ever asked locally, where inputs are not recorded.
type AttemptBatchInput struct {
	Run          carillon.Run           `json:"run"`
	Publications []carillon.Publication `json:"publications"`
	Tries        []Try                  `json:"tries"`
	// ConfigVersion is that of [RouteBatchResult].
	ConfigVersion int64 `json:"config_version,omitempty"`
}

// Try is one delivery to try: the event's place among the publications, and
// the subscription.
type Try struct {
	Event        int    `json:"event"`
	Subscription string `json:"subscription"`
}

// AttemptBatchResult holds the attempts that were made, in no order: the others
// are to be asked for again, in a workflow task of their own.
type AttemptBatchResult struct {
	Attempts []carillon.Attempt `json:"attempts"`
}

// AttemptBatch makes the first try of many deliveries, as many at once to each
// subscription as its endpoint may have in flight. It answers when all are made,
// or when its answer is large, or its time is over. It leaves an endpoint alone
// that fails so often that its breaker opens once that is recorded.
func (a *Activities) AttemptBatch(ctx context.Context, in AttemptBatchInput) (AttemptBatchResult, error) {
	var lanes sync.WaitGroup
	made := madeAttempts{began: a.now(), now: a.now}
	for _, tries := range bySubscription(in.Tries) {
		next := make(chan Try, len(tries))
		for _, try := range tries {
			next <- try
		}
		close(next)
		var failures atomic.Int32 // in a row
		for range min(maxQuick, len(tries)) {
			lanes.Go(func() {
				for failures.Load() < carillon.BreakerThreshold && made.reserve(ctx) {
					try, ok := <-next
					if !ok {
						made.release()
						return
					}
					event := &in.Publications[try.Event]
					attempt := a.tryWithin(ctx, tryTime, AttemptInput{
						Run: in.Run, Publication: event, SubscriptionID: try.Subscription, Number: 1,
						ConfigVersion: in.ConfigVersion,
					})
					attempt.EventID = event.Event.ID
					if attempt.Outcome == carillon.OutcomeDelivered {
						failures.Store(0)
					} else {
						failures.Add(1)
					}
					made.add(attempt)
				}
			})
		}
	}
	lanes.Wait()
	return AttemptBatchResult{Attempts: made.attempts}, nil
}

// tryWithin is [Activities.Attempt], which never errs, within a time.
func (a *Activities) tryWithin(ctx context.Context, limit time.Duration, in AttemptInput) carillon.Attempt {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	attempt, _ := a.Attempt(ctx, in)
	return attempt
}

// madeAttempts collects attempts within the bounds of one answer.
type madeAttempts struct {
	began time.Time
	now   func() time.Time

	mu       sync.Mutex
	attempts []carillon.Attempt
	bytes    int // of the attempts, and reserved for those under way
}

// reserve reports whether one more attempt may begin. The first always may.
func (m *madeAttempts) reserve(ctx context.Context) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	late := len(m.attempts) > 0 && m.now().Sub(m.began) > batchTime
	if late || ctx.Err() != nil || m.bytes+MaxAttemptBytes > batchResultBytes {
		return false
	}
	m.bytes += MaxAttemptBytes
	return true
}

// release gives back what was reserved for an attempt that is not made.
func (m *madeAttempts) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes -= MaxAttemptBytes
}

// add keeps an attempt that was reserved.
func (m *madeAttempts) add(attempt carillon.Attempt) {
	size := attemptSize(attempt)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += size - MaxAttemptBytes
	m.attempts = append(m.attempts, attempt)
}

// bySubscription groups tries, each group in the order of the events.
func bySubscription(tries []Try) [][]Try {
	places := map[string]int{}
	var groups [][]Try
	for _, try := range tries {
		n, ok := places[try.Subscription]
		if !ok {
			n = len(groups)
			places[try.Subscription] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], try)
	}
	return groups
}

// attemptSize is how much room to keep for an attempt's JSON: about its size,
// never less, and nothing that costs as much as writing it.
func attemptSize(attempt carillon.Attempt) int {
	const escaped = 6 // bytes of the longest escape of one
	size := 1<<10 + escaped*len(attempt.Error)
	if attempt.Response != nil {
		size += escaped * len(attempt.Response.Body)
		for name, value := range attempt.Response.Headers {
			size += len(name) + len(value)
		}
	}
	if attempt.Request != nil {
		for name, value := range attempt.Request.Headers {
			size += len(name) + len(value)
		}
	}
	return min(size, MaxAttemptBytes)
}
