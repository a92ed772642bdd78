package carillon

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// SubscriptionState says whether a subscription takes deliveries.
type SubscriptionState string

// The states of a subscription. Paused is a person's choice; disabled is what
// a schedule that ran out, or a receiver that is gone, leads to. Both hold
// what matches.
const (
	Enabled  SubscriptionState = "enabled"
	Paused   SubscriptionState = "paused"
	Disabled SubscriptionState = "disabled"
)

// DisablePolicy says when a failed delivery disables its subscription.
type DisablePolicy string

// The disable policies. Exhausted is the default: one delivery that runs out
// of attempts disables. Unreachable disables only when nothing was delivered
// since that delivery's first failure. Never never does, not even on 410.
const (
	DisableExhausted   DisablePolicy = "exhausted"
	DisableUnreachable DisablePolicy = "unreachable"
	DisableNever       DisablePolicy = "never"
)

// Subscription is a standing interest in events.
type Subscription struct {
	ID   string
	Name string
	// EventTypes are patterns: an exact type, "prefix.*", or "*" for all types
	// but Carillon's own.
	EventTypes []string
	// Scope maps a scope's key to the values that match; see [Subscription.MatchesScope].
	Scope map[string][]string
	// Condition is a CEL boolean; empty matches everything.
	Condition string
	// Match is a condition in fields, asked beside Condition.
	Match Match
	// IncludeCached makes package events with data.cached = true match, too.
	IncludeCached bool
	// Channel is the kind of transport, such as "webhook".
	Channel string
	// Endpoint is the address, in the channel's own shape.
	Endpoint Endpoint
	// Unreadable says that the endpoint is sealed with a key that this process
	// does not have, or damaged; Endpoint is then nil.
	Unreadable bool
	// Format is how a payload is written, such as "standard".
	Format string
	// FormatOptions are what the format lets it choose, a JSON object in the
	// format's own shape; nil for none. They hold no secrets.
	FormatOptions json.RawMessage
	// Profile names how it behaves towards its receiver; see [Profile].
	Profile string
	// Batch gathers its events into requests of many; zero for none.
	Batch Batch
	// MaxPerMinute is how many messages a minute a channel that writes for people
	// sends at most; what is beyond is summed up in one. 0 is no limit.
	MaxPerMinute int
	Retry        Retry
	State        SubscriptionState
	// DisabledBy is the workflow id of the run that disabled it; empty when a person did, or when
	// it is not disabled. DisabledReason is for people.
	DisabledBy     string
	DisabledReason string
	// Health is how its endpoint takes attempts.
	Health Health
	// Generation counts how often it was enabled: what a run decided under an
	// older generation no longer applies.
	Generation int64
	// Version counts its changes and is its ETag.
	Version int64
	// CreatedVersion is the config version that its creation made; see
	// [Publication].
	CreatedVersion int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Changes brings a copy of all subscriptions to a version of the configuration.
type Changes struct {
	// Version is the one that the copy then is of, exactly.
	Version int64
	// Changed are the subscriptions made or changed since the copy's version.
	Changed []Subscription
	// Removed are the ids of those that are gone.
	Removed []string
}

// Retry is what happens after a failed attempt.
type Retry struct {
	// Schedule holds the delays before the second attempt, the third, and so
	// on. Empty means one attempt only.
	Schedule []Duration    `json:"schedule"`
	Disable  DisablePolicy `json:"disable"`
}

// Limits of a retry schedule. MaxDelay keeps a run's life within a namespace
// retention that people set.
const (
	MaxRetries = 20
	MinDelay   = time.Second
	MaxDelay   = 7 * 24 * time.Hour
)

// DefaultRetry returns the default: eight attempts in at least 87 h 36 m.
func DefaultRetry() Retry {
	return Retry{
		Schedule: []Duration{
			Duration(time.Minute), Duration(5 * time.Minute), Duration(30 * time.Minute), Duration(3 * time.Hour),
			Duration(12 * time.Hour), Duration(24 * time.Hour), Duration(48 * time.Hour),
		},
		Disable: DisableExhausted,
	}
}

// Limits of messages a minute.
const (
	DefaultPerMinute = 20
	MaxPerMinute     = 600
)

// Endpoint is an address in its channel's JSON shape. It can hold secrets (a
// signing key, a password, a URL that is one), so it never prints itself; a
// channel's Redact makes what people may see.
type Endpoint json.RawMessage

// String says nothing of the content.
func (Endpoint) String() string { return "[endpoint]" }

// GoString says nothing of the content.
func (Endpoint) GoString() string { return "[endpoint]" }

// LogValue says nothing of the content.
func (Endpoint) LogValue() slog.Value { return slog.StringValue("[endpoint]") }

// MarshalJSON says nothing of the content.
func (Endpoint) MarshalJSON() ([]byte, error) { return []byte(`"[endpoint]"`), nil }

// Duration is a [time.Duration] that is written as Go writes it ("1m30s") in
// JSON, and read from that; "h", "m", "s" and "ms" are the units.
type Duration time.Duration

// String writes the duration without its zero parts: "1m", not "1m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText writes [Duration.String].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 30s, 5m or 48h", text)
	}
	*d = Duration(v)
	return nil
}

// MatchesType reports whether a pattern (exact, "prefix.*" or "*") names the
// type. "*" leaves Carillon's own events out. A type stands for its special
// cases, too, so that one fact stays one event: "package.status_changed" also
// gets "package.listed" and "package.unlisted".
func MatchesType(pattern, eventType string) bool {
	if pattern == "*" {
		return !IsOwn(eventType)
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasSuffix(prefix, ".") {
		return strings.HasPrefix(eventType, prefix)
	}
	if pattern == "package.status_changed" && (eventType == "package.listed" || eventType == "package.unlisted") {
		return true
	}
	return pattern == eventType
}

// Patterns returns the patterns that name the type: those, and no others, of
// which [MatchesType] says so.
func Patterns(eventType string) []string {
	patterns := []string{eventType}
	if !IsOwn(eventType) {
		patterns = append(patterns, "*")
	}
	if eventType == "package.listed" || eventType == "package.unlisted" {
		patterns = append(patterns, "package.status_changed")
	}
	for i, c := range []byte(eventType) {
		if c == '.' {
			patterns = append(patterns, eventType[:i+1]+"*")
		}
	}
	return patterns
}

// MatchesType reports whether one of the subscription's patterns names the type.
func (s *Subscription) MatchesType(eventType string) bool {
	for _, pattern := range s.EventTypes {
		if MatchesType(pattern, eventType) {
			return true
		}
	}
	return false
}

// MatchesScope reports whether the event's scope has, for every key that the
// subscription gives, one of its values. An event without the key does not
// match.
func (s *Subscription) MatchesScope(scope map[string]string) bool {
	for key, values := range s.Scope {
		value, ok := scope[key]
		if !ok {
			return false
		}
		if !slices.Contains(values, value) {
			return false
		}
	}
	return true
}
