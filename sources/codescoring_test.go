package sources

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/catalog"
)

func TestEveryTriggerOfCodeScoring(t *testing.T) {
	t.Parallel()
	events := product(t, "codescoring").tell(page(t, "codescoring/every_trigger.json"), "")
	want := catalog.ProductTypes(catalog.CodeScoring)
	require.Len(t, events, 32)
	for i, e := range events {
		require.Equal(t, want[i].Type, e.Type, "in their order")
		require.Empty(t, e.Actor)
	}
	requireDifferentIDs(t, events)
	project := `"scope":{"project":"project_name"},"subject":""`
	for i, want := range map[int]string{
		0: `{"type":"ping","actor":"","scope":null,"subject":"","time":"2024-12-02T10:15:00.123456Z","data":{}}`,
		1: `{"type":"sca.policy_triggered","actor":"","scope":null,"subject":"pkg:npm/lodash@4.17.20","time":"2024-12-02T10:15:01.123456Z",
			"data":{"alert_id":0,"stage":"build","level":"critical","policy_id":0,"policy_name":"0","dependency_id":0,
			"dependency_purl":"pkg:npm/lodash@4.17.20","matched_criteria":["criteria"],"project_id":0}}`,
		2: `{"type":"osa.policy_triggered","actor":"","scope":null,"subject":"pkg:npm/lodash@4.17.20","time":"2024-12-02T10:15:02.123456Z",
			"data":{"alert_id":0,"stage":"proxy","level":"warning","policy_id":0,"policy_name":"0","dependency_id":0,
			"dependency_purl":"pkg:npm/lodash@4.17.20","matched_criteria":["criteria"],"container_image_id":0,"artifact_repository_id":0}}`,
		4: `{"type":"analysis.project_sca_finished","actor":"",` + project + `,"time":"2024-12-02T10:15:04.123456Z",
			"data":{"project_id":0,"project_name":"project_name","vulnerabilities_count":0,"dependencies_count":0}}`,
		10: `{"type":"analysis.container_image_sca_failed","actor":"","scope":null,"subject":"","time":"2024-12-02T10:15:10.123456Z",
			"data":{"container_image_id":0,"container_image_name":"image_name","error":"error_description"}}`,
		21: `{"type":"repository.cloning_failed","actor":"",` + project + `,"time":"2024-12-02T10:15:21.123456Z",
			"data":{"project_id":0,"project_name":"project_name","repo_url":"https://git.example.com/group/repo","repo_ref_name":"main",
			"error":"error_description"}}`,
		31: `{"type":"analysis.secrets_model_purged","actor":"","scope":null,"subject":"","time":"2024-12-02T10:15:31.123456Z","data":{}}`,
	} {
		requireSeen(t, want, events[i])
	}
}

func TestAnEventOfCodeScoringThatComesAgainInAnotherListIsTheSame(t *testing.T) {
	t.Parallel()
	b := product(t, "codescoring")
	const event = `{"created_at":"2026-11-22T10:00:00Z","trigger":"clones_analysis_failed","payload":{"project_id":7,"error":"a < b"}}`
	const another = `{"created_at":"2026-11-22T10:00:01Z","trigger":"clones_analysis_failed","payload":{"project_id":7,"error":"a < b"}}`
	first := b.tell(`{"events":[`+event+`]}`, "")
	again := b.tell(`{"events": [ `+another+`, {"trigger": "clones_analysis_failed",
		"payload": {"error": "a < b", "project_id": 7}, "created_at": "2026-11-22T10:00:00Z"} ] }`, "")
	require.Len(t, again, 2)
	require.Equal(t, first[0], again[1])
	require.NotEqual(t, first[0].ID, again[0].ID)
}

func TestWhatIsUnderstoodOfAListIsTaken(t *testing.T) {
	t.Parallel()
	events := product(t, "codescoring").tell(`{"events":[
		{"created_at":"2026-11-22T10:00:00Z","trigger":"project_created","payload":{}},
		{"created_at":"2026-11-22T10:00:00Z","trigger":"test","payload":null},
		{"created_at":"2026-11-22T10:00:00Z","trigger":"project_deleted","payload":{}}]}`, "")
	require.Len(t, events, 2)
	require.Equal(t, "ping", events[0].Type)
	require.JSONEq(t, `{}`, string(events[0].Data))
	var data unknownData
	require.NoError(t, json.Unmarshal(events[1].Data, &data))
	require.Equal(t, `the trigger "project_created" is not known (the first of 2 notifications that are not understood)`, data.Reason)
	require.JSONEq(t, `{"created_at":"2026-11-22T10:00:00Z","trigger":"project_created","payload":{}}`, data.Body)
	require.Empty(t, product(t, "codescoring").tell(`{"events":[]}`, ""))
}

func TestTheTimesOfCodeScoring(t *testing.T) {
	t.Parallel()
	for told, want := range map[string]string{
		"2024-12-02T10:15:00.123456+03:00": "2024-12-02T07:15:00.123456Z",
		"2024-12-02T10:15:00Z":             "2024-12-02T10:15:00Z",
		"2024-12-02T10:15:00.123456":       "2024-12-02T10:15:00.123456Z",
		"2024-12-02T10:15:00":              "2024-12-02T10:15:00Z",
		"datetime_in_iso_format":           "0001-01-01T00:00:00Z",
		"1969-12-02T10:15:00":              "0001-01-01T00:00:00Z",
		"":                                 "0001-01-01T00:00:00Z",
	} {
		events := product(t, "codescoring").tell(`{"events":[{"created_at":"`+told+`","trigger":"test","payload":{}}]}`, "")
		require.Len(t, events, 1)
		require.Equal(t, want, events[0].Time.Format("2006-01-02T15:04:05.999999Z07:00"), told)
	}
}

func TestAFieldThatCodeScoringMayAddIsKept(t *testing.T) {
	t.Parallel()
	events := product(t, "codescoring").tell(`{"events":[{"created_at":"2026-11-22T10:00:00Z","trigger":"project_sca_analysis_finished",
		"payload":{"project_id":7,"analysis_id":"a-1","dependency_purl":"no purl","branch":null}}]}`, "")
	require.Len(t, events, 1)
	requireSeen(t, `{"type":"analysis.project_sca_finished","actor":"","scope":null,"subject":"","time":"2026-11-22T10:00:00Z",
		"data":{"project_id":7,"analysis_id":"a-1","dependency_purl":"no purl"}}`, events[0])
}
