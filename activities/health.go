package activities

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/carillon-dev/carillon"
)

// Probed is the registered name of [Activities.Probed].
const Probed = "Probed"

// Meter is told what happens to endpoints, for metrics.
type Meter interface {
	// InFlight adds to the attempts in flight.
	InFlight(n int)
	// Throttled counts an attempt that found no place at its endpoint.
	Throttled()
	// Breaker counts a breaker that came to a state.
	Breaker(to carillon.HealthState)
}

// troubleAge is how old this worker's view of the endpoints in trouble may be.
// Where several workers deliver to one endpoint, each learns of the others'
// failures by then; until then a success of one does not end what another
// counted.
const troubleAge = time.Second

// troubles is this worker's view of the endpoints in trouble, so that a
// delivery to any other is recorded as if there were no health at all. It is
// read from the index of those few rows, and told at once what this worker
// recorded itself.
type troubles struct {
	mu     sync.Mutex
	known  map[string]carillon.Health
	readAt time.Time
	// told is what became known while a reading is under way, which can be older;
	// nil while none is.
	told map[string]carillon.Health
}

func (t *troubles) get(id string) carillon.Health {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[id]
}

func (t *troubles) set(id string, h carillon.Health) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told != nil {
		t.told[id] = h
	}
	t.put(id, h)
}

func (t *troubles) put(id string, h carillon.Health) {
	if t.known == nil {
		t.known = map[string]carillon.Health{}
	}
	if h.Well() {
		delete(t.known, id)
	} else {
		t.known[id] = h
	}
}

// refresh reads the view anew when it is old. One caller reads; the others go
// on with what is known.
func (t *troubles) refresh(ctx context.Context, now time.Time, read func(context.Context) (map[string]carillon.Health, error)) error {
	t.mu.Lock()
	if t.told != nil || now.Sub(t.readAt) < troubleAge {
		t.mu.Unlock()
		return nil
	}
	t.told = map[string]carillon.Health{}
	t.mu.Unlock()
	known, err := read(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	told := t.told
	t.told = nil
	if err != nil {
		return err
	}
	t.readAt, t.known = now, maps.Clone(known)
	for id, h := range told {
		t.put(id, h)
	}
	return nil
}

// learn takes what was recorded: it opens the breakers that it trips, and tells
// people of what begins or ends. last is the last failure of each endpoint.
func (a *Activities) learn(ctx context.Context, health map[string]carillon.Health, last map[string]failure) {
	for id, h := range health {
		a.troubles.set(id, h)
		if h.Failures >= carillon.BreakerThreshold && !h.Open() {
			a.open(ctx, id)
		}
	}
	for id, h := range health { // which may have to wait for Temporal
		a.tell(ctx, id, h, last[id])
	}
}

// open opens a breaker and starts the run that probes. What goes wrong is made
// good: the next failure opens, and a probe that is overdue is asked for again.
func (a *Activities) open(ctx context.Context, id string) {
	h, opened, err := a.store.OpenBreaker(ctx, id, a.now(), a.draw)
	if err != nil {
		a.log.WarnContext(ctx, "the breaker of an endpoint is not opened", "subscription", id, "error", err)
		return
	}
	a.troubles.set(id, h)
	if !opened {
		return
	}
	a.meter.Breaker(carillon.HealthOpen)
	a.log.WarnContext(ctx, "the breaker of an endpoint opened", "subscription", id, "failures", h.Failures, "probe_at", h.ProbeAt)
	if err := a.publisher.Watch(ctx, id); err != nil {
		a.log.WarnContext(ctx, "the probing of an endpoint is not started; it is asked for again", "subscription", id, "error", err)
	}
}

// isOpen reports whether an endpoint's breaker is open. What this worker
// remembers can be old, so the database confirms it: a delivery is held for
// good reason only, or else it would be attempted again at once, and be held
// again.
func (a *Activities) isOpen(ctx context.Context, id string) bool {
	if !a.troubles.get(id).Open() {
		return false
	}
	sub, err := a.store.Subscription(ctx, id)
	if err != nil {
		return false // the attempt finds out
	}
	a.troubles.set(id, sub.Health)
	return sub.Health.Open()
}

// ProbedInput says what came of a probe of an open breaker.
type ProbedInput struct {
	SubscriptionID string `json:"subscription"`
	// OpenSince names the opening.
	OpenSince time.Time `json:"open_since"`
	// Close closes the breaker: the endpoint took the probe.
	Close bool `json:"close,omitempty"`
	// Half closes it until the next failure: there is nothing to probe with.
	Half bool `json:"half,omitempty"`
	// NextAt is when the next probe is due, while it stays open.
	NextAt time.Time `json:"next_at,omitzero"`
}

// Probed brings the breaker up to date after a probe. Doing it again changes
// nothing.
func (a *Activities) Probed(ctx context.Context, in ProbedInput) error {
	if !in.Close && !in.Half {
		return a.store.SetProbe(ctx, in.SubscriptionID, in.OpenSince, in.NextAt)
	}
	closed, err := a.store.CloseBreaker(ctx, carillon.Closing{
		SubscriptionID: in.SubscriptionID, OpenSince: in.OpenSince, Half: in.Half,
	})
	if err != nil {
		return err
	}
	if closed {
		h := carillon.Health{}
		if in.Half {
			h.Failures = carillon.BreakerThreshold - 1
		}
		a.troubles.set(in.SubscriptionID, h)
		a.meter.Breaker(h.State())
		a.log.InfoContext(ctx, "the breaker of an endpoint closed", "subscription", in.SubscriptionID, "half", in.Half)
	}
	if in.Close { // also when it was closed by a try before, which may not have told
		if sub, err := a.store.Subscription(ctx, in.SubscriptionID); err == nil {
			a.tell(ctx, sub.ID, sub.Health, failure{}) // else the next delivery does it
		}
	}
	return nil
}
