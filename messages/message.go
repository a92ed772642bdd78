// Package messages says what people are told of an event: what happened, to
// what, where, how bad, who did it, and where to read on.
//
// It knows events and words, nothing of how channels write them. Its one
// invariant: all it returns is plain text, on one line each but for Text, and
// never empty of what the event is about; who writes it into HTML, Markdown or
// a table escapes it there.
package messages

import "github.com/carillon-dev/carillon"

// Message is what people are told, in the parts that channels write in their
// own ways.
type Message struct {
	// Title is one line that says it all: "MyCorp.CoolUtils 3.2.0 was added to
	// internal-utils".
	Title string
	// Text says more, in a sentence or two; it can be empty.
	Text string
	// Facts are details in the order of their importance; none is empty.
	Facts []Fact
	// Link is where to read on; its URL is empty when there is none, and else
	// http or https.
	Link Link
	// Level is how bad it is.
	Level Level
	// Topic is what events that belong together share, such as all of one package
	// or one build; empty for none.
	Topic string
}

// Fact is one detail.
type Fact struct{ Label, Value string }

// Link is an address and what it is called.
type Link struct{ Label, URL string }

// Level is how bad, or good, the news is: it decides about colours.
type Level string

// The levels. Critical and High are a vulnerability's severities; Failed is a
// build, a check or a delivery that did not succeed, Good one that did, and
// Neutral news of neither kind.
const (
	Neutral  Level = "neutral"
	Good     Level = "good"
	Warning  Level = "warning"
	Failed   Level = "failed"
	High     Level = "high"
	Critical Level = "critical"
)

// Colour is the level's, as six hex digits: grey, green, amber, red, orange and
// dark red.
func (l Level) Colour() string {
	switch l {
	case Good:
		return "2DA44E"
	case Warning:
		return "BF8700"
	case Failed:
		return "CF222E"
	case High:
		return "D1570A"
	case Critical:
		return "8E1519"
	case Neutral:
	}
	return "6E7781"
}

// Overrides are a subscription's own templates in the place of the default
// ones; an empty one leaves the default.
type Overrides struct {
	Title string `json:"title,omitempty"`
	Text  string `json:"text,omitempty"`
}

// Check says whether the overrides compile for the event types, which can be
// patterns. The error is a CodeInvalid with pointers "/title" and "/text".
func (o Overrides) Check(eventTypes []string) error { return check(o, eventTypes) }

// Write says what people are told of an event, whatever it holds: an override
// that cannot be written for it leaves the default, and an event of an unknown
// type, or with odd data, is told from what it has. It errs only when the
// embedded wordings are wrong, which a test finds.
func Write(e carillon.Event, o Overrides) (Message, error) {
	m, _, err := try(e, o)
	return m, err
}

// Try is [Write] that says which overrides left the default, and why: problems
// with the pointers "/title" and "/text".
func Try(e carillon.Event, o Overrides) (Message, []carillon.Problem, error) { return try(e, o) }

// Summarize says in one message what people are told of many events, the oldest
// first, beside others that were told one by one: how many more, of what, and
// how bad.
func Summarize(events []carillon.Event) Message { return summarize(events, "more ") }

// Digest is [Summarize] of events none of which was told before.
func Digest(events []carillon.Event) Message { return summarize(events, "") }
