package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/client"
)

// Carillon stands behind each product: what its page shows arrives in the
// format standard, let in by the proof that the product offers.
func TestWhatTheProductsPagesShowArrives(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-the-product"
	tests := []struct {
		kind, contentType string
		authentication    client.SourceAuthentication
		prove             func(*http.Request)
		want              []string
	}{
		{
			"myget", "application/vnd.myget.webhooks.v1+json", client.SourceAuthentication{Scheme: "basic", Username: "myget"},
			func(r *http.Request) { r.SetBasicAuth("myget", secret) },
			[]string{
				"ping", "package.added", "package.deleted", "package.unlisted", "package.pinned", "package.pushed",
				"build.queued", "build.started", "build.finished",
			},
		}, {
			"proget", "application/json", client.SourceAuthentication{Scheme: "bearer"},
			func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) },
			[]string{"package.promoted", "sca.vulnerability_detected", "sca.noncompliant_package", "build.issues_opened"},
		}, {
			"codescoring", "application/json", client.SourceAuthentication{Scheme: "token", Header: "X-CodeScoring-Authentication"},
			func(r *http.Request) { r.Header.Set("X-CodeScoring-Authentication", secret) },
			[]string{
				"ping", "sca.policy_triggered", "osa.policy_triggered",
				"analysis.project_sca_started", "analysis.project_sca_finished", "analysis.project_sca_canceled", "analysis.project_sca_failed",
				"analysis.container_image_sca_started", "analysis.container_image_sca_finished",
				"analysis.container_image_sca_canceled", "analysis.container_image_sca_failed",
				"analysis.clones_started", "analysis.clones_finished", "analysis.clones_canceled", "analysis.clones_failed",
				"analysis.authors_started", "analysis.authors_finished", "analysis.authors_canceled", "analysis.authors_failed",
				"repository.cloning_started", "repository.cloning_finished", "repository.cloning_failed",
				"analysis.secrets_started", "analysis.secrets_finished", "analysis.secrets_canceled", "analysis.secrets_failed",
				"analysis.secrets_training_started", "analysis.secrets_training_finished",
				"analysis.secrets_training_canceled", "analysis.secrets_training_failed",
				"analysis.secrets_model_accepted", "analysis.secrets_model_purged",
			},
		}, {
			"defectdojo", "application/json", client.SourceAuthentication{Scheme: "token", Header: "Authorization"},
			func(r *http.Request) { r.Header.Set("Authorization", secret) },
			[]string{
				"ping", "tracker.product_type_added", "tracker.product_added", "tracker.engagement_added", "tracker.test_added",
				"tracker.scan_added", "tracker.scan_added_empty",
			},
		},
	}
	i := start(t)
	for _, test := range tests {
		i.subscribe("/"+test.kind, func(s *client.Subscription) {
			s.EventTypes, s.Condition = []string{"*"}, "source == '"+test.kind+"'"
		})
	}
	for _, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			test.authentication.Secret = secret
			_, err := i.client.CreateSource(t.Context(), client.Source{
				Name: test.kind, Kind: test.kind, Authentication: &test.authentication,
			})
			require.NoError(t, err)
			examples, err := filepath.Glob("../sources/testdata/" + test.kind + "/*.json")
			require.NoError(t, err)
			require.NotEmpty(t, examples)
			for _, example := range examples {
				body, err := os.ReadFile(example)
				require.NoError(t, err)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.url()+"/v1/sources/"+test.kind+"/events", bytes.NewReader(body))
				require.NoError(t, err)
				req.Header.Set("Content-Type", test.contentType)
				req.Header.Set("X-DefectDojo-Event", strings.TrimSuffix(filepath.Base(example), ".json"))
				test.prove(req)
				resp, err := (&http.Client{Timeout: patience}).Do(req)
				require.NoError(t, err)
				answer, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, http.StatusAccepted, resp.StatusCode, string(answer))
			}
			var got []string
			for _, r := range i.requests("/"+test.kind, len(test.want)) {
				got = append(got, read(t, r).Type)
			}
			require.ElementsMatch(t, test.want, got)
		})
	}
}
