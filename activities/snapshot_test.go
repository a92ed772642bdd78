package activities_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/store"
)

// inFeed is an event of a feed.
func inFeed(id, feed string) carillon.Event {
	e := added(`{}`)
	e.ID, e.Scope = id, map[string]string{"feed": feed}
	return e
}

// post accepts an event as the API does, by one look at the database.
func post(ctx context.Context, db *store.Store, e carillon.Event) (*carillon.Publication, error) {
	version, _, err := db.Accepted(ctx, e.ID)
	return &carillon.Publication{Event: e, Fingerprint: "f", ConfigVersion: version, ReceivedAt: now}, err
}

func (b *bundle) route(ctx context.Context, pub *carillon.Publication) (activities.RouteResult, error) {
	return b.Route(ctx, activities.RouteInput{
		Run: carillon.Run{WorkflowID: "event/" + pub.Event.ID, RunID: pub.Event.ID}, Publication: pub,
	})
}

// A subscription saved before a post always applies, one saved after its 202
// never does, and one saved at the same time does or does not: a thousand of
// them, eight at a time, routed after all of that has happened.
func TestASubscriptionAppliesToWhatIsPostedAfterItWasSaved(t *testing.T) {
	t.Parallel()
	const rounds, atOnce = 1000, 8
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		round := func(ctx context.Context, n int) error {
			feed := fmt.Sprint("feed-", n)
			id := fmt.Sprintf("sub_%04d", n)
			before, err := post(ctx, b.store, inFeed(fmt.Sprintf("evt_before_%d", n), feed))
			if err != nil {
				return err
			}
			var during, after *carillon.Publication
			var saved carillon.Subscription
			var both errgroup.Group
			both.Go(func() error {
				saved, err = b.store.CreateSubscription(ctx, carillon.Subscription{
					ID: id, EventTypes: []string{"package.*"}, Scope: map[string][]string{"feed": {feed}},
					Channel: "webhook", Retry: carillon.DefaultRetry(), State: carillon.Enabled, CreatedAt: now,
				}, "test")
				return err
			})
			both.Go(func() (err error) {
				during, err = post(ctx, b.store, inFeed(fmt.Sprintf("evt_during_%d", n), feed))
				return err
			})
			if err := both.Wait(); err != nil {
				return err
			}
			if after, err = post(ctx, b.store, inFeed(fmt.Sprintf("evt_after_%d", n), feed)); err != nil {
				return err
			}
			for pub, want := range map[*carillon.Publication]bool{
				before: false, after: true, during: saved.CreatedVersion <= during.ConfigVersion,
			} {
				out, err := b.route(ctx, pub)
				if err != nil {
					return err
				}
				if got := slices.Equal(subscriptions(out), []string{id}); got != want {
					return fmt.Errorf("%s: got %v, want the subscription %v", pub.Event.ID, subscriptions(out), want)
				}
			}
			return nil
		}
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(atOnce)
		for n := range rounds {
			group.Go(func() error { return round(ctx, n) })
		}
		require.NoError(t, group.Wait())
	})
}

// slowStore holds loads of the subscriptions back while it is told to, and
// counts reads of single subscriptions.
type slowStore struct {
	*store.Store
	asked  atomic.Int64
	hold   atomic.Pointer[held]
	broken atomic.Pointer[error]
}

type held struct{ entered, release chan struct{} }

func (s *slowStore) Changes(ctx context.Context, since int64, known iter.Seq2[string, int64]) (carillon.Changes, error) {
	changes, err := s.Store.Changes(ctx, since, known)
	if h := s.hold.Load(); h != nil {
		h.entered <- struct{}{}
		<-h.release
	}
	if broken := s.broken.Load(); broken != nil {
		return carillon.Changes{}, *broken
	}
	return changes, err
}

func (s *slowStore) Subscription(ctx context.Context, id string) (carillon.Subscription, error) {
	s.asked.Add(1)
	return s.Store.Subscription(ctx, id)
}

func TestASlowReloadStallsOnlyWhoNeedsIt(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		slow := &slowStore{Store: b.store}
		b.Activities = b.on(t, slow)
		b.subscribe(t, "sub_a", nil)
		old, err := post(t.Context(), b.store, inFeed("evt_1", "x"))
		require.NoError(t, err)
		_, err = b.route(t.Context(), old)
		require.NoError(t, err)

		h := &held{entered: make(chan struct{}), release: make(chan struct{})}
		slow.hold.Store(h)
		b.subscribe(t, "sub_b", nil)
		newer, err := post(t.Context(), b.store, inFeed("evt_2", "x"))
		require.NoError(t, err)

		// One who needs the newer version begins the load, and gives up.
		impatient, giveUp := context.WithCancel(t.Context())
		var group errgroup.Group
		group.Go(func() error {
			_, err := b.route(impatient, newer)
			if err == nil {
				return fmt.Errorf("the canceled one got an answer")
			}
			return nil
		})
		<-h.entered
		var out activities.RouteResult
		group.Go(func() (err error) {
			out, err = b.route(t.Context(), newer)
			return err
		})

		// Who is content with the version at hand goes on.
		old.Event.ID = "evt_3"
		meanwhile, err := b.route(t.Context(), old)
		require.NoError(t, err)
		require.Equal(t, []string{"sub_a"}, subscriptions(meanwhile))

		giveUp()
		slow.hold.Store(nil)
		close(h.release)
		require.NoError(t, group.Wait())
		require.Equal(t, []string{"sub_a", "sub_b"}, subscriptions(out), "another's giving up does not end the load")
	})
}

func TestALoadThatFailsIsTriedAgainByTheNext(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	slow := &slowStore{Store: b.store}
	b.Activities = b.on(t, slow)
	b.subscribe(t, "sub_a", nil)
	pub := b.accept(t, added(coolUtils))
	gone := error(carillon.Errorf(carillon.CodeUnavailable, "away"))
	slow.broken.Store(&gone)
	_, err := b.route(t.Context(), pub)
	require.ErrorIs(t, err, gone)
	slow.broken.Store(nil)
	out, err := b.route(t.Context(), pub)
	require.NoError(t, err)
	require.Equal(t, []string{"sub_a"}, subscriptions(out))
}

// The healthy path reads no subscription from the database, and knows every
// change that was answered before the event was posted.
func TestAFirstAttemptKnowsItsSubscriptionAsItStands(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		slow := &slowStore{Store: b.store}
		var clock sync.Mutex
		time0 := now
		b.Activities = b.at(t, slow, func() time.Time {
			clock.Lock()
			defer clock.Unlock()
			return time0
		})
		sub := b.subscribe(t, "sub_a", nil)
		first := func(id string) (activities.RouteResult, func() carillon.Attempt) {
			pub, err := post(t.Context(), b.store, inFeed(id, "x"))
			require.NoError(t, err)
			out, err := b.route(t.Context(), pub)
			require.NoError(t, err)
			require.NotZero(t, out.ConfigVersion)
			return out, func() carillon.Attempt {
				a, err := b.Attempt(t.Context(), activities.AttemptInput{
					Publication: pub, SubscriptionID: "sub_a", Number: 1, ConfigVersion: out.ConfigVersion,
				})
				require.NoError(t, err)
				return a
			}
		}
		update := func(edit func(*carillon.Subscription)) {
			t.Helper()
			edit(&sub)
			var err error
			sub, err = b.store.UpdateSubscription(t.Context(), sub, 0, "test")
			require.NoError(t, err)
		}

		_, attempt := first("evt_1")
		require.Equal(t, carillon.OutcomeDelivered, attempt().Outcome)

		update(func(s *carillon.Subscription) {
			s.Endpoint = carillon.Endpoint(strings.ReplaceAll(string(s.Endpoint), "/hook", "/moved"))
		})
		_, attempt = first("evt_2")
		require.Equal(t, carillon.OutcomeDelivered, attempt().Outcome)
		require.Len(t, b.hooks.Requests("/moved"), 1, "the edited endpoint")
		require.Zero(t, slow.asked.Load(), "the snapshot has it")

		// Paused between the claim and the attempt, and another event was claimed
		// since: that the configuration moved on is known.
		_, attempt = first("evt_3")
		update(func(s *carillon.Subscription) { s.State = carillon.Paused })
		out, _ := first("evt_4")
		require.Equal(t, carillon.Held, out.Plans[0].State)
		require.Equal(t, carillon.OutcomeHeld, attempt().Outcome)
		require.Zero(t, slow.asked.Load())

		// What waited for its turn asks what version the configuration is at.
		update(func(s *carillon.Subscription) { s.State = carillon.Enabled })
		_, attempt = first("evt_5")
		update(func(s *carillon.Subscription) { s.State = carillon.Paused })
		clock.Lock()
		time0 = time0.Add(time.Second)
		clock.Unlock()
		require.Equal(t, carillon.OutcomeHeld, attempt().Outcome)
		require.Zero(t, slow.asked.Load())

		update(func(s *carillon.Subscription) { s.State = carillon.Enabled })
		_, attempt = first("evt_6")
		require.NoError(t, b.store.DeleteSubscription(t.Context(), "sub_a", 0, "test", now))
		first("evt_7")
		require.Equal(t, carillon.OutcomeCanceled, attempt().Outcome)
	})
}

// A retry, and whatever an older run left, reads the database.
func TestAnAttemptWithoutAVersionAsksTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	slow := &slowStore{Store: b.store}
	b.Activities = b.on(t, slow)
	b.subscribe(t, "sub_a", nil)
	_, err := b.route(t.Context(), b.accept(t, added(coolUtils)))
	require.NoError(t, err)
	_, err = b.Attempt(t.Context(), activities.AttemptInput{Publication: b.accept(t, added(coolUtils)), SubscriptionID: "sub_a", Number: 2})
	require.NoError(t, err)
	require.EqualValues(t, 1, slow.asked.Load())
}
