package sources

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
)

// Limits of a source.unknown event, which is to show what came, not to store it.
const (
	maxUnknownBody        = 4 << 10
	maxUnknownReason      = 512
	maxUnknownContentType = 255
)

type unknownData struct {
	Kind        string `json:"kind"`
	Reason      string `json:"reason"`
	UpstreamID  string `json:"upstream_id,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Body        string `json:"body"`
	Truncated   bool   `json:"truncated"`
}

// stranger is a part of a request that its adapter does not understand.
type stranger struct {
	part       []byte
	upstreamID string // empty when it tells none
	reason     string
}

// unknown makes the one event for all strangers of a request; it shows the
// first. Its id is made of the request's bytes, so that the registry's repeats
// are one event.
func unknown(in Upstream, strangers ...stranger) (carillon.Event, error) {
	first := strangers[0]
	if n := len(strangers); n > 1 {
		first.reason += fmt.Sprintf(" (the first of %d notifications that are not understood)", n)
	}
	part := bytes.TrimSpace(first.part)
	return newEvent(in, "source.unknown", "unknown/"+hash(in.Body), time.Time{}, unknownData{
		Kind:        in.Source.Kind,
		Reason:      carillon.Clip(first.reason, maxUnknownReason),
		UpstreamID:  first.upstreamID,
		ContentType: carillon.Clip(strings.ToValidUTF8(in.Header.Get("Content-Type"), "?"), maxUnknownContentType),
		Body:        carillon.Clip(string(part), maxUnknownBody),
		Truncated:   len(part) > maxUnknownBody,
	})
}

// newEvent makes an event of the source. id is what the source calls it, and is
// told apart from ids that a producer posts under the same name; at is when it
// happened, zero when the source does not say.
func newEvent(in Upstream, eventType, id string, at time.Time, data any) (carillon.Event, error) {
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false) // receivers read ">= 2.0" more easily than its escapes
	if err := encoder.Encode(data); err != nil {
		return carillon.Event{}, fmt.Errorf("write data of %s: %w", eventType, err)
	}
	return carillon.Event{
		ID:     carillon.EventID(in.Source.ID, id),
		Type:   eventType,
		Source: in.Source.Name,
		Scope:  maps.Clone(in.Source.Scope),
		Time:   at.UTC(),
		Data:   bytes.TrimSuffix(raw.Bytes(), []byte("\n")),
	}, nil
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
