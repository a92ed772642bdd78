package api

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/sources"
)

// Each of the products posts its page's example with the proof that it offers,
// and with that alone.
func TestAProductPostsWhatItsPageShows(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind, authentication, example, before string
		header                                map[string]string
		want                                  string
		scope                                 map[string]string
	}{
		{
			"myget", `{"scheme":"basic","username":"myget","secret":"s3cret-of-now-0001"}`, "package_added.json", "\ufeff",
			map[string]string{"Authorization": "Basic bXlnZXQ6czNjcmV0LW9mLW5vdy0wMDAx", "Content-Type": "application/vnd.myget.webhooks.v1+json"},
			"package.added", map[string]string{"feed": "containers"},
		}, {
			"proget", `{"scheme":"bearer","secret":"s3cret-of-now-0001"}`, "issues.json", "",
			map[string]string{"Authorization": "Bearer s3cret-of-now-0001", "Content-Type": "application/json"},
			"build.issues_opened", map[string]string{"feed": "containers", "project": "XAPUtil.Web"},
		}, {
			"codescoring", `{"scheme":"token","header":"X-CodeScoring-Authentication","secret":"s3cret-of-now-0001"}`, "every_trigger.json", "",
			map[string]string{"X-CodeScoring-Authentication": "s3cret-of-now-0001", "Content-Type": "application/json"},
			"ping", map[string]string{"feed": "containers"},
		}, {
			"defectdojo", `{"scheme":"token","header":"X-Carillon","secret":"s3cret-of-now-0001"}`, "scan_added.json", "",
			map[string]string{"X-Carillon": "s3cret-of-now-0001", "X-DefectDojo-Event": "scan_added", "Content-Type": "application/json"},
			"tracker.scan_added", map[string]string{"feed": "containers", "product": "notif prod"},
		},
	}
	for _, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			text, err := os.ReadFile("../sources/testdata/" + test.kind + "/" + test.example)
			require.NoError(t, err)
			body := test.before + string(text)
			b.guard(t, test.kind, test.kind, test.authentication)
			b.ok(t, http.StatusAccepted, upstreamCall(test.kind, body, test.header))
			var first carillon.Event
			for _, e := range b.publisher.published { // those of a list are started at once
				require.NoError(t, b.deps.Catalog.CheckData(e))
				require.Equal(t, test.kind, e.Source)
				if e.Type == test.want {
					first = e
				}
			}
			require.Equal(t, test.want, first.Type)
			require.Equal(t, test.scope, first.Scope)
			require.False(t, first.Time.IsZero())

			published := len(b.publisher.published)
			delete(test.header, "Authorization")
			delete(test.header, "X-Carillon")
			delete(test.header, "X-CodeScoring-Authentication")
			b.ok(t, http.StatusUnauthorized, upstreamCall(test.kind, body, test.header))
			require.Len(t, b.publisher.published, published)
		})
	}
}

func TestASourceOfAnUnknownKindIsToldWhichThereAre(t *testing.T) {
	t.Parallel()
	p := setup(t).problem(t, http.StatusUnprocessableEntity, call{
		method: http.MethodPost, path: "/v1/sources", body: `{"name":"r","kind":"nexus"}`,
	})
	require.Equal(t, "/kind", p.Errors[0].Pointer)
	for _, kind := range sources.Kinds() {
		require.True(t, strings.Contains(p.Errors[0].Detail, kind), p.Errors[0].Detail)
	}
}
