package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/store"
)

var now = time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)

// bundle is the activities on a real database, with real channels and a real
// receiver.
type bundle struct {
	*activities.Activities
	store     *store.Store
	histories *histories
	published *published
	hooks     *receiver.Receiver
	hookURL   string
	url       string
	observing sync.Mutex
	observed  []string
}

// meter takes what is counted.
type meter struct{}

func (meter) InFlight(int) {}

func (meter) Throttled() {}

func (meter) Breaker(carillon.HealthState) {}

// histories answers with events that runs carry.
type histories struct {
	publications map[carillon.Run]*carillon.Publication
	batches      map[carillon.Run][]carillon.Publication
	err          error
}

func (h *histories) Publication(_ context.Context, run carillon.Run, _ string) (*carillon.Publication, error) {
	if h.err != nil {
		return nil, h.err
	}
	return h.publications[run], nil
}

func (h *histories) Publications(_ context.Context, run carillon.Run) ([]carillon.Publication, error) {
	if h.err != nil {
		return nil, h.err
	}
	return h.batches[run], nil
}

// published keeps the events of Carillon's own.
type published struct {
	mu     sync.Mutex
	events []carillon.Event
	// watched are the subscriptions whose breakers are to be probed.
	watched   []string
	recovered []string
	// woken are those whose batches have something new.
	woken []string
	err   error
}

func (p *published) Publish(_ context.Context, e carillon.Event, _ string) (carillon.Run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
	return carillon.Run{WorkflowID: "event/" + e.ID}, p.err
}

func (p *published) Recover(_ context.Context, b carillon.Backlog, _ float64) (carillon.Run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recovered = append(p.recovered, b.SubscriptionID)
	return carillon.Run{}, p.err
}

func (p *published) Watch(_ context.Context, subscription string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watched = append(p.watched, subscription)
	return p.err
}

func (p *published) Gather(_ context.Context, subscription, _ string, _ int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.woken = append(p.woken, subscription)
	return p.err
}

func (p *published) types() []string {
	types := make([]string, len(p.events))
	for i, e := range p.events {
		types[i] = e.Type
	}
	return types
}

func setup(t *testing.T, url string) *bundle {
	t.Helper()
	ring, err := seal.NewRing(seal.NewKey())
	require.NoError(t, err)
	db, err := store.Open(t.Context(), url, ring)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	b := &bundle{
		store: db, histories: &histories{publications: map[carillon.Run]*carillon.Publication{}},
		published: &published{}, hooks: receiver.New(), url: url,
	}
	server := httptest.NewServer(b.hooks)
	t.Cleanup(server.Close)
	b.hookURL = server.URL + "/hook"
	b.Activities = b.on(t, db)
	return b
}

// on returns activities on a store.
func (b *bundle) on(t *testing.T, db activities.Store) *activities.Activities {
	t.Helper()
	return b.with(t, db, func(*activities.Deps) {})
}

// at returns activities on a store, by a clock.
func (b *bundle) at(t *testing.T, db activities.Store, clock func() time.Time) *activities.Activities {
	t.Helper()
	return b.with(t, db, func(d *activities.Deps) { d.Now = clock })
}

// with returns activities with other parts.
func (b *bundle) with(t *testing.T, db activities.Store, change func(*activities.Deps)) *activities.Activities {
	t.Helper()
	env, err := conditions.New()
	require.NoError(t, err)
	policy := safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	deps := activities.Deps{
		Store: db, Histories: b.histories, Publisher: b.published,
		Channels: channels.NewRegistry(channels.Config{Policy: policy, Now: time.Now, PublicURL: "https://bells.example.com", Inbox: b.store}), Conditions: env,
		Now: func() time.Time { return now }, Jitter: func() float64 { return 0.5 },
		Observe: func(channel string, a carillon.Attempt) {
			b.observing.Lock()
			defer b.observing.Unlock()
			b.observed = append(b.observed, channel+" "+string(a.Outcome))
		},
		Meter: meter{},
		Log:   slog.New(slog.DiscardHandler),
	}
	change(&deps)
	return activities.New(deps)
}

// subscribe saves a subscription to everything, changed by edit.
func (b *bundle) subscribe(t *testing.T, id string, edit func(*carillon.Subscription)) carillon.Subscription {
	t.Helper()
	sub := carillon.Subscription{
		ID: id, Name: id, EventTypes: []string{"*"}, Channel: "webhook", Format: "standard",
		Endpoint: carillon.Endpoint(`{"url":"` + b.hookURL + `","method":"POST","secret":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD","timeout":"5s"}`),
		Retry:    carillon.DefaultRetry(), State: carillon.Enabled, CreatedAt: now, UpdatedAt: now,
	}
	if edit != nil {
		edit(&sub)
	}
	saved, err := b.store.CreateSubscription(t.Context(), sub, "test")
	require.NoError(t, err)
	return saved
}

// accept returns an event as it would be accepted now.
func (b *bundle) accept(t *testing.T, event carillon.Event) *carillon.Publication {
	t.Helper()
	version, err := b.store.ConfigVersion(t.Context())
	require.NoError(t, err)
	return &carillon.Publication{Event: event, Fingerprint: "f", ConfigVersion: version, ReceivedAt: now}
}

func added(data string) carillon.Event {
	return carillon.Event{
		ID: "evt_1", Type: "package.added", Source: "registry.example.com", Actor: "maartenba",
		Scope: map[string]string{"feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
		Time: now, Data: json.RawMessage(data),
	}
}

const coolUtils = `{"package":"MyCorp.CoolUtils","version":"3.2.0"}`

var run = carillon.Run{WorkflowID: "event/evt_1", RunID: "run-1"}

func subscriptions(r activities.RouteResult) []string {
	ids := []string{}
	for _, p := range r.Plans {
		ids = append(ids, p.Subscription)
	}
	return ids
}

func TestRouteMatchesByTypeScopeConditionAndCached(t *testing.T) {
	t.Parallel()
	yes := func(*carillon.Subscription) {}
	tests := []struct {
		name  string
		edit  func(*carillon.Subscription)
		event carillon.Event
		want  bool
	}{
		{"everything", yes, added(coolUtils), true},
		{"exact type", func(s *carillon.Subscription) { s.EventTypes = []string{"package.added"} }, added(coolUtils), true},
		{"prefix", func(s *carillon.Subscription) { s.EventTypes = []string{"build.*", "package.*"} }, added(coolUtils), true},
		{"another type", func(s *carillon.Subscription) { s.EventTypes = []string{"package.deleted"} }, added(coolUtils), false},
		{"scope value", func(s *carillon.Subscription) { s.Scope = map[string][]string{"feed": {"x", "internal-utils"}} }, added(coolUtils), true},
		{"another scope value", func(s *carillon.Subscription) { s.Scope = map[string][]string{"feed": {"x"}} }, added(coolUtils), false},
		{"a scope key that the event lacks", func(s *carillon.Subscription) { s.Scope = map[string][]string{"project": {"x"}} }, added(coolUtils), false},
		{"condition true", func(s *carillon.Subscription) { s.Condition = "pkg.name.startsWith('MyCorp.')" }, added(coolUtils), true},
		{"condition false", func(s *carillon.Subscription) { s.Condition = "actor == 'somebody else'" }, added(coolUtils), false},
		{"cached package", yes, added(`{"package":"p","cached":true}`), false},
		{"cached package, wanted", func(s *carillon.Subscription) { s.IncludeCached = true }, added(`{"package":"p","cached":true}`), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t))
			b.subscribe(t, "sub_a", tt.edit)
			out, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: b.accept(t, tt.event)})
			require.NoError(t, err)
			require.Equal(t, tt.want, slices.Contains(subscriptions(out), "sub_a"))
		})
	}
}

func TestRouteOfCarillonsOwnEventsReachesOnlyWhoNamesThemAndNotWhomTheyAreAbout(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	named := func(s *carillon.Subscription) { s.EventTypes = []string{"subscription.*"} }
	b.subscribe(t, "sub_about", named)
	b.subscribe(t, "sub_star", nil)
	b.subscribe(t, "sub_watch", named)
	event := carillon.Event{
		ID: "evt_1", Type: "subscription.disabled", Source: "carillon", Subject: "sub_about", Time: now,
		Data: json.RawMessage(`{"subscription":"sub_about"}`),
	}
	out, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: b.accept(t, event)})
	require.NoError(t, err)
	require.Equal(t, []string{"sub_watch"}, subscriptions(out))
}

func TestRouteRecordsAConditionThatCannotBeEvaluatedAsNoMatch(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", func(s *carillon.Subscription) { s.Condition = "data.score >= 7.5" })
	b.subscribe(t, "sub_b", nil)
	out, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: b.accept(t, added(coolUtils))})
	require.NoError(t, err)
	require.Equal(t, []string{"sub_b"}, subscriptions(out))
	require.Len(t, out.ConditionErrors, 1)
	require.Equal(t, "sub_a", out.ConditionErrors[0].SubscriptionID)
	require.Contains(t, out.ConditionErrors[0].Error, "score")
	row, err := b.store.Event(t.Context(), "evt_1")
	require.NoError(t, err)
	require.Equal(t, out.ConditionErrors, row.ConditionErrors)
}

func TestRouteAppliesSubscriptionsMadeBeforeThePostAndNoneMadeAfter(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_before", nil)
	pub := b.accept(t, added(coolUtils))
	b.subscribe(t, "sub_after", nil)
	out, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: pub})
	require.NoError(t, err)
	require.Equal(t, []string{"sub_before"}, subscriptions(out))
}

// A process that is killed between Route and Record runs Route again: what was
// matched stays matched, and nothing is matched anew.
func TestRouteRunAgainAfterACrashReadsItsClaimBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_a", nil)
		b.subscribe(t, "sub_deleted", nil)
		edited := b.subscribe(t, "sub_edited", nil)
		pub := b.accept(t, added(coolUtils))
		first, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: pub})
		require.NoError(t, err)
		require.Equal(t, []string{"sub_a", "sub_deleted", "sub_edited"}, subscriptions(first))

		// Meanwhile the configuration changes, so that a new match would differ.
		b.subscribe(t, "sub_new", nil)
		edited.EventTypes = []string{"build.finished"}
		_, err = b.store.UpdateSubscription(t.Context(), edited, 0, "test")
		require.NoError(t, err)
		require.NoError(t, b.store.DeleteSubscription(t.Context(), "sub_deleted", 0, "test", now))

		after := b.on(t, b.store) // another process
		pub.ConfigVersion++
		again, err := after.Route(t.Context(), activities.RouteInput{Run: run, Publication: pub})
		require.NoError(t, err)
		require.False(t, again.Duplicate)
		require.Equal(t, []string{"sub_a", "sub_deleted", "sub_edited"}, subscriptions(again))
		states := map[string]carillon.DeliveryState{}
		for _, p := range again.Plans {
			states[p.Subscription] = p.State
		}
		require.Equal(t, map[string]carillon.DeliveryState{
			"sub_a": carillon.Pending, "sub_deleted": carillon.Canceled, "sub_edited": carillon.Pending,
		}, states)
	})
}

func TestRouteOfAnotherRunIsADuplicate(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	pub := b.accept(t, added(coolUtils))
	_, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: pub})
	require.NoError(t, err)
	out, err := b.Route(t.Context(), activities.RouteInput{Run: carillon.Run{WorkflowID: "event/evt_1", RunID: "run-2"}, Publication: pub})
	require.NoError(t, err)
	require.Equal(t, activities.RouteResult{Duplicate: true}, out)
}

func TestRouteHoldsForSubscriptionsThatTakeNone(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_paused", func(s *carillon.Subscription) { s.State = carillon.Paused })
	out, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: b.accept(t, added(coolUtils))})
	require.NoError(t, err)
	require.Equal(t, carillon.Held, out.Plans[0].State)
	row, err := b.store.Delivery(t.Context(), "evt_1", "sub_paused")
	require.NoError(t, err)
	require.Equal(t, carillon.Held, row.State)
	require.Equal(t, "the subscription is paused", row.Error)
}

func TestRouteDrawsDelaysOutByUpToATenth(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	out, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: b.accept(t, added(coolUtils))})
	require.NoError(t, err)
	require.Equal(t, carillon.Duration(63*time.Second), out.Plans[0].Delays[0], "1m and half of a tenth")
	require.Len(t, out.Plans[0].Delays, 7)
}

func TestRouteReadsTheEventFromHistoryWhenItIsNotCarried(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	b.histories.publications[run] = b.accept(t, added(coolUtils))
	out, err := b.Route(t.Context(), activities.RouteInput{Run: run})
	require.NoError(t, err)
	require.Equal(t, []string{"sub_a"}, subscriptions(out))
}

func TestPagesCoverALargeFanOutOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	want := []string{}
	for i := range 2*activities.PageSize + 30 {
		id := "sub_" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		want = append(want, id)
		b.subscribe(t, id, nil)
	}
	pub := b.accept(t, added(coolUtils))
	out, err := b.Route(t.Context(), activities.RouteInput{Run: run, Publication: pub})
	require.NoError(t, err)
	require.Len(t, out.Plans, activities.PageSize)
	got, more := subscriptions(out), out.More
	for n := 2; more; n++ {
		page, err := b.Page(t.Context(), activities.PageInput{
			EventID: "evt_1", Owner: run.RunID, After: got[len(got)-1], ConfigVersion: pub.ConfigVersion,
		})
		require.NoError(t, err)
		for _, p := range page.Plans {
			row, err := b.store.Delivery(t.Context(), "evt_1", p.Subscription)
			require.NoError(t, err)
			require.Equal(t, activities.PageWorkflowID("event/evt_1", n), row.Run.WorkflowID)
			got = append(got, p.Subscription)
		}
		more = page.More
	}
	require.Equal(t, want, got)
}

func TestAttemptSendsASignedRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	a, err := b.Attempt(t.Context(), activities.AttemptInput{Run: run, Publication: b.accept(t, added(coolUtils)), SubscriptionID: "sub_a", Number: 1})
	require.NoError(t, err)
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome)
	require.Equal(t, "evt_1", a.EventID)
	require.Equal(t, "sub_a", a.SubscriptionID)
	require.Equal(t, 1, a.Number)
	requests := b.hooks.Requests("/hook")
	require.Len(t, requests, 1)
	require.Equal(t, "evt_1", requests[0].Header.Get("webhook-id"))
	require.Equal(t, []string{"webhook delivered"}, b.observed)
}

func TestAttemptThatIsNotMade(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, b *bundle)
		want    carillon.Outcome
	}{
		{"subscription deleted", func(t *testing.T, b *bundle) {
			require.NoError(t, b.store.DeleteSubscription(t.Context(), "sub_a", 0, "test", now))
		}, carillon.OutcomeCanceled},
		{"subscription disabled meanwhile", func(t *testing.T, b *bundle) {
			_, err := b.store.Disable(t.Context(), carillon.Disable{SubscriptionID: "sub_a", Generation: 1, Run: "r", Policy: carillon.DisableExhausted, Now: now})
			require.NoError(t, err)
		}, carillon.OutcomeHeld},
		{"endpoint sealed with a key that is lost", func(t *testing.T, b *bundle) {
			ring, err := seal.NewRing(seal.NewKey())
			require.NoError(t, err)
			other, err := store.Open(t.Context(), b.url, ring)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, other.Close()) })
			b.Activities = b.on(t, other)
		}, carillon.OutcomeThrottled},
		{"history gone", func(_ *testing.T, b *bundle) {
			b.histories.err = carillon.Errorf(carillon.CodeExpired, "the history is gone")
		}, carillon.OutcomeReject},
		{"Temporal away", func(_ *testing.T, b *bundle) {
			b.histories.err = carillon.Errorf(carillon.CodeUnavailable, "Temporal does not answer")
		}, carillon.OutcomeThrottled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t))
			b.subscribe(t, "sub_a", nil)
			b.histories.publications[run] = b.accept(t, added(coolUtils))
			tt.prepare(t, b)
			a, err := b.Attempt(t.Context(), activities.AttemptInput{Run: run, SubscriptionID: "sub_a", Number: 2})
			require.NoError(t, err)
			require.Equal(t, tt.want, a.Outcome, a.Error)
			require.NotEmpty(t, a.Error)
			require.Empty(t, b.hooks.Requests("/hook"))
			require.Empty(t, b.observed)
		})
	}
}

// away is a database that does not answer.
type away struct{ activities.Store }

func (away) Subscription(context.Context, string) (carillon.Subscription, error) {
	return carillon.Subscription{}, errors.New("connection refused")
}

func TestAttemptWithTheDatabaseAwayCostsNoAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	acts := activities.New(activities.Deps{Store: away{b.store}, Histories: b.histories, Now: time.Now})
	a, err := acts.Attempt(t.Context(), activities.AttemptInput{Run: run, Publication: b.accept(t, added(coolUtils)), SubscriptionID: "sub_a", Number: 1})
	require.NoError(t, err)
	require.Equal(t, carillon.OutcomeThrottled, a.Outcome)
	require.Positive(t, a.RetryAfter)
}

// panicking is a sender with a fault.
type panicking struct{ channels.Sender }

func (panicking) Attempt(context.Context, channels.Message) carillon.Attempt { panic("whsec_leaked") }

func TestAttemptThatPanicsCountsAsRetryAndSaysNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, dbtest.SQLite(t))
	b.subscribe(t, "sub_a", nil)
	acts := activities.New(activities.Deps{
		Store: b.store, Histories: b.histories, Now: time.Now, Channels: channels.Registry{"webhook": panicking{}},
		Log: slog.New(slog.DiscardHandler),
	})
	a, err := acts.Attempt(t.Context(), activities.AttemptInput{Run: run, Publication: b.accept(t, added(coolUtils)), SubscriptionID: "sub_a", Number: 1})
	require.NoError(t, err)
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.NotContains(t, a.Error, "whsec")
}

func disableInput(edit func(*activities.DisableInput)) activities.DisableInput {
	in := activities.DisableInput{
		EventID: "evt_1", EventType: "package.added", SubscriptionID: "sub_a", Generation: 1, Run: "run-1",
		Policy: carillon.DisableExhausted, FirstFailedAt: now, Attempts: 8, Status: http.StatusServiceUnavailable,
		Error: "HTTP 503", At: now,
	}
	if edit != nil {
		edit(&in)
	}
	return in
}

func TestDisableTellsPeopleOnceHoweverOftenItRuns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, url string) {
		b := setup(t, url)
		b.subscribe(t, "sub_a", nil)
		for range 2 {
			out, err := b.Disable(t.Context(), disableInput(nil))
			require.NoError(t, err)
			require.True(t, out.Disabled)
		}
		require.Equal(t, []string{"delivery.exhausted", "subscription.disabled", "delivery.exhausted", "subscription.disabled"}, b.published.types())
		require.Equal(t, b.published.events[0], b.published.events[2], "the same event again")
		require.Equal(t, b.published.events[1], b.published.events[3], "the same event again")
		sub, err := b.store.Subscription(t.Context(), "sub_a")
		require.NoError(t, err)
		require.Equal(t, carillon.Disabled, sub.State)
		require.Equal(t, "run-1", sub.DisabledBy)
		require.Contains(t, sub.DisabledReason, "HTTP 503")
	})
}

func TestDisablePolicies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		edit   func(*activities.DisableInput)
		want   bool
		events []string
	}{
		{"gone", func(in *activities.DisableInput) { in.Gone = true }, true, []string{"subscription.disabled"}},
		{"never", func(in *activities.DisableInput) { in.Policy = carillon.DisableNever }, false, []string{"delivery.exhausted"}},
		{"an older generation", func(in *activities.DisableInput) { in.Generation = 0 }, false, []string{"delivery.exhausted"}},
		{"unreachable and nothing succeeded", func(in *activities.DisableInput) { in.Policy = carillon.DisableUnreachable }, true, []string{"delivery.exhausted", "subscription.disabled"}},
		{"Carillon's own event raises none", func(in *activities.DisableInput) { in.EventType = "subscription.disabled" }, true, []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t))
			b.subscribe(t, "sub_a", nil)
			out, err := b.Disable(t.Context(), disableInput(tt.edit))
			require.NoError(t, err)
			require.Equal(t, tt.want, out.Disabled)
			require.Equal(t, tt.events, b.published.types())
		})
	}
}
