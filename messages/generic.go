package messages

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// circumstantial is how many facts are kept free for what every event has: who,
// from where and when. maxOwnFacts leaves room for some of its scope, too.
const (
	circumstantial = 3
	maxOwnFacts    = 12
)

// genericTitle is for an event of which no template makes a title: one of an
// unknown type, or with odd data.
func genericTitle(found []wording, e carillon.Event, v *values) string {
	what := e.Type
	if len(found) > 0 && found[0].counts.one != "" {
		what = capital(found[0].counts.one)
	}
	title := cmp.Or(oneLine(what), "An event")
	if place := placeOf(e); place != "" {
		title += " in " + place
	}
	if actor := oneLine(e.Actor); actor != "" && e.Actor != carillon.OwnSource {
		title += " by " + actor
	}
	if thing := thingOf(e, v); thing != "" {
		title += ": " + thing
	}
	return title
}

// thingOf is what the event is about.
func thingOf(e carillon.Event, v *values) string {
	if name := v.textAt("package"); name != "" {
		return strings.TrimSpace(name + " " + v.textAt("version"))
	}
	if strings.HasPrefix(e.Subject, "pkg:") {
		if p, err := packageurl.FromString(e.Subject); err == nil {
			return oneLine(strings.TrimPrefix(p.Namespace+"/"+p.Name, "/") + " " + p.Version)
		}
	}
	for _, key := range []string{"title", "name", "project_name", "container_image_name", "message", "reason"} {
		if text := v.textAt(key); text != "" {
			return clip(text, maxTitle/2)
		}
	}
	return oneLine(e.Subject)
}

func placeOf(e carillon.Event) string {
	for _, key := range scopeKeys(e) {
		if place := oneLine(e.Scope[key]); place != "" {
			return place
		}
	}
	return ""
}

// scopeKeys are the scope's keys, those that the catalog knows first.
func scopeKeys(e carillon.Event) []string {
	return slices.SortedFunc(maps.Keys(e.Scope), func(a, b string) int {
		return cmp.Or(cmp.Compare(orderOf(a), orderOf(b)), cmp.Compare(a, b))
	})
}

func orderOf(scopeKey string) int {
	if i := slices.Index(catalog.ScopeKeys, scopeKey); i >= 0 {
		return i
	}
	return len(catalog.ScopeKeys)
}

// plainFacts are the fields of the data, for an event without a wording.
func plainFacts(e carillon.Event, v *values) []Fact {
	var all []Fact
	add := func(label, value string) {
		if value != "" && label != "" && len(all) < maxOwnFacts {
			all = append(all, Fact{clip(capital(words(label)), maxLabel), clip(value, maxValue)})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.data)) {
		add(key, plain(v.data[key]))
	}
	add("subject", oneLine(e.Subject))
	return all
}

// circumstances are what every event has: its scope, who, from where and when;
// but what the facts in front of them say.
func circumstances(e carillon.Event, before []Fact) []Fact {
	var all []Fact
	add := func(label, value string) {
		f := Fact{label, clip(oneLine(value), maxValue)}
		if f.Label != "" && f.Value != "" && !slices.Contains(before, f) {
			all = append(all, f)
		}
	}
	keys := scopeKeys(e)
	for _, key := range keys[:min(len(keys), maxFacts-circumstantial-len(before))] {
		add(clip(capital(words(key)), maxLabel), e.Scope[key])
	}
	add("By", e.Actor)
	add("Source", e.Source)
	if !e.Time.IsZero() {
		add("Time", e.Time.UTC().Format(timeLayout))
	}
	return all
}

// timeLayout is for people anywhere.
const timeLayout = time.DateOnly + " 15:04 UTC"
