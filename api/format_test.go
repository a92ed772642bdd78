package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

// inFormat is a subscription as it is posted; rest are more members.
func inFormat(format, types, rest string) string {
	return fmt.Sprintf(`{"name":"n","event_types":[%s],"channel":"webhook","format":%q,"endpoint":{"url":"https://hooks.example.com/x"}%s}`,
		types, format, rest)
}

func TestFormats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/formats"})
	golden(t, "formats", body)
	list := decode[page[formatView]](t, body)
	require.Len(t, list.Items, len(formats.Names()))
	for i, f := range list.Items {
		require.Equal(t, formats.Names()[i], f.Name)
		require.NotEmpty(t, f.Title)
		require.NotEmpty(t, f.Description)
		require.NotEmpty(t, f.EventTypes)
	}
}

// Every type of the catalog in every format: named, it is saved or refused.
func TestATypeThatTheFormatDoesNotCarryCannotBeNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, f := range decode[page[formatView]](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/formats"})).Items {
		carried := map[string]bool{}
		var names []string
		for _, typ := range f.EventTypes {
			carried[typ.Type] = true
			names = append(names, typ.Type)
		}
		for _, typ := range b.deps.Catalog.Types() {
			post := call{method: http.MethodPost, path: "/v1/subscriptions", body: inFormat(f.Name, `"*","`+typ.Name+`"`, "")}
			if carried[typ.Name] {
				b.ok(t, http.StatusCreated, post)
				continue
			}
			p := b.problem(t, http.StatusUnprocessableEntity, post)
			require.Equal(t, []carillon.Problem{{
				Pointer: "/event_types/1",
				Detail:  fmt.Sprintf("%s is not carried by the format %s; it carries %s", typ.Name, f.Name, strings.Join(names, ", ")),
			}}, p.Errors)
		}
	}
}

func TestAWildcardOfWhichTheFormatCarriesNothingIsWarnedOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.Empty(t, created(t, b, inFormat("myget", `"*","package.*"`, "")).Warnings)
	require.Equal(t, []carillon.Problem{{
		Pointer: "/event_types/1", Detail: "no event of tracker.* is carried by the format myget: this never matches",
	}}, created(t, b, inFormat("myget", `"build.*","tracker.*"`, "")).Warnings)
}

func TestWhatTheFormatDoesNotCarryIsExplained(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, inFormat("myget", `"*"`, ""))
	for eventType, want := range map[string]string{"sca.policy_triggered": "not_carried", "build.queued": "passed"} {
		view := decode[evaluationView](t, b.ok(t, http.StatusOK, evaluate(
			`{"subscription":"`+made.ID+`","event":{"type":"`+eventType+`","source":"s","data":{}}}`)))
		require.Equal(t, want == "passed", view.Matched)
		require.EqualValues(t, want, view.Reason.Result)
		if want == "not_carried" {
			require.EqualValues(t, "format", view.Reason.Rule)
			require.Equal(t, "the format myget does not carry sca.policy_triggered, so the event is left out", view.Reason.Detail)
		}
	}
}

func TestFormatOptionsAreKeptAndChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, inFormat("cloudevents", `"*"`, `,"format_options":{"mode":"binary"}`))
	require.JSONEq(t, `{"mode":"binary"}`, string(made.FormatOptions))
	path := "/v1/subscriptions/" + made.ID
	patch := func(body string) call {
		return call{method: http.MethodPatch, path: path, body: body, header: map[string]string{"Content-Type": mergePatch}}
	}
	b.ok(t, http.StatusOK, patch(`{"name":"other"}`))
	require.JSONEq(t, `{"mode":"binary"}`, string(b.store.subscriptions[made.ID].FormatOptions))

	p := b.problem(t, http.StatusUnprocessableEntity, patch(`{"format":"standard"}`))
	require.Equal(t, []carillon.Problem{{Pointer: "/format_options/mode", Detail: "is no option: the format has none"}}, p.Errors)
	changed := decode[savedView](t, b.ok(t, http.StatusOK, patch(`{"format":"standard","format_options":null}`)))
	require.Nil(t, changed.FormatOptions)

	p = b.problem(t, http.StatusUnprocessableEntity, call{
		method: http.MethodPost, path: "/v1/subscriptions",
		body: inFormat("myget", `"*"`, `,"format_options":{"content_type":"`+strings.Repeat("x", maxFormatOptionsBytes)+`"}`),
	})
	require.Equal(t, "/format_options", p.Errors[0].Pointer)
}

func TestTheEndpointGoesWithTheFormat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endpoint := func(format, fields string) call {
		return call{method: http.MethodPost, path: "/v1/subscriptions", body: fmt.Sprintf(
			`{"name":"n","event_types":["*"],"channel":"webhook","format":%q,"endpoint":{"url":"https://hooks.example.com/x",%s}}`, format, fields)}
	}
	for _, tc := range []struct{ format, fields, pointer, detail string }{
		{"standard", `"token":"s3cr3t-token"`, "/endpoint/token", "has no place in the format standard; use bearer_token, basic_auth or headers"},
		{"defectdojo", `"headers":{"x-defectdojo-event":"x"}`, "/endpoint/headers/x-defectdojo-event", "is set by the format defectdojo"},
		{"cloudevents", `"headers":{"Ce-Id":"x"}`, "/endpoint/headers/Ce-Id", "is set by the format cloudevents"},
		{"codescoring", `"token":"s3cr3t-token","headers":{"X-CodeScoring-Authentication":"x"}`, "/endpoint/headers/X-CodeScoring-Authentication", "is set by the format codescoring"},
	} {
		p := b.problem(t, http.StatusUnprocessableEntity, endpoint(tc.format, tc.fields))
		require.Equal(t, []carillon.Problem{{Pointer: tc.pointer, Detail: tc.detail}}, p.Errors)
	}
	b.ok(t, http.StatusCreated, endpoint("codescoring", `"headers":{"X-CodeScoring-Authentication":"x"}`))
	made := decode[savedView](t, b.ok(t, http.StatusCreated, endpoint("codescoring", `"token":"s3cr3t-token"`)))
	require.Equal(t, "•••• oken", endpointOf(t, made.subscriptionView)["token"])
	require.Contains(t, string(b.store.subscriptions[made.ID].Endpoint), "s3cr3t-token")
}

// The test of a subscription is a ping in its format.
func TestATestIsWrittenInTheFormat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for format, want := range map[string]string{
		"myget": "PingWebHookEventPayloadV1", "codescoring": `"trigger":"test","payload":{}`, "defectdojo": "This is a test of a subscription", "proget": "",
	} {
		var body []byte
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body = make([]byte, r.ContentLength)
			_, _ = r.Body.Read(body)
		}))
		t.Cleanup(server.Close)
		view := decode[testView](t, b.ok(t, http.StatusOK, call{
			method: http.MethodPost, path: "/v1/subscriptions/test",
			body: fmt.Sprintf(`{"name":"n","event_types":["*"],"channel":"webhook","format":%q,"endpoint":{"url":%q}}`, format, server.URL),
		}))
		if want == "" {
			require.Equal(t, carillon.OutcomeReject, view.Attempt.Outcome)
			require.Equal(t, "the payload cannot be written: the format proget does not carry ping", view.Attempt.Error)
			continue
		}
		require.Equal(t, carillon.OutcomeDelivered, view.Attempt.Outcome, view.Attempt.Error)
		require.Contains(t, string(body), want)
		require.True(t, json.Valid(body))
	}
}
