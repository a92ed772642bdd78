package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/matching"
)

// watcher is a subscription that gets the event of [published].
func watcher() carillon.Subscription {
	return carillon.Subscription{
		ID: "sub_1", Name: "CoolUtils watchers", EventTypes: []string{"build.*", "package.*"},
		Scope:     map[string][]string{"feed": {"internal-utils", "public"}},
		Condition: "pkg.name.startsWith('MyCorp.')",
		Channel:   "webhook", State: carillon.Enabled, CreatedVersion: 7,
		CreatedAt: now.Add(-time.Hour), UpdatedAt: now.Add(-time.Hour),
	}
}

// published is an event that was accepted under version 7.
func published() *carillon.Publication {
	return &carillon.Publication{
		Event: carillon.Event{
			ID: "evt_1", Type: "package.added", Source: "registry.example.com", Actor: "maartenba",
			Scope: map[string]string{"feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
			Time: now, Data: json.RawMessage(`{"package":"MyCorp.CoolUtils","version":"3.2.0"}`),
		},
		ConfigVersion: 7, ReceivedAt: now,
	}
}

// disabled is an event of Carillon's own about a subscription.
func disabled(subscription string) func(*carillon.Publication) {
	return func(p *carillon.Publication) {
		p.Event = carillon.Event{
			ID: "evt_1", Type: "subscription.disabled", Source: carillon.OwnSource, Subject: subscription, Time: now,
			Data: json.RawMessage(`{"subscription":"` + subscription + `"}`),
		}
	}
}

// keep makes the event one of the past, whose run keeps it.
func (b *bundle) keep(pub *carillon.Publication) {
	run := carillon.Run{WorkflowID: "event/" + pub.Event.ID, RunID: "run-1"}
	b.store.events[pub.Event.ID] = carillon.EventRow{Event: pub.Event, ReceivedAt: pub.ReceivedAt, Run: run}
	b.history.publications[run.WorkflowID] = pub
}

func evaluate(body string) call {
	return call{method: http.MethodPost, path: "/v1/conditions/evaluate", body: body}
}

func TestWhyAnEventDidOrDidNotMatch(t *testing.T) {
	t.Parallel()
	type sub = carillon.Subscription
	type pub = carillon.Publication
	data := func(text string) func(*pub) { return func(p *pub) { p.Event.Data = json.RawMessage(text) } }
	own := func(s *sub) { s.EventTypes, s.Scope, s.Condition = []string{"subscription.*"}, nil, "" }
	tests := []struct {
		name   string
		sub    func(*sub) // nil for none
		pub    func(*pub)
		rule   matching.Rule
		result matching.Result
		detail string
		state  carillon.DeliveryState // of the delivery, empty for none
	}{
		{"everything agrees", nil, nil, matching.State, matching.Passed, "the subscription is enabled and takes what matches", carillon.Pending},
		{"it is paused", func(s *sub) { s.State = carillon.Paused }, nil, matching.State, matching.Held, "the subscription is paused: what matches is held", carillon.Held},
		{"it is disabled", func(s *sub) { s.State = carillon.Disabled }, nil, matching.State, matching.Held, "the subscription is disabled: what matches is held", carillon.Held},
		{"it was made after the event", func(s *sub) { s.CreatedVersion = 8 }, nil, matching.Created, matching.Failed, "made after the event was accepted", ""},
		{"another type", func(s *sub) { s.EventTypes = []string{"build.*", "package.deleted"} }, nil, matching.Type, matching.Failed, "none of its event types names package.added: build.*, package.deleted", ""},
		{"half a word is no prefix", func(s *sub) { s.EventTypes = []string{"pack*"} }, nil, matching.Type, matching.Failed, "none of its event types names package.added: pack*", ""},
		{"Carillon's own event and *", func(s *sub) { own(s); s.EventTypes = []string{"*"} }, disabled("sub_2"), matching.Type, matching.Failed, "* leaves Carillon's own events out, and nothing else names subscription.disabled", ""},
		{"Carillon's own event, named", own, disabled("sub_2"), matching.State, matching.Passed, "enabled", carillon.Pending},
		{"Carillon's own event about itself", own, disabled("sub_1"), matching.Own, matching.Failed, "about this very subscription", ""},
		{"a type for its special case", func(s *sub) { s.EventTypes = []string{"package.status_changed"} }, func(p *pub) { p.Event.Type = "package.unlisted" }, matching.State, matching.Passed, "enabled", carillon.Pending},
		{"another feed", nil, func(p *pub) { p.Event.Scope["feed"] = "secret" }, matching.Scope, matching.Failed, "the event's feed is secret; the subscription asks for internal-utils or public", ""},
		{"no feed at all", nil, func(p *pub) { p.Event.Scope = nil }, matching.Scope, matching.Failed, "the event has no feed; the subscription asks for internal-utils or public", ""},
		{"one of two scope keys", func(s *sub) { s.Scope["project"] = []string{"x"} }, nil, matching.Scope, matching.Failed, "the event has no project; the subscription asks for x", ""},
		{"a cached package", nil, data(`{"package":"MyCorp.CoolUtils","cached":true}`), matching.Cached, matching.Failed, "include_cached is false", ""},
		{"a cached package that is wanted", func(s *sub) { s.IncludeCached = true }, data(`{"package":"p","cached":true}`), matching.State, matching.Passed, "enabled", carillon.Pending},
		{"a package that is not cached", nil, data(`{"package":"p","cached":false}`), matching.State, matching.Passed, "enabled", carillon.Pending},
		{"a condition that is false", func(s *sub) { s.Condition = "actor == 'ci'" }, nil, matching.Condition, matching.Failed, "the condition is false", ""},
		{"a condition without an answer", func(s *sub) { s.Condition = "data.score >= 7.5" }, nil, matching.Condition, matching.Failed, "no answer, which is no match: data.score: no such key: score", ""},
		{"a condition that no longer compiles", func(s *sub) { s.Condition = "packag.name == ''" }, nil, matching.Condition, matching.Failed, `no match: the condition does not compile: there is no variable "packag"`, ""},
		{"no condition", func(s *sub) { s.Condition = "" }, nil, matching.State, matching.Passed, "enabled", carillon.Pending},
		{"paused, and the condition is false", func(s *sub) { s.State, s.Condition = carillon.Paused, "false" }, nil, matching.Condition, matching.Failed, "the condition is false", ""},
		{"the first of several that fail decides", func(s *sub) { s.EventTypes, s.Condition = []string{"ping"}, "false" }, func(p *pub) { p.Event.Scope = nil }, matching.Type, matching.Failed, "none of its event types", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			s, p := watcher(), published()
			if test.sub != nil {
				test.sub(&s)
			}
			if test.pub != nil {
				test.pub(p)
			}
			b.store.subscriptions[s.ID] = s
			b.keep(p)
			v := decode[evaluationView](t, b.ok(t, http.StatusOK, evaluate(`{"event_id":"evt_1","subscription":"sub_1"}`)))
			require.Equal(t, test.state != "", v.Matched)
			require.Equal(t, test.state, v.Delivery)
			require.Equal(t, test.rule, v.Reason.Rule, "%+v", v.Rules)
			require.Equal(t, test.result, v.Reason.Result)
			require.Contains(t, v.Reason.Detail, test.detail)
			require.Len(t, v.Rules, 8, "every rule has its result")
			require.Contains(t, v.Rules, v.Reason)
			require.Empty(t, v.Note)
		})
	}
}

func TestEvaluateSaysWhereAConditionHasNoAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.subscriptions["sub_1"] = watcher()
	body := b.ok(t, http.StatusOK, evaluate(`{"subscription":"sub_1","expression":"actor == '' ||\n data.score >= 7.5","event":`+added()+`}`))
	golden(t, "evaluate_no_answer", body)
	v := decode[evaluationView](t, body)
	require.Equal(t, &noAnswerView{Detail: "data.score: no such key: score", Line: 2, Column: 6}, v.Error)
}

func TestEvaluateSaysWhereAStoredConditionDoesNotCompile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := watcher()
	s.Condition = "1 == 1 && packag.name == ''"
	b.store.subscriptions["sub_1"] = s
	v := decode[evaluationView](t, b.ok(t, http.StatusOK, evaluate(`{"subscription":"sub_1","event":`+added()+`}`)))
	require.NotNil(t, v.Error)
	require.Contains(t, v.Error.Detail, `there is no variable "packag"`)
	require.Equal(t, []int{1, 11}, []int{v.Error.Line, v.Error.Column})
}

func TestEvaluateAnExpressionAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := []struct {
		expression string
		matched    bool
		detail     string
	}{
		{"pkg.name.startsWith('MyCorp.')", true, "the condition is true"},
		{"data.version == '1'", false, "the condition is false"},
		{"", true, "there is no condition"},
		{"  ", true, "there is no condition"},
	}
	for _, test := range tests {
		v := decode[evaluationView](t, b.ok(t, http.StatusOK, evaluate(`{"expression":"`+test.expression+`","event":`+added()+`}`)))
		require.Equal(t, test.matched, v.Matched)
		require.Equal(t, test.detail, v.Reason.Detail)
		require.Equal(t, []matching.Finding{v.Reason}, v.Rules, "nothing is said of what was not asked about")
		require.Empty(t, v.Delivery)
	}
	require.Empty(t, b.publisher.published, "nothing is published")
}

func TestAnExpressionIsTriedInPlaceOfASubscriptionsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.subscriptions["sub_1"] = watcher()
	for expression, matched := range map[string]bool{`false`: false, `pkg.version.semver_in('>=3')`: true, ``: true} {
		v := decode[evaluationView](t, b.ok(t, http.StatusOK, evaluate(`{"subscription":"sub_1","expression":"`+expression+`","event":`+added()+`}`)))
		require.Equal(t, matched, v.Matched, expression)
	}
	require.Equal(t, watcher(), b.store.subscriptions["sub_1"], "it is not changed")
}

func TestAnEventThatIsPostedToBeEvaluatedIsOneOfNow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := watcher()
	s.CreatedVersion, s.Condition = 1_000_000, "time == timestamp('2026-11-21T20:00:00Z')"
	s.UpdatedAt = now
	b.store.subscriptions["sub_1"] = s
	v := decode[evaluationView](t, b.ok(t, http.StatusOK, evaluate(`{"subscription":"sub_1","event":`+
		`{"type":"package.added","source":"me","scope":{"feed":"public"},"data":{"package":"p"}}}`)))
	require.True(t, v.Matched, "%+v", v)
	require.Empty(t, v.Note)
}

func TestEvaluateSaysThatTheSubscriptionWasChangedSinceAPastEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := watcher()
	s.UpdatedAt = now.Add(time.Second)
	b.store.subscriptions["sub_1"] = s
	b.keep(published())
	golden(t, "evaluate_changed", b.ok(t, http.StatusOK, evaluate(`{"subscription":"sub_1","event_id":"evt_1"}`)))

	s.CreatedVersion = 8
	b.store.subscriptions["sub_1"] = s
	v := decode[evaluationView](t, b.ok(t, http.StatusOK, evaluate(`{"subscription":"sub_1","event_id":"evt_1"}`)))
	require.Equal(t, matching.Created, v.Reason.Rule)
	require.Empty(t, v.Note, "the reason says it")
}

func TestAPastEventThatNoWorkerHasTakenUpIsReadFromItsRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.keep(published())
	delete(b.store.events, "evt_1")
	v := decode[evaluationView](t, b.ok(t, http.StatusOK, evaluate(`{"expression":"pkg.name == 'MyCorp.CoolUtils'","event_id":"evt_1"}`)))
	require.True(t, v.Matched)
}

func TestEvaluateRefuses(t *testing.T) {
	t.Parallel()
	with := func(event string) string { return `{"expression":"true","event":` + event + `}` }
	tests := []struct {
		name   string
		body   string
		status int
		code   carillon.Code
		at     []string // pointers
		detail string
	}{
		{"nothing", `{}`, 422, carillon.CodeInvalid, []string{"/event", "/expression"}, "is required, or else"},
		{"no object", `[]`, 422, carillon.CodeInvalid, []string{""}, "object"},
		{"two events", `{"expression":"true","event_id":"evt_1","event":` + added() + `}`, 422, carillon.CodeInvalid, []string{"/event_id"}, "exclude"},
		{"nulls are nothing", `{"expression":null,"subscription":null,"event":null,"event_id":null}`, 422, carillon.CodeInvalid, []string{"/event", "/expression"}, "is required"},
		{"empty ids", `{"subscription":"","event_id":""}`, 422, carillon.CodeInvalid, []string{"/subscription", "/event_id"}, "must not be empty"},
		{"an unsaved subscription", `{"subscription":{"name":"x"},"event_id":"evt_1"}`, 422, carillon.CodeInvalid, []string{"/subscription"}, "must be a string"},
		{"an unknown field", `{"expression":"true","condition":"true","event":` + added() + `}`, 422, carillon.CodeInvalid, []string{"/condition"}, "not known"},
		{"an expression that is no text", `{"expression":true,"event":` + added() + `}`, 422, carillon.CodeInvalid, []string{"/expression"}, "string"},
		{"an expression of the wrong type", `{"expression":"pkg.name","event":` + added() + `}`, 422, carillon.CodeInvalid, []string{"/expression"}, "true or false"},
		{"no event at all", with(`[]`), 422, carillon.CodeInvalid, []string{"/event"}, "object"},
		{"an event without what it needs", with(`{}`), 422, carillon.CodeInvalid, []string{"/event/type", "/event/source", "/event/data"}, "required"},
		{"an event with fields that begin like its own name", with(`{"event_x":1,"type":"ping","source":"me","data":{}}`), 422, carillon.CodeInvalid, []string{"/event/event_x"}, "not known"},
		{"data against its schema", with(added(`"version":"3.2.0"`, `"version":3`, `"package":"MyCorp.CoolUtils",`, ``)), 422, carillon.CodeInvalid, []string{"/event/data/package", "/event/data/version"}, ""},
		{"an unknown type", with(added("package.added", "package.aded")), 422, carillon.CodeInvalid, []string{"/event/type"}, "package.added"},
		{"mistakes in both", `{"expression":"1","event":{"type":"ping","source":"me"}}`, 422, carillon.CodeInvalid, []string{"/expression", "/event/data"}, ""},
		{"an event over its limit", with(added("CoolUtils\",", strings.Repeat("x", carillon.MaxEventBytes)+"\",")), 413, carillon.CodeTooLarge, nil, "the event is larger than 256 KiB"},
		{"a body over its limit", with(added("CoolUtils\",", strings.Repeat("x", maxEvaluateBytes)+"\",")), 413, carillon.CodeTooLarge, nil, "320 KiB"},
		{"an event that nobody knows", `{"expression":"true","event_id":"evt_x"}`, 404, carillon.CodeNotFound, nil, "evt_x"},
		{"the id of a page's run", `{"expression":"true","event_id":"evt_1/page/2"}`, 404, carillon.CodeNotFound, nil, "page"},
		{"a subscription that nobody knows", `{"subscription":"sub_x","event":` + added() + `}`, 404, carillon.CodeNotFound, nil, "sub_x"},
		{"no content type of JSON", ``, 415, codeMediaType, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := b.problem(t, test.status, evaluate(test.body))
			require.Equal(t, test.code, p.Code)
			var at []string
			details := p.Detail
			for _, e := range p.Errors {
				at = append(at, e.Pointer)
				details += "; " + e.Detail
			}
			require.ElementsMatch(t, test.at, at, "%+v", p)
			require.Contains(t, details, test.detail)
		})
	}
}

func TestEvaluateSaysWhereAnExpressionDoesNotCompile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.problem(t, http.StatusUnprocessableEntity, evaluate(`{"expression":"type == 'ping' &&\n  pkg.vers == 'x'","event":`+added()+`}`))
	require.Len(t, p.Errors, 1)
	require.Equal(t, carillon.Problem{
		Pointer: "/expression", Line: 2, Column: 6,
		Detail: `pkg has no field "vers"; its fields are type, namespace, name, full_name, version, qualifiers, subpath, ` +
			"published_name, published_version",
	}, p.Errors[0])
}

func TestEvaluateOfAnEventWhoseHistoryIsGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.keep(published())
	delete(b.history.publications, "event/evt_1")
	p := b.problem(t, http.StatusGone, evaluate(`{"expression":"true","event_id":"evt_1"}`))
	require.Equal(t, carillon.CodeExpired, p.Code)
}

func TestEvaluateWhileTemporalIsAway(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		b := setup(t)
		b.keep(published())
		if !known {
			delete(b.store.events, "evt_1")
		}
		b.history.fail = carillon.Errorf(carillon.CodeUnavailable, "Temporal does not answer")
		resp := b.do(t, evaluate(`{"expression":"true","event_id":"evt_1"}`))
		require.Equal(t, http.StatusServiceUnavailable, resp.status)
		require.NotEmpty(t, resp.header.Get("Retry-After"))
	}
}
