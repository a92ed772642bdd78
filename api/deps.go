package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/sources"
	"github.com/carillon-dev/carillon/workflows"
)

// Deps is what a [Server] works with. All but those marked optional are
// required.
type Deps struct {
	// AdminKey is the key that may do everything.
	AdminKey string
	// TemporalWebURL is where people open Temporal Web, such as
	// "http://localhost:8233". Optional: without it, runs are answered without
	// a link.
	TemporalWebURL string
	// Namespace is Temporal's, for those links.
	Namespace string

	// Codec opens what Temporal keeps of runs, for Temporal Web. Optional: without
	// it nothing is sealed there.
	Codec converter.PayloadCodec

	Store     Store
	Publisher Publisher
	History   History

	Catalog    *catalog.Catalog
	Conditions *conditions.Environment
	Channels   channels.Registry
	// Memory is what the adapters of sources remember.
	Memory sources.Memory

	// RateLimit is what each key may ask for that has no limit of its own.
	// Guesses is how often an address may show keys that are not valid. Both are
	// optional: zero is no limit.
	RateLimit, Guesses carillon.RateLimit

	// Checks are what /readyz looks at.
	Checks []Check
	// Metrics answers /metrics. Optional: without it there is no such path.
	Metrics http.Handler
	// Log takes what people who run Carillon should see.
	Log *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Check is something that Carillon needs in order to take events.
type Check struct {
	// Name is shown in the answer of /readyz, such as "database".
	Name string
	// Check returns nil when all is well. /readyz shows the message of a
	// [carillon.Error]; of other errors it says only that the check failed.
	Check func(ctx context.Context) error
}

// Store is what the API reads and changes in the database. Errors about an
// object that is not there are [carillon.CodeNotFound].
type Store interface {
	eventStore
	deliveryStore
	subscriptionStore
	sourceStore
	keyStore
	auditStore
	faceStore
	alertStore
	settingStore
}

type eventStore interface {
	// ListEvents returns rows, newest first.
	ListEvents(ctx context.Context, f carillon.EventFilter) ([]carillon.EventRow, error)
	Event(ctx context.Context, id string) (carillon.EventRow, error)
	// EventDeliveries returns the event's deliveries in the order of their
	// subscriptions, those that come after the given one.
	EventDeliveries(ctx context.Context, eventID, after string, limit int) ([]carillon.Delivery, error)
}

type deliveryStore interface {
	// ListDeliveries returns rows, newest first.
	ListDeliveries(ctx context.Context, f carillon.DeliveryFilter) ([]carillon.Delivery, error)
	Delivery(ctx context.Context, eventID, subscriptionID string) (carillon.Delivery, error)
	// Backlog returns the oldest deliveries of a backlog, and how many there
	// are in all.
	Backlog(ctx context.Context, b carillon.Backlog, limit int) (oldest []carillon.Delivery, total int, err error)
	// CancelGathered takes a delivery out of its subscription's batches; it fails
	// with [carillon.CodeConflict] when it is not under way there.
	CancelGathered(ctx context.Context, eventID, subscription string, now time.Time) error
}

type subscriptionStore interface {
	// ListSubscriptions returns those whose ids come after the given one.
	ListSubscriptions(ctx context.Context, after string, limit int) ([]carillon.Subscription, error)
	Subscription(ctx context.Context, id string) (carillon.Subscription, error)
	CreateSubscription(ctx context.Context, sub carillon.Subscription, actor string) (carillon.Subscription, error)
	// UpdateSubscription fails with [carillon.CodeStale] when ifVersion is not
	// the row's; so do the other changes.
	UpdateSubscription(ctx context.Context, sub carillon.Subscription, ifVersion int64, actor string) (carillon.Subscription, error)
	DeleteSubscription(ctx context.Context, id string, ifVersion int64, actor string, now time.Time) error
	// CloseBreaker closes the breaker of a subscription's endpoint.
	CloseBreaker(ctx context.Context, c carillon.Closing) (closed bool, err error)
	// RotateSecret replaces the endpoint by one with another signing secret.
	RotateSecret(ctx context.Context, r carillon.Rotation) (carillon.Subscription, error)
}

type sourceStore interface {
	Sources(ctx context.Context) ([]carillon.Source, error)
	Source(ctx context.Context, name string) (carillon.Source, error)
	// CreateSource fails with [carillon.CodeExists] when the name is taken.
	CreateSource(ctx context.Context, src carillon.Source, actor string) (carillon.Source, error)
	UpdateSource(ctx context.Context, src carillon.Source, ifVersion int64, actor string) (carillon.Source, error)
	DeleteSource(ctx context.Context, id string, ifVersion int64, actor string, now time.Time) error
}

// Publisher starts the runs of events, and asks something of runs.
type Publisher interface {
	// Publish starts the event's run, or finds the one that an earlier post of
	// the same event started. Its errors are [carillon.CodeEventReused], and
	// [carillon.CodeUnavailable] when it is not known whether the run started.
	Publish(ctx context.Context, event carillon.Event, fingerprint string) (carillon.Run, error)
	// PublishAll starts one run for all events, or none; its errors are those of
	// Publish.
	PublishAll(ctx context.Context, events []carillon.Posted) ([]carillon.Run, error)
	// RetryNow and Cancel fail with [carillon.CodeConflict] when the delivery is
	// not where that makes sense.
	RetryNow(ctx context.Context, run carillon.Run, subscription string) error
	Cancel(ctx context.Context, run carillon.Run, subscription string) error
	// Redeliver starts the run of a redelivery, once for a number.
	Redeliver(ctx context.Context, pub *carillon.Publication, r carillon.Redelivery) (carillon.Run, error)
	// Recover hands a backlog to the run that owns its subscription's; rate is
	// in deliveries a second, 0 is no limit.
	Recover(ctx context.Context, b carillon.Backlog, rate float64) (carillon.Run, error)
	// Recovery and CancelRecovery fail with [carillon.CodeNotFound] when there
	// is none.
	Recovery(ctx context.Context, subscription string) (progress workflows.RecoverProgress, running bool, err error)
	CancelRecovery(ctx context.Context, subscription string) error
}

// History reads what runs keep. Its errors are [carillon.CodeExpired] when a
// history is gone, and [carillon.CodeUnavailable] when Temporal does not
// answer.
type History interface {
	// Publication takes the event's id because a shared run has several.
	Publication(ctx context.Context, run carillon.Run, eventID string) (*carillon.Publication, error)
	Attempts(ctx context.Context, run carillon.Run, eventID, subscription string) ([]carillon.Attempt, error)
	// End says how the last run of a workflow ended, or that it goes on.
	End(ctx context.Context, workflowID string) (carillon.RunEnd, error)
}
