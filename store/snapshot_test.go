package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/schema"
	"github.com/carillon-dev/carillon/store"
)

// replica is a copy of the subscriptions that follows the store.
type replica struct {
	version int64
	all     map[string]carillon.Subscription
	// read counts the subscriptions that it was given.
	read int
}

func (c *replica) follow(ctx context.Context, s *store.Store) error {
	changes, err := s.Changes(ctx, c.version, func(yield func(string, int64) bool) {
		for id, sub := range c.all {
			if !yield(id, sub.Version) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if c.all == nil {
		c.all = map[string]carillon.Subscription{}
	}
	for _, sub := range changes.Changed {
		c.all[sub.ID] = sub
	}
	for _, id := range changes.Removed {
		delete(c.all, id)
	}
	c.version = changes.Version
	c.read += len(changes.Changed)
	return nil
}

func (c *replica) equals(t *testing.T, s *store.Store) {
	t.Helper()
	version, all, err := s.Subscriptions(t.Context())
	require.NoError(t, err)
	require.Equal(t, version, c.version)
	require.Len(t, c.all, len(all))
	for _, sub := range all {
		require.Equal(t, sub, c.all[sub.ID])
	}
}

func TestACopyReadsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		var c replica
		follow := func(read int) {
			t.Helper()
			c.read = 0
			require.NoError(t, c.follow(t.Context(), s))
			require.Equal(t, read, c.read)
			c.equals(t, s)
		}
		follow(0)
		subs := map[string]carillon.Subscription{}
		for i := range 5 {
			id := fmt.Sprint("sub_", i)
			subs[id] = create(t, s, newSubscription(id))
		}
		follow(5)
		follow(0)
		update := func(id string, edit func(*carillon.Subscription)) {
			t.Helper()
			sub := subs[id]
			edit(&sub)
			var err error
			subs[id], err = s.UpdateSubscription(t.Context(), sub, 0, "admin")
			require.NoError(t, err)
		}
		update("sub_1", func(sub *carillon.Subscription) { sub.Name = "another" })
		follow(1)
		_, err := s.Disable(t.Context(), carillon.Disable{SubscriptionID: "sub_2", Generation: 1, Policy: carillon.DisableExhausted, Now: noon})
		require.NoError(t, err)
		follow(1)
		_, err = s.RotateSecret(t.Context(), carillon.Rotation{SubscriptionID: "sub_3", Endpoint: carillon.Endpoint(`{}`), Actor: "admin", Now: noon})
		require.NoError(t, err)
		follow(1)

		// A deletion leaves no row, and a second change hides the first.
		require.NoError(t, s.DeleteSubscription(t.Context(), "sub_1", 0, "admin", noon))
		follow(0)
		update("sub_0", func(sub *carillon.Subscription) { sub.Name = "first" })
		update("sub_0", func(sub *carillon.Subscription) { sub.Name = "second" })
		create(t, s, newSubscription("sub_9"))
		require.NoError(t, s.DeleteSubscription(t.Context(), "sub_9", 0, "admin", noon))
		follow(1)
		create(t, s, newSubscription("sub_1"))
		follow(1)

		// A refused change is none.
		_, err = s.UpdateSubscription(t.Context(), subs["sub_0"], 99, "admin")
		require.Equal(t, carillon.CodeStale, carillon.CodeOf(err))
		follow(0)
	})
}

// A process of an earlier version, in the middle of an upgrade, writes rows and
// does not stamp them.
func TestACopyFindsWhatAnEarlierVersionOfTheProgramWrote(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		s := openStore(t, databaseURL)
		for i := range 3 {
			create(t, s, newSubscription(fmt.Sprint("sub_", i)))
		}
		var c replica
		require.NoError(t, c.follow(t.Context(), s))
		database, err := schema.Parse(databaseURL)
		require.NoError(t, err)
		db, err := database.Open()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		for _, change := range []string{
			`UPDATE subscriptions SET name = 'changed', version = version + 1 WHERE id = 'sub_1'`,
			`INSERT INTO subscriptions (` + columns + `) SELECT ` + copied + ` FROM subscriptions WHERE id = 'sub_0'`,
			`DELETE FROM subscriptions WHERE id = 'sub_2'`,
		} {
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), `UPDATE config SET version = version + 1`)
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), change)
			require.NoError(t, err)
			require.NoError(t, tx.Commit())
		}
		create(t, s, newSubscription("sub_5"))
		require.NoError(t, c.follow(t.Context(), s))
		c.equals(t, s)
		require.ElementsMatch(t, []string{"sub_0", "sub_1", "sub_4", "sub_5"}, slices.Collect(maps.Keys(c.all)))
	})
}

const (
	columns = `id, name, event_types, scope, condition, include_cached, channel, endpoint, format, retry, state,
		disabled_by, disabled_reason, generation, version, created_version, created_at, updated_at`
	copied = `'sub_4', name, event_types, scope, condition, include_cached, channel, endpoint, format, retry, state,
		disabled_by, disabled_reason, generation, version, created_version + 4, created_at, updated_at`
)

// A database that was put back is older than the copy.
func TestACopyFollowsADatabaseThatWasPutBack(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		create(t, s, newSubscription("sub_1"))
		c := replica{version: 7, all: map[string]carillon.Subscription{
			"sub_1": newSubscription("sub_1"), "sub_2": newSubscription("sub_2"),
		}}
		require.NoError(t, c.follow(t.Context(), s))
		c.equals(t, s)
	})
}

// However changes and reloads meet, a copy of version v has exactly the changes
// up to v.
func TestACopyEqualsTheDatabaseUnderConcurrentChanges(t *testing.T) {
	t.Parallel()
	const writers, changes = 6, 60
	eachStore(t, func(t *testing.T, s *store.Store) {
		var group errgroup.Group
		for writer := range writers {
			group.Go(func() error {
				r := rand.New(rand.NewPCG(1, uint64(writer)))
				for range changes {
					id := fmt.Sprint("sub_", r.IntN(10))
					var err error
					switch r.IntN(4) {
					case 0:
						_, err = s.CreateSubscription(t.Context(), newSubscription(id), "admin")
					case 1:
						err = s.DeleteSubscription(t.Context(), id, 0, "admin", noon)
					default:
						sub := newSubscription(id)
						sub.Name = fmt.Sprint(writer, r.IntN(100))
						_, err = s.UpdateSubscription(t.Context(), sub, 0, "admin")
					}
					if code := carillon.CodeOf(err); err != nil && code != carillon.CodeExists && code != carillon.CodeNotFound {
						return err
					}
				}
				return nil
			})
		}
		done := make(chan struct{})
		copies := make([]replica, 3)
		var readers errgroup.Group
		for i := range copies {
			readers.Go(func() error {
				for {
					select {
					case <-done:
						return copies[i].follow(t.Context(), s)
					default:
					}
					before := copies[i].version
					if err := copies[i].follow(t.Context(), s); err != nil {
						return err
					}
					if copies[i].version < before {
						return errors.New("the copy went back")
					}
				}
			})
		}
		err := group.Wait()
		close(done)
		require.NoError(t, err)
		require.NoError(t, readers.Wait())
		for i := range copies {
			copies[i].equals(t, s)
		}
	})
}

// Two copies of one version are the same, whichever way they got there.
func TestCopiesOfOneVersionAgree(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *store.Store) {
		var followed replica
		r := rand.New(rand.NewPCG(1, 2))
		for range 100 {
			id := fmt.Sprint("sub_", r.IntN(8))
			var err error
			switch r.IntN(3) {
			case 0:
				_, err = s.CreateSubscription(t.Context(), newSubscription(id), "admin")
			case 1:
				err = s.DeleteSubscription(t.Context(), id, 0, "admin", noon)
			default:
				_, err = s.UpdateSubscription(t.Context(), newSubscription(id), 0, "admin")
			}
			if err != nil {
				require.Contains(t, []carillon.Code{carillon.CodeExists, carillon.CodeNotFound}, carillon.CodeOf(err))
			}
			if r.IntN(3) == 0 {
				var fresh replica
				require.NoError(t, followed.follow(t.Context(), s))
				require.NoError(t, fresh.follow(t.Context(), s))
				require.Equal(t, fresh.version, followed.version)
				require.Equal(t, fresh.all, followed.all)
			}
		}
	})
}
