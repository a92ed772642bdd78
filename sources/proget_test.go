package sources

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProGetsPage(t *testing.T) {
	t.Parallel()
	tests := []struct{ example, want string }{
		{"package_event.json", `{"type":"package.promoted","actor":"API","scope":{"feed":"internal-utils"},"subject":"",
			"time":"0001-01-01T00:00:00Z","data":{"package":"MyCorp.CoolUtils","version":"3.2.0-pre.1"}}`},
		{"vulnerability.json", `{"type":"sca.vulnerability_detected","actor":"","scope":null,"subject":"pkg:nuget/Newtonsoft.Json",
			"time":"0001-01-01T00:00:00Z","data":{"vulnerability_id":"PGV-2245804",
			"summary":"Improper Handling of Exceptional Conditions in Newtonsoft.Json","severity":"High","score":7.5,
			"affected_packages":[{"name":"nuget:Newtonsoft.Json","affected_versions":"< 13.0.1."}]}}`},
		{"noncompliant.json", `{"type":"sca.noncompliant_package","actor":"","scope":{"feed":"internal-utils"},"subject":"",
			"time":"0001-01-01T00:00:00Z","data":{"package":"MyCorp.CoolUtils","version":"3.2.0-pre.1","result":"Noncompliant",
			"details":"Vulnerability (PGV-2358804); Package is Unlisted"}}`},
		{"issues.json", `{"type":"build.issues_opened","actor":"","scope":{"project":"XAPUtil.Web"},"subject":"",
			"time":"0001-01-01T00:00:00Z","data":{"number":"25.4.2","release_number":"v25-Q4","project":"XAPUtil.Web",
			"issues":[{"sequence":"1","detail":"Noncompliant package (PGV-892418)"},
				{"sequence":"4","detail":"Noncompliant package (MIT License)"}]}}`},
	}
	for _, test := range tests {
		t.Run(test.example, func(t *testing.T) {
			t.Parallel()
			events := product(t, "proget").tell(page(t, "proget/"+test.example), "")
			require.Len(t, events, 1)
			requireSeen(t, test.want, events[0])
		})
	}
}

func TestEveryEventOfProGet(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Added": "package.added", "Overwritten": "package.overwritten", "Promoted": "package.promoted",
		"Deployed": "package.deployed", "Deleted": "package.deleted", "Purged": "package.purged",
		"Status Changed": "package.status_changed", "added": "package.added",
		"Noncompliant Package Discovered": "sca.noncompliant_package",
	} {
		events := product(t, "proget").tell(`{"package":"a","version":"1","event":"`+name+`","user":"API","feed":"f"}`, "")
		require.Len(t, events, 1)
		require.Equal(t, want, events[0].Type)
	}
}

func TestAContentOfProGetThatAnOperatorChanged(t *testing.T) {
	t.Parallel()
	events := product(t, "proget").tell(`{"feed":"internal-utils","package":"CoolUtils","packageGroup":"MyCorp","version":"3.2.0",
		"hash":"ab12","packageType":"Npm","event":"added","user":"","url":"https://proget.example.com/","package_type":"mine"}`, "")
	require.Len(t, events, 1)
	requireSeen(t, `{"type":"package.added","actor":"","scope":{"feed":"internal-utils"},"subject":"pkg:npm/MyCorp/CoolUtils@3.2.0",
		"time":"0001-01-01T00:00:00Z","data":{"package":"CoolUtils","group":"MyCorp","version":"3.2.0","hash":"ab12",
		"package_type":"npm","url":"https://proget.example.com/"}}`, events[0])
}

func TestTheScoresOfProGet(t *testing.T) {
	t.Parallel()
	for told, want := range map[string]string{
		`"7.5"`: `7.5`, `"9.0"`: `9.0`, `"10"`: `10`, `"0"`: `0`, `7.5`: `7.5`, `"007"`: `"007"`, `""`: ``, `null`: ``,
	} {
		events := product(t, "proget").tell(`{"vulnerabilityId":"PGV-1","score":`+told+`,"packages":[]}`, "")
		require.Len(t, events, 1)
		require.Equal(t, "sca.vulnerability_detected", events[0].Type, told)
		var data struct{ Score json.RawMessage }
		require.NoError(t, json.Unmarshal(events[0].Data, &data))
		require.Equal(t, want, string(data.Score), told)
	}
}

func TestAVulnerabilityOfSeveralPackagesHasNoSubject(t *testing.T) {
	t.Parallel()
	for _, packages := range []string{
		`[]`, `[{"Name":"nuget:A"},{"Name":"nuget:B"}]`, `[{"Name":"A"}]`, `[{"Name":"docker:A"}]`, `[{}]`, `["nuget:A"]`, `"nuget:A"`,
	} {
		events := product(t, "proget").tell(`{"vulnerabilityId":"PGV-1","packages":`+packages+`}`, "")
		require.Len(t, events, 1)
		require.Empty(t, events[0].Subject, packages)
	}
}
