package channels

import (
	"encoding/json"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

// messageField is the field with which a subscription words its messages
// itself.
var messageField = Field{
	Name: "message", Type: Object, Text: "The subscription's own words in the place of the default message.",
	Fields: []Field{
		{Name: "title", Type: Text, Template: true, Text: "The line that says it all.", Example: "${data.package} ${data.version} is there"},
		{Name: "text", Type: LongText, Template: true, Text: "What follows it."},
	},
}

// timeoutField is the one of channels that call a service.
var timeoutField = Field{
	Name: "timeout", Type: Duration, Default: json.RawMessage(`"15s"`), Max: int(maxTimeout.Seconds()),
	Text: "How long an attempt may take.",
}

// told is what people are told with a message: of a batch of several, all in
// one.
func told(m Message, o messages.Overrides) (messages.Message, error) {
	switch {
	case len(m.Batch) > 1 && m.More:
		return messages.Summarize(m.Batch), nil
	case len(m.Batch) > 1:
		return messages.Digest(m.Batch), nil
	}
	return messages.Write(m.Event, o)
}

// CheckTemplates implements [Templated] for channels whose endpoints have a
// message.
func (d described[E]) CheckTemplates(e carillon.Endpoint, eventTypes []string) error {
	var endpoint struct {
		Message messages.Overrides `json:"message"`
	}
	if json.Unmarshal(e, &endpoint) != nil {
		return nil //nolint:nilerr // who reads it says so
	}
	err := endpoint.Message.Check(eventTypes)
	return under("/endpoint/message", err)
}

// Fit implements [Batcher]: however many events there are, they are summed up.
func (d described[E]) Fit(m Message) (n int, unwritable map[int]string) { return len(m.Batch), nil }
