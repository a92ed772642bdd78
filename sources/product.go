package sources

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/package-url/packageurl-go"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// The four products whose formats Carillon also writes: what package formats
// makes of an event, the source of the same name makes into the event again,
// as far as the product's format carries it. What such a source cannot know is
// in docs/sources.md.

// news is what one notification of a product tells.
type news struct {
	eventType  string
	id         string // what the source calls it
	upstreamID string // what people may know it by; empty when it tells none
	at         time.Time
	actor      string
	subject    string
	scope      map[string]string
	data       map[string]any
}

// collect makes the events of a request's notifications. What read does not
// understand, and says why, is one source.unknown for all.
func collect[T any](in Upstream, parts []T, raw func(T) []byte, read func(T) (n news, reason string)) ([]carillon.Event, error) {
	var events []carillon.Event
	var strangers []stranger
	for _, part := range parts {
		n, reason := read(part)
		if reason == "" {
			event, err := n.event(in)
			if err != nil {
				return nil, err
			}
			if reason, err = misfit(in.Catalog, event); err != nil {
				return nil, err
			}
			if reason == "" {
				events = append(events, event)
				continue
			}
		}
		strangers = append(strangers, stranger{part: raw(part), upstreamID: upstreamID(n.upstreamID), reason: reason})
	}
	if len(strangers) > 0 {
		event, err := unknown(in, strangers...)
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return events, nil
}

// collectOne is [collect] for a product that sends one notification a request.
func collectOne(in Upstream, read func(body map[string]any) (n news, reason string)) ([]carillon.Event, error) {
	body, err := readBody(in)
	if err != nil {
		return nil, err
	}
	return collect(in, []any{body}, func(any) []byte { return in.Body }, func(body any) (news, string) {
		object, ok := body.(map[string]any)
		if !ok {
			return news{}, "the body is no JSON object"
		}
		return read(object)
	})
}

// readBody reads the body, which may begin with a byte order mark. Numbers keep
// their digits.
func readBody(in Upstream) (any, error) {
	text := bytes.TrimPrefix(in.Body, []byte("\ufeff"))
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, carillon.Invalid("", "the body is not JSON; a notification of %s is expected", in.Source.Kind)
	}
	var body any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil {
		return nil, &carillon.Error{Code: carillon.CodeInvalid, Message: "the body is not JSON", Err: err}
	}
	return body, nil
}

// event makes the event of the news. A null says as little as a key that is
// not there, so neither is in the data.
func (n news) event(in Upstream) (carillon.Event, error) {
	data := map[string]any{}
	for key, value := range n.data {
		if value != nil {
			data[key] = withoutNulls(value)
		}
	}
	event, err := newEvent(in, n.eventType, n.id, n.at, data)
	if err != nil {
		return carillon.Event{}, err
	}
	event.Actor = carillon.Clip(n.actor, carillon.MaxActorBytes)
	event.Scope = scopeOf(in.Source.Scope, n.scope)
	if len(n.subject) <= carillon.MaxSubjectBytes {
		event.Subject = n.subject
	}
	return event, nil
}

// misfit says why an event cannot be published; it is empty when it can. A
// product that is refused stops sending, for ever at worst, so it is told
// nothing of that.
func misfit(c *catalog.Catalog, e carillon.Event) (reason string, err error) {
	if len(e.Data) > carillon.MaxEventBytes {
		return fmt.Sprintf("the notification is larger than %d KiB", carillon.MaxEventBytes>>10), nil
	}
	if err := c.CheckData(e); err != nil {
		if carillon.CodeOf(err) != carillon.CodeInvalid {
			return "", err
		}
		return "the data is not as the catalog says: " + err.Error(), nil
	}
	return "", nil
}

// scopeOf is what the events of a notification belong to: what the source is
// configured to stand for, and of what the notification tells the keys that
// are not configured.
func scopeOf(configured, told map[string]string) map[string]string {
	scope := maps.Clone(configured)
	for _, key := range slices.Sorted(maps.Keys(told)) {
		value := told[key]
		_, taken := scope[key]
		if taken || value == "" || carillon.Clip(value, carillon.MaxScopeBytes) != value || len(scope) == carillon.MaxScopeKeys {
			continue
		}
		if scope == nil {
			scope = map[string]string{}
		}
		scope[key] = value
	}
	return scope
}

func withoutNulls(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(value))
		for key, child := range value {
			if child != nil {
				kept[key] = withoutNulls(child)
			}
		}
		return kept
	case []any:
		kept := make([]any, len(value))
		for i, child := range value {
			kept[i] = withoutNulls(child)
		}
		return kept
	}
	return value
}

// names are the keys of a product's object by what we call them. Keys that are
// not there stay as they are: the product may tell more than its page says.
type names map[string]name

type name struct {
	to string
	in names // of the object, or of the objects in the list, below the key
}

func (n names) of(object map[string]any) map[string]any {
	renamed := make(map[string]any, len(object))
	for key, value := range object {
		if _, ok := n[key]; !ok {
			renamed[key] = value
		}
	}
	for key, value := range object {
		if known, ok := n[key]; ok {
			renamed[known.to] = known.in.below(value)
		}
	}
	return renamed
}

func (n names) below(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return n.of(value)
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = n.below(item)
		}
		return list
	}
	return value
}

// take removes a text from the object; it is empty when there is none.
func take(object map[string]any, key string) string {
	value := text(object, key)
	delete(object, key)
	return value
}

func text(object map[string]any, key string) string {
	value, _ := object[key].(string)
	return value
}

// toldOnce is the id of a notification of a product that neither names its
// notifications nor says when they happened, and sends each of them once. Two
// that read alike are two: a version can be deleted and added again. Only a
// `webhook-id`, which Carillon sends and a configured header can hold, tells
// that a notification is the same as another.
func toldOnce(in Upstream) string {
	if id := in.Header.Get("Webhook-Id"); upstreamIDPattern.MatchString(id) {
		return "webhook/" + id
	}
	return "received/" + strconv.FormatInt(in.ReceivedAt.UnixNano(), 10) + "/" + hash(in.Body)
}

// purlTypes are the types of purls by what products call the kinds of their
// packages, and kinds that Carillon's producers use.
var purlTypes = map[string]string{
	"nuget": packageurl.TypeNuget, "npm": packageurl.TypeNPM, "maven": packageurl.TypeMaven,
	"pypi": packageurl.TypePyPi, "python": packageurl.TypePyPi,
	"gem": packageurl.TypeGem, "rubygems": packageurl.TypeGem,
	"composer": packageurl.TypeComposer, "php": packageurl.TypeComposer,
	"cargo": packageurl.TypeCargo, "conda": packageurl.TypeConda, "cran": packageurl.TypeCran,
}

// versionPattern is what a version looks like; products also send constraints,
// such as "(>= 2.0)", which name none.
var versionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]*$`)

// purl names a package; it is empty where the kind has no purl that is made of
// a name and a version alone.
func purl(packageType, group, name, version string) string {
	kind, ok := purlTypes[strings.ToLower(packageType)]
	if !ok || name == "" {
		return ""
	}
	if i := strings.LastIndexAny(name, "/:"); i >= 0 && group == "" {
		group, name = name[:i], name[i+1:] // @scope/name, vendor/name, group:artifact
	}
	if !versionPattern.MatchString(version) {
		version = ""
	}
	made, err := packageurl.FromString(packageurl.NewPackageURL(kind, group, name, version, nil, "").ToString())
	if err != nil {
		return ""
	}
	return made.ToString() // read, it is in the case that its type demands
}
