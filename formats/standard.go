package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

const jsonType = "application/json"

// standard is Carillon's own format: the event as it was published, with
// "timestamp" for "time", as Standard Webhooks proposes it.
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#payload-structure
type standard struct{}

// Name is "standard".
func (standard) Name() string { return "standard" }

// Describe says that it is the event as it was published.
func (standard) Describe() Description {
	return Description{
		Title: "Standard", Text: "The event as it was published, in the shape that Standard Webhooks proposes.",
	}
}

// Carries is true for every type.
func (standard) Carries(string) bool { return true }

// Prepare takes no options.
func (standard) Prepare(posted json.RawMessage, _ []string) (json.RawMessage, error) {
	return prepare(nil, posted)
}

// Render writes the event as one JSON object: its keys in a fixed order, empty
// ones left out, data as it was published but for white space.
func (standard) Render(r Request) (Payload, error) {
	e := r.Event
	return writeJSON(struct {
		ID        string            `json:"id"`
		Type      string            `json:"type"`
		Timestamp time.Time         `json:"timestamp"`
		Source    string            `json:"source"`
		Actor     string            `json:"actor,omitempty"`
		Scope     map[string]string `json:"scope,omitempty"`
		Subject   string            `json:"subject,omitempty"`
		Data      json.RawMessage   `json:"data"`
	}{e.ID, e.Type, e.Time.UTC(), e.Source, e.Actor, e.Scope, e.Subject, e.Data})
}

// writeJSON makes a value the payload.
func writeJSON(v any) (Payload, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	// "<" in data stays "<": receivers compare data with what was published.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		// The encoder's own words can quote the data.
		return Payload{}, errors.New("the event cannot be written as JSON")
	}
	return Payload{Body: bytes.TrimSuffix(body.Bytes(), []byte("\n")), ContentType: jsonType}, nil
}
