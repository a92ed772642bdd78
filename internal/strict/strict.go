// Package strict has receivers of webhooks, for tests: they take exactly what
// the documentation of a product or a specification says that is sent, and
// refuse everything else.
//
// They are written from the documentation, and know nothing of package formats.
package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// Receivers has one for each format, by its name. A receiver errs with the reason
// why it refuses a request.
var Receivers = map[string]func(header http.Header, body []byte) error{
	"standard": strictStandard, "cloudevents": strictCloudEvents, "myget": strictMyGet, "proget": strictProGet,
	"codescoring": strictCodeScoring, "defectdojo": strictDefectDojo,
}

// shape checks a JSON value.
type shape func(at string, value any) error

func isText(at string, value any) error {
	if _, ok := value.(string); !ok {
		return fmt.Errorf("%s: %v is no text", at, value)
	}
	return nil
}

func isInteger(at string, value any) error {
	if number, ok := value.(json.Number); !ok || strings.ContainsAny(number.String(), ".eE") {
		return fmt.Errorf("%s: %v is no integer", at, value)
	}
	return nil
}

func isIntegerOrText(at string, value any) error {
	if isText(at, value) == nil {
		return nil
	}
	return isInteger(at, value)
}

func matches(pattern string) shape {
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	return func(at string, value any) error {
		if text, ok := value.(string); !ok || !re.MatchString(text) {
			return fmt.Errorf("%s: %v does not match %s", at, value, pattern)
		}
		return nil
	}
}

func orNull(s shape) shape {
	return func(at string, value any) error {
		if value == nil {
			return nil
		}
		return s(at, value)
	}
}

func listOf(s shape) shape {
	return func(at string, value any) error {
		list, ok := value.([]any)
		if !ok {
			return fmt.Errorf("%s: is no list", at)
		}
		for i, item := range list {
			if err := s(fmt.Sprintf("%s/%d", at, i), item); err != nil {
				return err
			}
		}
		return nil
	}
}

// keys are the members of an object: all must be there, but those whose name
// ends with "?".
type keys map[string]shape

func (k keys) shape(at string, value any) error {
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: is no object", at)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if k[name] == nil && k[name+"?"] == nil {
			return fmt.Errorf("%s/%s: is not known", at, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k)) {
		plain := strings.TrimSuffix(name, "?")
		member, there := object[plain]
		switch {
		case there:
			if err := k[name](at+"/"+plain, member); err != nil {
				return err
			}
		case plain == name:
			return fmt.Errorf("%s/%s: is missing", at, name)
		}
	}
	return nil
}

// with returns the keys of both.
func (k keys) with(more keys) keys {
	all := maps.Clone(k)
	maps.Copy(all, more)
	return all
}

// Decode reads one JSON document; numbers keep their digits.
func Decode(body []byte) (any, error) {
	var value any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("there is more after the JSON: %w", err)
	}
	return value, nil
}

// Member returns the text that an object has under the name.
func Member(value any, name string) string {
	object, _ := value.(map[string]any)
	text, _ := object[name].(string)
	return text
}

const (
	uuidPattern = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	timePattern = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`
)

// Standard Webhooks, and our own page.
func strictStandard(_ http.Header, body []byte) error {
	value, err := Decode(body)
	if err != nil {
		return err
	}
	err = keys{
		"id": matches("evt_.+"), "type": isText, "timestamp": matches(timePattern), "source": isText, "data": keysOfAny,
		"actor?": isText, "subject?": isText, "scope?": keysOfAny,
	}.shape("", value)
	if err != nil {
		return err
	}
	object, _ := value.(map[string]any)
	return checkData(Member(value, "type"), object["data"])
}

func keysOfAny(at string, value any) error {
	if _, ok := value.(map[string]any); !ok {
		return fmt.Errorf("%s: is no object", at)
	}
	return nil
}

var types = sync.OnceValues(catalog.Load)

func checkData(eventType string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	all, err := types()
	if err != nil {
		return err
	}
	return all.CheckData(carillon.Event{Type: eventType, Data: text})
}

// CloudEvents: what its SDK takes, with the attributes that we document.
func strictCloudEvents(header http.Header, body []byte) error {
	event, err := cehttp.NewEventFromHTTPRequest(&http.Request{Header: header, Body: io.NopCloser(bytes.NewReader(body))})
	if err != nil {
		return err
	}
	if err := event.Validate(); err != nil {
		return err
	}
	eventType, ours := strings.CutPrefix(event.Type(), "dev.carillon.")
	if !ours || event.DataContentType() != "application/json" || event.Time().IsZero() || !strings.HasPrefix(event.ID(), "evt_") {
		return fmt.Errorf("an attribute is missing or strange: %s", event)
	}
	for name := range event.Extensions() {
		if name != "actor" && name != "carillonscope" {
			return fmt.Errorf("the attribute %s is not known", name)
		}
	}
	data, err := Decode(event.Data())
	if err != nil {
		return err
	}
	return checkData(eventType, data)
}
