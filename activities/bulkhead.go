package activities

import (
	"context"
	"slices"
	"sync"
	"time"
)

// What one endpoint may take of a worker. An endpoint is a subscription's:
// several that share a host are apart, as each has its own health.
const (
	// maxInFlight bounds the attempts at one endpoint, so that one that hangs
	// takes little of the worker.
	maxInFlight = 8
	// maxQuick bounds them where the last attempts took less than quickBelow on
	// the average: what a receiver answers at once keeps nothing busy, and with
	// eight the way there and back would be its limit.
	maxQuick   = 32
	quickBelow = 100 * time.Millisecond
	// SlowAfter is when an endpoint counts as slow. It leaves the fast path: an
	// attempt of a workflow task keeps that task open for as long.
	SlowAfter = 2 * time.Second
	// slotWait is how long an attempt waits for others at an endpoint that is
	// not slow: what is busy for a moment costs no timer. With an attempt of 30 s
	// it is below the 40 s of the activity. slotLook is how often the one who
	// waits looks whether the endpoint has become slow.
	slotWait = 5 * time.Second
	slotLook = 250 * time.Millisecond
	// recordWait is how long a failed attempt keeps its place if its record does
	// not come, as when another worker writes it.
	recordWait = 250 * time.Millisecond
	// crowdedRetry is how soon an attempt without a place is due again at the
	// earliest, and crowdedSpacing is between two of an endpoint: each costs a
	// timer and a task, and hundreds that come back together would delay others.
	crowdedRetry   = 5 * time.Second
	crowdedSpacing = 100 * time.Millisecond
)

// bulkheads bound what is in flight to each endpoint. They are in memory, and
// of this worker alone.
type bulkheads struct {
	mu        sync.Mutex
	endpoints map[string]*bulkhead
}

// bulkhead is one endpoint's. It is kept while it says anything.
type bulkhead struct {
	// taken counts the places: of attempts in flight, and of those that failed
	// and are not recorded yet. So no more can fail before the breaker opens than
	// it takes to open it, and these few.
	taken      int
	flying     []*place // the oldest first
	unrecorded []*place
	waiting    []chan *place // the oldest first
	// slow says that the last attempt was.
	slow bool
	// average is how long the last delivered attempts took, the newest for an
	// eighth; 0 after one that failed.
	average time.Duration
	// turn is when the last one that was turned away is due again.
	turn time.Time
}

// place is one attempt's permission.
type place struct {
	of      *bulkheads
	id      string
	started time.Time
	timer   *time.Timer
}

func newBulkheads() *bulkheads { return &bulkheads{endpoints: map[string]*bulkhead{}} }

// enter takes a place at an endpoint; nil when there is none now,
// and after how long to come again.
func (b *bulkheads) enter(ctx context.Context, id string) (p *place, after time.Duration) {
	b.mu.Lock()
	e := b.endpoints[id]
	if e == nil {
		e = &bulkhead{}
		b.endpoints[id] = e
	}
	if e.taken < e.limit() && len(e.waiting) == 0 {
		e.taken++
		p = e.begin(b, id)
		b.mu.Unlock()
		return p, 0
	}
	if e.isSlow() {
		defer b.mu.Unlock()
		return nil, e.turnAway()
	}
	turn := make(chan *place, 1)
	e.waiting = append(e.waiting, turn)
	b.mu.Unlock()

	if p := b.wait(ctx, e, turn); p != nil {
		return p, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(e.waiting, turn); i >= 0 {
		e.waiting = slices.Delete(e.waiting, i, i+1)
		return nil, e.turnAway()
	}
	return <-turn, 0 // given in the same moment
}

// wait waits for a place; nil when that takes too long, or is in vain.
func (b *bulkheads) wait(ctx context.Context, e *bulkhead, turn <-chan *place) *place {
	look := time.NewTicker(slotLook)
	defer look.Stop()
	for range slotWait / slotLook {
		select {
		case p := <-turn:
			return p
		case <-ctx.Done():
			return nil
		case <-look.C:
			b.mu.Lock()
			slow := e.isSlow()
			b.mu.Unlock()
			if slow {
				return nil
			}
		}
	}
	return nil
}

func (e *bulkhead) turnAway() time.Duration {
	now := time.Now()
	e.turn = e.turn.Add(crowdedSpacing)
	if earliest := now.Add(crowdedRetry); e.turn.Before(earliest) {
		e.turn = earliest
	}
	return e.turn.Sub(now)
}

// limit is how many attempts the endpoint may have in flight.
func (e *bulkhead) limit() int {
	if e.average > 0 && e.average < quickBelow {
		return maxQuick
	}
	return maxInFlight
}

func (e *bulkhead) begin(b *bulkheads, id string) *place {
	p := &place{of: b, id: id, started: time.Now()}
	e.flying = append(e.flying, p)
	return p
}

func (e *bulkhead) isSlow() bool {
	return e.slow || len(e.flying) > 0 && time.Since(e.flying[0].started) > SlowAfter
}

// slow reports whether an endpoint is to be kept off the fast path.
func (b *bulkheads) slow(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.endpoints[id]
	return e != nil && e.isSlow()
}

// done ends an attempt that was made. One that failed keeps its place until it
// is recorded.
func (p *place) done(failed bool) {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	e := p.of.endpoints[p.id]
	took := time.Since(p.started)
	e.slow = took > SlowAfter
	e.land(p)
	if !failed {
		e.average = max(1, e.average+(took-e.average)/8)
		p.of.free(e, p.id)
		return
	}
	e.average = 0
	e.unrecorded = append(e.unrecorded, p)
	p.timer = time.AfterFunc(recordWait, func() {
		p.of.mu.Lock()
		defer p.of.mu.Unlock()
		if i := slices.Index(e.unrecorded, p); i >= 0 {
			e.unrecorded = slices.Delete(e.unrecorded, i, i+1)
			p.of.free(e, p.id)
		}
	})
}

// leave gives back a place whose attempt was not made.
func (p *place) leave() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	e := p.of.endpoints[p.id]
	e.land(p)
	p.of.free(e, p.id)
}

func (e *bulkhead) land(p *place) {
	i := slices.Index(e.flying, p)
	e.flying = slices.Delete(e.flying, i, i+1)
}

// recorded says that a failed attempt of an endpoint is recorded.
func (b *bulkheads) recorded(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.endpoints[id]
	if e == nil || len(e.unrecorded) == 0 {
		return // another worker's
	}
	e.unrecorded[0].timer.Stop()
	e.unrecorded = slices.Delete(e.unrecorded, 0, 1)
	b.free(e, id)
}

// free hands a place, and what the limit leaves beside, to those who wait
// longest.
func (b *bulkheads) free(e *bulkhead, id string) {
	e.taken--
	for e.taken < e.limit() && len(e.waiting) > 0 {
		turn := e.waiting[0]
		e.waiting = slices.Delete(e.waiting, 0, 1)
		e.taken++
		turn <- e.begin(b, id)
	}
	if e.taken == 0 && !e.slow && e.average == 0 {
		delete(b.endpoints, id)
	}
}
