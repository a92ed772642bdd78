package carillon

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a published event. MaxEventBytes is far below Temporal's 2 MiB a
// payload; a deeper document helps nobody and costs every reader.
const (
	MaxEventBytes   = 256 << 10
	MaxJSONDepth    = 32
	MaxTypeBytes    = 128
	MaxSourceBytes  = 255
	MaxActorBytes   = 255
	MaxSubjectBytes = 1024
	MaxScopeKeys    = 16
	MaxScopeBytes   = 255 // a scope's key or value
)

// Event is an immutable fact that a producer published.
type Event struct {
	// ID starts with "evt_" and is unique; see [EventID].
	ID string `json:"id"`
	// Type is a dot-separated name of the catalog, such as "package.added".
	Type string `json:"type"`
	// Source is where the event came from, such as "registry.example.com".
	Source string `json:"source"`
	// Actor is the person or program that caused it; empty when not known.
	Actor string `json:"actor,omitempty"`
	// Scope is what the event belongs to, such as {"feed":"internal-utils"}.
	Scope map[string]string `json:"scope,omitempty"`
	// Subject is what it is about, a purl for packages; empty when nothing is.
	Subject string `json:"subject,omitempty"`
	// Time is when it happened, in UTC.
	Time time.Time `json:"time"`
	// Data is a JSON object of the shape that the catalog gives the type.
	Data json.RawMessage `json:"data"`
}

// Publication is an event as it was accepted: what a Dispatch run carries.
type Publication struct {
	Event Event `json:"event"`
	// Fingerprint is [Fingerprint] of what the producer posted.
	Fingerprint string `json:"fingerprint"`
	// ConfigVersion is the version of the configuration that was in force:
	// subscriptions made after it do not apply.
	ConfigVersion int64 `json:"config_version"`
	// ReceivedAt is when Carillon took the event, in UTC.
	ReceivedAt time.Time `json:"received_at"`
}

// Run names a Temporal workflow execution.
type Run struct {
	WorkflowID string `json:"workflow_id"`
	// RunID is the first run of the execution's chain, which a reset keeps.
	RunID string `json:"run_id"`
}

// EventWorkflowID names the run of an event that has one of its own.
func EventWorkflowID(eventID string) string { return "event/" + eventID }

// Posted is an event as a producer posted it, checked and complete.
type Posted struct {
	Event Event
	// Fingerprint is [Fingerprint] of what the producer said.
	Fingerprint string
}

// OwnSource is the source of Carillon's own events; no producer may use it.
const OwnSource = "carillon"

// OwnEvent makes an event of Carillon's own. key tells it from others of its
// type: made again of the same, it is the same event.
func OwnEvent(eventType, key, subject string, at time.Time, fields map[string]any) (Event, error) {
	data, err := json.Marshal(fields)
	if err != nil {
		return Event{}, fmt.Errorf("write %s: %w", eventType, err)
	}
	return Event{
		ID: EventID(OwnSource, eventType+"/"+key), Type: eventType, Source: OwnSource, Actor: OwnSource,
		Subject: subject, Time: at.UTC().Truncate(time.Microsecond), Data: data,
	}, nil
}

// GenerationKey is the key of an event that happens once in a subscription's
// generation.
func GenerationKey(subscription string, generation int64) string {
	return fmt.Sprintf("%s/%d", subscription, generation)
}

// IsOwn reports whether events of the type are Carillon's own. They match only
// subscriptions that name them, and their failures raise no further events.
func IsOwn(eventType string) bool {
	return strings.HasPrefix(eventType, "subscription.") || strings.HasPrefix(eventType, "delivery.")
}

// Fingerprint returns a hash of what a producer said, for telling a repeated
// post from another event under the same id. Key order and white space do not
// count; the server's own additions (id, and the time when none was given) are
// to be left zero by the caller.
func Fingerprint(e Event) (string, error) {
	// Objects decoded into maps are encoded with sorted keys; numbers keep
	// their digits.
	var data any
	dec := json.NewDecoder(bytes.NewReader(e.Data))
	dec.UseNumber()
	if err := dec.Decode(&data); err != nil {
		return "", fmt.Errorf("fingerprint event: %w", err)
	}
	canonical, err := json.Marshal([]any{e.Type, e.Source, e.Actor, e.Scope, e.Subject, e.Time.UTC(), data})
	if err != nil {
		return "", fmt.Errorf("fingerprint event: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// ScopeKeys returns the keys of the scope in order.
func (e Event) ScopeKeys() []string {
	keys := make([]string, 0, len(e.Scope))
	for k := range e.Scope {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// ScopeText writes the scope on one line, "feed:internal-utils", its keys in
// order, separated by commas.
func (e Event) ScopeText() string {
	parts := e.ScopeKeys()
	for i, k := range parts {
		parts[i] = k + ":" + e.Scope[k]
	}
	return strings.Join(parts, ",")
}

// Clip returns at most n bytes of text, cut between characters. Control
// characters become spaces, so the result stays on one line.
func Clip(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) <= n {
		return text
	}
	const more = "…"
	if n < len(more) {
		return ""
	}
	cut := n - len(more)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + more
}
