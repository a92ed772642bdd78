package messages

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
)

// Limits of a summary: what a person takes in, and every channel can hold.
const (
	maxTitleKinds   = 3
	maxKinds        = 8
	maxLines        = 10
	maxLine         = 180
	maxListed       = 5
	maxListedValues = 2000
	maxScopeFacts   = 4
)

// summary gathers what many events have in common.
type summary struct {
	known *wordings
	// found has the wordings of each type, so that they are looked up once.
	found map[string][]wording
	kinds map[counted]int
	bad   map[Level]int
	// packages and scopes are without repetition.
	packages    map[string]bool
	scopes      map[string]map[string]bool
	levels      []Level
	first, last time.Time
}

func summarize(events []carillon.Event, more string) Message {
	if len(events) == 0 {
		return Message{Title: "No " + more + "events", Level: Neutral}
	}
	known, err := load()
	if err != nil {
		known = &wordings{} // who writes a message says so
	}
	s := &summary{
		known: known, found: map[string][]wording{}, kinds: map[counted]int{}, bad: map[Level]int{},
		packages: map[string]bool{}, scopes: map[string]map[string]bool{}, levels: make([]Level, len(events)),
	}
	for i, e := range events {
		s.see(i, e)
	}
	kinds := s.sortedKinds()
	return Message{
		Title: clip(s.title(len(events), more, kinds), maxTitle), Text: s.lines(events), Facts: s.facts(kinds),
		Level: slices.MaxFunc(s.levels, func(a, b Level) int { return cmp.Compare(a.rank(), b.rank()) }),
	}
}

func (s *summary) see(i int, e carillon.Event) {
	found, ok := s.found[e.Type]
	if !ok {
		found = s.known.of(e.Type)
		s.found[e.Type] = found
	}
	s.kinds[kindOf(e.Type, found)]++
	level := Neutral
	if len(found) > 0 {
		var data map[string]any
		if found[0].level.of != nil {
			data = decode(e.Data)
		}
		level = found[0].level.apply(data)
	}
	s.levels[i] = level
	s.bad[level]++
	if name := packageIn(e.Subject); name != "" && len(s.packages) < maxListedValues {
		s.packages[name] = true
	}
	for key, value := range e.Scope {
		if s.scopes[key] == nil {
			s.scopes[key] = map[string]bool{}
		}
		if len(s.scopes[key]) < maxListedValues {
			s.scopes[key][value] = true
		}
	}
	if e.Time.IsZero() {
		return
	}
	if s.first.IsZero() || e.Time.Before(s.first) {
		s.first = e.Time
	}
	if e.Time.After(s.last) {
		s.last = e.Time
	}
}

// kindOf is what events of a type are counted as.
func kindOf(eventType string, found []wording) counted {
	if len(found) > 0 && found[0].counts.one != "" {
		return found[0].counts
	}
	eventType = clip(oneLine(eventType), maxLabel)
	return counted{eventType + " event", eventType + " events"}
}

// packageIn is the package of a purl, without its type, version and qualifiers:
// there are too many to take them apart by the rules.
func packageIn(subject string) string {
	rest, ok := strings.CutPrefix(subject, "pkg:")
	if !ok {
		return ""
	}
	_, name, _ := strings.Cut(rest, "/")
	name, _, _ = strings.Cut(name, "?")
	if i := strings.LastIndexByte(name, '@'); i > 0 {
		name = name[:i]
	}
	return strings.ReplaceAll(name, "%40", "@")
}

func (s *summary) sortedKinds() []counted {
	return slices.SortedFunc(maps.Keys(s.kinds), func(a, b counted) int {
		return cmp.Or(cmp.Compare(s.kinds[b], s.kinds[a]), cmp.Compare(a.many, b.many))
	})
}

// worst are the levels that are told with their numbers.
var worst = []Level{Critical, High, Failed}

func (s *summary) title(n int, more string, kinds []counted) string {
	events := "events"
	if n == 1 {
		events = "event"
	}
	var parts []string
	others := 0
	for i, kind := range kinds {
		if i >= maxTitleKinds {
			others += s.kinds[kind]
			continue
		}
		parts = append(parts, kind.write(s.kinds[kind]))
	}
	if others > 0 {
		parts = append(parts, counted{"other", "others"}.write(others))
	}
	for _, level := range worst {
		if n := s.bad[level]; n > 0 {
			parts = append(parts, number(n)+" "+string(level))
		}
	}
	return fmt.Sprintf("%s %s%s: %s", number(n), more, events, strings.Join(parts, ", "))
}

func (s *summary) facts(kinds []counted) []Fact {
	var facts []Fact
	for _, level := range worst {
		if n := s.bad[level]; n > 0 {
			facts = append(facts, Fact{capital(string(level)), number(n)})
		}
	}
	others := 0
	for i, kind := range kinds {
		if i >= maxKinds {
			others += s.kinds[kind]
			continue
		}
		facts = append(facts, Fact{clip(capital(kind.many), maxLabel), number(s.kinds[kind])})
	}
	if others > 0 {
		facts = append(facts, Fact{"Others", number(others)})
	}
	if len(s.packages) > 0 {
		facts = append(facts, Fact{"Packages", listed(s.packages)})
	}
	scopes := scopeKeys(carillon.Event{Scope: keysOf(s.scopes)})
	for _, key := range scopes[:min(len(scopes), maxScopeFacts)] {
		facts = append(facts, Fact{clip(capital(words(key)), maxLabel), listed(s.scopes[key])})
	}
	if !s.first.IsZero() {
		facts = append(facts, Fact{"Time", span(s.first.UTC(), s.last.UTC())})
	}
	return facts
}

func keysOf(scopes map[string]map[string]bool) map[string]string {
	keys := map[string]string{}
	for key := range scopes {
		keys[key] = key
	}
	return keys
}

// listed names the first few of many, and says how many more there are.
func listed(set map[string]bool) string {
	all := slices.Sorted(maps.Keys(set))
	shown := make([]string, 0, maxListed)
	for _, value := range all[:min(len(all), maxListed)] {
		shown = append(shown, clip(oneLine(value), maxValue/maxListed-1))
	}
	text := strings.Join(shown, ", ")
	if more := len(all) - len(shown); more > 0 {
		return clip(text, maxValue-20) + " and " + number(more) + " more"
	}
	return clip(text, maxValue)
}

// span writes from when to when.
func span(first, last time.Time) string {
	from, to := first.Format(timeLayout), last.Format(timeLayout)
	switch {
	case from == to:
		return from
	case from[:len(time.DateOnly)] == to[:len(time.DateOnly)]:
		to = to[len(time.DateOnly)+1:]
	}
	return strings.TrimSuffix(from, " UTC") + " to " + to
}

// lines are the titles of the worst events, the oldest of them first.
func (s *summary) lines(events []carillon.Event) string {
	order := make([]int, len(events))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.levels[b].rank(), s.levels[a].rank()) })
	var text []string
	for _, i := range order[:min(len(order), maxLines)] {
		text = append(text, clip(titleOf(s.found[events[i].Type], events[i], newValues(events[i])), maxLine))
	}
	if more := len(order) - len(text); more > 0 {
		text = append(text, "and "+number(more)+" more")
	}
	return clip(strings.Join(text, "\n"), maxText)
}
