package channels

import (
	"net/http"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

// Carries returns what says whether a subscription's payloads can carry events
// of a type; nil when they carry all. Channels that write for people have no
// format.
func Carries(sub carillon.Subscription) func(eventType string) bool {
	if sub.Channel != webhookName {
		return nil
	}
	format, ok := formats.Lookup(sub.Format)
	if !ok {
		return nil // the attempts will say so
	}
	return format.Carries
}

// CheckFormat says what a subscription's endpoint has that does not go with its
// format. The error is a CodeInvalid with pointers below "/endpoint".
func CheckFormat(sub carillon.Subscription) error {
	format, ok := formats.Lookup(sub.Format)
	if sub.Channel != webhookName || !ok {
		return nil
	}
	endpoint, _, err := readWebhook(sub.Endpoint)
	if err != nil {
		return carillon.Errorf(carillon.CodeInternal, "the stored endpoint cannot be read")
	}
	f := form{pointer: "/endpoint", problems: &[]carillon.Problem{}}
	about := format.Describe()
	if endpoint.Token != "" && about.TokenHeader == "" {
		f.wrong("token", "has no place in the format %s; use bearer_token, basic_auth or headers", sub.Format)
	}
	for _, name := range endpoint.headerNames() {
		if setsHeader(about, name) && (endpoint.Token != "" || !strings.EqualFold(name, about.TokenHeader)) {
			f.wrong("headers/"+escape(name), "is set by the format %s", sub.Format)
		}
	}
	return f.err()
}

// setsHeader reports whether the format sets the header; a name that ends with
// "*" stands for all that begin so.
func setsHeader(about formats.Description, name string) bool {
	return slices.ContainsFunc(about.Headers, func(h formats.HeaderField) bool {
		if prefix, ok := strings.CutSuffix(h.Name, "*"); ok {
			return strings.HasPrefix(strings.ToLower(name), prefix)
		}
		return http.CanonicalHeaderKey(h.Name) == http.CanonicalHeaderKey(name)
	})
}
