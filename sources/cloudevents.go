package sources

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
)

// cloudEvents understands CloudEvents 1.0, structured, binary and in batches,
// of registries that have types of their own.
type cloudEvents struct{}

// cloudEvent is what matters here of one.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`

	Actor string `json:"actor"`
	// Scope is Carillon's: "feed:internal-utils,project:web".
	Scope string `json:"carillonscope"`
	// Harbor's: who did it, and the request by which, which is one for all of
	// Harbor's policies and targets where ID is not.
	Operator  string `json:"operator"`
	RequestID string `json:"requestid"`
}

// Types that registries send. https://goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks/
const (
	harborPushed  = "harbor.artifact.pushed"
	harborPulled  = "harbor.artifact.pulled"
	harborDeleted = "harbor.artifact.deleted"
)

type harborData struct {
	Resources []struct {
		Digest      string `json:"digest"`
		Tag         string `json:"tag"`
		ResourceURL string `json:"resource_url"`
	} `json:"resources"`
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
}

// maxResources is far above what one request to a registry does.
const maxResources = 100

// Kind returns "cloudevents".
func (cloudEvents) Kind() string { return "cloudevents" }

// Events reads one CloudEvent, or a batch.
func (c cloudEvents) Events(ctx context.Context, in Upstream, memory Memory) ([]carillon.Event, error) {
	in.Body = bytes.TrimPrefix(in.Body, []byte("\ufeff"))
	if !utf8.Valid(in.Body) || !json.Valid(in.Body) {
		return nil, carillon.Invalid("", "the body is not JSON; a CloudEvent is expected")
	}
	if IsBinaryCloudEvent(in.Header) {
		text, err := StructuredCloudEvent(in.Header, in.Body)
		if err != nil {
			event, unknownErr := unknown(in, stranger{part: in.Body, reason: "a ce- header cannot be read"})
			return []carillon.Event{event}, unknownErr
		}
		in.Body = text // so that also the headers tell one unknown event from another
	}
	parts := []json.RawMessage{in.Body}
	if mediaType, _, _ := mime.ParseMediaType(in.Header.Get("Content-Type")); mediaType == CloudEventsType {
		// Not into parts: a raw message is read into the bytes that it has.
		var batch []json.RawMessage
		if json.Unmarshal(in.Body, &batch) == nil {
			parts = batch
		}
	}
	var events []carillon.Event
	var strangers []stranger
	for _, part := range parts {
		var e cloudEvent
		if err := json.Unmarshal(part, &e); err != nil {
			strangers = append(strangers, stranger{part: part, reason: "this is no CloudEvent in JSON"})
			continue
		}
		made, reason, err := c.read(ctx, in, e, memory)
		if err != nil {
			return nil, err
		}
		if reason != "" {
			strangers = append(strangers, stranger{part: part, upstreamID: upstreamID(e.ID), reason: reason})
		}
		events = append(events, made...)
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

// upstreamID is the id where it can be shown.
func upstreamID(id string) string {
	if upstreamIDPattern.MatchString(id) {
		return id
	}
	return ""
}

// read returns the events of one CloudEvent, or why it is not understood.
func (c cloudEvents) read(ctx context.Context, in Upstream, e cloudEvent, memory Memory) (events []carillon.Event, reason string, err error) {
	switch {
	case e.SpecVersion != "1.0":
		return nil, fmt.Sprintf("the specversion %q is not 1.0", e.SpecVersion), nil
	case e.ID == "" || e.Source == "" || e.Type == "":
		return nil, "id, source or type is missing", nil
	case e.DataContentType != "" && !isJSON(e.DataContentType):
		return nil, fmt.Sprintf("the datacontenttype %q is not JSON", e.DataContentType), nil
	}
	switch e.Type {
	case harborPulled:
		return nil, "", nil
	case harborPushed, harborDeleted:
		return c.harbor(ctx, in, e, memory)
	}
	return c.native(in, e)
}

// native takes an event whose type and data are the catalog's.
func (cloudEvents) native(in Upstream, e cloudEvent) (events []carillon.Event, reason string, err error) {
	name := strings.TrimPrefix(e.Type, TypePrefix)
	known, ok := in.Catalog.Type(name)
	switch {
	case !ok || known.Own:
		return nil, fmt.Sprintf("the type %q is not known", e.Type), nil
	case len(e.Data) == 0 || e.Data[0] != '{':
		return nil, "the data is no JSON object", nil
	case len(e.Subject) > carillon.MaxSubjectBytes || carillon.Clip(e.Subject, carillon.MaxSubjectBytes) != e.Subject:
		return nil, fmt.Sprintf("the subject is longer than %d bytes or has control characters", carillon.MaxSubjectBytes), nil
	}
	event, err := newEvent(in, name, cloudEventID(e.Source, e.ID), occurredAt(e.Time), e.Data)
	if err != nil {
		return nil, "", err
	}
	event.Scope = scopeOf(in.Source.Scope, scopeFromText(e.Scope))
	event.Subject, event.Actor = e.Subject, carillon.Clip(e.Actor, carillon.MaxActorBytes)
	if err := in.Catalog.CheckData(event); err != nil {
		if carillon.CodeOf(err) != carillon.CodeInvalid {
			return nil, "", err
		}
		return nil, "the data is not as the catalog says: " + err.Error(), nil
	}
	return []carillon.Event{event}, "", nil
}

// scopeFromText reads what [carillon.Event.ScopeText] writes.
func scopeFromText(text string) map[string]string {
	scope := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, ":")
		if key != "" && len(key) <= carillon.MaxScopeBytes {
			scope[key] = value
		}
	}
	return scope
}

// harbor takes what Harbor tells of artifacts, which are images to the memory
// as those of any OCI registry.
func (cloudEvents) harbor(ctx context.Context, in Upstream, e cloudEvent, memory Memory) (events []carillon.Event, reason string, err error) {
	var data harborData
	err = json.Unmarshal(e.Data, &data)
	if err != nil || len(data.Resources) == 0 || len(data.Resources) > maxResources {
		//nolint:nilerr // what is not understood is an event, no fault
		return nil, "the data has no resources as Harbor's has", nil
	}
	what := cloudEventID(e.Source, e.ID)
	if e.RequestID != "" {
		what = e.RequestID
	}
	notifications := make([]notification, len(data.Resources))
	for i, resource := range data.Resources {
		n := notification{Timestamp: e.Time, Action: "push"}
		if e.Type == harborDeleted {
			n.Action = "delete"
		}
		n.Target.MediaType = manifestTypes[0] // Harbor does not tell which manifest it is
		n.Target.Repository, n.Target.Digest = data.Repository.FullName, resource.Digest
		if resource.Tag != resource.Digest { // Harbor's way of saying that there is none
			n.Target.Tag = resource.Tag
		}
		n.Actor.Name = e.Operator
		n.Request.Host, _, _ = strings.Cut(resource.ResourceURL, "/")
		n.ID = cloudEventID(what, e.Type, n.Target.Repository, n.Target.Digest, n.Target.Tag)
		if reason := n.misfit(); reason != "" {
			return nil, reason, nil
		}
		notifications[i] = n
	}
	for _, n := range notifications {
		images, err := distribution{}.remember(ctx, in, n, memory)
		if err != nil {
			return nil, "", fmt.Errorf("remember CloudEvent %s: %w", e.ID, err)
		}
		for _, image := range images {
			image.data.MediaType = ""
			event, err := image.event(in, n)
			if err != nil {
				return nil, "", err
			}
			events = append(events, event)
		}
	}
	return events, "", nil
}

// cloudEventID is one name for what the parts say together.
func cloudEventID(parts ...string) string {
	return "cloudevent/" + hash(fmt.Appendf(nil, "%q", parts))
}

// occurredAt is zero for a time that no published event may have.
func occurredAt(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.UTC().Year() < 1970 || at.UTC().Year() > 9999 {
		return time.Time{}
	}
	return at
}

// isJSON reports whether a datacontenttype is JSON's.
func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json"))
}
