package main

import (
	"context"
	"sync"
	"time"
)

// measureSoak compares the memory of carillon over the first tenth of many
// events with that over the last.
func measureSoak(ctx context.Context, b *bench) (*result, error) {
	n := b.of(100_000, 10_000)
	s, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close(ctx)
	endpoints, err := s.fanOut(ctx, 1)
	if err != nil {
		return nil, err
	}
	m := &memory{}
	sampleCtx, stop := context.WithCancel(ctx)
	var sampling sync.WaitGroup
	sampling.Go(func() { m.watch(sampleCtx, s.carillon, endpoints[0]) })
	r := &result{Connections: single.connections}
	err = single.post(ctx, s, r, n, endpoints)
	stop()
	sampling.Wait()
	if err != nil {
		return nil, err
	}
	first, final := m.between(warmUp, warmUp+n/10), m.between(warmUp+n-n/10, warmUp+n+1)
	b.say("resident memory over the first tenth %.0f MB, over the last %.0f MB", first/megabyte, final/megabyte)
	r.ratio("memory of the last tenth to that of the first", ratio(final, first))
	r.atMost("memory over the last tenth of the events, to that over the first", ratio(final, first), 1.1)
	r.complete()
	return r, nil
}

// memory are samples of a process's resident memory, by events delivered.
type memory struct{ samples []sample }

type sample struct {
	delivered int64
	resident  int64
}

// sampleInterval is far below a tenth of the events.
const sampleInterval = 100 * time.Millisecond

func (m *memory) watch(ctx context.Context, p *process, e *endpoint) {
	for pause(ctx, sampleInterval) == nil {
		u, err := p.usage()
		if err != nil {
			return // it ended, which the posts tell
		}
		m.samples = append(m.samples, sample{e.distinct.Load(), u.Resident})
	}
}

// between is the mean of the memory while so many were delivered.
func (m *memory) between(from, to int) float64 {
	var values []float64
	for _, s := range m.samples {
		if s.delivered >= int64(from) && s.delivered < int64(to) {
			values = append(values, float64(s.resident))
		}
	}
	return mean(values...)
}
