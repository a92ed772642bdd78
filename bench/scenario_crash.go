package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// wholeAgain is how soon after a kill everything acknowledged before it must
// have arrived: Temporal hands a lost task out again after 60 s.
const wholeAgain = 120 * time.Second

// measureCrash kills each of the two programs in the middle of posts, with and
// without group commit, and starts it again.
func measureCrash(ctx context.Context, b *bench) (*result, error) {
	r := &result{}
	rows := table{Title: "SIGKILL in the middle of posts", Header: []string{
		"group commit", "killed", "acknowledged", "delivered", "lost", "dup", "dup at most", "posts repeated", "ready s", "whole s",
	}}
	for _, mode := range []struct {
		name        string
		env         []string
		connections int
		share       int // events that a run may hold
	}{{"off", nil, 64, 1}, {"on", []string{groupCommit}, 256, 100}} {
		for _, victim := range []string{"carillon", "temporal"} {
			c := crash{victim: victim, events: b.of(10_000, 1500), connections: mode.connections, share: mode.share}
			if err := c.measure(ctx, b, mode.env); err != nil {
				if mode.env != nil {
					b.say("group commit: %v", err)
					r.Checks = append(r.Checks, check{"group commit, " + victim + " killed", "whole again", err.Error(), false})
					break
				}
				return nil, fmt.Errorf("group commit %s, %s killed: %w", mode.name, victim, err)
			}
			rows.Rows = append(rows.Rows, append([]string{mode.name, victim}, c.row()...))
			r.Events += c.events
			r.Lost += c.lost.Lost
			r.Duplicated += c.lost.Duplicated
			name := fmt.Sprintf("group commit %s, %s killed: ", mode.name, victim)
			r.atMost(name+"lost", float64(c.lost.Lost), 0)
			r.atMost(name+"duplicates", float64(c.lost.Duplicated), float64(c.bound))
			r.atMost(name+"seconds until whole", c.whole.Seconds(), wholeAgain.Seconds())
		}
	}
	r.Subscribers = 1
	r.Tables = append(r.Tables, rows)
	return r, nil
}

// crash is one kill, and what came of it.
type crash struct {
	victim              string
	events, connections int
	share               int

	lost         tally
	bound        int // duplicates that there may be
	reposted     int64
	ready, whole time.Duration
}

func (c *crash) row() []string {
	return []string{
		strconv.Itoa(c.events), strconv.Itoa(c.events - c.lost.Lost), strconv.Itoa(c.lost.Lost), strconv.Itoa(c.lost.Duplicated),
		strconv.Itoa(c.bound), strconv.FormatInt(c.reposted, 10), number(c.ready.Seconds()), number(c.whole.Seconds()),
	}
}

func (c *crash) measure(ctx context.Context, b *bench, env []string) error {
	s, err := b.start(ctx, env...)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	endpoints, err := s.fanOut(ctx, 1)
	if err != nil {
		return err
	}
	e := endpoints[0]
	l := s.load(c.connections)
	defer l.close()
	all := events("crash", feed, c.events)
	var posts []posted
	posting := make(chan error, 1)
	go func() {
		var err error
		posts, err = l.closed(ctx, all)
		posting <- err
	}()
	if err := await(ctx, c.events/2, e); err != nil {
		return err
	}
	killed, err := c.strike(ctx, s)
	if err != nil {
		return err
	}
	c.ready = time.Since(killed)
	if err := <-posting; err != nil {
		return err
	}
	if err := await(ctx, c.events, e); err != nil {
		return err
	}
	// A task that is done again rings again, up to 60 s later.
	if err := s.ended(ctx); err != nil {
		return err
	}
	arrivals := e.snapshot()
	c.lost = count(ids(all), []map[string]arrival{arrivals})
	c.reposted = l.unanswered.Load()
	for i, e := range all { // also what was posted but not answered: its run may be there
		if posts[i].sent.Before(killed) {
			c.whole = max(c.whole, arrivals[e.id].First.Sub(killed))
		}
	}
	c.whole = max(c.whole, c.ready)
	b.say("%s killed: ready after %.1f s, whole after %.1f s, %d duplicates", c.victim, c.ready.Seconds(), c.whole.Seconds(), c.lost.Duplicated)
	return nil
}

// strike kills the victim and starts it again. Every attempt of a task that was
// not completed may be made once more: the tasks are those of the runs that
// were open, and of posts under way.
func (c *crash) strike(ctx context.Context, s *stack) (time.Time, error) {
	open, err := s.runs(ctx, "ExecutionStatus = 'Running'")
	if err != nil {
		return time.Time{}, err
	}
	killed := time.Now()
	if c.victim == "temporal" {
		s.server.kill()
		err = s.startServer(ctx)
		if err == nil {
			err = s.carillon.await(ctx, s.ready)
		}
	} else {
		s.carillon.kill()
		err = s.startCarillon(ctx)
	}
	c.bound = (open + c.connections) * c.share
	return killed, err
}

// ended waits until no run is open, at most as long as a lost task takes.
func (s *stack) ended(ctx context.Context) error {
	for begin := time.Now(); time.Since(begin) < wholeAgain; {
		n, err := s.runs(ctx, "ExecutionStatus = 'Running' AND WorkflowType = 'Dispatch'")
		if err == nil && n == 0 {
			return nil
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil // what is missing is counted
}
