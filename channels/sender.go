// Package channels makes attempts: one try to bring one event to one endpoint,
// over webhooks and whatever else people read. One file a channel.
//
// A sender knows its transport and the shape of its endpoint, nothing of
// subscriptions, schedules or storage: it tries once and classifies; the
// workflow decides what follows. Its one invariant: no secret of an endpoint
// is in anything it returns but the endpoint to keep and, once, the secret it
// made itself.
package channels

import (
	"context"
	"encoding/json"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

// Message is an event on its way to one endpoint.
type Message struct {
	Event carillon.Event
	// Batch are the events of a subscription with batches, Event the first of
	// them; nil for a subscription without.
	Batch []carillon.Event
	// More says that others went alone before those of the batch, which came too
	// fast for people.
	More     bool
	Endpoint carillon.Endpoint
	// Format names how the payload is written; see package formats. Channels
	// that write for people have their own shape and ignore it.
	Format string
	// FormatOptions are the subscription's, in the format's own shape.
	FormatOptions json.RawMessage
	// Profile names what answers mean; see [carillon.Profile].
	Profile string
	// PayloadSHA256, unless empty, is the hex digest of the only payload that
	// may be sent: what was sent before.
	PayloadSHA256 string
	// Number is the attempt's, from 1.
	Number int
	// Subscription is the id of the one that it is for.
	Subscription string
	// Progress is what the attempt before said of a delivery that was made in
	// part; nil for the first.
	Progress json.RawMessage
}

// Sender is a channel: it knows the shape of its endpoints and makes attempts.
// It is safe for concurrent use.
type Sender interface {
	// Name is the word that a subscription selects it by.
	Name() string

	// Describe says what the channel is and which fields its endpoints have.
	Describe() Description

	// Prepare reads what a person posted as the endpoint, fills the defaults and
	// makes missing secrets. It returns the endpoint to keep, and the secrets
	// that it made, by field name, to be shown this once (nil when it made none).
	//
	// stored is the endpoint kept so far, nil at creation: a secret posted as
	// Redact masks it keeps the stored value, unless it would be sent to another
	// host than before. The error is a CodeInvalid with all that is wrong, its
	// pointers below "/endpoint"; it never contains a value.
	Prepare(posted json.RawMessage, stored carillon.Endpoint) (kept carillon.Endpoint, shown map[string]string, err error)

	// Redact returns the endpoint as people may see it, a JSON object in which
	// every secret is masked.
	Redact(e carillon.Endpoint) json.RawMessage

	// Host names the other side in lists and summaries: a host and its port if
	// one is given, never more of an address.
	Host(e carillon.Endpoint) string

	// Timeout is how long an attempt may take.
	Timeout(e carillon.Endpoint) time.Duration

	// Attempt tries once and says what came of it. It never panics and never
	// tries again. The caller sets the ids; everything else is filled in, within
	// 8 KiB of JSON.
	Attempt(ctx context.Context, m Message) carillon.Attempt
}

// Renderer is a sender whose payload can be had without sending it. The error
// is for people.
type Renderer interface {
	Payload(m Message) (formats.Payload, error)
}

// Warner is a sender that knows endpoints which are allowed, but can hardly be
// meant. The pointers are below "/endpoint".
type Warner interface {
	Warnings(e carillon.Endpoint) []carillon.Problem
}

// Registry holds the senders by their names.
type Registry map[string]Sender

// Config is what senders need of their surroundings.
type Config struct {
	// Policy says which addresses may be dialled.
	Policy safehttp.Policy
	// Now is the clock.
	Now func() time.Time
	// PublicURL is where people reach this Carillon.
	PublicURL string
	// Settings has what is set for the installation; nil for nothing.
	Settings Settings
	// Inbox takes alerts; nil where there is no such channel.
	Inbox Inbox
	// Threads remembers where messages were put; nil remembers nothing.
	Threads Threads
}

// NewRegistry makes all senders.
func NewRegistry(c Config) Registry {
	registry := Registry{}
	services := newExchanger(c.Policy, c.Now)
	senders := []Sender{
		newWebhook(c.Policy, c.Now, c.PublicURL), newSlack(c), newEmail(c),
		newTeams(services, c.Policy), newTwilio(services, c.Policy), newX(services, c.Policy),
		newHipChat(services, c.Policy), newTeamRooms(services, c.Policy),
	}
	if c.Inbox != nil {
		senders = append(senders, newAlert(c.Inbox, c.Now))
	}
	for _, s := range senders {
		registry[s.Name()] = s
	}
	return registry
}

// ForPeople reports whether the channel of that name writes for people.
func (r Registry) ForPeople(name string) bool {
	s, ok := r[name]
	return ok && s.Describe().ForPeople
}
