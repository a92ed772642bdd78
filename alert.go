package carillon

import "time"

// Alert is a message in the inbox.
type Alert struct {
	ID string
	// Owner names whose inbox it is in; empty is the system's.
	Owner string
	// EventID and SubscriptionID say what it tells of, and whose wish it was. An
	// inbox has one alert of both.
	EventID        string
	SubscriptionID string
	EventType      string
	// Level is how bad it is, a word of the messages.
	Level string
	// Title is one line; Text can have several, and be empty, as can Link.
	Title string
	Text  string
	Link  string
	At    time.Time
	// ReadAt is when it was marked as read; zero while it is not.
	ReadAt time.Time
}

// AlertPrefix begins the ids of alerts.
const AlertPrefix = "alr_"

// Limits of inboxes and their alerts.
const (
	// MaxAlerts is how many an inbox keeps, the newest ones.
	MaxAlerts          = 999
	MaxOwnerBytes      = 200
	MaxAlertTitleBytes = 500
	MaxAlertTextBytes  = 4 << 10
	MaxAlertLinkBytes  = 2 << 10
)

// AlertFilter chooses alerts of one inbox.
type AlertFilter struct {
	Owner string
	// Unread leaves out those that were read.
	Unread bool
	// Before is the last alert of the page before; After chooses those made since
	// then, the oldest first. Not both.
	Before string
	After  time.Time
	Limit  int
}

// AlertChoice says which alerts of an inbox are meant: those with the ids, or,
// without any, all.
type AlertChoice struct {
	Owner string
	IDs   []string
}

// AlertCount counts an inbox.
type AlertCount struct {
	Total  int
	Unread int
}

// Setting is what is set for the whole installation, of one channel.
type Setting struct {
	// Channel is its channel's name.
	Channel string
	// Value has the channel's shared fields; it can hold secrets.
	Value     Endpoint
	Version   int64
	UpdatedAt time.Time
}
