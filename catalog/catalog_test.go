package catalog

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/package-url/packageurl-go"
	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func load(t *testing.T) *Catalog {
	t.Helper()
	c, err := Load()
	require.NoError(t, err)
	return c
}

func TestCatalogHoldsTheDocumentedTypes(t *testing.T) {
	t.Parallel()
	want := []string{
		"analysis.authors_canceled", "analysis.authors_failed", "analysis.authors_finished", "analysis.authors_started",
		"analysis.clones_canceled", "analysis.clones_failed", "analysis.clones_finished", "analysis.clones_started",
		"analysis.container_image_sca_canceled", "analysis.container_image_sca_failed",
		"analysis.container_image_sca_finished", "analysis.container_image_sca_started",
		"analysis.project_sca_canceled", "analysis.project_sca_failed",
		"analysis.project_sca_finished", "analysis.project_sca_started",
		"analysis.secrets_canceled", "analysis.secrets_failed", "analysis.secrets_finished",
		"analysis.secrets_model_accepted", "analysis.secrets_model_purged", "analysis.secrets_started",
		"analysis.secrets_training_canceled", "analysis.secrets_training_failed",
		"analysis.secrets_training_finished", "analysis.secrets_training_started",
		"build.finished", "build.issues_opened", "build.queued", "build.started",
		"delivery.exhausted",
		"osa.policy_triggered",
		"package.added", "package.deleted", "package.deployed", "package.listed", "package.overwritten",
		"package.pinned", "package.promoted", "package.purged", "package.pushed", "package.status_changed",
		"package.unlisted", "package.unpinned",
		"ping",
		"repository.cloning_failed", "repository.cloning_finished", "repository.cloning_started",
		"sca.noncompliant_package", "sca.policy_triggered", "sca.vulnerability_detected",
		"source.unknown",
		"subscription.disabled", "subscription.enabled", "subscription.failing", "subscription.recovered",
		"tracker.auto_close_engagement", "tracker.endpoint_deleted", "tracker.engagement_added",
		"tracker.engagement_closed", "tracker.engagement_copied", "tracker.engagement_deleted",
		"tracker.engagement_reopened", "tracker.finding_added", "tracker.finding_closed", "tracker.finding_copied",
		"tracker.finding_deleted", "tracker.finding_group_deleted", "tracker.finding_reopened",
		"tracker.jira_comment", "tracker.jira_config_added", "tracker.jira_config_deleted",
		"tracker.jira_config_edited", "tracker.jira_update", "tracker.other", "tracker.product_added",
		"tracker.product_deleted", "tracker.product_type_added", "tracker.product_type_deleted",
		"tracker.report_created", "tracker.review_requested", "tracker.risk_acceptance_expiration",
		"tracker.scan_added", "tracker.scan_added_empty", "tracker.sla_breach", "tracker.sla_breach_combined",
		"tracker.sonarqube_failed", "tracker.stale_engagement", "tracker.test_added", "tracker.test_copied",
		"tracker.test_deleted", "tracker.upcoming_engagement", "tracker.url_deleted", "tracker.user_mentioned",
	}
	var got []string
	for _, typ := range load(t).Types() {
		got = append(got, typ.Name)
	}
	require.Equal(t, want, got)
}

func TestEveryTypeIsComplete(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, typ := range c.Types() {
		t.Run(typ.Name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, typ.Title)
			require.NotEmpty(t, typ.Description)
			require.Equal(t, carillon.IsOwn(typ.Name) || typ.Name == "source.unknown", typ.Own)
			for _, key := range typ.Scoped {
				require.Contains(t, ScopeKeys, key)
			}

			e := typ.Example
			require.Equal(t, typ.Name, e.Type)
			require.True(t, strings.HasPrefix(e.ID, carillon.EventPrefix))
			require.NotEmpty(t, e.Source)
			require.False(t, e.Time.IsZero())
			require.Equal(t, time.UTC, e.Time.Location())
			require.NoError(t, c.CheckData(e))
			for key := range e.Scope {
				require.True(t, typ.CanCarry(key), "the example carries scope %s", key)
			}
			if strings.HasPrefix(typ.Name, "package.") {
				require.NotEmpty(t, e.Subject)
				require.Contains(t, e.Scope, "feed")
			}
			if strings.HasPrefix(e.Subject, "pkg:") {
				purl, err := packageurl.FromString(e.Subject)
				require.NoError(t, err)
				require.Equal(t, e.Subject, purl.ToString())
			}

			var schema struct {
				Schema string                     `json:"$schema"`
				Defs   map[string]json.RawMessage `json:"$defs"`
			}
			require.NoError(t, json.Unmarshal(typ.Schema, &schema))
			require.Equal(t, draft, schema.Schema)
			for _, ref := range references(t, typ.Schema) {
				name, ok := strings.CutPrefix(ref, localRef)
				require.True(t, ok, "the schema refers to %s, outside of itself", ref)
				require.Contains(t, schema.Defs, name)
			}
		})
	}
}

// references returns the values of all "$ref" in a JSON document.
func references(t *testing.T, document json.RawMessage) []string {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal(document, &value))
	var refs []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				refs = append(refs, ref)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(value)
	return refs
}

func TestEverySharedDefinitionIsUsed(t *testing.T) {
	t.Parallel()
	shared, err := readShared()
	require.NoError(t, err)
	var used []string
	for _, typ := range load(t).Types() {
		for _, ref := range references(t, typ.Schema) {
			used = append(used, strings.TrimPrefix(ref, localRef))
		}
	}
	for name := range shared {
		require.Contains(t, used, name)
	}
}

func TestSchemaAndExampleKeepTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	typ, ok := load(t).Type("sca.vulnerability_detected")
	require.True(t, ok)
	data := string(typ.Example.Data)
	require.Less(t, strings.Index(data, "vulnerability_id"), strings.Index(data, "affected_packages"))
	require.Contains(t, data, `"< 13.0.1"`)
	require.True(t, strings.HasPrefix(string(typ.Schema), `{"$schema":`))
}

func TestTypesGivesACopy(t *testing.T) {
	t.Parallel()
	c := load(t)
	types := c.Types()
	slices.Reverse(types)
	require.Equal(t, "analysis.authors_canceled", c.Types()[0].Name)
}

func TestCanCarry(t *testing.T) {
	t.Parallel()
	c := load(t)
	issues, _ := c.Type("build.issues_opened")
	require.False(t, issues.CanCarry("feed"))
	require.True(t, issues.CanCarry("project"))
	require.True(t, issues.CanCarry("team"), "nothing is known of a producer's own key")
	added, _ := c.Type("package.added")
	require.True(t, added.CanCarry("feed"))
	disabled, _ := c.Type("subscription.disabled")
	require.False(t, disabled.CanCarry("feed"))
}

func TestNearest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   string
		want []string
	}{
		{"a misspelled type comes first", "package.addd", []string{"package.added", "package.listed", "package.pinned"}},
		{"upper case is only spelling", "Package.Added", []string{"package.added"}},
		{"the same last word under another prefix", "pkg.purged", []string{"package.purged"}},
		{"the same first word", "sca.found", []string{"sca.policy_triggered", "sca.noncompliant_package", "sca.vulnerability_detected"}},
		{"a last word alone", "finished", []string{"build.finished"}},
		{"nothing is near", "invoice.paid", nil},
		{"empty", "", nil},
		{"far too long", "package." + strings.Repeat("x", 1000), nil},
	}
	c := load(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := c.Nearest(test.in)
			require.LessOrEqual(t, len(got), 3)
			if len(test.want) == 0 {
				require.Empty(t, got)
				return
			}
			require.Equal(t, test.want, got[:min(len(got), len(test.want))])
		})
	}
}

func TestCheckType(t *testing.T) {
	t.Parallel()
	c := load(t)
	require.NoError(t, c.CheckType("package.added"))

	problem := problems(t, c.CheckType("package.add"))[0]
	require.Equal(t, "/type", problem.Pointer)
	require.Contains(t, problem.Detail, "package.added")

	problem = problems(t, c.CheckType("invoice.paid"))[0]
	require.Equal(t, `there is no event type "invoice.paid"; GET /v1/event-types lists all`, problem.Detail)

	problem = problems(t, c.CheckType("finished"))[0]
	require.Equal(t, `there is no event type "finished"; did you mean build.finished?`, problem.Detail)

	// A pattern is no type.
	require.Error(t, c.CheckType("package.*"))
	require.Error(t, c.CheckType("*"))
}

func TestCheckPattern(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		pattern string
		detail  string // empty: good
	}{
		{"an exact type", "package.added", ""},
		{"a type without a dot", "ping", ""},
		{"a prefix", "package.*", ""},
		{"a prefix of Carillon's own types", "subscription.*", ""},
		{"everything", "*", ""},
		{"an unknown type names the nearest", "package.add", "package.added"},
		{"an unknown prefix names the nearest", "packages.*", "package.*"},
		{"a prefix that is a type covers nothing", "ping.*", "no group of event types"},
		{"a star within a word", "package.a*", "is no pattern"},
		{"a star in front", "*.added", "is no pattern"},
		{"two stars", "package.*.*", "is no pattern"},
		{"a prefix without a dot", "package*", "is no pattern"},
		{"nothing but a dot", ".*", "no group of event types"},
		{"empty", "", "there is no event type"},
		{"other case", "Package.*", "package.*"},
	}
	c := load(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := c.CheckPattern(test.pattern)
			if test.detail == "" {
				require.NoError(t, err)
				return
			}
			problem := problems(t, err)[0]
			require.Empty(t, problem.Pointer)
			require.Contains(t, problem.Detail, test.detail)
		})
	}
}

// problems returns what an error says is wrong; it must be of code invalid.
func problems(t *testing.T, err error) []carillon.Problem {
	t.Helper()
	var e *carillon.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, carillon.CodeInvalid, e.Code)
	require.NotEmpty(t, e.Problems)
	return e.Problems
}
