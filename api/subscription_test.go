package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/signature"
)

// watchers is a subscription as it is posted; change replaces parts of it.
func watchers(change ...string) string {
	return strings.NewReplacer(change...).Replace(`{"name":"CoolUtils watchers","event_types":["package.*","sca.vulnerability_detected"],` +
		`"scope":{"feed":["internal-utils"]},"condition":"pkg.name.startsWith('MyCorp.')","channel":"webhook",` +
		`"endpoint":{"url":"https://hooks.example.com/carillon"}}`)
}

// created makes the subscription and returns it as it is answered.
func created(t testing.TB, b *bundle, body string) savedView {
	t.Helper()
	return decode[savedView](t, b.ok(t, http.StatusCreated, call{method: http.MethodPost, path: "/v1/subscriptions", body: body}))
}

func endpointOf(t testing.TB, v subscriptionView) map[string]any {
	t.Helper()
	return decode[map[string]any](t, v.Endpoint)
}

func TestASubscriptionsLife(t *testing.T) {
	t.Parallel()
	b := setup(t)
	resp := b.do(t, call{method: http.MethodPost, path: "/v1/subscriptions", body: watchers()})
	require.Equal(t, http.StatusCreated, resp.status)
	require.Equal(t, `"1"`, resp.header.Get("ETag"))
	path := resp.header.Get("Location")
	var made savedView
	require.NoError(t, json.Unmarshal(resp.body, &made))
	require.Equal(t, "/v1/subscriptions/"+made.ID, path)
	whole, _ := endpointOf(t, made.subscriptionView)["secret"].(string)
	_, err := signature.ParseKey(whole)
	require.NoError(t, err, "the secret that was made is shown in the answer to the creation")

	body := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path})
	golden(t, "subscription", body)
	require.NotContains(t, string(body), whole, "and never again")
	golden(t, "subscriptions", b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/subscriptions"}))

	// What was answered can be put back: nothing changes, the secret included.
	before := b.store.subscriptions[made.ID].Endpoint
	resp = b.do(t, call{method: http.MethodPut, path: path, body: string(body), header: map[string]string{"If-Match": `"1"`}})
	require.Equal(t, http.StatusOK, resp.status)
	require.Equal(t, `"2"`, resp.header.Get("ETag"))
	require.JSONEq(t, string(before), string(b.store.subscriptions[made.ID].Endpoint))

	p := b.problem(t, http.StatusPreconditionFailed, call{method: http.MethodPut, path: path, body: string(body), header: map[string]string{"If-Match": `"1"`}})
	require.Equal(t, carillon.CodeStale, p.Code)

	patched := decode[savedView](t, b.ok(t, http.StatusOK, call{
		method: http.MethodPatch, path: path, header: map[string]string{"Content-Type": mergePatch, "If-Match": `"7", "2"`},
		body: `{"name":"Others","scope":null,"retry":{"schedule":["1s","90m"]},"endpoint":{"url":"https://hooks.example.com/other"}}`,
	}))
	require.Equal(t, "Others", patched.Name)
	require.Empty(t, patched.Scope)
	require.Equal(t, []carillon.Duration{carillon.Duration(time.Second), carillon.Duration(90 * time.Minute)}, patched.Retry.Schedule)
	require.Equal(t, carillon.DisableExhausted, patched.Retry.Disable)
	require.Equal(t, "https://hooks.example.com/other", decode[map[string]any](t, json.RawMessage(b.store.subscriptions[made.ID].Endpoint))["url"])
	require.Contains(t, string(b.store.subscriptions[made.ID].Endpoint), whole)
	require.Equal(t, int64(1), b.store.subscriptions[made.ID].Generation)

	b.ok(t, http.StatusPreconditionFailed, call{method: http.MethodDelete, path: path, header: map[string]string{"If-Match": `"2"`}})
	b.ok(t, http.StatusNoContent, call{method: http.MethodDelete, path: path, header: map[string]string{"If-Match": `*`}})
	b.ok(t, http.StatusNotFound, call{method: http.MethodGet, path: path})
}

func TestASubscriptionCanBeMadePaused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Equal(t, carillon.Paused, created(t, b, watchers(`"name"`, `"state":"paused","name"`)).State)
	require.Equal(t, carillon.Enabled, created(t, b, watchers()).State)
}

func TestASubscriptionIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		body   string
		at     []string
		detail string
	}{
		{"nothing of what is required", `{}`, []string{"/name", "/event_types", "/channel"}, "required"},
		{"unknown fields", watchers(`"name"`, `"colour":"red","id":"sub_x","name"`), []string{"/colour", "/id"}, "known are"},
		{"an unknown event type", watchers("sca.vulnerability_detected", "sca.vulnerability"), []string{"/event_types/1"}, "sca.vulnerability_detected"},
		{"a pattern that covers nothing", watchers("package.*", "packages.*"), []string{"/event_types/0"}, "package.*"},
		{"an event type twice", watchers("sca.vulnerability_detected", "package.*"), []string{"/event_types/1"}, "twice"},
		{"no event types", watchers(`["package.*","sca.vulnerability_detected"]`, `[]`), []string{"/event_types"}, "at least one"},
		{"event types that are no list", watchers(`["package.*","sca.vulnerability_detected"]`, `"*"`), []string{"/event_types"}, "array"},
		{"a scope of single values", watchers(`["internal-utils"]`, `"internal-utils"`), []string{"/scope/feed"}, "array"},
		{"a scope key without values", watchers(`["internal-utils"]`, `[]`), []string{"/scope/feed"}, "at least one"},
		{"a condition that does not compile", watchers("pkg.name.startsWith", "pkg.name.beginsWith"), []string{"/condition"}, ""},
		{"a condition that is no boolean", watchers("pkg.name.startsWith('MyCorp.')", "1 + 1"), []string{"/condition"}, ""},
		{"an unknown channel", watchers(`"webhook"`, `"pigeon"`), []string{"/channel"}, "webhook"},
		{"no endpoint", watchers(`"endpoint":{"url":"https://hooks.example.com/carillon"}`, `"endpoint":null`), []string{"/endpoint"}, "required"},
		{"an endpoint without its address", watchers(`{"url":"https://hooks.example.com/carillon"}`, `{}`), []string{"/endpoint/url"}, "required"},
		{"an unknown format", watchers(`"name"`, `"format":"fax","name"`), []string{"/format"}, "standard"},
		{"a state that is not to be given", watchers(`"name"`, `"state":"disabled","name"`), []string{"/state"}, "enabled or paused"},
		{"an unknown policy", watchers(`"name"`, `"retry":{"disable":"always"},"name"`), []string{"/retry/disable"}, "exhausted"},
		{"delays that are none", watchers(`"name"`, `"retry":{"schedule":["soon","10ms","200h"]},"name"`), []string{"/retry/schedule/0", "/retry/schedule/1", "/retry/schedule/2"}, "1s to 168h"},
		{"a schedule of numbers", watchers(`"name"`, `"retry":{"schedule":[60]},"name"`), []string{"/retry/schedule"}, "durations"},
		{"a schedule without end", watchers(`"name"`, `"retry":{"schedule":["1m"`+strings.Repeat(`,"1m"`, 20)+`]},"name"`), []string{"/retry/schedule"}, "at most 20"},
		{"an unknown field of the schedule", watchers(`"name"`, `"retry":{"times":3},"name"`), []string{"/retry/times"}, "known are"},
		{"a long name", watchers("CoolUtils watchers", strings.Repeat("x", 201)), []string{"/name"}, "at most 200"},
	}
	for _, test := range tests {
		for _, path := range []string{"/v1/subscriptions", "/v1/subscriptions/test"} {
			t.Run(test.name+" at "+path, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				p := b.problem(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: path, body: test.body})
				var at []string
				said := ""
				for _, e := range p.Errors {
					at = append(at, e.Pointer)
					said += e.Detail + "; "
				}
				require.Equal(t, test.at, at, said)
				require.Contains(t, said, test.detail)
				require.Empty(t, b.store.subscriptions)
			})
		}
	}
}

func TestAConditionThatDoesNotCompileIsShownWhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := b.problem(t, http.StatusUnprocessableEntity, call{
		method: http.MethodPost, path: "/v1/subscriptions", body: watchers("pkg.name.startsWith('MyCorp.')", `data.score >\n  = 7`),
	})
	require.Equal(t, "/condition", p.Errors[0].Pointer)
	require.Equal(t, 2, p.Errors[0].Line)
	require.Positive(t, p.Errors[0].Column)
}

func TestWhatIsReadOnlyCannotBeChanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/v1/subscriptions/" + created(t, b, watchers()).ID
	for _, test := range []struct{ method, body, at string }{
		{http.MethodPut, watchers(`"name"`, `"state":"paused","name"`), "/state"},
		{http.MethodPatch, `{"state":"disabled"}`, "/state"},
		{http.MethodPatch, `{"id":"sub_other"}`, "/id"},
		{http.MethodPatch, `{"version":7}`, "/version"},
	} {
		p := b.problem(t, http.StatusUnprocessableEntity, call{method: test.method, path: path, body: test.body})
		require.Len(t, p.Errors, 1)
		require.Equal(t, test.at, p.Errors[0].Pointer)
	}
	b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: path, body: `{"state":"enabled"}`})
	b.ok(t, http.StatusUnprocessableEntity, call{method: http.MethodPatch, path: path, body: `["name"]`})
}

func TestAScopeThatNoEventCarriesWarns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, watchers("package.*", "subscription.disabled"))
	require.Len(t, made.Warnings, 1)
	require.Equal(t, "/event_types/0", made.Warnings[0].Pointer)
	require.Contains(t, made.Warnings[0].Detail, "feed")
	require.Empty(t, created(t, b, watchers(`"feed"`, `"team"`)).Warnings, "of other keys the catalog knows nothing")
}

func TestAnUnconditionalChangeThatIsOvertakenIsMadeAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := created(t, b, watchers()).ID
	overtaken := false
	b.store.beforeUpdate = func() {
		if !overtaken {
			overtaken = true
			sub := b.store.subscriptions[id]
			sub.State, sub.Version = carillon.Disabled, sub.Version+1
			b.store.subscriptions[id] = sub
		}
	}
	view := decode[savedView](t, b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: "/v1/subscriptions/" + id, body: `{"name":"Others"}`}))
	require.Equal(t, "Others", view.Name)
	require.Equal(t, carillon.Disabled, view.State, "what a run did in between stays")

	b.store.beforeUpdate = func() {
		sub := b.store.subscriptions[id]
		sub.Version++
		b.store.subscriptions[id] = sub
	}
	b.ok(t, http.StatusPreconditionFailed, call{method: http.MethodPatch, path: "/v1/subscriptions/" + id, body: `{"name":"x"}`})
}

func TestMergePatch(t *testing.T) {
	t.Parallel()
	// The examples of RFC 7396, appendix A, whose target and patch are objects.
	for _, test := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		got, err := applyPatch(json.RawMessage(test.target), json.RawMessage(test.patch))
		require.NoError(t, err)
		require.JSONEq(t, test.want, string(got), "%s with %s", test.target, test.patch)
	}
}

func TestTestingASubscription(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hooks := receiver.New()
	server := startReceiver(t, hooks)
	hooks.Script("/fine", receiver.Reply{Status: http.StatusNoContent})
	hooks.Script("/broken", receiver.Reply{Status: http.StatusInternalServerError, Body: "out of order"})
	body := watchers("https://hooks.example.com/carillon", server+"/fine")

	unsaved := b.ok(t, http.StatusOK, call{method: http.MethodPost, path: "/v1/subscriptions/test", body: body})
	require.Equal(t, carillon.OutcomeDelivered, decode[testView](t, unsaved).Attempt.Outcome)
	require.Empty(t, b.store.subscriptions)

	made := created(t, b, watchers("https://hooks.example.com/carillon", server+"/broken", `"name"`, `"state":"paused","name"`))
	before := b.store.subscriptions[made.ID]
	answer := b.ok(t, http.StatusOK, call{method: http.MethodPost, path: "/v1/subscriptions/" + made.ID + "/test"})
	golden(t, "test", answer)
	saved := decode[testView](t, answer)
	require.Equal(t, carillon.OutcomeRetry, saved.Attempt.Outcome)
	require.Equal(t, "out of order", saved.Attempt.Response.Body)
	require.Equal(t, made.ID, saved.Attempt.SubscriptionID)
	require.Equal(t, saved.Event.ID, saved.Attempt.EventID)
	require.Equal(t, before, b.store.subscriptions[made.ID], "a test changes nothing")
	require.Empty(t, b.publisher.published)

	requests := hooks.Requests("/broken")
	require.Len(t, requests, 1, "one attempt only")
	whole, _ := endpointOf(t, made.subscriptionView)["secret"].(string)
	signing, err := signature.ParseKey(whole)
	require.NoError(t, err)
	require.NoError(t, signature.Verify([]signature.Key{signing}, requests[0].Header, requests[0].Body, now, time.Minute))
	require.NoError(t, b.deps.Catalog.CheckData(saved.Event), "a ping is as the catalog has it")
}

func TestSecretsAreInNoAnswerAndNoLog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hooks := receiver.New()
	server := startReceiver(t, hooks)
	hooks.Script("/", receiver.Reply{Status: http.StatusInternalServerError})
	const marker = "MARKER-7f3a-SECRET"
	body := watchers(`{"url":"https://hooks.example.com/carillon"}`, `{"url":"`+server+`/?token=ok","headers":{"X-Token":"`+marker+`"},`+
		`"secret":"whsec_TUFSS0VSLVNFQ1JFVC1BTkQtTU9SRS1NT1JFLU1PUkU=","basic_auth":{"username":"u","password":"`+marker+`"}}`)
	id := created(t, b, body).ID
	path := "/v1/subscriptions/" + id
	var said strings.Builder
	for _, c := range []call{
		{method: http.MethodGet, path: path},
		{method: http.MethodGet, path: "/v1/subscriptions"},
		{method: http.MethodPatch, path: path, body: `{"name":"Others"}`},
		{method: http.MethodPatch, path: path, body: `{"endpoint":{"headers":{"Host":"` + marker + `"}}}`},
		{method: http.MethodPost, path: path + "/test"},
		{method: http.MethodPost, path: "/v1/subscriptions/test", body: body},
	} {
		resp := b.do(t, c)
		require.Less(t, resp.status, 500)
		said.Write(resp.body)
	}
	b.store.fail = errors.New("database")
	b.ok(t, http.StatusInternalServerError, call{method: http.MethodPatch, path: path, body: `{"endpoint":{"bearer_token":"` + marker + `"}}`})
	said.WriteString(b.log.String())
	require.NotContains(t, said.String(), marker)
	require.NotContains(t, said.String(), "TUFSS0VS")
	require.NotContains(t, said.String(), key)
}
