package store_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

// message claims an event for a subscription that sends at most three messages a
// minute, and reports whether it goes alone.
func message(t *testing.T, s *store.Store, id string, at time.Time) (alone bool) {
	t.Helper()
	c := newClaim(newEvent(id), "run-"+id, "sub_1")
	c.Deliveries[0].MaxPerMinute, c.Deliveries[0].UpdatedAt = 3, at
	claimed, err := s.Claim(t.Context(), c)
	require.NoError(t, err)
	row, err := s.Delivery(t.Context(), id, "sub_1")
	require.NoError(t, err)
	require.Equal(t, row.Run, claimed.Deliveries[0].Run, "the answer is what was written")
	return !carillon.IsGather(row.Run.WorkflowID)
}

func TestWhatIsBeyondAMinutesMessagesIsGathered(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		for n, alone := range []bool{true, true, true, false, false} {
			require.Equal(t, alone, message(t, s, "evt_"+strconv.Itoa(n), noon), n)
		}
		require.Equal(t, []string{"evt_3", "evt_4"}, waiting(t, s))
		// In the next minute others wait still: it joins them.
		require.False(t, message(t, s, "evt_5", noon.Add(time.Minute)))
		_, err := s.Settle(t.Context(), gatherRun, []carillon.Delivery{
			settled("evt_3", carillon.Succeeded, 1), settled("evt_4", carillon.Succeeded, 1), settled("evt_5", carillon.Succeeded, 1),
		})
		require.NoError(t, err)
		require.True(t, message(t, s, "evt_6", noon.Add(time.Minute)), "a new minute, and nobody waits")
		for n, alone := range []bool{true, true, false} {
			require.Equal(t, alone, message(t, s, "evt_back_"+strconv.Itoa(n), noon), "another clock is late: the minute goes on")
		}
		// A sum that failed waits for its schedule: the newer ones do not.
		failed := settled("evt_back_2", carillon.Retrying, 1)
		failed.Progress = []byte(`{"sent":[0]}`)
		_, err = s.Settle(t.Context(), gatherRun, []carillon.Delivery{failed})
		require.NoError(t, err)
		require.True(t, message(t, s, "evt_7", noon.Add(2*time.Minute)))
	})
}

func TestManyAtOnceTakeNoMoreThanAMinutesMessages(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		var group sync.WaitGroup
		alone := make([]bool, 20)
		for n := range alone {
			group.Go(func() {
				c := newClaim(newEvent("evt_"+strconv.Itoa(n)), "run-"+strconv.Itoa(n), "sub_1")
				c.Deliveries[0].MaxPerMinute, c.Deliveries[0].UpdatedAt = 3, noon
				claimed, err := s.Claim(t.Context(), c)
				if err != nil {
					t.Error(err)
					return
				}
				alone[n] = !carillon.IsGather(claimed.Deliveries[0].Run.WorkflowID)
			})
		}
		group.Wait()
		count := 0
		for _, one := range alone {
			if one {
				count++
			}
		}
		require.Equal(t, 3, count)
	})
}

func TestWhatWasMadeOfADeliveryIsKept(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		c := newClaim(newEvent("evt_1"), "run", "sub_1")
		_, err := s.Claim(t.Context(), c)
		require.NoError(t, err)
		row := carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Retrying, Attempts: 1, Progress: []byte(`{"sent":[0]}`)}
		_, err = s.Record(t.Context(), c.Run.RunID, []carillon.Delivery{row})
		require.NoError(t, err)
		read, err := s.Delivery(t.Context(), "evt_1", "sub_1")
		require.NoError(t, err)
		require.JSONEq(t, `{"sent":[0]}`, string(read.Progress))
		row.State, row.Progress = carillon.Succeeded, nil
		_, err = s.Record(t.Context(), c.Run.RunID, []carillon.Delivery{row})
		require.NoError(t, err)
		read, err = s.Delivery(t.Context(), "evt_1", "sub_1")
		require.NoError(t, err)
		require.Nil(t, read.Progress)
	})
}
