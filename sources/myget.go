package sources

import (
	"context"
	"fmt"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// myGet understands MyGet's HTTP POST webhook.
// https://docs.myget.org/docs/reference/webhooks
type myGet struct{}

// Of what MyGet tells of a build's or a package's dependencies and packages.
var myGetPackage = names{
	"PackageType": {to: "package_type"}, "PackageIdentifier": {to: "package"}, "PackageVersion": {to: "version"},
	"TargetFramework": {to: "target_framework"},
}

var myGetPayload = names{
	"Action": {to: "action"}, "FeedUrl": {to: "feed_url"},
	"PackageType": {to: "package_type"}, "PackageIdentifier": {to: "package"}, "PackageVersion": {to: "version"},
	"PackageDetailsUrl": {to: "details_url"}, "PackageDownloadUrl": {to: "download_url"},
	"PackageMetadata": {to: "metadata", in: names{
		"IconUrl": {to: "icon_url"}, "Size": {to: "size"}, "Authors": {to: "authors"}, "Description": {to: "description"},
		"LicenseUrl": {to: "license_url"}, "LicenseNames": {to: "license_names"}, "ProjectUrl": {to: "project_url"},
		"Tags": {to: "tags"}, "MinClientVersion": {to: "min_client_version"}, "ReleaseNotes": {to: "release_notes"},
		"Dependencies": {to: "dependencies", in: myGetPackage},
	}},
	"TargetPackageSourceName": {to: "target_source_name"}, "TargetPackageSourceUrl": {to: "target_source_url"},
	"Name": {to: "name"}, "Branch": {to: "branch"}, "Result": {to: "result"}, "BuildLogUrl": {to: "log_url"},
	"Packages": {to: "packages", in: myGetPackage},
}

// Kind returns "myget".
func (myGet) Kind() string { return catalog.MyGet }

// Events reads one notification.
func (m myGet) Events(_ context.Context, in Upstream, _ Memory) ([]carillon.Event, error) {
	return collectOne(in, m.read)
}

func (myGet) read(body map[string]any) (n news, reason string) {
	identifier, payloadType := text(body, "Identifier"), text(body, "PayloadType")
	n.upstreamID = identifier
	payload, ok := body["Payload"].(map[string]any)
	eventType, known := catalog.TypeOf(catalog.MyGet, payloadType)
	switch {
	case payloadType == "":
		return n, "there is no PayloadType"
	case !known:
		return n, fmt.Sprintf("the PayloadType %q is not known", payloadType)
	case !upstreamIDPattern.MatchString(identifier):
		return n, "there is no Identifier"
	case !ok:
		return n, "the Payload is no JSON object"
	}
	n.eventType = eventType
	// The events of one build share their Identifier.
	n.id = "myget/" + identifier + "/" + payloadType
	n.at, n.actor = occurredAt(text(body, "When")), text(body, "Username")
	n.scope = map[string]string{"feed": take(payload, "FeedIdentifier")}
	n.data = myGetPayload.of(payload)
	if n.eventType == "package.listed" || n.eventType == "package.pinned" {
		action := text(n.data, "action") // listed or unlisted, pinned or unpinned
		n.eventType = "package." + action
		if name, _ := catalog.ProductName(catalog.MyGet, n.eventType); name != payloadType {
			return n, fmt.Sprintf("the Action %q is not known", action)
		}
	}
	lowerPackageType(n.data)
	n.subject = purl(text(n.data, "package_type"), "", text(n.data, "package"), text(n.data, "version"))
	return n, ""
}

// lowerPackageType writes "NuGet" as others do, here and in lists below. What
// MyGet calls other kinds is kept, for the format to write again.
func lowerPackageType(object map[string]any) {
	if kind, ok := object["package_type"].(string); ok {
		lower := strings.ToLower(kind)
		object["package_type"] = lower
		if lower != kind && lower != "nuget" {
			object["package_type_name"] = kind
		}
	}
	packages, _ := object["packages"].([]any)
	for _, item := range packages {
		if item, ok := item.(map[string]any); ok {
			lowerPackageType(item)
		}
	}
}
