package config

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a value that must not be seen: whatever prints, logs or encodes it
// gets "[redacted]". The zero Secret is one that is not set.
type Secret struct{ value string }

// NewSecret makes a Secret of its value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value; empty when it is not set.
func (s Secret) Reveal() string { return s.value }

// String says nothing of the value.
func (Secret) String() string { return redacted }

// Format says nothing of the value, with no verb.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue says nothing of the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON says nothing of the value.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
