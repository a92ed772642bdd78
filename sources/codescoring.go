package sources

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// codeScoring understands CodeScoring's webhooks: lists of events, of which
// those that were not taken come again in other lists.
// https://docs.codescoring.ru/on-premise/webhooks/
type codeScoring struct{}

// isoTime is a time without a zone, as Python writes it; it is taken for UTC.
const isoTime = "2006-01-02T15:04:05.999999999"

// Kind returns "codescoring".
func (codeScoring) Kind() string { return catalog.CodeScoring }

// Events splits the list.
func (c codeScoring) Events(_ context.Context, in Upstream, _ Memory) ([]carillon.Event, error) {
	body, err := readBody(in)
	if err != nil {
		return nil, err
	}
	object, _ := body.(map[string]any)
	list, ok := object["events"].([]any)
	if !ok {
		event, err := unknown(in, stranger{part: in.Body, reason: `the body has no list "events"`})
		return []carillon.Event{event}, err
	}
	return collect(in, list, canonical, c.read)
}

// canonical writes what was read, with sorted keys and without white space.
func canonical(value any) []byte {
	text, _ := json.Marshal(value) // it was read from JSON
	return text
}

func (codeScoring) read(item any) (n news, reason string) {
	object, ok := item.(map[string]any)
	if !ok {
		return n, "the event is no JSON object"
	}
	trigger := text(object, "trigger")
	if n.eventType, ok = catalog.TypeOf(catalog.CodeScoring, trigger); !ok {
		return n, fmt.Sprintf("the trigger %q is not known", trigger)
	}
	switch payload := object["payload"].(type) {
	case map[string]any:
		n.data = payload
	case nil:
	default:
		return n, "the payload is no JSON object"
	}
	// There is no id; what reads the same and was made at the same time is the
	// same.
	n.id = "codescoring/" + hash(canonical(object))
	created := text(object, "created_at")
	if n.at = occurredAt(created); n.at.IsZero() {
		if at, err := time.Parse(isoTime, created); err == nil {
			n.at = occurredAt(at.Format(time.RFC3339Nano))
		}
	}
	// Its documentation shows a number in the place of the name.
	if number, ok := n.data["policy_name"].(json.Number); ok {
		n.data["policy_name"] = number.String()
	}
	n.scope = map[string]string{"project": text(n.data, "project_name")}
	if dependency := text(n.data, "dependency_purl"); dependency != "" {
		if _, err := packageurl.FromString(dependency); err == nil {
			n.subject = dependency
		}
	}
	return n, ""
}
