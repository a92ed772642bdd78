// Package formats writes events as payloads: the exact bytes that a channel
// sends and signs. One file a format.
//
// A format sees the event, what its subscription chose for it and the name of
// this Carillon: no endpoint, no secret, no network. Its one invariant: the
// same request gives the same bytes, in every attempt and every redelivery.
package formats

import (
	"encoding/json"
	"slices"

	"github.com/carillon-dev/carillon"
)

// Request is what a format is asked to write.
type Request struct {
	Event carillon.Event
	// Options are the subscription's, as [Format.Prepare] returned them; nil for
	// none.
	Options json.RawMessage
	// Instance is the Carillon that sends.
	Instance Instance
}

// Instance is how a Carillon names itself to receivers.
type Instance struct {
	// PublicURL is where people reach it.
	PublicURL string
	// Agent is its User-Agent, such as "Carillon/1.2.3".
	Agent string
}

// Payload is what is sent.
type Payload struct {
	// Body holds the exact bytes sent and signed.
	Body []byte
	// ContentType is the body's media type; empty for none.
	ContentType string
	// Headers are the format's own, in the order in which people should see them.
	Headers []Header
}

// Header is one header of a payload.
type Header struct{ Name, Value string }

// Format writes an event in one shape. It is safe for concurrent use.
type Format interface {
	// Name is the word that a subscription selects it by.
	Name() string

	// Describe says what people who choose a format should know of it.
	Describe() Description

	// Carries reports whether events of the type can be written.
	Carries(eventType string) bool

	// Prepare reads the options that a person posted for a subscription to the
	// event types, which can be patterns; posted is nil when there are none. It
	// returns the options to keep, nil for none. The error is a CodeInvalid with
	// all that is wrong, its pointers below "/format_options".
	Prepare(posted json.RawMessage, eventTypes []string) (kept json.RawMessage, err error)

	// Render writes the event. An error means that the event can never be
	// written in this format; its text is for people.
	Render(r Request) (Payload, error)
}

// Description is what there is to know of a format.
type Description struct {
	// Title is its name for people, Text what it writes.
	Title, Text string
	// Options are what a subscription can choose.
	Options []Option
	// Headers are those that it sets beside Content-Type.
	Headers []HeaderField
	// TokenHeader takes the endpoint's token; empty when the format has none.
	TokenHeader string
}

// Option is something that a subscription can choose.
type Option struct {
	Name, Text string
	// Values are what is allowed; nil when it is free.
	Values []string
	// Default stands where nothing is chosen.
	Default string
}

// HeaderField describes a header.
type HeaderField struct{ Name, Text string }

// all holds every format, in the order in which people see them.
var all = []Format{standard{}, cloudEvents{}, newMyGet(), newProGet(), newCodeScoring(), newDefectDojo()}

// Lookup returns the format of the name.
func Lookup(name string) (Format, bool) {
	i := slices.IndexFunc(all, func(f Format) bool { return f.Name() == name })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}

// Names lists the formats' names.
func Names() []string {
	names := make([]string, 0, len(all))
	for _, f := range all {
		names = append(names, f.Name())
	}
	return names
}
