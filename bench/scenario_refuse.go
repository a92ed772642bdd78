package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/carillon-dev/carillon/client"
)

const (
	// openRunsLimit is how many runs may be open for a receiver that is away.
	openRunsLimit = 50
	// atOnce is how many attempts may be under way to one endpoint.
	atOnce = 32
	// settling is how long runs that were posted last may take to end.
	settling = 5 * time.Second
)

// measureRefuse posts events for a receiver that is away, counts the runs that
// are open for it, lets it come back and watches how they arrive.
func measureRefuse(ctx context.Context, b *bench) (*result, error) {
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close(ctx)
	away, err := openReceiver(ctx) // which chooses its port
	if err != nil {
		return nil, err
	}
	away.shut()
	sub, err := s.subscribe(ctx, feed, "/", retries(2*time.Second, 5*time.Second, 10*time.Second), func(sub *client.Subscription) {
		sub.Endpoint = client.Webhook{URL: away.url("/")}
	})
	if err != nil {
		return nil, err
	}
	l := s.load(single.connections)
	defer l.close()
	all := events("refused", feed, b.of(10_000, 1000))
	begin := time.Now()
	watch, stop := context.WithCancel(ctx)
	defer stop()
	var most atomic.Int64
	go s.watchRuns(watch, fmt.Sprintf("ExecutionStatus = 'Running' AND CarillonFailing = '%s'", sub.ID), &most)
	posts, err := l.closed(ctx, all)
	if err != nil {
		return nil, err
	}
	accepted := time.Since(begin)
	if err := pause(ctx, settling); err != nil {
		return nil, err
	}
	stop()
	left, err := s.runs(ctx, "ExecutionStatus = 'Running'")
	if err != nil {
		return nil, err
	}
	b.say("%d events posted in %.0f s; open runs in trouble at most %d, open runs in the end %d",
		len(all), accepted.Seconds(), most.Load(), left)

	back := time.Now()
	if err := away.open(ctx); err != nil {
		return nil, err
	}
	defer away.shut()
	e := away.at("/")
	if err := await(ctx, len(all), e); err != nil {
		return nil, err
	}
	r := &result{Connections: single.connections, Reposted: l.unanswered.Load()}
	r.fill(all, posts, []*endpoint{e})
	r.Accepted = float64(len(all)) / accepted.Seconds()
	// From the receiver's return on, which is what is interesting of them.
	r.Delivered = float64(len(all)-r.Lost) / last(snapshots([]*endpoint{e})).Sub(back).Seconds()
	r.PublishToReceive, r.Stragglers = latencies{}, 0
	r.judgeReturn(e, back, max(int(most.Load()), left))
	return r, nil
}

// watchRuns keeps the greatest number of runs that a query finds.
func (s *stack) watchRuns(ctx context.Context, query string, most *atomic.Int64) {
	for pause(ctx, time.Second) == nil {
		if n, err := s.runs(ctx, query); err == nil { // the next look may succeed
			most.Store(max(most.Load(), int64(n)))
		}
	}
}

// runs counts runs.
func (s *stack) runs(ctx context.Context, query string) (int, error) {
	answer, err := s.client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: "default", Query: query})
	if err != nil {
		return 0, fmt.Errorf("count runs: %w", err)
	}
	return int(answer.GetCount()), nil
}

// judgeReturn looks at how the receiver was met when it came back.
func (r *result) judgeReturn(e *endpoint, back time.Time, open int) {
	perSecond := e.perSecond(back)
	seconds := table{Title: "arrivals in each second after the receiver came back", Header: []string{"second", "arrivals"}}
	const shown = 15
	for i, n := range perSecond[:min(shown, len(perSecond))] {
		seconds.Rows = append(seconds.Rows, []string{strconv.Itoa(i + 1), strconv.Itoa(n)})
	}
	r.Tables = append(r.Tables, seconds)
	r.atMost("runs open for the receiver that is away", float64(open), openRunsLimit)
	r.atMost("requests under way at the receiver at once", float64(e.most.Load()), atOnce)
	r.complete()
}
