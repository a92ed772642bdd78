package formats

import (
	"encoding/json"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// proGet writes the default contents of ProGet's custom webhooks: one for
// package events and one for each kind of its SCA events. ProGet's values are
// texts, numbers included; what is not known is an empty one.
// https://docs.inedo.com/docs/proget/feeds/notifications-webhooks/customization
type proGet struct{ product }

var proGetOptions = []Option{{
	Name: "content_type", Text: "The Content-Type, which ProGet has among a webhook's headers.", Default: jsonType,
}}

func newProGet() proGet { return proGet{catalog.ProGet} }

// Describe says where method and headers come from.
func (proGet) Describe() Description {
	return Description{
		Title:   "ProGet",
		Text:    "The default contents of ProGet's custom webhooks. Method and headers are the endpoint's.",
		Options: proGetOptions,
	}
}

// Prepare reads the media type.
func (proGet) Prepare(posted json.RawMessage, _ []string) (json.RawMessage, error) {
	return prepare(proGetOptions, posted)
}

// Render writes the content of the event's type.
func (f proGet) Render(r Request) (Payload, error) {
	name, err := f.nameOf(r.Event.Type)
	if err != nil {
		return Payload{}, err
	}
	data, err := readData(r.Event.Data)
	if err != nil {
		return Payload{}, err
	}
	options, err := chosen(proGetOptions, r.Options)
	if err != nil {
		return Payload{}, err
	}
	payload, err := writeJSON(proGetContent(r.Event, name, data))
	payload.ContentType = options["content_type"]
	return payload, err
}

type (
	proGetIssue    struct{ Sequence, Detail string }
	proGetAffected struct{ Name, AffectedVersions string }
)

// proGetContent keeps the keys in the order of ProGet's page.
func proGetContent(e carillon.Event, name string, data fields) any {
	feed := e.Scope["feed"]
	if feed == "" {
		feed = data.filled("feed")
	}
	switch e.Type {
	case "build.issues_opened":
		project := data.filled("project")
		if project == "" {
			project = e.Scope["project"]
		}
		return struct {
			Issues        []proGetIssue `json:"issues"`
			BuildNumber   string        `json:"buildNumber"`
			ReleaseNumber string        `json:"releaseNumber"`
			ProjectName   string        `json:"projectName"`
		}{
			listed(data.objects("issues"), func(i fields) proGetIssue { return proGetIssue{i.filled("sequence"), i.filled("detail")} }),
			data.filled("number"), data.filled("release_number"), project,
		}
	case "sca.noncompliant_package":
		details := ""
		if text := data.words("details", "; "); text != nil {
			details = *text
		}
		return struct {
			Package string `json:"package"`
			Version string `json:"version"`
			Result  string `json:"result"`
			Details string `json:"details"`
			Feed    string `json:"feed"`
		}{data.filled("package"), data.filled("version"), data.filled("result"), details, feed}
	case "sca.vulnerability_detected":
		return struct {
			Packages        []proGetAffected `json:"packages"`
			VulnerabilityID string           `json:"vulnerabilityId"`
			Summary         string           `json:"summary"`
			Severity        string           `json:"severity"`
			Score           string           `json:"score"`
		}{
			readAffected(data),
			data.filled("vulnerability_id"), data.filled("summary"), data.filled("severity"), data.filled("score"),
		}
	default:
		return struct {
			Package string `json:"package"`
			Version string `json:"version"`
			Event   string `json:"event"`
			User    string `json:"user"`
			Feed    string `json:"feed"`
		}{data.filled("package"), data.filled("version"), name, e.Actor, feed}
	}
}

// readAffected reads the list, or the one package that the event names.
func readAffected(data fields) []proGetAffected {
	name := data.filled("package")
	if data["affected_packages"] == nil && name != "" {
		if kind := data.filled("package_type"); kind != "" {
			name = kind + ":" + name
		}
		return []proGetAffected{{name, data.filled("version")}}
	}
	return listed(data.objects("affected_packages"), func(p fields) proGetAffected {
		return proGetAffected{p.filled("name"), p.filled("affected_versions")}
	})
}

// listed is [each] where an unknown list is an empty one.
func listed[T any](items []fields, write func(fields) T) []T {
	if items == nil {
		return []T{}
	}
	return each(items, write)
}
