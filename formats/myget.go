package formats

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// myGet writes what MyGet's HTTP POST webhook sends: an envelope, and one of
// nine payloads. Every key is always there; what is not known is null.
// https://docs.myget.org/docs/reference/webhooks
type myGet struct{ product }

// myGetTime has seven fractional digits, as .NET writes times.
const myGetTime = "2006-01-02T15:04:05.0000000Z07:00"

// myGetType is the media type that MyGet sends unless its form says otherwise.
const myGetType = "application/vnd.myget.webhooks.v1+json"

// myGetIDs is the namespace of the identifiers that are made from event ids.
var myGetIDs = uuid.MustParse("6fd55b40-2a0f-5c3b-9d1e-0e7d5f1c8a63")

var myGetOptions = []Option{{
	Name: "content_type", Text: "The Content-Type, which MyGet's own form offers, too.",
	Values: []string{myGetType, jsonType}, Default: myGetType,
}}

// Describe tells of MyGet's headers and of its content type.
func (myGet) Describe() Description {
	return Description{
		Title: "MyGet", Text: "What MyGet's HTTP POST webhook sends.",
		Options: myGetOptions,
		Headers: []HeaderField{
			{"User-Agent", `Begins with "MyGet Web Hook/".`},
			{"X-MyGet-EventIdentifier", "The Identifier of the body: a UUID made from the event's id, the same in every attempt."},
		},
	}
}

// Prepare reads the content type.
func (myGet) Prepare(posted json.RawMessage, _ []string) (json.RawMessage, error) {
	return prepare(myGetOptions, posted)
}

type myGetEnvelope struct {
	Identifier  string
	Username    *string
	When        string
	PayloadType string
	Payload     any
}

// Render writes the envelope with the payload of the event's type.
func (f myGet) Render(r Request) (Payload, error) {
	name, err := f.nameOf(r.Event.Type)
	if err != nil {
		return Payload{}, err
	}
	options, err := chosen(myGetOptions, r.Options)
	if err != nil {
		return Payload{}, err
	}
	data, err := readData(r.Event.Data)
	if err != nil {
		return Payload{}, err
	}
	envelope := myGetEnvelope{
		Identifier: uuid.NewSHA1(myGetIDs, []byte(r.Event.ID)).String(), Username: known(r.Event.Actor),
		When: r.Event.Time.UTC().Format(myGetTime), PayloadType: name, Payload: myGetPayload(r.Event, data),
	}
	payload, err := writeJSON(envelope)
	payload.ContentType = options["content_type"]
	payload.Headers = []Header{
		{"User-Agent", "MyGet Web Hook/1.0 (" + r.Instance.Agent + ")"},
		{"X-MyGet-EventIdentifier", envelope.Identifier},
	}
	return payload, err
}

// The payloads, with their keys in the order of MyGet's page.
type (
	myGetFeed struct {
		FeedIdentifier *string
		FeedURL        *string `json:"FeedUrl"`
	}

	myGetPackage struct{ PackageType, PackageIdentifier, PackageVersion *string }

	myGetDetails struct {
		myGetPackage
		PackageDetailsURL  *string `json:"PackageDetailsUrl"`
		PackageDownloadURL *string `json:"PackageDownloadUrl"`
		PackageMetadata    myGetMetadata
	}

	myGetMetadata struct {
		IconURL          *string `json:"IconUrl"`
		Size             *json.Number
		Authors          *string
		Description      *string
		LicenseURL       *string `json:"LicenseUrl"`
		LicenseNames     *string
		ProjectURL       *string `json:"ProjectUrl"`
		Tags             *string
		MinClientVersion *string
		ReleaseNotes     *string
		Dependencies     []myGetDependency
	}

	myGetDependency struct{ PackageIdentifier, PackageVersion, TargetFramework *string }

	myGetBuild struct{ Name, Branch *string }

	myGetBuilt struct {
		myGetPackage
		TargetFramework *string
	}
)

func myGetPayload(e carillon.Event, data fields) any {
	feed := myGetFeed{FeedIdentifier: known(e.Scope["feed"]), FeedURL: data.text("feed_url")}
	if feed.FeedIdentifier == nil {
		feed.FeedIdentifier = data.text("feed")
	}
	build := myGetBuild{Name: data.text("name"), Branch: data.text("branch")}
	switch e.Type {
	case "package.added", "package.overwritten", "package.promoted":
		return struct {
			myGetDetails
			myGetFeed
		}{readDetails(data), feed}
	case "package.pushed":
		return struct {
			myGetDetails
			TargetPackageSourceName *string
			TargetPackageSourceURL  *string `json:"TargetPackageSourceUrl"`
			myGetFeed
		}{readDetails(data), data.text("target_source_name"), data.text("target_source_url"), feed}
	case "package.deleted", "package.purged":
		return struct {
			myGetPackage
			myGetFeed
		}{readPackage(data), feed}
	case "package.listed", "package.unlisted", "package.pinned", "package.unpinned":
		return struct {
			Action string
			myGetPackage
			myGetFeed
		}{strings.TrimPrefix(e.Type, "package."), readPackage(data), feed}
	case "build.queued", "build.started":
		return struct {
			myGetFeed
			myGetBuild
		}{feed, build}
	case "build.finished":
		return struct {
			Result *string
			myGetFeed
			myGetBuild
			BuildLogURL *string `json:"BuildLogUrl"`
			Packages    []myGetBuilt
		}{data.text("result"), feed, build, data.text("log_url"), each(data.objects("packages"), func(p fields) myGetBuilt {
			return myGetBuilt{readPackage(p), p.text("target_framework")}
		})}
	default: // ping
		return struct{}{}
	}
}

func readPackage(data fields) myGetPackage {
	kind := data.text("package_type")
	if kind != nil && strings.EqualFold(*kind, "nuget") {
		nuGet := "NuGet" // the one ecosystem whose case MyGet's page shows
		kind = &nuGet
	}
	if name := data.text("package_type_name"); name != nil && kind != nil && strings.EqualFold(*name, *kind) {
		kind = name // as MyGet itself wrote it
	}
	return myGetPackage{PackageType: kind, PackageIdentifier: data.text("package"), PackageVersion: data.text("version")}
}

func readDetails(data fields) myGetDetails {
	about := data.object("metadata")
	details := myGetDetails{
		myGetPackage: readPackage(data), PackageDetailsURL: data.text("details_url"), PackageDownloadURL: data.text("download_url"),
		PackageMetadata: myGetMetadata{
			IconURL: about.text("icon_url"), Size: about.integer("size"),
			Authors: about.words("authors", ", "), Description: about.text("description"),
			LicenseURL: about.text("license_url"), LicenseNames: about.words("license_names", ", "),
			ProjectURL: about.text("project_url"), Tags: about.words("tags", " "),
			MinClientVersion: about.text("min_client_version"), ReleaseNotes: about.text("release_notes"),
			Dependencies: each(about.objects("dependencies"), func(d fields) myGetDependency {
				return myGetDependency{d.text("package"), d.text("version"), d.text("target_framework")}
			}),
		},
	}
	if details.PackageMetadata.Size == nil {
		details.PackageMetadata.Size = data.integer("size")
	}
	return details
}

func newMyGet() myGet { return myGet{catalog.MyGet} }
