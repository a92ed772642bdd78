package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/store"
)

// The confinements of the tests: to one value, which is read from an index, to
// several, and to two keys.
var confinements = map[string]carillon.Confinement{
	"one value":      {"feed": {"a"}},
	"several values": {"feed": {"a", "z"}},
	"two keys":       {"feed": {"a", "z"}, "project": {"p"}},
}

// scopesOf are the subscriptions of the tests, by what of them is within every
// one of the confinements.
var scopesOf = map[string]map[string][]string{
	"sub_own":      {"feed": {"a"}, "project": {"p"}},
	"sub_own_more": {"feed": {"a"}, "project": {"p"}, "product": {"x"}},
	"sub_wider":    {"feed": {"a", "b"}, "project": {"p"}},
	"sub_other":    {"feed": {"b"}, "project": {"q"}},
	"sub_quoted":   {`fe"ed`: {"a"}},
	"sub_global":   nil,
}

var ownSubscriptions = []string{"sub_own", "sub_own_more"}

// populate writes 4 events of each scope, delivered to all subscriptions, and
// returns the ids of those within, the newest first.
func populate(t *testing.T, s *store.Store) (own []string) {
	t.Helper()
	for id, scope := range scopesOf {
		sub := newSubscription(id)
		sub.Scope = scope
		_, err := s.CreateSubscription(t.Context(), sub, "admin")
		require.NoError(t, err)
	}
	for n := range 4 {
		for _, scope := range []map[string]string{
			{"feed": "a", "project": "p"}, {"feed": "b", "project": "p"}, {"feed": "b"}, nil,
		} {
			id := fmt.Sprintf("evt_%d_%s", n, scope["feed"]+scope["project"])
			c := carillon.Claim{
				Publication: carillon.Publication{
					Event:      carillon.Event{ID: id, Type: "package.added", Source: "s", Scope: scope},
					ReceivedAt: noon.Add(time.Duration(n/2) * time.Minute), // two share each instant
				},
				Run: carillon.Run{WorkflowID: "event/" + id, RunID: "run-" + id},
			}
			for sub := range scopesOf {
				c.Deliveries = append(c.Deliveries, carillon.Delivery{SubscriptionID: sub, State: carillon.Failed})
				c.ConditionErrors = append(c.ConditionErrors, carillon.ConditionError{SubscriptionID: sub, Error: "no such key"})
			}
			_, err := s.Claim(t.Context(), c)
			require.NoError(t, err)
			if scope["feed"] == "a" {
				own = append([]string{id}, own...)
			}
		}
	}
	return own
}

func TestAConfinedContextShowsOnlyWhatIsWithin(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		own := populate(t, s)
		for name, to := range confinements {
			t.Run(name, func(t *testing.T) {
				ctx := carillon.Confine(t.Context(), to)
				// A page at a time, so that a page that were filtered after it was
				// read would be short.
				var ids []string
				f := carillon.EventFilter{Limit: 3}
				for {
					rows, err := s.ListEvents(ctx, f)
					require.NoError(t, err)
					for _, row := range rows {
						ids = append(ids, row.Event.ID)
						require.Len(t, row.ConditionErrors, 2, "those of foreign subscriptions are left out")
						f.Before = carillon.EventCursor{ReceivedAt: row.ReceivedAt, ID: row.Event.ID}
					}
					if len(rows) < f.Limit {
						break
					}
				}
				require.Equal(t, own, ids)

				var want []string
				for _, id := range own {
					want = append(want, id+"/sub_own_more", id+"/sub_own")
				}
				require.Equal(t, want, deliveriesOf(ctx, t, s))
				require.Equal(t, want, deliveriesOf(ctx, t, s, carillon.Failed))
				for sub, n := range map[string]int{"sub_own": len(own), "sub_wider": 0, "sub_other": 0, "sub_global": 0} {
					rows, err := s.ListDeliveries(ctx, carillon.DeliveryFilter{SubscriptionID: sub, Limit: 50})
					require.NoError(t, err)
					require.Len(t, rows, n, sub)
				}
				within(ctx, t, s, own[0])
			})
		}
	})
}

// deliveriesOf reads all deliveries, page by page.
func deliveriesOf(ctx context.Context, t *testing.T, s *store.Store, states ...carillon.DeliveryState) (places []string) {
	t.Helper()
	f := carillon.DeliveryFilter{Limit: 3, States: states}
	for {
		rows, err := s.ListDeliveries(ctx, f)
		require.NoError(t, err)
		for _, row := range rows {
			places = append(places, row.EventID+"/"+row.SubscriptionID)
			f.Before = carillon.DeliveryCursor{ReceivedAt: row.ReceivedAt, EventID: row.EventID, SubscriptionID: row.SubscriptionID}
		}
		if len(rows) < f.Limit {
			return places
		}
	}
}

// within looks at single objects.
func within(ctx context.Context, t *testing.T, s *store.Store, own string) {
	t.Helper()
	rows, err := s.ListEvents(ctx, carillon.EventFilter{Scope: map[string]string{"feed": "b"}, Limit: 50})
	require.NoError(t, err)
	require.Empty(t, rows, "a filter for what is outside finds nothing")
	rows, err = s.ListEvents(ctx, carillon.EventFilter{Scope: map[string]string{"feed": "a", "project": "p"}, Limit: 50})
	require.NoError(t, err)
	require.Len(t, rows, 4)
	deliveries, err := s.EventDeliveries(ctx, own, "", 50)
	require.NoError(t, err)
	require.Len(t, deliveries, 2)
	deliveries, err = s.EventDeliveries(ctx, "evt_0_bp", "", 50)
	require.NoError(t, err)
	require.Empty(t, deliveries)

	row, err := s.Event(ctx, own)
	require.NoError(t, err)
	require.Len(t, row.ConditionErrors, 2)
	for _, id := range []string{"evt_0_bp", "evt_0_b", "evt_0_", "evt_no"} {
		_, err := s.Event(ctx, id)
		require.EqualError(t, err, fmt.Sprintf("there is no event %q", id))
		_, err = s.Delivery(ctx, id, "sub_own")
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))
	}
	_, known, err := s.Accepted(ctx, "evt_0_b")
	require.NoError(t, err)
	require.NotNil(t, known, "whose id is taken is no matter of who asks")

	subs, err := s.ListSubscriptions(ctx, "", 50)
	require.NoError(t, err)
	var ids []string
	for _, sub := range subs {
		ids = append(ids, sub.ID)
	}
	require.Equal(t, ownSubscriptions, ids)
	subs, err = s.ListSubscriptions(ctx, "sub_own", 1)
	require.NoError(t, err)
	require.Len(t, subs, 1)
	for id := range scopesOf {
		sub, err := s.Subscription(ctx, id)
		_, deliveryErr := s.Delivery(ctx, own, id)
		if id == "sub_own" || id == "sub_own_more" {
			require.NoError(t, err)
			require.NoError(t, deliveryErr)
			continue
		}
		require.EqualError(t, err, fmt.Sprintf("there is no subscription %q", id))
		require.EqualError(t, deliveryErr, fmt.Sprintf("there is no delivery of event %q to subscription %q", own, id))
		sub.ID = id
		_, err = s.UpdateSubscription(ctx, sub, 0, "key_1")
		require.EqualError(t, err, fmt.Sprintf("there is no subscription %q", id))
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(s.DeleteSubscription(ctx, id, 0, "key_1", noon)))
		_, err = s.RotateSecret(ctx, carillon.Rotation{SubscriptionID: id, Now: noon})
		require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))
	}
}

func TestAConfinedContextChangesOnlyWhatIsWithin(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		populate(t, s)
		ctx := carillon.Confine(t.Context(), carillon.Confinement{"feed": {"a", "z"}})
		mine, err := s.Subscription(ctx, "sub_own")
		require.NoError(t, err)
		for name, test := range map[string]struct {
			scope   map[string][]string
			allowed bool
		}{
			"another value of its key": {map[string][]string{"feed": {"z"}}, true},
			"all of its key":           {map[string][]string{"feed": {"z", "a"}, "project": {"any"}}, true},
			"a value more":             {map[string][]string{"feed": {"a", "b"}}, false},
			"another key alone":        {map[string][]string{"project": {"p"}}, false},
			"no scope":                 {nil, false},
		} {
			mine.Scope = test.scope
			_, updated := s.UpdateSubscription(ctx, mine, 0, "key_1")
			created := newSubscription("sub_" + name)
			created.Scope = test.scope
			_, err := s.CreateSubscription(ctx, created, "key_1")
			if test.allowed {
				require.NoError(t, updated, name)
				require.NoError(t, err, name)
				continue
			}
			require.Equal(t, carillon.CodeForbidden, carillon.CodeOf(updated), name)
			require.ErrorContains(t, updated, "/scope: must have feed, and of its values only a, z", name)
			require.Equal(t, carillon.CodeForbidden, carillon.CodeOf(err), name)
			_, err = s.Subscription(t.Context(), created.ID)
			require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err), name)
		}
	})
}

func TestSourcesOfAConfinedContext(t *testing.T) {
	t.Parallel()

	eachStore(t, func(t *testing.T, s *store.Store) {
		ctx := carillon.Confine(t.Context(), carillon.Confinement{"feed": {"a"}})
		for name, scope := range map[string]map[string]string{
			"own": {"feed": "a", "product": "x"}, "other": {"feed": "b"}, "global": nil,
		} {
			src := carillon.Source{ID: "src_" + name, Name: name, Kind: "distribution", Scope: scope, CreatedAt: noon}
			_, err := s.CreateSource(t.Context(), src, "admin")
			require.NoError(t, err)
		}
		all, err := s.Sources(ctx)
		require.NoError(t, err)
		require.Len(t, all, 1)
		own, err := s.Source(ctx, "OWN")
		require.NoError(t, err)
		for _, name := range []string{"other", "global", "none"} {
			_, err := s.Source(ctx, name)
			require.EqualError(t, err, fmt.Sprintf("there is no source %q", name))
			require.EqualError(t, s.DeleteSource(ctx, name, 0, "key_1", noon), fmt.Sprintf("there is no source %q", name))
			foreign := own
			foreign.ID, foreign.Name = "src_"+name, "mine"
			_, err = s.UpdateSource(ctx, foreign, 0, "key_1")
			require.Equal(t, carillon.CodeNotFound, carillon.CodeOf(err))
		}
		wider := own
		wider.Scope = map[string]string{"product": "x"}
		_, err = s.UpdateSource(ctx, wider, 0, "key_1")
		require.ErrorContains(t, err, "/scope: must have feed, and of its values only a")
		wider.ID, wider.Name = "src_wider", "wider"
		_, err = s.CreateSource(ctx, wider, "key_1")
		require.Equal(t, carillon.CodeForbidden, carillon.CodeOf(err))
		_, err = s.UpdateSource(ctx, own, 0, "key_1")
		require.NoError(t, err)
		require.NoError(t, s.DeleteSource(ctx, "own", 0, "key_1", noon))
	})
}
