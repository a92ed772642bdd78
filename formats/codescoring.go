package formats

import (
	"encoding/json"
	"time"

	"github.com/carillon-dev/carillon/catalog"
)

// codeScoring writes what CodeScoring sends: a list of events, here of one,
// each with its trigger and a payload whose keys the trigger decides. What is
// not known is null.
// https://docs.codescoring.ru/on-premise/how-to/webhooks.en/
type codeScoring struct{ product }

func newCodeScoring() codeScoring { return codeScoring{catalog.CodeScoring} }

// Describe tells of the header that takes the endpoint's token.
func (codeScoring) Describe() Description {
	const header = "X-CodeScoring-Authentication"
	return Description{
		Title: "CodeScoring", Text: "What CodeScoring's webhooks send: a list of events.",
		Headers:     []HeaderField{{header, "The endpoint's token."}},
		TokenHeader: header,
	}
}

// Prepare takes no options.
func (codeScoring) Prepare(posted json.RawMessage, _ []string) (json.RawMessage, error) {
	return prepare(nil, posted)
}

type codeScoringEvent struct {
	CreatedAt time.Time `json:"created_at"`
	Trigger   string    `json:"trigger"`
	Payload   any       `json:"payload"`
}

// Render writes a list of one event.
func (f codeScoring) Render(r Request) (Payload, error) {
	trigger, err := f.nameOf(r.Event.Type)
	if err != nil {
		return Payload{}, err
	}
	data, err := readData(r.Event.Data)
	if err != nil {
		return Payload{}, err
	}
	return writeJSON(struct {
		Events []codeScoringEvent `json:"events"`
	}{[]codeScoringEvent{{r.Event.Time.UTC(), trigger, codeScoringPayload(r.Event.Type, data)}}})
}

// The parts of CodeScoring's payloads, in the order of its page.
type (
	codeScoringAlert struct {
		AlertID         *json.Number `json:"alert_id"`
		Stage           *string      `json:"stage"`
		Level           *string      `json:"level"`
		PolicyID        *json.Number `json:"policy_id"`
		PolicyName      *string      `json:"policy_name"`
		DependencyID    *json.Number `json:"dependency_id"`
		DependencyPURL  *string      `json:"dependency_purl"`
		MatchedCriteria []string     `json:"matched_criteria"`
	}

	codeScoringProjectID struct {
		ProjectID *json.Number `json:"project_id"`
	}

	codeScoringProject struct {
		codeScoringProjectID
		ProjectName *string `json:"project_name"`
	}

	codeScoringImageID struct {
		ContainerImageID *json.Number `json:"container_image_id"`
	}

	codeScoringImage struct {
		codeScoringImageID
		ContainerImageName *string `json:"container_image_name"`
	}

	codeScoringRepository struct {
		codeScoringProject
		RepoURL     *string `json:"repo_url"`
		RepoRefName *string `json:"repo_ref_name"`
	}

	codeScoringCounts struct {
		VulnerabilitiesCount *json.Number `json:"vulnerabilities_count"`
		DependenciesCount    *json.Number `json:"dependencies_count"`
		// AnalysisID came later, without a name on the page: left out where unknown.
		AnalysisID any `json:"analysis_id,omitempty"`
	}

	codeScoringFailure struct {
		Error *string `json:"error"`
	}
)

func codeScoringPayload(eventType string, data fields) any {
	projectID := codeScoringProjectID{data.integer("project_id")}
	project := codeScoringProject{projectID, data.text("project_name")}
	image := codeScoringImage{codeScoringImageID{data.integer("container_image_id")}, data.text("container_image_name")}
	repository := codeScoringRepository{project, data.text("repo_url"), data.text("repo_ref_name")}
	failure := codeScoringFailure{data.text("error")}
	counts := codeScoringCounts{
		VulnerabilitiesCount: data.integer("vulnerabilities_count"), DependenciesCount: data.integer("dependencies_count"),
	}
	switch id := data["analysis_id"].(type) {
	case string, json.Number:
		counts.AnalysisID = id
	}
	switch eventType {
	case "sca.policy_triggered":
		return struct {
			codeScoringAlert
			codeScoringProjectID
		}{readAlert(data), projectID}
	case "osa.policy_triggered":
		return struct {
			codeScoringAlert
			codeScoringImageID
			ArtifactRepositoryID *json.Number `json:"artifact_repository_id"`
		}{readAlert(data), image.codeScoringImageID, data.integer("artifact_repository_id")}
	case "analysis.project_sca_finished":
		return struct {
			codeScoringProject
			codeScoringCounts
		}{project, counts}
	case "analysis.container_image_sca_finished":
		return struct {
			codeScoringImage
			codeScoringCounts
		}{image, counts}
	case "analysis.container_image_sca_failed":
		return struct {
			codeScoringImage
			codeScoringFailure
		}{image, failure}
	case "analysis.container_image_sca_started", "analysis.container_image_sca_canceled":
		return image
	case "analysis.project_sca_failed", "analysis.clones_failed", "analysis.authors_failed":
		return struct {
			codeScoringProject
			codeScoringFailure
		}{project, failure}
	case "repository.cloning_started", "repository.cloning_finished":
		return repository
	case "repository.cloning_failed":
		return struct {
			codeScoringRepository
			codeScoringFailure
		}{repository, failure}
	case "ping", "analysis.secrets_training_started", "analysis.secrets_training_finished", "analysis.secrets_training_canceled",
		"analysis.secrets_training_failed", "analysis.secrets_model_accepted", "analysis.secrets_model_purged":
		return struct{}{}
	default: // the analyses that tell the project alone
		return project
	}
}

func readAlert(data fields) codeScoringAlert {
	return codeScoringAlert{
		AlertID: data.integer("alert_id"), Stage: data.text("stage"), Level: data.text("level"),
		PolicyID: data.integer("policy_id"), PolicyName: data.text("policy_name"),
		DependencyID: data.integer("dependency_id"), DependencyPURL: data.text("dependency_purl"),
		MatchedCriteria: data.texts("matched_criteria"),
	}
}
