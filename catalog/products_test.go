package catalog

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every field that the products' pages show must have a place in the data of
// our types or in the envelope, so that nothing of their notifications is lost
// on the way.
func TestEveryFieldOfTheProductsHasAPlace(t *testing.T) {
	t.Parallel()
	c := load(t)
	everyPackage := "package.added package.deleted package.listed package.unlisted package.pinned package.unpinned package.pushed"
	withMetadata := "package.added package.pushed"
	proGetPackage := "package.added package.overwritten package.promoted package.deployed package.deleted package.purged package.status_changed"
	builds := "build.queued build.started build.finished"
	beginningWith := func(prefix string) string {
		var names []string
		for _, t := range c.Types() {
			if strings.HasPrefix(t.Name, prefix) {
				names = append(names, t.Name)
			}
		}
		return strings.Join(names, " ")
	}
	policies := "sca.policy_triggered osa.policy_triggered"
	analyses, clonings := beginningWith("analysis."), beginningWith("repository.")
	tracked := beginningWith("tracker.")
	scans := "tracker.scan_added tracker.scan_added_empty"
	placed := scans + " tracker.product_type_added tracker.product_added tracker.engagement_added tracker.test_added" +
		" tracker.review_requested"
	tests := []struct {
		product, field string
		types          string // those whose notification shows the field
		place          string // below /data, or the envelope's field
	}{
		{"MyGet", "Identifier", "ping " + everyPackage + " " + builds, "/id"},
		{"MyGet", "Username", "ping " + everyPackage + " " + builds, "/actor"},
		{"MyGet", "When", "ping " + everyPackage + " " + builds, "/time"},
		{"MyGet", "PayloadType", "ping " + everyPackage + " " + builds, "/type"},
		{"MyGet", "FeedIdentifier", everyPackage + " " + builds, "/scope/feed"},
		{"MyGet", "FeedUrl", everyPackage + " " + builds, "/data/feed_url"},
		{"MyGet", "PackageType", everyPackage, "/data/package_type"},
		{"MyGet", "PackageIdentifier", everyPackage, "/data/package"},
		{"MyGet", "PackageVersion", everyPackage, "/data/version"},
		{"MyGet", "Action", "package.listed package.unlisted package.pinned package.unpinned", "/data/action"},
		{"MyGet", "PackageDetailsUrl", withMetadata, "/data/details_url"},
		{"MyGet", "PackageDownloadUrl", withMetadata, "/data/download_url"},
		{"MyGet", "PackageMetadata.IconUrl", withMetadata, "/data/metadata/icon_url"},
		{"MyGet", "PackageMetadata.Size", withMetadata, "/data/metadata/size"},
		{"MyGet", "PackageMetadata.Authors", withMetadata, "/data/metadata/authors"},
		{"MyGet", "PackageMetadata.Description", withMetadata, "/data/metadata/description"},
		{"MyGet", "PackageMetadata.LicenseUrl", withMetadata, "/data/metadata/license_url"},
		{"MyGet", "PackageMetadata.LicenseNames", withMetadata, "/data/metadata/license_names"},
		{"MyGet", "PackageMetadata.ProjectUrl", withMetadata, "/data/metadata/project_url"},
		{"MyGet", "PackageMetadata.Tags", withMetadata, "/data/metadata/tags"},
		{"MyGet", "PackageMetadata.MinClientVersion", withMetadata, "/data/metadata/min_client_version"},
		{"MyGet", "PackageMetadata.ReleaseNotes", withMetadata, "/data/metadata/release_notes"},
		{"MyGet", "PackageMetadata.Dependencies[].PackageIdentifier", withMetadata, "/data/metadata/dependencies/-/package"},
		{"MyGet", "PackageMetadata.Dependencies[].PackageVersion", withMetadata, "/data/metadata/dependencies/-/version"},
		{"MyGet", "PackageMetadata.Dependencies[].TargetFramework", withMetadata, "/data/metadata/dependencies/-/target_framework"},
		{"MyGet", "TargetPackageSourceName", "package.pushed", "/data/target_source_name"},
		{"MyGet", "TargetPackageSourceUrl", "package.pushed", "/data/target_source_url"},
		{"MyGet", "Name", builds, "/data/name"},
		{"MyGet", "Branch", builds, "/data/branch"},
		{"MyGet", "Result", "build.finished", "/data/result"},
		{"MyGet", "BuildLogUrl", "build.finished", "/data/log_url"},
		{"MyGet", "Packages[].PackageType", "build.finished", "/data/packages/-/package_type"},
		{"MyGet", "Packages[].PackageIdentifier", "build.finished", "/data/packages/-/package"},
		{"MyGet", "Packages[].PackageVersion", "build.finished", "/data/packages/-/version"},
		{"MyGet", "Packages[].TargetFramework", "build.finished", "/data/packages/-/target_framework"},

		{"ProGet", "package", proGetPackage + " sca.noncompliant_package", "/data/package"},
		{"ProGet", "version", proGetPackage + " sca.noncompliant_package", "/data/version"},
		{"ProGet", "event", proGetPackage, "/type"},
		{"ProGet", "user", proGetPackage, "/actor"},
		{"ProGet", "feed", proGetPackage + " sca.noncompliant_package", "/scope/feed"},
		{"ProGet", "packageType (2023)", proGetPackage, "/data/package_type"},
		{"ProGet", "hash (2023)", proGetPackage, "/data/hash"},
		{"ProGet", "$PackageGroup", proGetPackage, "/data/group"},
		{"ProGet", "$FeedType", proGetPackage, "/data/feed_type"},
		{"ProGet", "the status of Status Changed", "package.status_changed", "/data/status"},
		{"ProGet", "a package cached from a connector", proGetPackage, "/data/cached"},
		{"ProGet", "result", "sca.noncompliant_package", "/data/result"},
		{"ProGet", "details", "sca.noncompliant_package", "/data/details"},
		{"ProGet", "packages[].Name", "sca.vulnerability_detected", "/data/affected_packages/-/name"},
		{"ProGet", "packages[].AffectedVersions", "sca.vulnerability_detected", "/data/affected_packages/-/affected_versions"},
		{"ProGet", "vulnerabilityId", "sca.vulnerability_detected", "/data/vulnerability_id"},
		{"ProGet", "summary", "sca.vulnerability_detected", "/data/summary"},
		{"ProGet", "severity", "sca.vulnerability_detected", "/data/severity"},
		{"ProGet", "score", "sca.vulnerability_detected", "/data/score"},
		{"ProGet", "issues[].Sequence", "build.issues_opened", "/data/issues/-/sequence"},
		{"ProGet", "issues[].Detail", "build.issues_opened", "/data/issues/-/detail"},
		{"ProGet", "buildNumber", "build.issues_opened", "/data/number"},
		{"ProGet", "releaseNumber", "build.issues_opened", "/data/release_number"},
		{"ProGet", "projectName", "build.issues_opened", "/data/project"},
		{"ProGet", "$BuildId", "build.issues_opened", "/data/build_id"},

		{"CodeScoring", "created_at", policies + " " + analyses + " " + clonings, "/time"},
		{"CodeScoring", "trigger", policies + " " + analyses + " " + clonings, "/type"},
		{"CodeScoring", "alert_id", policies, "/data/alert_id"},
		{"CodeScoring", "stage", policies, "/data/stage"},
		{"CodeScoring", "level", policies, "/data/level"},
		{"CodeScoring", "policy_id", policies, "/data/policy_id"},
		{"CodeScoring", "policy_name", policies, "/data/policy_name"},
		{"CodeScoring", "dependency_id", policies, "/data/dependency_id"},
		{"CodeScoring", "dependency_purl", policies, "/data/dependency_purl"},
		{"CodeScoring", "matched_criteria", policies, "/data/matched_criteria/-"},
		{"CodeScoring", "project_id", policies + " " + analyses + " " + clonings, "/data/project_id"},
		{"CodeScoring", "project_name", policies + " " + analyses + " " + clonings, "/data/project_name"},
		{"CodeScoring", "artifact_repository_id", policies, "/data/artifact_repository_id"},
		{"CodeScoring", "container_image_id", policies + " " + analyses, "/data/container_image_id"},
		{"CodeScoring", "container_image_name", analyses, "/data/container_image_name"},
		{"CodeScoring", "vulnerabilities_count", analyses, "/data/vulnerabilities_count"},
		{"CodeScoring", "dependencies_count", analyses, "/data/dependencies_count"},
		{"CodeScoring", "repo_url", clonings, "/data/repo_url"},
		{"CodeScoring", "repo_ref_name", clonings, "/data/repo_ref_name"},
		{"CodeScoring", "error", analyses + " " + clonings, "/data/error"},
		{"CodeScoring", "an analysis identifier", analyses, "/data/analysis_id"},

		{"DefectDojo", "description", tracked + " ping", "/data/description"},
		{"DefectDojo", "title", tracked + " ping", "/data/title"},
		{"DefectDojo", "user.username", tracked + " ping", "/data/user/username"},
		{"DefectDojo", "user.url_api", tracked + " ping", "/data/user/url_api"},
		{"DefectDojo", "url_ui", tracked + " ping", "/data/url_ui"},
		{"DefectDojo", "url_api", tracked + " ping", "/data/url_api"},
		{"DefectDojo", "disclaimer", tracked + " ping", "/data/disclaimer"},
		{"DefectDojo", "product_type.name", placed, "/data/product_type/name"},
		{"DefectDojo", "product.id", placed, "/data/product/id"},
		{"DefectDojo", "product.name", placed, "/scope/product"},
		{"DefectDojo", "engagement.url_ui", placed, "/data/engagement/url_ui"},
		{"DefectDojo", "test.title", placed, "/data/test/title"},
		{"DefectDojo", "finding_count", scans, "/data/finding_count"},
		{"DefectDojo", "findings.new[].severity", scans, "/data/findings/new/-/severity"},
		{"DefectDojo", "findings.reactivated[].title", scans, "/data/findings/reactivated/-/title"},
		{"DefectDojo", "findings.mitigated[].id", scans, "/data/findings/mitigated/-/id"},
		{"DefectDojo", "findings.untouched[].url_api", scans, "/data/findings/untouched/-/url_api"},
		{"DefectDojo", "finding.severity", "tracker.review_requested", "/data/finding/severity"},
		{"DefectDojo", "requested_by", "tracker.review_requested", "/data/requested_by/username"},
		{"DefectDojo", "reviewers[]", "tracker.review_requested", "/data/reviewers/-/username"},
	}
	envelope := []string{"/id", "/type", "/time", "/actor"}
	for _, test := range tests {
		t.Run(test.product+" "+test.field, func(t *testing.T) {
			t.Parallel()
			for name := range strings.FieldsSeq(test.types) {
				typ, ok := c.Type(name)
				require.True(t, ok, "there is no type %s", name)
				if key, ok := strings.CutPrefix(test.place, "/scope/"); ok {
					require.True(t, typ.CanCarry(key), "%s carries no scope %s", name, key)
					continue
				}
				if slices.Contains(envelope, test.place) {
					continue
				}
				below, ok := strings.CutPrefix(test.place, "/data/")
				require.True(t, ok)
				var schema map[string]any
				require.NoError(t, json.Unmarshal(typ.Schema, &schema))
				require.True(t, names(schema, schema, strings.Split(below, "/")), "%s names no %s", name, test.place)
			}
		})
	}
}

// names reports whether a schema names the value at the path; "-" stands for
// any item of a list.
func names(root, schema map[string]any, path []string) bool {
	if ref, ok := schema["$ref"].(string); ok {
		defs, _ := root["$defs"].(map[string]any)
		def, _ := defs[strings.TrimPrefix(ref, localRef)].(map[string]any)
		if names(root, def, path) {
			return true
		}
	}
	all, _ := schema["allOf"].([]any)
	for _, part := range all {
		if part, ok := part.(map[string]any); ok && names(root, part, path) {
			return true
		}
	}
	if len(path) == 0 {
		return true
	}
	properties, _ := schema["properties"].(map[string]any)
	next, ok := properties[path[0]].(map[string]any)
	if path[0] == "-" {
		next, ok = schema["items"].(map[string]any)
	}
	return ok && names(root, next, path[1:])
}

// A keyword that the draft does not know is ignored by validators, so a slip
// in the YAML would go unnoticed.
func TestSchemasHaveNoUnknownKeywords(t *testing.T) {
	t.Parallel()
	keywords := []string{
		"$schema", "$defs", "$ref", "allOf", "type", "description", "properties", "required", "items",
		"const", "format", "pattern", "minimum", "minLength",
	}
	var walk func(t *testing.T, schema map[string]any)
	walk = func(t *testing.T, schema map[string]any) {
		t.Helper()
		for keyword, value := range schema {
			require.Contains(t, keywords, keyword)
			switch keyword {
			case "properties", "$defs":
				for _, child := range value.(map[string]any) {
					walk(t, child.(map[string]any))
				}
			case "allOf":
				for _, child := range value.([]any) {
					walk(t, child.(map[string]any))
				}
			case "items":
				walk(t, value.(map[string]any))
			}
		}
	}
	for _, typ := range load(t).Types() {
		var schema map[string]any
		require.NoError(t, json.Unmarshal(typ.Schema, &schema))
		walk(t, schema)
	}
}
