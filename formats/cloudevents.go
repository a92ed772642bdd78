package formats

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
)

// cloudEvents writes a CloudEvent, in one of HTTP's two modes for single ones.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
type cloudEvents struct{}

// The modes.
const (
	modeStructured = "structured" // all in the body
	modeBinary     = "binary"     // the data in the body, the attributes in headers
)

// typePrefix stands before our types, as CloudEvents asks for the domain of
// whoever defines them.
const typePrefix = "dev.carillon."

var cloudEventsOptions = []Option{{
	Name: "mode", Text: "Whether the attributes are in the body, with the data, or in headers.",
	Values: []string{modeStructured, modeBinary}, Default: modeStructured,
}}

// Name is "cloudevents".
func (cloudEvents) Name() string { return "cloudevents" }

// Describe tells of the modes.
func (cloudEvents) Describe() Description {
	return Description{
		Title: "CloudEvents", Text: "The event as a CloudEvent 1.0: its type has dev.carillon. before it, and the " +
			"extensions actor and carillonscope hold its actor and its scope.",
		Options: cloudEventsOptions,
		Headers: []HeaderField{{"ce-*", "In binary mode, an attribute each."}},
	}
}

// Carries is true for every type.
func (cloudEvents) Carries(string) bool { return true }

// Prepare reads the mode.
func (cloudEvents) Prepare(posted json.RawMessage, _ []string) (json.RawMessage, error) {
	return prepare(cloudEventsOptions, posted)
}

// attributes are the context attributes, in the order of the specification.
type attributes struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	DataContentType string    `json:"datacontenttype"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	Actor           string    `json:"actor,omitempty"`
	Scope           string    `json:"carillonscope,omitempty"`
}

func attributesOf(e carillon.Event) attributes {
	return attributes{
		SpecVersion: "1.0", ID: e.ID, Source: reference(e.Source), Type: typePrefix + e.Type, DataContentType: jsonType,
		Subject: e.Subject, Time: e.Time.UTC(), Actor: e.Actor, Scope: e.ScopeText(),
	}
}

// Render writes the event in the mode of the options.
func (cloudEvents) Render(r Request) (Payload, error) {
	options, err := chosen(cloudEventsOptions, r.Options)
	if err != nil {
		return Payload{}, err
	}
	a := attributesOf(r.Event)
	if options["mode"] == modeBinary {
		payload, err := writeJSON(r.Event.Data)
		payload.Headers = a.headers()
		return payload, err
	}
	payload, err := writeJSON(struct {
		attributes
		Data json.RawMessage `json:"data"`
	}{a, r.Event.Data})
	payload.ContentType = "application/cloudevents+json"
	return payload, err
}

// headers are the attributes but for datacontenttype, which is the
// Content-Type.
func (a attributes) headers() []Header {
	headers := []Header{
		{"ce-specversion", a.SpecVersion}, {"ce-id", inHeader(a.ID)}, {"ce-source", inHeader(a.Source)}, {"ce-type", inHeader(a.Type)},
		{"ce-time", a.Time.Format(time.RFC3339Nano)},
	}
	for _, h := range []Header{{"ce-subject", a.Subject}, {"ce-actor", a.Actor}, {"ce-carillonscope", a.Scope}} {
		if h.Value != "" {
			headers = append(headers, Header{h.Name, inHeader(h.Value)})
		}
	}
	return headers
}

// inHeader encodes a value as the HTTP binding has it: everything but visible
// ASCII, and of that the quote and the percent sign.
func inHeader(value string) string {
	return escapeBytes(value, func(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '%' })
}

// reference makes a source the URI-reference that CloudEvents wants it to be:
// what cannot stand in one is percent-encoded, and everything that has a
// meaning there when the source is none as it is.
func reference(source string) string {
	escaped := escapeBytes(source, func(c byte) bool { return c <= ' ' || c > '~' || strings.IndexByte(`"<>\^`+"`{|}", c) >= 0 })
	if _, err := url.Parse(escaped); err != nil {
		return escapeBytes(source, func(c byte) bool { return c <= ' ' || c > '~' || strings.IndexByte(`"<>\^:?#[]@%`+"`{|}", c) >= 0 })
	}
	return escaped
}

func escapeBytes(text string, unsafe func(byte) bool) string {
	var out strings.Builder
	for i := range len(text) {
		if unsafe(text[i]) {
			fmt.Fprintf(&out, "%%%02X", text[i])
		} else {
			out.WriteByte(text[i])
		}
	}
	return out.String()
}
