package catalog

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the generated document anew")

func TestDocumentationIsCurrent(t *testing.T) {
	t.Parallel()
	const path = "../docs/event-types.md"
	want := load(t).Markdown()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "write it anew with: make generate")
}

func TestTheProductsNamesAreThoseOfTheirPages(t *testing.T) {
	t.Parallel()
	tests := []struct {
		product, eventType, name string
		back                     string // empty: the type itself
	}{
		{MyGet, "ping", "PingWebHookEventPayloadV1", ""},
		{MyGet, "package.added", "PackageAddedWebHookEventPayloadV1", ""},
		{MyGet, "package.overwritten", "PackageAddedWebHookEventPayloadV1", "package.added"},
		{MyGet, "package.promoted", "PackageAddedWebHookEventPayloadV1", "package.added"},
		{MyGet, "package.deleted", "PackageDeletedWebHookEventPayloadV1", ""},
		{MyGet, "package.purged", "PackageDeletedWebHookEventPayloadV1", "package.deleted"},
		{MyGet, "package.listed", "PackageListedWebHookEventPayloadV1", ""},
		{MyGet, "package.unlisted", "PackageListedWebHookEventPayloadV1", "package.listed"},
		{MyGet, "package.pinned", "PackagePinnedWebHookEventPayloadV1", ""},
		{MyGet, "package.unpinned", "PackagePinnedWebHookEventPayloadV1", "package.pinned"},
		{MyGet, "package.pushed", "PackagePushedWebHookEventPayloadV1", ""},
		{MyGet, "build.finished", "BuildFinishedWebHookEventPayloadV1", ""},
		{ProGet, "package.status_changed", "Status Changed", ""},
		{ProGet, "package.unlisted", "Status Changed", "package.status_changed"},
		{ProGet, "build.issues_opened", "Issues Opened on Build", ""},
		{CodeScoring, "ping", "test", ""},
		{CodeScoring, "sca.policy_triggered", "sca_policy_has_been_triggered", ""},
		{CodeScoring, "analysis.project_sca_canceled", "project_sca_analysis_cancelled", ""},
		{CodeScoring, "repository.cloning_failed", "cloning_of_repository_failed", ""},
		{DefectDojo, "ping", "ping", ""},
		{DefectDojo, "tracker.scan_added_empty", "scan_added_empty", ""},
	}
	for _, test := range tests {
		t.Run(test.product+" "+test.eventType, func(t *testing.T) {
			t.Parallel()
			name, ok := ProductName(test.product, test.eventType)
			require.True(t, ok)
			require.Equal(t, test.name, name)
			back, ok := TypeOf(test.product, name)
			require.True(t, ok)
			if test.back == "" {
				test.back = test.eventType
			}
			require.Equal(t, test.back, back)
		})
	}
}

func TestEveryNameHasItsPlaceInTheTable(t *testing.T) {
	t.Parallel()
	// MyGet's nine payloads; ProGet's ten events; CodeScoring's 21 triggers, 10
	// about secrets, and test; what DefectDojo emits, report_created, and ping.
	want := map[string]int{MyGet: 9, ProGet: 10, CodeScoring: 32, DefectDojo: 39}
	c := load(t)
	for _, product := range Products {
		names := map[string]bool{}
		for _, row := range ProductTypes(product) {
			names[row.Name] = true
			typ, ok := c.Type(row.Type)
			require.True(t, ok)
			require.False(t, typ.Own, "%s cannot be told by a product", row.Type)
			require.Equal(t, row.Name, typ.Products[product])
		}
		require.Len(t, names, want[product], product)
	}
	require.Len(t, want, len(Products))
}

func TestWhatIsNotKnownHasNoName(t *testing.T) {
	t.Parallel()
	for _, at := range [][2]string{{MyGet, "sca.policy_triggered"}, {ProGet, "ping"}, {"nexus", "package.added"}, {CodeScoring, ""}} {
		_, ok := ProductName(at[0], at[1])
		require.False(t, ok, "%v", at)
	}
	for _, at := range [][2]string{{MyGet, "PackageAdded"}, {ProGet, "added"}, {"nexus", "CREATED"}, {DefectDojo, "code_review"}} {
		_, ok := TypeOf(at[0], at[1])
		require.False(t, ok, "%v", at)
	}
	require.Empty(t, ProductTypes("nexus"))
	first := ProductTypes(MyGet)
	first[0].Name = "changed"
	require.Equal(t, "PingWebHookEventPayloadV1", ProductTypes(MyGet)[0].Name)
}
