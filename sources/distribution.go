package sources

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/package-url/packageurl-go"

	"github.com/carillon-dev/carillon"
)

// distribution understands the notifications of the registry "Distribution"
// (docker-registry) and of those built on it.
// https://distribution.github.io/distribution/about/notifications/
//
// A package is a repository, a version is a tag. Manifests count, blobs do
// not; a manifest without a tag (a child of an index, mostly) is remembered and
// told to nobody, neither when it comes nor when it goes.
type distribution struct{}

// notification is the part of a registry's event that matters here. All else
// in it may change without notice.
type notification struct {
	ID        string `json:"id"`
	Timestamp string `json:"timestamp"`
	Action    string `json:"action"`
	Target    struct {
		descriptor
		Repository string       `json:"repository"`
		Tag        string       `json:"tag"`
		URL        string       `json:"url"`
		References []descriptor `json:"references"`
	} `json:"target"`
	Request struct {
		Host string `json:"host"`
	} `json:"request"`
	Actor struct {
		Name string `json:"name"`
	} `json:"actor"`
}

// descriptor points at content; its size is that of the content alone, not of
// what it refers to.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	Digest    string `json:"digest"`
}

type imageData struct {
	Package        string `json:"package"`
	Version        string `json:"version"`
	PackageType    string `json:"package_type"`
	Digest         string `json:"digest,omitempty"`
	Tag            string `json:"tag,omitempty"`
	MediaType      string `json:"media_type,omitempty"`
	Size           int64  `json:"size,omitempty"`
	DownloadURL    string `json:"download_url,omitempty"`
	PreviousDigest string `json:"previous_digest,omitempty"`
}

// manifestTypes are the media types of what an image is pulled by.
var manifestTypes = []string{
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.oci.image.index.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.docker.distribution.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
}

// The grammar of names is that of the distribution specification, but for
// upper case in a repository, which some registries allow. What does not
// follow it is understood as little as an unknown action.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md
var (
	repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,253}[A-Za-z0-9])?$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestPattern     = regexp.MustCompile(`^[a-z0-9]+([+._-][a-z0-9]+)*:[A-Za-z0-9=_-]{1,200}$`)
	hostPattern       = regexp.MustCompile(`^[A-Za-z0-9._:\[\]-]{1,255}$`)
	upstreamIDPattern = regexp.MustCompile(`^[!-~]{1,255}$`)
	urlPattern        = regexp.MustCompile(`^https?://[!-~]+$`)
)

// maxURLBytes leaves out an address that no client would follow.
const maxURLBytes = 2048

// Kind returns "distribution".
func (distribution) Kind() string { return "distribution" }

// Events reads an envelope of notifications. What is not understood in it is
// one source.unknown, whatever else the envelope tells.
func (d distribution) Events(ctx context.Context, in Upstream, memory Memory) ([]carillon.Event, error) {
	body := bytes.TrimPrefix(in.Body, []byte("\ufeff"))
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, carillon.Invalid("", "the body is not JSON; an envelope of a registry's notifications is expected")
	}
	var envelope struct {
		Events []json.RawMessage `json:"events"`
	}
	var events []carillon.Event
	var strangers []stranger
	if err := json.Unmarshal(body, &envelope); err != nil || envelope.Events == nil {
		strangers = append(strangers, stranger{part: body, reason: `the body has no list "events"`})
		envelope.Events = nil
	}
	for _, raw := range envelope.Events {
		n, reason := readNotification(raw)
		if reason != "" {
			strangers = append(strangers, stranger{part: raw, upstreamID: n.ID, reason: reason})
			continue
		}
		images, err := d.remember(ctx, in, n, memory)
		if err != nil {
			return nil, fmt.Errorf("remember notification %s: %w", n.ID, err)
		}
		for _, image := range images {
			event, err := image.event(in, n)
			if err != nil {
				return nil, err
			}
			events = append(events, event)
		}
	}
	if len(strangers) > 0 {
		event, err := unknown(in, strangers...)
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return events, nil
}

// readNotification returns a notification with an id, and says why it is not
// understood; reason is empty when it is.
func readNotification(raw json.RawMessage) (n notification, reason string) {
	if err := json.Unmarshal(raw, &n); err != nil {
		return notification{}, "the notification has other fields than a registry's"
	}
	if !upstreamIDPattern.MatchString(n.ID) {
		n.ID = "sha256:" + hash(raw)
	}
	return n, n.misfit()
}

// misfit says why the notification is not understood; it is empty when it is.
func (n notification) misfit() string {
	t := n.Target
	switch {
	case n.Action == "pull":
		return ""
	case n.Action != "push" && n.Action != "mount" && n.Action != "delete":
		return fmt.Sprintf("the action %q is not known", n.Action)
	case !repositoryPattern.MatchString(t.Repository):
		return "the target's repository is missing or no name of one"
	case t.Tag != "" && !tagPattern.MatchString(t.Tag):
		return "the target's tag is none"
	case t.Digest != "" && !digestPattern.MatchString(t.Digest):
		return "the target's digest is none"
	case n.Action == "delete" && t.Digest == "" && t.Tag == "":
		return "neither a tag nor a digest is deleted"
	case n.Action != "delete" && t.Digest == "":
		return "the target's digest is missing"
	case n.Action == "push" && t.MediaType == "":
		return "the target's media type is missing"
	case t.Size < 0:
		return "the target's size is negative"
	}
	return ""
}

// image is what happened to one version.
type image struct {
	eventType string
	id        string // what the source calls it
	data      imageData
}

// remember tells the memory, and returns what of it is news.
func (d distribution) remember(ctx context.Context, in Upstream, n notification, memory Memory) ([]image, error) {
	_, manifest := manifestType(n.Target.MediaType)
	switch {
	case n.Action == "pull":
		return nil, nil
	case n.Action == "delete":
		return d.remove(ctx, in, n, memory)
	case n.Action == "push" && manifest:
		return d.push(ctx, in, n, memory)
	}
	return nil, memory.SawBlobs(ctx, in.Source.ID, n.Target.Repository, []string{n.Target.Digest}, in.ReceivedAt)
}

func (distribution) push(ctx context.Context, in Upstream, n notification, memory Memory) ([]image, error) {
	t := n.Target
	var manifests, blobs []string
	for _, r := range t.References {
		if !digestPattern.MatchString(r.Digest) {
			continue
		}
		if _, ok := manifestType(r.MediaType); ok {
			manifests = append(manifests, r.Digest)
		} else {
			blobs = append(blobs, r.Digest)
		}
	}
	if t.Tag == "" {
		manifests = append(manifests, t.Digest)
	}
	if len(blobs) > 0 {
		if err := memory.SawBlobs(ctx, in.Source.ID, t.Repository, blobs, in.ReceivedAt); err != nil {
			return nil, err
		}
	}
	if len(manifests) > 0 {
		if err := memory.SawManifests(ctx, in.Source.ID, t.Repository, manifests, in.ReceivedAt); err != nil {
			return nil, err
		}
	}
	if t.Tag == "" {
		return nil, nil
	}
	change, previous, err := memory.PushTag(ctx, n.tagKey(in), t.Digest, n.ID, in.ReceivedAt)
	if err != nil {
		return nil, err
	}
	i := n.image("package.added", t.Tag)
	switch change {
	case carillon.ChangeAdded:
	case carillon.ChangeOverwritten:
		i.eventType = "package.overwritten"
		i.data.PreviousDigest = previous
	default:
		return nil, nil
	}
	i.data.MediaType, _ = manifestType(t.MediaType)
	i.data.Size = t.Size
	if urlPattern.MatchString(t.URL) && len(t.URL) <= maxURLBytes {
		i.data.DownloadURL = t.URL
	}
	return []image{i}, nil
}

func (distribution) remove(ctx context.Context, in Upstream, n notification, memory Memory) ([]image, error) {
	t := n.Target
	if _, ok := manifestType(t.MediaType); t.MediaType != "" && !ok {
		return nil, nil // a registry that tells what it deleted: a blob
	}
	if t.Tag != "" {
		digest, deleted, err := memory.DeleteTag(ctx, n.tagKey(in), n.ID, in.ReceivedAt)
		if err != nil || !deleted {
			return nil, err
		}
		i := n.image("package.deleted", t.Tag)
		if digest != "" {
			i.data.Digest = digest
		}
		return []image{i}, nil
	}
	tags, unseen, err := memory.DeleteDigest(ctx, in.Source.ID, t.Repository, t.Digest, n.ID, in.ReceivedAt)
	if err != nil {
		return nil, err
	}
	if unseen {
		return []image{n.image("package.deleted", "")}, nil
	}
	images := make([]image, 0, len(tags))
	for _, tag := range tags {
		i := n.image("package.deleted", tag)
		i.id += "/" + tag // one notification, an event for each tag
		images = append(images, i)
	}
	return images, nil
}

func (n notification) tagKey(in Upstream) carillon.TagKey {
	return carillon.TagKey{SourceID: in.Source.ID, Repository: n.Target.Repository, Tag: n.Target.Tag}
}

// image is what happened to the version that has the tag, or that has the
// notification's digest when the tag is empty.
func (n notification) image(eventType, tag string) image {
	version := tag
	if version == "" {
		version = n.Target.Digest
	}
	return image{eventType: eventType, id: n.ID, data: imageData{
		Package: n.Target.Repository, Version: version, PackageType: "oci", Digest: n.Target.Digest, Tag: tag,
	}}
}

// event makes the event of what happened to an image.
func (i image) event(in Upstream, n notification) (carillon.Event, error) {
	at, err := time.Parse(time.RFC3339Nano, n.Timestamp)
	if err != nil || at.UTC().Year() < 1970 || at.UTC().Year() > 9999 {
		at = time.Time{} // a time that no published event may have is like none
	}
	event, err := newEvent(in, i.eventType, i.id, at, i.data)
	if err != nil {
		return carillon.Event{}, err
	}
	event.Actor = carillon.Clip(n.Actor.Name, carillon.MaxActorBytes)
	event.Subject = i.purl(n.Request.Host)
	return event, nil
}

// purl names the image as the purl type "oci" does: by digest, with the
// repository and the tag as qualifiers. The host is the one that the client
// called the registry by; without it there is no repository_url.
// https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md
func (i image) purl(host string) string {
	repository := i.data.Package
	name := strings.ToLower(repository[strings.LastIndexByte(repository, '/')+1:])
	qualifiers := map[string]string{}
	if hostPattern.MatchString(host) {
		qualifiers["repository_url"] = host + "/" + repository
	}
	if i.data.Tag != "" {
		qualifiers["tag"] = i.data.Tag
	}
	purl := packageurl.NewPackageURL(packageurl.TypeOCI, "", name, i.data.Digest,
		packageurl.QualifiersFromMap(qualifiers), "")
	return purl.ToString()
}

// manifestType returns the media type without parameters, and whether it is a
// manifest's.
func manifestType(mediaType string) (string, bool) {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	return mediaType, slices.Contains(manifestTypes, mediaType)
}
