package channels

import (
	"context"
	"encoding/json"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

// Inbox takes the alerts of the channel alert.
type Inbox interface {
	// AddAlert puts an alert into its inbox; adding it again changes nothing.
	AddAlert(ctx context.Context, a carillon.Alert) error
}

// alertEndpoint is the JSON shape of an alert's endpoint.
type alertEndpoint struct {
	Owner   string             `json:"owner"`
	Message messages.Overrides `json:"message,omitzero"`
}

// alert puts messages into the inbox.
type alert struct {
	described[alertEndpoint]
	inbox Inbox
	now   func() time.Time
}

// inboxHost is what lists show in the place of a host.
const inboxHost = "inbox"

func newAlert(inbox Inbox, now func() time.Time) *alert {
	return &alert{inbox: inbox, now: now, described: described[alertEndpoint]{about: Description{
		Name: "alert", Title: "Inbox", ForPeople: true,
		Text: "A message in the inbox of Carillon, which GET /v1/alerts reads and streams.",
		Fields: []Field{
			{
				Name: "owner", Type: Text, Default: json.RawMessage(`""`), Max: carillon.MaxOwnerBytes, Example: "anna",
				Text: "Whose inbox; left out, the system's, which everybody reads.",
			},
			messageField,
		},
	}}}
}

// Host is "inbox".
func (a *alert) Host(e carillon.Endpoint) string {
	if _, ok := a.read(e); !ok {
		return ""
	}
	return inboxHost
}

// Timeout is the default: it is the database's to be quick.
func (a *alert) Timeout(carillon.Endpoint) time.Duration { return defaultTimeout }

// Attempt puts the message into the inbox.
func (a *alert) Attempt(ctx context.Context, m Message) carillon.Attempt {
	return try(ctx, m, defaultTimeout, a.now, func(ctx context.Context, result *carillon.Attempt) {
		endpoint, ok := a.read(m.Endpoint)
		if !ok {
			result.Outcome, result.Error = carillon.OutcomeReject, "the stored endpoint cannot be read"
			return
		}
		text, err := told(m, endpoint.Message) //nolint:contextcheck // templates end by their own limits
		if err != nil {
			result.Outcome, result.Error = carillon.OutcomeReject, "the message cannot be written: "+err.Error()
			return
		}
		result.Request = &carillon.Request{Method: "ALERT", Host: inboxHost}
		added := text.Alert(m.Event, result.StartedAt)
		added.Owner, added.SubscriptionID, added.EventID = endpoint.Owner, m.Subscription, m.id()
		if err := a.inbox.AddAlert(ctx, added); err != nil {
			result.Outcome, result.Error = carillon.OutcomeRetry, interrupted(ctx, defaultTimeout)
			if result.Error == "" {
				result.Error = "the database did not take it"
			}
			return
		}
		result.Outcome = carillon.OutcomeDelivered
	})
}
