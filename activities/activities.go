// Package activities does what a run may not do itself: match, attempt, record
// and disable. Each activity does its thing once and says what came of it; the
// workflow decides what follows, and nothing here retries.
//
// Names and the shapes of inputs and results are recorded in histories, so
// they never change their meaning.
package activities

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/conditions"
)

// The registered names of the activities.
const (
	Route   = "Route"
	Page    = "Page"
	Attempt = "Attempt"
	Record  = "Record"
	Disable = "Disable"
	Reclaim = "Reclaim"
	Backlog = "Backlog"
)

// PageSize is the largest number of deliveries that one run sees through. An
// attempt's record takes at most 8 KiB, so a page fits in one workflow task
// (1 MiB), and the local activities of one task stay below 200, where they get
// slow.
const PageSize = 100

// Store is the index of events and deliveries, and the configuration.
type Store interface {
	// Changes brings a copy of all subscriptions up to date, that of a config
	// version with the subscriptions, and their versions, that it has.
	Changes(ctx context.Context, since int64, known iter.Seq2[string, int64]) (carillon.Changes, error)
	ConfigVersion(ctx context.Context) (int64, error)
	Subscription(ctx context.Context, id string) (carillon.Subscription, error)
	Claim(ctx context.Context, c carillon.Claim) (carillon.Claimed, error)
	ClaimAll(ctx context.Context, claims []carillon.Claim) ([]carillon.Claimed, error)
	// Owners returns the runs that claimed events, by the events' ids.
	Owners(ctx context.Context, ids []string) (map[string]carillon.EventOwner, error)
	// DeliveryPage returns deliveries of an event that a run owns, ordered by
	// subscription, those after the given one.
	DeliveryPage(ctx context.Context, eventID, ownerRun, after string, limit int) ([]carillon.Delivery, error)
	Record(ctx context.Context, ownerRun string, rows []carillon.Delivery) (carillon.Recorded, error)
	breakers
	// Holding returns the enabled subscriptions that have held deliveries.
	Holding(ctx context.Context) ([]string, error)
	Backlog(ctx context.Context, b carillon.Backlog, limit int) (oldest []carillon.Delivery, total int, err error)
	Reclaim(ctx context.Context, r carillon.Redelivery, run carillon.Run, now time.Time) (carillon.Delivery, bool, error)
	gathered
	Disable(ctx context.Context, d carillon.Disable) (carillon.DisableResult, error)
	AddAlert(ctx context.Context, a carillon.Alert) error
	Rows
}

// gathered are the deliveries of subscriptions with batches.
type gathered interface {
	Gathered(ctx context.Context, subscription string, limit int) ([]carillon.Delivery, error)
	Settle(ctx context.Context, run carillon.Run, rows []carillon.Delivery) (carillon.Recorded, error)
	Regather(ctx context.Context, b carillon.Backlog, now time.Time) (int, error)
}

// breakers are in the subscriptions' rows.
type breakers interface {
	// InTrouble returns the health of the subscriptions that are not well.
	InTrouble(ctx context.Context) (map[string]carillon.Health, error)
	OpenBreaker(ctx context.Context, id string, now time.Time, draw func(carillon.Duration) carillon.Duration) (
		health carillon.Health, opened bool, err error)
	CloseBreaker(ctx context.Context, c carillon.Closing) (closed bool, err error)
	SetProbe(ctx context.Context, id string, openSince, at time.Time) error
	// Tell and EndOutage note what people know.
	Tell(ctx context.Context, id string, since time.Time) error
	EndOutage(ctx context.Context, id string, since time.Time) error
}

// Histories reads an event back from the run that carries it.
type Histories interface {
	// Publication takes an event's id where the run may have several.
	Publication(ctx context.Context, run carillon.Run, eventID string) (*carillon.Publication, error)
	Publications(ctx context.Context, run carillon.Run) ([]carillon.Publication, error)
}

// Publisher publishes Carillon's own events, and starts runs.
type Publisher interface {
	Publish(ctx context.Context, e carillon.Event, fingerprint string) (carillon.Run, error)
	// Watch makes sure that a run probes a subscription whose breaker is open.
	Watch(ctx context.Context, subscription string) error
	// Recover hands a backlog to the run that owns its subscription's.
	Recover(ctx context.Context, b carillon.Backlog, rate float64) (carillon.Run, error)
	// Gather wakes the run that sends a subscription's batches.
	Gather(ctx context.Context, subscription, name string, events int) error
}

// Activities does the work. It is safe for concurrent use.
type Activities struct {
	store     Store
	histories Histories
	publisher Publisher
	runs      Runs
	channels  channels.Registry
	now       func() time.Time
	// jitter returns a number in [0,1): the share of a tenth by which a delay
	// is drawn out.
	jitter func() float64
	// observe is told of each attempt, for metrics.
	observe func(channel string, a carillon.Attempt)
	meter   Meter
	log     *slog.Logger

	snapshots *snapshots
	bulkheads *bulkheads
	troubles  troubles
}

// Deps are the parts that [New] wires together; all are required.
type Deps struct {
	Store      Store
	Histories  Histories
	Publisher  Publisher
	Runs       Runs
	Channels   channels.Registry
	Conditions *conditions.Environment
	Now        func() time.Time
	Jitter     func() float64
	Observe    func(channel string, a carillon.Attempt)
	Meter      Meter
	Log        *slog.Logger
}

// New returns the activities.
func New(d Deps) *Activities {
	return &Activities{
		store: d.Store, histories: d.Histories, publisher: d.Publisher, channels: d.Channels,
		runs: d.Runs, now: d.Now, jitter: d.Jitter, observe: d.Observe, log: d.Log,
		snapshots: &snapshots{
			asking: make(chan struct{}, 1),
			store:  d.Store, conditions: conditions.NewCache(d.Conditions, cachedConditions), now: d.Now,
		},
		meter: d.Meter, bulkheads: newBulkheads(),
	}
}

// publication returns the event that a call carries, or else reads it from the
// history of its run: inputs of regular activities are recorded, so they name
// the event and do not repeat it.
func (a *Activities) publication(ctx context.Context, carried *carillon.Publication, run carillon.Run, eventID string) (*carillon.Publication, error) {
	if carried != nil {
		return carried, nil
	}
	return a.histories.Publication(ctx, run, eventID)
}
