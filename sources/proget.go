package sources

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// proGet understands the default contents of ProGet's custom webhooks, which
// have no name in common: the keys tell them apart. Keys that an operator added
// to the content are kept.
// https://docs.inedo.com/docs/proget/administration/notifiers
type proGet struct{}

var proGetContent = names{
	"packageType": {to: "package_type"}, "packageGroup": {to: "group"}, "feedType": {to: "feed_type"},
	"vulnerabilityId": {to: "vulnerability_id"},
	"packages": {to: "affected_packages", in: names{
		"Name": {to: "name"}, "AffectedVersions": {to: "affected_versions"},
	}},
	"buildId": {to: "build_id"}, "buildNumber": {to: "number"}, "releaseNumber": {to: "release_number"},
	"projectName": {to: "project"},
	"issues":      {to: "issues", in: names{"Sequence": {to: "sequence"}, "Detail": {to: "detail"}}},
}

// decimal is a score that is a number also in JSON.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,2})(\.[0-9]{1,6})?$`)

// Kind returns "proget".
func (proGet) Kind() string { return catalog.ProGet }

// Events reads one notification. ProGet gives it neither an id nor a time, and
// sends it once.
func (p proGet) Events(_ context.Context, in Upstream, _ Memory) ([]carillon.Event, error) {
	return collectOne(in, func(body map[string]any) (news, string) {
		n, reason := p.read(body)
		n.id = toldOnce(in)
		return n, reason
	})
}

func (p proGet) read(body map[string]any) (n news, reason string) {
	if n.eventType, reason = p.eventType(body); reason != "" {
		return n, reason
	}
	delete(body, "event")
	n.actor = take(body, "user")
	n.scope = map[string]string{"feed": take(body, "feed"), "project": text(body, "projectName")}
	n.data = proGetContent.of(body)
	if kind := text(n.data, "package_type"); kind != "" {
		n.data["package_type"] = strings.ToLower(kind)
	}
	n.subject = purl(text(n.data, "package_type"), text(n.data, "group"), text(n.data, "package"), text(n.data, "version"))
	if n.eventType == "sca.vulnerability_detected" {
		n.subject = p.affected(n.data["affected_packages"])
	}
	// ProGet writes numbers as texts; conditions compare a number.
	switch score, _ := n.data["score"].(string); {
	case decimal.MatchString(score):
		n.data["score"] = json.Number(score)
	case n.data["score"] == "":
		delete(n.data, "score")
	}
	return n, ""
}

// eventType tells the contents apart.
func (proGet) eventType(body map[string]any) (eventType, reason string) {
	if event, ok := body["event"]; ok {
		name, _ := event.(string)
		for _, known := range catalog.ProductTypes(catalog.ProGet) {
			if strings.EqualFold(known.Name, name) && !known.OneWay {
				return known.Type, ""
			}
		}
		return "", fmt.Sprintf("the event %q is not known", name)
	}
	for _, content := range []struct{ key, eventType string }{
		{"vulnerabilityId", "sca.vulnerability_detected"},
		{"result", "sca.noncompliant_package"},
		{"issues", "build.issues_opened"},
	} {
		if _, ok := body[content.key]; ok {
			return content.eventType, ""
		}
	}
	return "", "this is none of ProGet's default contents"
}

// affected names the package that a vulnerability affects, in any version, when
// it is one: "nuget:Newtonsoft.Json".
func (proGet) affected(packages any) string {
	list, _ := packages.([]any)
	if len(list) != 1 {
		return ""
	}
	only, _ := list[0].(map[string]any)
	kind, name, _ := strings.Cut(text(only, "name"), ":")
	return purl(kind, "", name, "")
}
