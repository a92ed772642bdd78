package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// codeScoring is a client that knows CodeScoring's page and nothing else.
type codeScoring struct {
	t     *testing.T
	b     *bundle
	token string
}

func (c codeScoring) send(method, path, body string) (int, string) {
	c.t.Helper()
	header := map[string]string{"Authorization": ""}
	if c.token != "" {
		header["Authorization"] = "Token " + c.token
	}
	r := c.b.do(c.t, call{method: method, path: "/api/settings/webhooks" + path, body: body, header: header})
	return r.status, strings.TrimSpace(string(r.body))
}

// webhook sends a request that is answered with an object.
func (c codeScoring) webhook(status int, method, path, body string) codeScoringWebhook {
	c.t.Helper()
	got, text := c.send(method, path, body)
	require.Equal(c.t, status, got, text)
	return decode[codeScoringWebhook](c.t, []byte(text))
}

const codeScoringBody = `{"name":"hooks","url":"https://hooks.example.com/cs","projects":[7,9],` +
	`"events":["sca_policy_has_been_triggered","clones_analysis_failed"],"token":"s3cret-token-1234"}`

func TestAClientOfCodeScoringsPageFindsWhatItExpects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := codeScoring{t, b, key}

	status, body := c.send(http.MethodGet, "/", "")
	require.Equal(t, 200, status)
	require.Equal(t, "[]", body)

	made := c.webhook(201, http.MethodPost, "/", codeScoringBody)
	require.Equal(t, codeScoringWebhook{
		ID: 1, Name: "hooks", URL: "https://hooks.example.com/cs", Projects: []int64{7, 9},
		Events: []string{"sca_policy_has_been_triggered", "clones_analysis_failed"}, Token: "•••• 1234", IsAvailable: true,
	}, made)
	require.Equal(t, made, c.webhook(200, http.MethodGet, "/1/", ""))
	status, body = c.send(http.MethodGet, "/", "")
	require.Equal(t, 200, status)
	require.Equal(t, []codeScoringWebhook{made}, decode[[]codeScoringWebhook](t, []byte(body)))

	// It is a subscription like any other.
	require.Len(t, b.store.subscriptions, 1)
	sub := slices.Collect(maps.Values(b.store.subscriptions))[0]
	require.Equal(t, []string{"sca.policy_triggered", "analysis.clones_failed"}, sub.EventTypes)
	require.Equal(t, "codescoring", sub.Format)
	require.Equal(t, "codescoring", sub.Profile)
	view := decode[subscriptionView](t, b.ok(t, 200, call{method: http.MethodGet, path: "/v1/subscriptions/" + sub.ID}))
	require.Equal(t, "has(data.project_id) && data.project_id != null && string(data.project_id) in ['7', '9']", view.EffectiveCondition)

	// What was answered can be put back, the masked token with it.
	put, err := json.Marshal(made)
	require.NoError(t, err)
	require.Equal(t, made, c.webhook(200, http.MethodPut, "/1/", string(put)))
	require.Contains(t, string(b.store.subscriptions[sub.ID].Endpoint), "s3cret-token-1234")

	patched := c.webhook(200, http.MethodPatch, "/1/", `{"projects":[],"name":"others"}`)
	require.Equal(t, "others", patched.Name)
	require.Empty(t, patched.Projects)
	require.Equal(t, made.Events, patched.Events)
	require.Equal(t, made.Token, patched.Token)

	replaced := c.webhook(200, http.MethodPut, "/1/", `{"name":"x","url":"https://hooks.example.com/other","events":["osa_policy_has_been_triggered"]}`)
	require.Equal(t, codeScoringWebhook{
		ID: 1, Name: "x", URL: "https://hooks.example.com/other", Projects: []int64{},
		Events: []string{"osa_policy_has_been_triggered"}, IsAvailable: true,
	}, replaced)

	status, _ = c.send(http.MethodDelete, "/1/", "")
	require.Equal(t, 204, status)
	status, body = c.send(http.MethodGet, "/1/", "")
	require.Equal(t, 404, status)
	require.JSONEq(t, `{"detail":"Not found."}`, body)
}

func TestCodeScoringsTriggersAreThoseOfItsPage(t *testing.T) {
	t.Parallel()
	status, body := codeScoring{t, setup(t), key}.send(http.MethodGet, "/triggers/", "")
	require.Equal(t, 200, status)
	triggers := decode[[]string](t, []byte(body))
	require.Subset(t, triggers, []string{
		"sca_policy_has_been_triggered", "osa_policy_has_been_triggered", "project_sca_analysis_started",
		"project_sca_analysis_finished", "project_sca_analysis_cancelled", "project_sca_analysis_failed",
		"container_image_sca_analysis_started", "container_image_sca_analysis_finished",
		"container_image_sca_analysis_cancelled", "container_image_sca_analysis_failed", "clones_analysis_started",
		"clones_analysis_finished", "clones_analysis_cancelled", "clones_analysis_failed", "authors_analysis_started",
		"authors_analysis_finished", "authors_analysis_failed", "authors_analysis_cancelled",
		"cloning_of_repository_started", "cloning_of_repository_finished", "cloning_of_repository_failed",
	})
	require.NotContains(t, triggers, "test")
}

func TestCodeScoringsErrorsAreThoseOfItsFramework(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reader, _ := b.store.newKey(t, carillon.RoleReader)
	codeScoring{t, b, key}.webhook(201, http.MethodPost, "/", codeScoringBody)
	tests := []struct {
		name, token, method, path, body string
		status                          int
		want                            string
	}{
		{"no key", "", "GET", "/", "", 401, `{"detail":"Authentication credentials were not provided."}`},
		{"a wrong key", "nope", "GET", "/", "", 401, `{"detail":"Invalid token."}`},
		{"a key that may not", reader, "POST", "/", codeScoringBody, 403, `{"detail":"You do not have permission to perform this action."}`},
		{"an id that there is not", key, "GET", "/99/", "", 404, `{"detail":"Not found."}`},
		{"an id that is none", key, "GET", "/x/", "", 404, `{"detail":"Not found."}`},
		{"a change of what there is not", key, "PATCH", "/99/", `{}`, 404, `{"detail":"Not found."}`},
		{"a deletion of what there is not", key, "DELETE", "/99/", "", 404, `{"detail":"Not found."}`},
		{"a refresh of what there is not", key, "POST", "/99/refresh_availability_status/", "", 404, `{"detail":"Not found."}`},
		{"a path that there is not", key, "GET", "/1/more/", "", 404, `{"detail":"Not found."}`},
		{"a method that there is not", key, "DELETE", "/", "", 405, `{"detail":"Method \"DELETE\" not allowed."}`},
		{"nothing of what is required", key, "POST", "/", `{}`, 400,
			`{"name":["This field is required."],"url":["This field is required."],"events":["This field is required."]}`},
		{"values of wrong types", key, "POST", "/", `{"name":1,"url":null,"events":"x","projects":["7"],"token":{}}`, 400,
			`{"name":["Not a valid string."],"url":["This field may not be null."],"events":["Expected a list of items but got type \"str\"."],` +
				`"projects":["A valid integer is required."],"token":["Not a valid string."]}`},
		{"an empty name", key, "PATCH", "/1/", `{"name":" "}`, 400, `{"name":["This field may not be blank."]}`},
		{"no events", key, "PATCH", "/1/", `{"events":[]}`, 400, `{"events":["This list may not be empty."]}`},
		{"an unknown trigger", key, "PATCH", "/1/", `{"events":["nope","test"]}`, 400,
			`{"events":["\"nope\" is not a valid choice.","\"test\" is not a valid choice."]}`},
		{"an address without its scheme", key, "PATCH", "/1/", `{"url":"hooks.example.com"}`, 400,
			`{"url":["must be an http:// or https:// URL with a host"]}`},
		{"a mask of another token", key, "PATCH", "/1/", `{"token":"•••• 9999"}`, 400,
			`{"token":["is not the mask of the stored value; give the value itself"]}`},
		{"no object", key, "POST", "/", `[]`, 400, `{"non_field_errors":["Invalid data. Expected a dictionary."]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, body := codeScoring{t, b, test.token}.send(test.method, test.path, test.body)
			require.Equal(t, test.status, status, body)
			require.JSONEq(t, test.want, body)
		})
	}
	t.Run("no JSON", func(t *testing.T) {
		t.Parallel()
		status, body := codeScoring{t, b, key}.send("POST", "/", `{"name"`)
		require.Equal(t, 400, status)
		require.Contains(t, body, `{"detail":"JSON parse error - `)
	})
	t.Run("no announced JSON", func(t *testing.T) {
		t.Parallel()
		r := b.do(t, call{method: "POST", path: "/api/settings/webhooks/", body: "x", header: map[string]string{"Content-Type": "text/plain"}})
		require.Equal(t, 415, r.status)
		require.JSONEq(t, `{"detail":"Unsupported media type \"text/plain\" in request."}`, string(r.body))
	})
}

func TestCodeScoringTestsWhatIsNotSaved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := codeScoring{t, b, key}
	hooks := receiver.New()
	server := httptest.NewServer(hooks)
	defer server.Close()

	status, body := c.send("POST", "/test/", `{"url":"`+server.URL+`/cs","token":"s3cret-token-1234"}`)
	require.Equal(t, 200, status, body)
	require.JSONEq(t, `{"is_available":true,"status_code":200}`, body)
	sent := hooks.Requests("/cs")
	require.Len(t, sent, 1)
	require.Equal(t, "s3cret-token-1234", sent[0].Header.Get("X-CodeScoring-Authentication"))
	var payload struct {
		Events []struct {
			Trigger string
			Payload json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal(sent[0].Body, &payload))
	require.Len(t, payload.Events, 1)
	require.Equal(t, "test", payload.Events[0].Trigger)
	require.JSONEq(t, `{}`, string(payload.Events[0].Payload))
	require.Empty(t, b.store.subscriptions)

	hooks.Script("/cs", receiver.Reply{Status: 503})
	status, body = c.send("POST", "/test/", `{"url":"`+server.URL+`/cs"}`)
	require.Equal(t, 400, status)
	require.JSONEq(t, `{"is_available":false,"status_code":503,"detail":"HTTP 503 Service Unavailable"}`, body)

	// A form that shows a saved one has its token masked.
	c.webhook(201, "POST", "/", `{"name":"n","url":"`+server.URL+`/saved","token":"s3cret-token-1234","events":["osa_policy_has_been_triggered"]}`)
	status, body = c.send("POST", "/test/", `{"id":1,"url":"`+server.URL+`/saved","token":"•••• 1234"}`)
	require.Equal(t, 200, status, body)
	require.Equal(t, "s3cret-token-1234", hooks.Requests("/saved")[0].Header.Get("X-CodeScoring-Authentication"))
}

func TestARefreshProbesAndEnables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := codeScoring{t, b, key}
	hooks := receiver.New()
	server := httptest.NewServer(hooks)
	defer server.Close()
	made := c.webhook(201, "POST", "/", strings.Replace(codeScoringBody, "https://hooks.example.com", server.URL, 1))
	require.True(t, made.IsAvailable)
	for id, sub := range b.store.subscriptions {
		sub.State = carillon.Disabled
		b.store.subscriptions[id] = sub
		b.store.deliveries = append(b.store.deliveries, carillon.Delivery{EventID: "evt_1", SubscriptionID: id, State: carillon.Held})
	}
	require.False(t, c.webhook(200, "GET", "/1/", "").IsAvailable)

	hooks.Script("/cs", receiver.Reply{Status: 500}, receiver.Reply{Status: 200})
	status, body := c.send("POST", "/1/refresh_availability_status/", "")
	require.Equal(t, 200, status)
	require.Contains(t, body, `"is_available":false`)
	require.Contains(t, body, `The webhook did not take the probe: HTTP 500`)
	require.Empty(t, b.publisher.asked)

	require.True(t, c.webhook(200, "POST", "/1/refresh_availability_status/", "").IsAvailable)
	require.Len(t, b.publisher.asked, 1)
	require.Equal(t, "recover", b.publisher.asked[0][0])
}

func TestAFaceShowsWhatIsInItsFormatAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	created(t, b, watchers())
	created(t, b, watchers(`"package.*","sca.vulnerability_detected"`, `"sca.policy_triggered","analysis.*"`, `"name"`, `"format":"codescoring","name"`))
	c := codeScoring{t, b, key}
	_, body := c.send("GET", "/", "")
	webhooks := decode[[]codeScoringWebhook](t, []byte(body))
	require.Len(t, webhooks, 1)
	require.Contains(t, webhooks[0].Events, "project_sca_analysis_finished")
	require.NotContains(t, webhooks[0].Events, "osa_policy_has_been_triggered")
}

func TestProGetsAPI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	send := func(method, path, body string) (int, string) {
		t.Helper()
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		r := b.do(t, call{method: method, path: "/api/webhooks/" + path + separator + "key=" + key, body: body, header: map[string]string{"Authorization": ""}})
		return r.status, strings.TrimSpace(string(r.body))
	}
	const made = `{"name":"promoted","id":1,"feedId":"internal-utils","url":"https://hooks.example.com/pg","event":"promoted",` +
		`"condition":"pkg.name.startsWith('MyCorp.')","payload":{"method":"PUT","headers":{"X-Team":"•••• core"},"content":null}}`
	status, body := send("POST", "create", `{"id":77,"name":"promoted","feedId":"internal-utils","url":"https://hooks.example.com/pg","event":"promoted",`+
		`"condition":"pkg.name.startsWith('MyCorp.')","payload":{"method":"PUT","headers":{"Content-Type":"application/json","X-Team":"the-team-core"},"content":null}}`)
	require.Equal(t, 201, status, body)
	require.JSONEq(t, made, body)
	status, body = send("GET", "list?feedId=internal-utils", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, "["+made+"]", body)
	_, body = send("GET", "list?feedId=other", "")
	require.Equal(t, "[]", body)

	status, body = send("PATCH", "edit?id=1", `{"event":"added, deleted","feedId":null,"condition":null}`)
	require.Equal(t, 200, status, body)
	require.JSONEq(t, `{"name":"promoted","id":1,"feedId":null,"url":"https://hooks.example.com/pg","event":"added,deleted",`+
		`"condition":null,"payload":{"method":"PUT","headers":{"X-Team":"•••• core"},"content":null}}`, body)
	for _, sub := range b.store.subscriptions {
		require.Equal(t, "proget", sub.Format)
		require.Equal(t, []string{"package.added", "package.deleted"}, sub.EventTypes)
		require.Contains(t, string(sub.Endpoint), "the-team-core")
	}

	for _, wrong := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "edit?id=9", `{}`, 404, "there is no"},
		{"POST", "edit?id=x", `{}`, 400, "id must be the number"},
		{"POST", "edit?id=1", `{"event":"eaten"}`, 400, "event: must be one or several of added, overwritten"},
		{"POST", "edit?id=1", `{"payload":{"content":"$ToJson(%(a: $b))"}}`, 400, "payload/content"},
		{"POST", "create", `{"name":"x"}`, 400, "url: is required"},
		{"POST", "delete?id=9", "", 400, "there is no webhook 9"},
	} {
		status, body = send(wrong.method, wrong.path, wrong.body)
		require.Equal(t, wrong.status, status, wrong.path+" "+body)
		require.Contains(t, body, wrong.want)
	}
	status, _ = send("DELETE", "delete?id=1", "")
	require.Equal(t, 200, status)
	require.Empty(t, b.store.subscriptions)
	r := b.do(t, call{method: "GET", path: "/api/webhooks/list?key=wrong", header: map[string]string{"Authorization": ""}})
	require.Equal(t, 403, r.status)
	require.NotContains(t, b.log.String(), key)
}
