package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

func newEvent(id string) carillon.Event {
	return carillon.Event{
		ID: id, Type: "package.added", Source: "registry.example.com", Actor: "maartenba",
		Scope: map[string]string{"feed": "internal-utils", "product": "tools"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
		Time: noon.Add(-1000), Data: []byte(`{"package":"MyCorp.CoolUtils"}`),
	}
}

// newClaim is a claim of the event with pending deliveries to the subscriptions.
func newClaim(e carillon.Event, run string, subscriptions ...string) carillon.Claim {
	c := carillon.Claim{
		Publication: carillon.Publication{Event: e, Fingerprint: "print", ReceivedAt: noon},
		Run:         carillon.Run{WorkflowID: "event/" + e.ID, RunID: run},
	}
	for _, id := range subscriptions {
		c.Deliveries = append(c.Deliveries, carillon.Delivery{
			SubscriptionID: id, State: carillon.Pending, Run: c.Run, Channel: "webhook", Host: "example.com", UpdatedAt: noon,
		})
	}
	return c
}

func claim(t *testing.T, s *store.Store, e carillon.Event, run string, subscriptions ...string) {
	t.Helper()
	result, err := s.Claim(t.Context(), newClaim(e, run, subscriptions...))
	require.NoError(t, err)
	require.Equal(t, carillon.ClaimNew, result.Result)
}

func TestAClaimIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		version, row, err := s.Accepted(t.Context(), "evt_1")
		require.NoError(t, err)
		require.Zero(t, version)
		require.Nil(t, row)
		_, err = s.Event(t.Context(), "evt_1")
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))

		create(t, s, newSubscription("sub_2"))
		setState(t, s, "sub_2", carillon.Paused)
		c := newClaim(newEvent("evt_1"), "run-1", "sub_1", "sub_2")
		c.Deliveries[1].State = carillon.Held
		c.Deliveries[1].Run.WorkflowID = "event/evt_1/page/2"
		for i := range carillon.MaxConditionErrors + 5 {
			c.ConditionErrors = append(c.ConditionErrors, carillon.ConditionError{
				SubscriptionID: fmt.Sprintf("sub_%d", i), Error: "no such key: \"x\"",
			})
		}
		result, err := s.Claim(t.Context(), c)
		require.NoError(t, err)
		require.Equal(t, carillon.ClaimNew, result.Result)

		want := carillon.EventRow{
			Event: newEvent("evt_1"), ReceivedAt: noon, Fingerprint: "print", Run: c.Run,
			ConditionErrors: c.ConditionErrors[:carillon.MaxConditionErrors],
		}
		want.Event.Data = nil
		// Instants are kept to the microsecond.
		want.Event.Time = want.Event.Time.Truncate(1000)
		got, err := s.Event(t.Context(), "evt_1")
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, row, err = s.Accepted(t.Context(), "evt_1")
		require.NoError(t, err)
		require.Equal(t, &want, row)

		deliveries, err := s.EventDeliveries(t.Context(), "evt_1", "", 10)
		require.NoError(t, err)
		require.Equal(t, []carillon.Delivery{
			{
				EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Pending, Run: c.Run, EventType: "package.added",
				Channel: "webhook", Host: "example.com", ReceivedAt: noon, UpdatedAt: noon,
			},
			{
				EventID: "evt_1", SubscriptionID: "sub_2", State: carillon.Held, EventType: "package.added",
				Run:     carillon.Run{WorkflowID: "event/evt_1/page/2", RunID: "run-1"},
				Channel: "webhook", Host: "example.com", ReceivedAt: noon, UpdatedAt: noon,
			},
		}, deliveries)
	})
}

func TestAnEventWithoutAnythingOptionalIsClaimed(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		e := carillon.Event{ID: "evt_1", Type: "ping", Source: "x", Time: noon}
		claim(t, s, e, "run-1")
		got, err := s.Event(t.Context(), "evt_1")
		require.NoError(t, err)
		require.Equal(t, e, got.Event)
		require.Empty(t, got.ConditionErrors)
	})
}

func TestOfManyRunsThatClaimAnEventOneOwnsIt(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		results := make([]carillon.Claimed, 50)
		var group errgroup.Group
		for i := range results {
			group.Go(func() (err error) {
				results[i], err = s.Claim(t.Context(), newClaim(newEvent("evt_1"), fmt.Sprint("run-", i), "sub_1", fmt.Sprint("sub_of_", i)))
				return err
			})
		}
		require.NoError(t, group.Wait())

		owner := ""
		for i, result := range results {
			if result.Result == carillon.ClaimNew {
				require.Empty(t, owner, "two runs claimed the event")
				owner = fmt.Sprint("run-", i)
				continue
			}
			require.Equal(t, carillon.ClaimDuplicate, result.Result)
		}
		row, err := s.Event(t.Context(), "evt_1")
		require.NoError(t, err)
		require.Equal(t, owner, row.Run.RunID)
		deliveries, err := s.EventDeliveries(t.Context(), "evt_1", "", 100)
		require.NoError(t, err)
		require.Len(t, deliveries, 2, "of the owner, and of nobody else")
		for _, d := range deliveries {
			require.Equal(t, owner, d.Run.RunID)
		}
	})
}

func TestARunThatClaimsAgainChangesNothing(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		claim(t, s, newEvent("evt_1"), "run-1", "sub_1")
		record(t, s, "run-1", carillon.Delivery{EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Succeeded, Attempts: 1})
		before, err := s.EventDeliveries(t.Context(), "evt_1", "", 10)
		require.NoError(t, err)

		result, err := s.Claim(t.Context(), newClaim(newEvent("evt_1"), "run-1", "sub_1", "sub_2"))
		require.NoError(t, err)
		require.Equal(t, carillon.ClaimOwned, result.Result)
		after, err := s.DeliveryPage(t.Context(), "evt_1", "run-1", "", 10)
		require.NoError(t, err)
		require.Equal(t, before, after)

		result, err = s.Claim(t.Context(), newClaim(newEvent("evt_1"), "run-2", "sub_1"))
		require.NoError(t, err)
		require.Equal(t, carillon.ClaimDuplicate, result.Result)
		none, err := s.DeliveryPage(t.Context(), "evt_1", "run-2", "", 10)
		require.NoError(t, err)
		require.Empty(t, none)
	})
}

func TestTenThousandDeliveriesAreClaimedAndRecordedAtOnce(t *testing.T) {
	t.Parallel()

	const many = 10_000
	eachStore(t, func(t *testing.T, s *store.Store) {
		ids := make([]string, many)
		for i := range ids {
			ids[i] = fmt.Sprintf("sub_%05d", i)
		}
		claim(t, s, newEvent("evt_1"), "run-1", ids...)

		var all []carillon.Delivery
		for after := ""; ; after = all[len(all)-1].SubscriptionID {
			page, err := s.DeliveryPage(t.Context(), "evt_1", "run-1", after, 900)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
		}
		require.Len(t, all, many)
		require.Equal(t, ids[many-1], all[many-1].SubscriptionID)

		for i := range all {
			all[i].State = carillon.Succeeded
		}
		record(t, s, "run-1", all...)
		left, err := s.ListDeliveries(t.Context(), carillon.DeliveryFilter{States: []carillon.DeliveryState{carillon.Pending}, Limit: 1})
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

func TestAClaimThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		_, err := s.Claim(t.Context(), newClaim(newEvent("evt_1"), "run-1", "sub_1", "sub_2", "sub_1"))
		require.ErrorContains(t, err, "write 3 deliveries")
		_, err = s.Event(t.Context(), "evt_1")
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))
		events, err := s.ListEvents(t.Context(), carillon.EventFilter{Scope: map[string]string{"feed": "internal-utils"}, Limit: 1})
		require.NoError(t, err)
		require.Empty(t, events)
	})
}

func TestTextThatADatabaseCannotHoldIsReplaced(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		claim(t, s, newEvent("evt_1"), "run-1", "sub_1")
		record(t, s, "run-1", carillon.Delivery{
			EventID: "evt_1", SubscriptionID: "sub_1", State: carillon.Failed,
			Error: "bad \x00 bytes \xff\n" + strings.Repeat("x", 2*carillon.MaxErrorBytes),
		})
		got, err := s.Delivery(t.Context(), "evt_1", "sub_1")
		require.NoError(t, err)
		require.LessOrEqual(t, len(got.Error), carillon.MaxErrorBytes)
		require.Contains(t, got.Error, "bad   bytes \ufffd ")
	})
}
