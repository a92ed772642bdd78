package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// fielded is a subscription with fields in the place of its condition.
func fielded(fields string) string {
	return watchers(`"condition":"pkg.name.startsWith('MyCorp.')"`, fields)
}

func TestACompiledMatchIsShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, fielded(`"match":{"package":"MyCorp.*","version":"[1.0,2.0)","min_score":7.5},"condition":"actor != 'ci'"`))
	const name = "(pkg.published_name.glob('MyCorp.*') || pkg.name.glob('MyCorp.*'))"
	require.Equal(t, name+" && pkg.published_version.in_interval('[1.0,2.0)') && "+
		"has(data.score) && data.score != null && double(data.score) >= 7.5 && (actor != 'ci')", made.EffectiveCondition)
	require.Empty(t, made.Match.Mode)

	// What is answered can be put back, and fields can be patched one by one.
	path := "/v1/subscriptions/" + made.ID
	body := b.ok(t, http.StatusOK, call{method: http.MethodGet, path: path})
	again := decode[savedView](t, b.ok(t, http.StatusOK, call{method: http.MethodPut, path: path, body: string(body)}))
	require.Equal(t, made.Match, again.Match)
	patch := func(body string) savedView {
		t.Helper()
		return decode[savedView](t, b.ok(t, http.StatusOK, call{method: http.MethodPatch, path: path, body: body}))
	}
	require.Equal(t, name+" && (actor != 'ci')", patch(`{"match":{"version":null,"min_score":null}}`).EffectiveCondition)
	require.Equal(t, "false", patch(`{"match":{"mode":"never"}}`).EffectiveCondition)
	require.Equal(t, name+" && (actor != 'ci')", patch(`{"match":{"mode":"conditionally"}}`).EffectiveCondition)
	require.Empty(t, patch(`{"match":null}`).EffectiveCondition)
}

func TestFeedsAreShortForAScope(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := created(t, b, watchers(`"scope":{"feed":["internal-utils"]}`, `"feeds":["a","b"],"scope":{"product":["p"]}`))
	require.Equal(t, map[string][]string{"feed": {"a", "b"}, "product": {"p"}}, made.Scope)
	patched := decode[savedView](t, b.ok(t, http.StatusOK, call{
		method: http.MethodPatch, path: "/v1/subscriptions/" + made.ID, body: `{"feeds":["c"]}`,
	}))
	require.Equal(t, map[string][]string{"feed": {"c"}, "product": {"p"}}, patched.Scope)
	patched = decode[savedView](t, b.ok(t, http.StatusOK, call{
		method: http.MethodPatch, path: "/v1/subscriptions/" + made.ID, body: `{"feeds":null}`,
	}))
	require.Equal(t, map[string][]string{"product": {"p"}}, patched.Scope)

	// A feed of events that have none never fires, and saving it says so.
	warned := created(t, b, watchers(`"scope":{"feed":["internal-utils"]}`, `"feeds":["a"]`,
		`"package.*","sca.vulnerability_detected"`, `"package.added","build.issues_opened"`))
	require.Len(t, warned.Warnings, 1)
	require.Equal(t, "/event_types/1", warned.Warnings[0].Pointer)
	require.Contains(t, warned.Warnings[0].Detail, "never matches")
}

func TestFieldsAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, fields, pointer, detail string
		column                        int
	}{
		{"a regular expression", `"match":{"package":"re:ab[c"}`, "/match/package", "missing closing ]", 6},
		{"a version", `"match":{"version":"[1.0,x)"}`, "/match/version", "is no version such as 1.2", 6},
		{"a score", `"match":{"min_score":"high"}`, "/match/min_score", "must be a number", 0},
		{"a score that is none", `"match":{"min_score":11}`, "/match/min_score", "0 to 10", 0},
		{"projects", `"match":{"project_ids":["x"]}`, "/match/project_ids", "array of numbers", 0},
		{"a field", `"match":{"name":"x"}`, "/match/name", "is not known here", 0},
		{"a mode", `"match":{"mode":"maybe"}`, "/match/mode", "always, never", 0},
		{"both together", `"match":{"package":"a"},"condition":"` + "actor == '" + strings.Repeat("x", 2030) + `'"`, "/match", "together", 0},
		{"feeds beside another scope", `"feeds":["other"]`, "/feeds", "short for scope.feed", 0},
		{"no feeds", `"feeds":[]`, "/feeds", "at least one", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := setup(t).problem(t, http.StatusUnprocessableEntity, call{method: http.MethodPost, path: "/v1/subscriptions", body: fielded(test.fields)})
			require.NotEmpty(t, p.Errors)
			require.Equal(t, test.pointer, p.Errors[0].Pointer)
			require.Contains(t, p.Errors[0].Detail, test.detail)
			require.Equal(t, test.column, p.Errors[0].Column)
		})
	}
}

func TestWhyFieldsDoNotMatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	scored := created(t, b, fielded(`"match":{"min_score":7.5}`))
	never := created(t, b, fielded(`"match":{"mode":"never"}`))
	named := created(t, b, fielded(`"match":{"package":"Other.*"}`))
	for id, want := range map[string]string{
		scored.ID: "the event has no score; the subscription asks for at least 7.5",
		never.ID:  "the subscription's mode is never",
		named.ID:  "the condition is false: (pkg.published_name.glob('Other.*') || pkg.name.glob('Other.*'))",
	} {
		view := decode[evaluationView](t, b.ok(t, http.StatusOK, call{method: http.MethodPost, path: "/v1/conditions/evaluate", body: `{"subscription":"` + id +
			`","event":{"type":"package.added","source":"me","scope":{"feed":"internal-utils"},"data":{"package":"MyCorp.CoolUtils","version":"1.0.0"}}}`}))
		require.False(t, view.Matched)
		require.Equal(t, want, view.Reason.Detail)
		require.Nil(t, view.Error)
	}
}

func TestAProfileFillsInWhatIsNotGiven(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dojo, _ := carillon.LookupProfile("defectdojo")
	made := created(t, b, watchers(`"name"`, `"profile":"defectdojo","name"`))
	require.Equal(t, "defectdojo", made.Profile)
	require.Equal(t, dojo.Retry, made.Retry)
	require.Equal(t, "10s", endpointOf(t, made.subscriptionView)["timeout"])

	own := created(t, b, watchers(`"name"`, `"profile":"defectdojo","retry":{"schedule":["5s"]},"name"`,
		`"url":"https://hooks.example.com/carillon"`, `"url":"https://hooks.example.com/carillon","timeout":"3s"`))
	require.Equal(t, []carillon.Duration{carillon.Duration(5e9)}, own.Retry.Schedule)
	require.Equal(t, carillon.DisableExhausted, own.Retry.Disable)
	require.Equal(t, "3s", endpointOf(t, own.subscriptionView)["timeout"])

	p := b.problem(t, http.StatusUnprocessableEntity, call{
		method: http.MethodPost, path: "/v1/subscriptions", body: watchers(`"name"`, `"profile":"fax","name"`),
	})
	require.Equal(t, "/profile", p.Errors[0].Pointer)
	require.Contains(t, p.Errors[0].Detail, "gitlab")

	view := decode[profilesView](t, b.ok(t, http.StatusOK, call{method: http.MethodGet, path: "/v1/profiles"}))
	require.Equal(t, carillon.Profiles(), view.Items)
}
