package messages_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/internal/strict"
	"github.com/carillon-dev/carillon/messages"
)

func newCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	types, err := catalog.Load()
	require.NoError(t, err)
	return types
}

func write(t *testing.T, e carillon.Event) messages.Message {
	t.Helper()
	m, err := messages.Write(e, messages.Overrides{})
	require.NoError(t, err)
	requireReadable(t, m)
	return m
}

// whole is all that somebody reads.
func whole(m messages.Message) string {
	parts := []string{m.Title, m.Text, m.Link.Label, m.Link.URL}
	for _, f := range m.Facts {
		parts = append(parts, f.Label, f.Value)
	}
	return strings.Join(parts, "\n")
}

var unreadable = regexp.MustCompile(`<nil>|map\[|%!|\bnull\b|\[\]|\{\}|<no value>`)

// requireReadable holds a message to what every channel counts on.
func requireReadable(t *testing.T, m messages.Message) {
	t.Helper()
	lines := []string{m.Title, m.Link.Label, m.Link.URL}
	require.NotEmpty(t, m.Title)
	require.LessOrEqual(t, utf8.RuneCountInString(m.Title), 200)
	require.LessOrEqual(t, utf8.RuneCountInString(m.Text), 2000)
	require.LessOrEqual(t, len(m.Facts), 20)
	require.LessOrEqual(t, len(m.Topic), 200)
	for i, f := range m.Facts {
		require.NotEmpty(t, f.Label)
		require.NotEmpty(t, f.Value, f.Label)
		require.LessOrEqual(t, utf8.RuneCountInString(f.Value), 300)
		require.LessOrEqual(t, utf8.RuneCountInString(f.Label), 60)
		require.NotContains(t, m.Facts[:i], f, "a fact is told twice")
		lines = append(lines, f.Label, f.Value)
	}
	lines = append(lines, strings.Split(m.Text, "\n")...)
	for _, line := range lines {
		require.False(t, strings.ContainsFunc(line, unicode.IsControl), "%q", line)
		require.Equal(t, strings.TrimSpace(line), line)
		require.True(t, utf8.ValidString(line), "%q", line)
		require.NotContains(t, line, "\u202e")
	}
	if m.Link.URL != "" {
		link, err := url.Parse(m.Link.URL)
		require.NoError(t, err)
		require.Contains(t, []string{"http", "https"}, link.Scheme)
		require.NotEmpty(t, m.Link.Label)
	}
	require.Contains(t, []messages.Level{
		messages.Neutral, messages.Good, messages.Warning, messages.Failed, messages.High, messages.Critical,
	}, m.Level)
}

// manyEvents are how many random events a test makes of each type.
const manyEvents = 25

// eachRandom calls f with the example of every type, and with random events.
func eachRandom(t *testing.T, f func(carillon.Event)) {
	t.Helper()
	types := newCatalog(t)
	for i, typ := range types.Types() {
		f(typ.Example)
		random := rand.New(rand.NewPCG(7, uint64(i)))
		for range manyEvents {
			e, err := strict.RandomEvent(typ, random)
			require.NoError(t, err)
			require.NoError(t, types.CheckData(e), "%s", e.Data)
			f(e)
		}
	}
}

func TestAMessageTellsWhatHappenedToWhatWhereAndHowBad(t *testing.T) {
	t.Parallel()
	told := map[string]int{}
	eachRandom(t, func(e carillon.Event) {
		m := write(t, e)
		text := whole(m)
		require.NotRegexp(t, unreadable, text, "%s: %s", e.Type, e.Data)
		require.False(t, strings.Contains(e.Type, ".") && strings.Contains(m.Title, e.Type), "the title is a sentence, not the name of a type: %s", m.Title)
		for _, value := range strict.Tells(e) {
			require.Contains(t, text, value, "%s: %s", e.Type, e.Data)
			told[e.Type]++
		}
	})
	require.Greater(t, len(told), 90, "most types have something to tell")
}

func TestTheSameEventIsToldInTheSameWords(t *testing.T) {
	t.Parallel()
	eachRandom(t, func(e carillon.Event) {
		again := write(t, e)
		require.Equal(t, write(t, e), again)
	})
}

// Whatever the fields of an event hold, there is a message that says what it
// was about.
func TestOddDataCostsNoMessage(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	odd := []any{
		nil, true, 0, -1, 1e300, "", " ", "x", "null", []any{}, []any{nil, 1, "a", []any{nil}}, map[string]any{},
		map[string]any{"name": nil, "username": 3, "new": "x"}, strings.Repeat("long ", 5000), "a\r\nb\x00\u202ec\u2028d",
		json.Number("123456789012345678901234567890"), "<b>&amp;</b>", "${data.package}", "%!s(MISSING)",
	}
	pick := func() any { return odd[random.IntN(len(odd))] }
	types := append(newCatalog(t).Types(), catalog.Type{Name: "acme.release_cut"}, catalog.Type{Name: "package.frobbed"}, catalog.Type{Name: ""})
	for _, typ := range types {
		fields := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(`{"package":1,"version":1,"title":1,"name":1,"description":1,"severity":1,"score":1,
			"finding":1,"findings":1,"data":1,"metadata":1,"issues":1,"packages":1,"affected_packages":1,"details":1,"result":1,"reviewers":1,
			"product":1,"test":1,"details_url":1,"url_ui":1,"matched_criteria":1,"deployment":1,"project_name":1,"build_id":1}`), &fields))
		for range 40 {
			for key := range fields {
				fields[key] = pick()
			}
			data, err := json.Marshal(fields)
			require.NoError(t, err)
			write(t, carillon.Event{
				ID: "evt_1", Type: typ.Name, Source: "s", Actor: "an\nna", Scope: map[string]string{"feed": "fe\ted", "": "x"}, Subject: "pkg:%%/\x00", Data: data,
			})
		}
	}
	for _, data := range []string{"", "null", "[]", `"x"`, "1", "{", `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`} {
		e := carillon.Event{Type: "package.added", Source: "registry", Actor: "anna", Scope: map[string]string{"feed": "utils"}, Data: json.RawMessage(data)}
		m := write(t, e)
		require.Equal(t, "Package added in utils by anna", m.Title, data)
	}
}

func TestAnUnknownTypeReadsWell(t *testing.T) {
	t.Parallel()
	e := carillon.Event{
		Type: "acme.release_cut", Source: "ci.example.com", Actor: "anna", Scope: map[string]string{"team": "core", "feed": "utils"},
		Subject: "pkg:npm/%40acme/ui@2.0.0", Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC),
		Data: json.RawMessage(`{"build_host":"ci-7","ok":true,"parts":["a","b"],"where":{"zone":"eu","rack":null},"none":null,"url":"https://ci.example.com/7"}`),
	}
	require.Equal(t, messages.Message{
		Title: "acme.release_cut in utils by anna: @acme/ui 2.0.0",
		Facts: []messages.Fact{
			{Label: "Build host", Value: "ci-7"}, {Label: "Ok", Value: "yes"}, {Label: "Parts", Value: "a, b"},
			{Label: "Url", Value: "https://ci.example.com/7"}, {Label: "Where", Value: "zone: eu"}, {Label: "Subject", Value: "pkg:npm/%40acme/ui@2.0.0"},
			{Label: "Feed", Value: "utils"}, {Label: "Team", Value: "core"},
			{Label: "By", Value: "anna"}, {Label: "Source", Value: "ci.example.com"}, {Label: "Time", Value: "2026-11-21 20:00 UTC"},
		},
		Link: messages.Link{Label: "Read more", URL: "https://ci.example.com/7"}, Level: messages.Neutral,
	}, write(t, e))

	// Of a known group, the group's words are taken.
	e = carillon.Event{
		Type: "package.frobbed", Actor: "anna", Scope: map[string]string{"feed": "utils"}, Data: json.RawMessage(`{"package":"Cool","version":"1.0","package_type":"nuget"}`),
	}
	m := write(t, e)
	require.Equal(t, "Cool 1.0 changed in utils by anna", m.Title)
	require.Equal(t, "package:nuget/Cool", m.Topic)
}

func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 4000)
	scope := map[string]string{}
	for _, key := range "abcdefghijklmnop" {
		scope[string(key)] = long
	}
	data, err := json.Marshal(map[string]any{"package": long, "version": long, "details_url": "https://example.com/" + long, "metadata": map[string]any{"description": long}})
	require.NoError(t, err)
	m := write(t, carillon.Event{Type: "package.added", Source: "s", Actor: long, Scope: scope, Data: data, Time: time.Now()})
	require.Equal(t, 200, utf8.RuneCountInString(m.Title))
	require.True(t, strings.HasSuffix(m.Title, "…"))
	require.Empty(t, m.Link.URL)
	require.Len(t, m.Facts, 20)
	require.Equal(t, "Time", m.Facts[19].Label)
	require.Equal(t, 300, utf8.RuneCountInString(m.Facts[0].Value))
	require.LessOrEqual(t, len(m.Topic), 200)
	other, err := json.Marshal(map[string]any{"package": long + "x"})
	require.NoError(t, err)
	require.NotEqual(t, m.Topic, write(t, carillon.Event{Type: "package.added", Data: other}).Topic, "a cut topic is still its own")
}

func TestOnlyAddressesThatABrowserOpensAreLinks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://example.com/a?b=c#d": "https://example.com/a?b=c#d", "http://example.com": "http://example.com",
		"javascript:alert(1)": "", "/packages/1": "", "ftp://example.com": "", "https://": "", "https://user:secret@example.com": "", "data:text/html,x": "",
		" https://example.com/x ": "https://example.com/x",
	} {
		data, err := json.Marshal(map[string]any{"package": "p", "details_url": address})
		require.NoError(t, err)
		require.Equal(t, want, write(t, carillon.Event{Type: "package.added", Data: data}).Link.URL, address)
	}
	// The next best is taken.
	m := write(t, carillon.Event{Type: "package.added", Data: json.RawMessage(`{"package":"p","details_url":"/p","download_url":"https://example.com/p.zip"}`)})
	require.Equal(t, messages.Link{Label: "Download the package", URL: "https://example.com/p.zip"}, m.Link)
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		eventType, data string
		want            messages.Level
	}{
		{"sca.vulnerability_detected", `{"severity":"Critical","score":7.5}`, messages.Critical},
		{"sca.vulnerability_detected", `{"severity":"HIGH"}`, messages.High},
		{"sca.vulnerability_detected", `{"severity":"moderate","score":9.9}`, messages.Warning},
		{"sca.vulnerability_detected", `{"severity":"Low"}`, messages.Neutral},
		{"sca.vulnerability_detected", `{"score":"9.8"}`, messages.Critical},
		{"sca.vulnerability_detected", `{"score":7}`, messages.High},
		{"sca.vulnerability_detected", `{"severity":"Unknown","score":4.0}`, messages.Warning},
		{"sca.vulnerability_detected", `{"score":3.9}`, messages.Neutral},
		{"sca.vulnerability_detected", `{"severity":null,"score":null}`, messages.Neutral},
		{"sca.vulnerability_detected", `{"severity":["High"],"score":{}}`, messages.Neutral},
		{"sca.policy_triggered", `{"level":"critical"}`, messages.Critical},
		{"osa.policy_triggered", `{"level":"warning"}`, messages.Warning},
		{"osa.policy_triggered", `{"level":"info"}`, messages.Neutral},
		{"sca.noncompliant_package", `{"result":"Noncompliant"}`, messages.Failed},
		{"sca.noncompliant_package", `{"result":"Warn"}`, messages.Warning},
		{"sca.noncompliant_package", `{"result":"Compliant"}`, messages.Good},
		{"build.finished", `{"result":"success"}`, messages.Good},
		{"build.finished", `{"result":"Failed"}`, messages.Failed},
		{"build.finished", `{"result":"unstable"}`, messages.Warning},
		{"build.finished", `{"result":"canceled"}`, messages.Neutral},
		{"build.finished", `{}`, messages.Neutral},
		{"build.started", `{"result":"failed"}`, messages.Neutral},
		{"analysis.project_sca_finished", `{"vulnerabilities_count":3}`, messages.Warning},
		{"analysis.project_sca_finished", `{"vulnerabilities_count":0}`, messages.Good},
		{"analysis.project_sca_failed", `{}`, messages.Failed},
		{"package.status_changed", `{"action":"quarantined"}`, messages.Warning},
		{"package.status_changed", `{"status":"Deprecated"}`, messages.Warning},
		{"package.status_changed", `{"action":"unblocked"}`, messages.Good},
		{"package.status_changed", `{"action":"labelled"}`, messages.Neutral},
		{"tracker.scan_added", `{"findings":{"new":[{"severity":"Low"},{"severity":"High"}],"untouched":[{"severity":"Critical"}]}}`, messages.High},
		{"tracker.scan_added", `{"findings":{"new":null,"reactivated":[{"severity":"critical"}]}}`, messages.Critical},
		{"tracker.review_requested", `{"finding":{"severity":"Medium"}}`, messages.Warning},
		{"subscription.disabled", `{}`, messages.Failed},
		{"subscription.recovered", `{}`, messages.Good},
		{"package.added", `{"severity":"Critical"}`, messages.Neutral},
		{"acme.thing", `{"severity":"Critical"}`, messages.Neutral},
	} {
		require.Equal(t, c.want, write(t, carillon.Event{Type: c.eventType, Data: json.RawMessage(c.data)}).Level, "%s %s", c.eventType, c.data)
	}
}

func TestFollowUpsShareATopic(t *testing.T) {
	t.Parallel()
	topic := func(eventType, subject, data string) string {
		return write(t, carillon.Event{Type: eventType, Source: "s", Subject: subject, Data: json.RawMessage(data)}).Topic
	}
	require.Equal(t, "package:nuget/Cool", topic("package.added", "pkg:nuget/Cool@1.0", `{"package":"Cool","version":"1.0"}`))
	require.Equal(t, "package:nuget/Cool", topic("package.deleted", "", `{"package":"Cool","version":"2.0","package_type":"nuget"}`))
	require.Equal(t, "package:nuget/Cool", topic("sca.vulnerability_detected", "pkg:nuget/Cool@1.0", `{}`))
	require.Equal(t, "vulnerability:CVE-1", topic("sca.vulnerability_detected", "", `{"vulnerability_id":"CVE-1"}`))
	require.Equal(t, "build:s/7", topic("build.started", "", `{"build_id":7,"name":"B"}`))
	require.Equal(t, "build:s/7", topic("build.finished", "", `{"build_id":"7","result":"success"}`))
	require.Equal(t, "build:s/P/1.2", topic("build.issues_opened", "", `{"number":"1.2","project":"P"}`))
	require.Equal(t, "build:s/B/main", topic("build.queued", "", `{"name":"B","branch":"main"}`))
	require.Empty(t, topic("build.queued", "", `{}`))
	require.Equal(t, topic("analysis.clones_started", "", `{"project_name":"p"}`), topic("analysis.clones_failed", "", `{"project_name":"p","error":"x"}`))
	require.NotEqual(t, topic("analysis.clones_started", "", `{"project_name":"p"}`), topic("analysis.authors_started", "", `{"project_name":"p"}`))
	require.Equal(t, "subscription:sub_1", topic("delivery.exhausted", "sub_1", `{"subscription":"sub_1","event":"evt_1"}`))
	require.Empty(t, topic("ping", "", `{}`))
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	example, ok := newCatalog(t).Type("package.added")
	require.True(t, ok)
	plain := write(t, example.Example)

	m, err := messages.Write(example.Example, messages.Overrides{Title: "${data.package}\n is there, ${actor}!", Text: "One ${data.version}\r\n\r\n\r\n two  \n"})
	require.NoError(t, err)
	requireReadable(t, m)
	require.Equal(t, "GoogleAnalyticsTracker.WP8 is there, maartenba!", m.Title)
	require.Equal(t, "One 1.0.0-CI00002\n\ntwo", m.Text)
	require.Equal(t, plain.Facts, m.Facts)
	require.Equal(t, plain.Topic, m.Topic)

	// What cannot be written for an event leaves the default, and is told.
	m, problems, err := messages.Try(example.Example, messages.Overrides{Title: "${int(data.package)}", Text: "${data.version}"})
	require.NoError(t, err)
	require.Equal(t, plain.Title, m.Title)
	require.Equal(t, "1.0.0-CI00002", m.Text)
	require.Len(t, problems, 1)
	require.Equal(t, carillon.Problem{Pointer: "/title", Detail: problems[0].Detail, Line: 1, Column: 6}, problems[0])
	require.NotEmpty(t, problems[0].Detail)
	m, problems, err = messages.Try(example.Example, messages.Overrides{Text: "${data.nothing"})
	require.NoError(t, err)
	require.Equal(t, plain.Text, m.Text)
	require.Equal(t, "/text", problems[0].Pointer)

	// A title that comes out empty is none; a text may be.
	m, err = messages.Write(example.Example, messages.Overrides{Title: "${data.hash}", Text: "${data.hash}"})
	require.NoError(t, err)
	require.Equal(t, plain.Title, m.Title)
	require.Empty(t, m.Text)
}

func TestOverridesAreCheckedAgainstTheSubscribedTypes(t *testing.T) {
	t.Parallel()
	require.NoError(t, messages.Overrides{}.Check([]string{"*"}))
	require.NoError(t, messages.Overrides{Title: "${data.package} ${data.version}", Text: "by ${actor}"}.Check([]string{"package.*"}))
	err := messages.Overrides{Title: "a\n${data.pakage}", Text: "${"}.Check([]string{"package.added"})
	var invalid *carillon.Error
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, carillon.CodeInvalid, invalid.Code)
	require.Equal(t, []carillon.Problem{
		{Pointer: "/title", Detail: "package.added has no field data.pakage; did you mean package?", Line: 2, Column: 7},
		{Pointer: "/text", Detail: invalid.Problems[1].Detail, Line: 1, Column: 1},
	}, invalid.Problems)
	require.Error(t, messages.Overrides{Title: "${data.package}"}.Check([]string{"package.*", "build.*"}))
}

func TestEveryTypeHasWordsOfItsOwn(t *testing.T) {
	t.Parallel()
	titles := map[string]string{}
	counts := map[string]bool{}
	for _, typ := range newCatalog(t).Types() {
		title := write(t, typ.Example).Title
		require.NotContains(t, titles, title, "%s and %s", typ.Name, titles[title])
		require.NotContains(t, title, "!")
		titles[title] = typ.Name
		counts[messages.Digest([]carillon.Event{typ.Example}).Title] = true
	}
	require.Greater(t, len(counts), len(titles)-8, "few types are counted in the same words")
	require.NotEmpty(t, slices.Sorted(maps.Keys(counts)))
}
