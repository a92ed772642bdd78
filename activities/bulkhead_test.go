package activities

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fill takes every place at an endpoint.
func fill(t *testing.T, b *bulkheads, id string) []*place {
	t.Helper()
	places := make([]*place, maxInFlight)
	for i := range places {
		places[i], _ = b.enter(t.Context(), id)
		require.NotNil(t, places[i])
	}
	return places
}

func TestAnEndpointHasEightAttemptsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBulkheads()
		places := fill(t, b, "sub_a")
		fill(t, b, "sub_b") // is another endpoint

		var order []int
		var mu sync.Mutex
		var wg sync.WaitGroup
		for n := range 3 {
			wg.Go(func() {
				p, _ := b.enter(t.Context(), "sub_a")
				mu.Lock()
				defer mu.Unlock()
				order = append(order, n)
				p.leave()
			})
			synctest.Wait()
		}
		places[0].leave()
		wg.Wait()
		require.Equal(t, []int{0, 1, 2}, order, "who waits longest is next")
	})
}

func TestNobodyWaitsForAnEndpointThatBecomesSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBulkheads()
		places := fill(t, b, "sub_a")
		begin := time.Now()
		p, after := b.enter(t.Context(), "sub_a")
		require.Nil(t, p, "all are taken")
		require.Equal(t, SlowAfter+slotLook, time.Since(begin), "it waited until they were slow")
		require.Equal(t, crowdedRetry, after)
		for _, p := range places {
			p.leave()
		}
		require.Empty(t, b.endpoints, "what says nothing is not kept")
	})
}

// What answers at once may have more in flight, until an attempt fails.
func TestAQuickEndpointHasMoreInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBulkheads()
		for _, p := range fill(t, b, "sub_a") {
			p.done(false)
		}
		quick := make([]*place, maxQuick)
		for i := range quick {
			quick[i], _ = b.enter(t.Context(), "sub_a")
			require.NotNil(t, quick[i])
		}
		quick[0].done(true)
		<-time.After(recordWait + time.Millisecond)
		for _, p := range quick[maxInFlight:] {
			p.leave()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		quick[1].leave()
		p, _ := b.enter(ctx, "sub_a")
		require.NotNil(t, p)
		p.leave()
		p, _ = b.enter(ctx, "sub_a")
		require.NotNil(t, p)
		other, _ := b.enter(ctx, "sub_a")
		require.NotNil(t, other)
		none, _ := b.enter(ctx, "sub_a")
		require.Nil(t, none, "eight again")
	})
}

func TestNobodyWaitsForASlowEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBulkheads()
		places := fill(t, b, "sub_a")
		require.False(t, b.slow("sub_a"))
		<-time.After(SlowAfter + time.Millisecond)
		require.True(t, b.slow("sub_a"), "its oldest attempt hangs")
		begin := time.Now()
		for n := range 3 {
			p, after := b.enter(t.Context(), "sub_a")
			require.Nil(t, p)
			require.Equal(t, crowdedRetry+time.Duration(n)*crowdedSpacing, after, "they come back one by one")
		}
		require.Equal(t, begin, time.Now(), "at once")

		for _, p := range places {
			p.done(false)
		}
		require.True(t, b.slow("sub_a"), "its last attempt was")
		p, _ := b.enter(t.Context(), "sub_a")
		require.NotNil(t, p)
		p.done(false)
		require.False(t, b.slow("sub_a"), "an attempt that was quick brings it back")
	})
}

// A failure that is not recorded yet may be the one that opens the breaker:
// what waits behind it waits for that.
func TestAFailedAttemptKeepsItsPlaceUntilItIsRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBulkheads()
		for _, p := range fill(t, b, "sub_a") {
			p.done(true)
		}
		entered := make(chan time.Duration, 2)
		begin := time.Now()
		go func() {
			for range 2 {
				b.enter(t.Context(), "sub_a")
				entered <- time.Since(begin)
			}
		}()
		synctest.Wait()
		require.Empty(t, entered)
		b.recorded("sub_a")
		require.Zero(t, <-entered)
		require.Equal(t, recordWait, <-entered, "another worker records the rest")
		b.recorded("sub_a")
		b.recorded("sub_unknown")
		<-time.After(time.Minute)
		b.mu.Lock()
		defer b.mu.Unlock()
		require.Equal(t, 2, b.endpoints["sub_a"].taken)
	})
}

func TestAPlaceGivenInTheMomentOfGivingUpIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBulkheads()
		places := fill(t, b, "sub_a")
		const waiters = 50
		got := make(chan *place, waiters)
		for range waiters {
			go func() {
				p, _ := b.enter(t.Context(), "sub_a")
				got <- p
			}()
		}
		<-time.After(slotWait) // in the very moment that they stop to wait
		places[0].done(false)
		taken := maxInFlight - 1
		for range waiters {
			if p := <-got; p != nil {
				taken++
			}
		}
		// At most one was handed the place, and none got lost.
		require.LessOrEqual(t, taken, maxInFlight)
		require.Equal(t, taken, b.endpoints["sub_a"].taken)
	})
}
