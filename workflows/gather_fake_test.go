package workflows_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/workflows"
)

// queue stands in for the rows of a subscription with batches, and for its
// receiver.
type queue struct {
	window time.Duration
	max    int
	delays []carillon.Duration
	policy carillon.DisablePolicy
	holds  bool
	state  carillon.SubscriptionState
	rows   []queuedRow
	// receive answers a request; nil delivers.
	receive func(ids []string) activities.SendResult
	// split is how many events one request takes; 0 for all.
	split    int
	requests []sentRequest
	settled  []activities.SettleInput
	// looked is called after each look.
	looked func(n int)
	looks  int
}

type queuedRow struct {
	activities.GatheredRow
	state      carillon.DeliveryState
	receivedAt time.Time
	nextAt     time.Time
	err        string
}

// sentRequest is a request that was made.
type sentRequest struct {
	After  time.Duration
	Events []string
}

func newQueue(at time.Time, ids ...string) *queue {
	q := &queue{
		window: 5 * time.Second, max: 100, delays: carillon.DefaultRetry().Schedule, policy: carillon.DisableExhausted,
		state: carillon.Enabled,
	}
	q.add(at, ids...)
	return q
}

func (q *queue) add(at time.Time, ids ...string) {
	for _, id := range ids {
		q.rows = append(q.rows, queuedRow{
			GatheredRow: activities.GatheredRow{Event: id, Type: "package.added"}, state: carillon.Pending, receivedAt: at,
		})
	}
}

// states counts the rows by their states.
func (q *queue) states() map[carillon.DeliveryState]int {
	states := map[carillon.DeliveryState]int{}
	for _, row := range q.rows {
		states[row.state]++
	}
	return states
}

func (s *scripted) Gather(ctx context.Context, in activities.GatherInput) (activities.GatherResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue
	out := activities.GatherResult{
		State: q.state, Name: "watchers", Channel: "webhook", Host: "hooks.example.com", Generation: 3, Disable: q.policy,
		Holds: q.holds, Delays: q.delays, Window: carillon.Duration(q.window), Max: q.max,
	}
	for _, row := range q.rows {
		if row.state != carillon.Pending && row.state != carillon.Retrying {
			continue
		}
		if out.Waiting++; out.Waiting == 1 {
			out.OpenedAt = row.receivedAt
			if out.OpenedAt.IsZero() {
				out.OpenedAt = s.now()
			}
		}
		if row.state == carillon.Retrying {
			if out.Unsuccessful == 0 {
				out.NextAt = row.nextAt
			}
			out.Unsuccessful++
		}
		if in.Take {
			out.Rows = append(out.Rows, row.GatheredRow)
		}
	}
	if out.Unsuccessful == 0 {
		out.Rows = out.Rows[:min(len(out.Rows), q.max)]
	}
	if q.looks++; q.looked != nil {
		q.looked(q.looks)
	}
	return out, s.seen(ctx, activities.Gather)
}

func (s *scripted) Send(ctx context.Context, in activities.SendInput) (activities.SendResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for _, e := range in.Events {
		if len(ids) < s.queue.split || s.queue.split == 0 {
			ids = append(ids, e.Event)
		}
	}
	s.queue.requests = append(s.queue.requests, sentRequest{After: s.now().Sub(start), Events: ids})
	out := sends(delivered())
	if s.queue.state != carillon.Enabled {
		out = sends(carillon.Attempt{Outcome: carillon.OutcomeHeld, Error: "the subscription is " + string(s.queue.state)})
	} else if s.queue.receive != nil {
		out = s.queue.receive(ids)
	}
	if out.Attempt.Error == "panic" {
		return out, errAway
	}
	out.Sent = len(ids)
	return out, s.seen(ctx, activities.Send)
}

func (s *scripted) Settle(ctx context.Context, in activities.SettleInput) (out activities.SettleResult, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.settled = append(s.queue.settled, in)
	for _, group := range in.Groups {
		for _, settled := range group.Rows {
			i := slices.IndexFunc(s.queue.rows, func(r queuedRow) bool { return r.Event == settled.Event })
			row := &s.queue.rows[i]
			row.state, row.nextAt, row.err = group.State, group.NextAt, group.Error
			row.Attempts, row.FirstFailedAt = settled.Attempts, settled.FirstFailedAt
			if group.State == carillon.Held && s.queue.state == carillon.Enabled {
				row.state, out.Reopened = carillon.Pending, true
			}
		}
	}
	return out, s.seen(ctx, activities.Settle)
}

func (s *scripted) Wake(ctx context.Context, in activities.WakeInput) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.seen(ctx, activities.Wake); err != nil {
		return err
	}
	s.woken = append(s.woken, in)
	return nil
}

func (s *scripted) Regather(ctx context.Context, _ activities.RegatherInput) (activities.RegatherResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.backlog + 1 // Backlog took one to show
	s.backlog = 0
	return activities.RegatherResult{Deliveries: n}, s.seen(ctx, activities.Regather)
}

func sends(a carillon.Attempt) activities.SendResult { return activities.SendResult{Attempt: a} }

// poisoned refuses each request that holds the event.
func poisoned(event string) func([]string) activities.SendResult {
	return func(ids []string) activities.SendResult {
		if slices.Contains(ids, event) {
			return sends(status(carillon.OutcomeRetry, http.StatusUnprocessableEntity))
		}
		return sends(delivered())
	}
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("evt_%03d", i)
	}
	return ids
}

// gatherBranches are the ways through the runs that gather, and to them.
func gatherBranches() []branch {
	in := workflows.GatherInput{Subscription: "sub_a"}
	brief := func(ids ...string) *queue {
		q := newQueue(time.Time{}, ids...)
		q.window, q.delays = time.Second, []carillon.Duration{carillon.Duration(time.Second), carillon.Duration(time.Second)}
		return q
	}
	answers := func(q *queue, replies ...carillon.Attempt) *queue {
		q.receive = func([]string) activities.SendResult {
			reply := replies[0]
			replies = replies[min(1, len(replies)-1):]
			return sends(reply)
		}
		return q
	}
	poison := brief(numbered(5)...)
	poison.receive = poisoned("evt_003")
	throttled := carillon.Attempt{Outcome: carillon.OutcomeThrottled, RetryAfter: carillon.Duration(time.Second), Error: "the database is away"}
	handed := plans("sub_a", "sub_b")
	handed.Plans[1].Gathered = true
	gather := func(name string, q *queue) branch {
		return branch{name: name, kind: workflows.GatherType, input: in, script: &scripted{queue: q}}
	}
	return []branch{
		gather("gather", brief("evt_1", "evt_2", "evt_3")),
		gather("gather-retry", answers(brief("evt_1", "evt_2"), failing(), throttled, delivered())),
		gather("gather-poison", poison),
		gather("gather-exhausted", answers(brief("evt_1", "evt_2"), failing())),
		gather("gather-none", brief()),
		{name: "handed-over", script: &scripted{route: handed}},
	}
}
