package formats

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Batcher is a format that can carry several events in one payload.
type Batcher interface {
	// Batches reports whether it can with the options.
	Batches(options json.RawMessage) bool
	// Join makes one payload of those of single events, in their order; also of
	// a single one.
	Join(payloads []Payload) Payload
	// Named reports whether the payload holds the events' ids, so that an answer
	// can name those that failed.
	Named() bool
}

// Batches reports whether the format of the name can carry several events in
// one payload.
func Batches(name string, options json.RawMessage) bool {
	format, ok := Lookup(name)
	if !ok {
		return false
	}
	batcher, ok := format.(Batcher)
	return ok && batcher.Batches(options)
}

// BatchNames lists the formats that can carry several events.
func BatchNames() []string {
	return slices.DeleteFunc(Names(), func(name string) bool { return !Batches(name, nil) })
}

// Batches is true.
func (standard) Batches(json.RawMessage) bool { return true }

// Named is true: each event has its id.
func (standard) Named() bool { return true }

// Join writes an array of events.
func (standard) Join(payloads []Payload) Payload { return joined("[", payloads, "]", jsonType) }

// Batches is true in structured mode.
func (cloudEvents) Batches(options json.RawMessage) bool {
	chosen, err := chosen(cloudEventsOptions, options)
	return err == nil && chosen["mode"] == modeStructured
}

// Named is true: each event has its id.
func (cloudEvents) Named() bool { return true }

// Join writes a batch of CloudEvents.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#4-json-batch-format
func (cloudEvents) Join(payloads []Payload) Payload {
	return joined("[", payloads, "]", "application/cloudevents-batch+json")
}

// Batches is true.
func (codeScoring) Batches(json.RawMessage) bool { return true }

// Named is false: the product's events have no id.
func (codeScoring) Named() bool { return false }

// What stands around the events of a payload, as Render writes it.
const (
	codeScoringHead = `{"events":[`
	codeScoringTail = `]}`
)

// Join writes a list of events.
func (codeScoring) Join(payloads []Payload) Payload {
	single := make([]Payload, len(payloads))
	for i, p := range payloads {
		single[i].Body = bytes.TrimSuffix(bytes.TrimPrefix(p.Body, []byte(codeScoringHead)), []byte(codeScoringTail))
	}
	return joined(codeScoringHead, single, codeScoringTail, jsonType)
}

func joined(head string, payloads []Payload, tail, contentType string) Payload {
	bodies := make([][]byte, len(payloads))
	for i, p := range payloads {
		bodies[i] = p.Body
	}
	body := append([]byte(head), bytes.Join(bodies, []byte(","))...)
	return Payload{Body: append(body, tail...), ContentType: contentType}
}
