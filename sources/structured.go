package sources

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
)

// Media types of CloudEvents in JSON.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
const (
	CloudEventType  = "application/cloudevents+json"
	CloudEventsType = "application/cloudevents-batch+json"
)

// TypePrefix can stand before a type of the catalog in a CloudEvent, whose
// types should begin with a reverse domain name.
const TypePrefix = "dev.carillon."

// attributePrefix begins the headers of CloudEvents in binary mode.
const attributePrefix = "Ce-"

// attributePattern is what the specification allows for names of attributes.
var attributePattern = regexp.MustCompile(`^[a-z0-9]{1,64}$`)

// IsBinaryCloudEvent reports whether a request carries a CloudEvent in HTTP's
// binary mode: its attributes are in headers, its body is the data.
func IsBinaryCloudEvent(header http.Header) bool {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return header.Get("Ce-Specversion") != "" && !strings.HasPrefix(mediaType, "application/cloudevents")
}

// StructuredCloudEvent writes a CloudEvent in binary mode, whose data is JSON,
// as it is in structured mode. The error, of [carillon.CodeInvalid], names the
// attribute that cannot be read.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#31-binary-content-mode
func StructuredCloudEvent(header http.Header, data []byte) ([]byte, error) {
	event := map[string]any{}
	for key, values := range header {
		rest, ok := strings.CutPrefix(http.CanonicalHeaderKey(key), attributePrefix)
		name := strings.ToLower(rest)
		if !ok || !attributePattern.MatchString(name) || name == "data" {
			continue
		}
		if len(values) != 1 {
			return nil, carillon.Invalid("/"+name, "the header ce-%s is given %d times", name, len(values))
		}
		value, err := attribute(values[0])
		if err != nil {
			return nil, carillon.Invalid("/"+name, "the header ce-%s is not percent-encoded UTF-8", name)
		}
		event[name] = value
	}
	event["datacontenttype"] = header.Get("Content-Type")
	if data = bytes.TrimSpace(data); len(data) > 0 {
		event["data"] = json.RawMessage(data)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(event); err != nil {
		return nil, &carillon.Error{Code: carillon.CodeInvalid, Message: "the data is not JSON", Err: err}
	}
	return text.Bytes(), nil
}

// attribute reads a header's value: double quotes around it go, and
// percent-encoding is undone, as the specification says.
func attribute(value string) (string, error) {
	value = strings.TrimSpace(value)
	if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		value = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(value[1 : len(value)-1])
	}
	value, err := url.PathUnescape(value)
	if err == nil && !utf8.ValidString(value) {
		err = url.EscapeError(value)
	}
	return value, err
}
