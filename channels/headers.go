package channels

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
)

// header is a header of a request.
type header struct {
	name, value string
	// secret values are not recorded.
	secret bool
}

// maxRecordedValue keeps one long header of an answer from taking the room of
// all others.
const maxRecordedValue = 256

// telling are the headers of an answer that say most about what went wrong;
// they are recorded before the others.
var telling = []string{"Content-Type", "Retry-After", rateLimitReset, "Location", "Www-Authenticate", "Server", "Date", "Content-Length"}

// secretWords in a header's name make its value a secret of the receiver.
var secretWords = []string{"cookie", "authorization", "authentication-info", "token", "secret", "password", "session", "credential", "api-key", "apikey"}

// record returns the headers of a request as they may be kept.
func record(headers []header) map[string]string {
	kept := map[string]string{}
	room := carillon.MaxHeaderBytes
	for _, h := range headers {
		value := h.value
		if h.secret {
			value = masked
		}
		keep(kept, &room, http.CanonicalHeaderKey(h.name), value)
	}
	return kept
}

// recordAnswer returns the headers of an answer as they may be kept.
func recordAnswer(headers http.Header, s scrub) map[string]string {
	names := append(slices.Clone(telling), slices.Sorted(maps.Keys(headers))...)
	kept := map[string]string{}
	room := carillon.MaxHeaderBytes
	for _, name := range names {
		values := headers[name]
		if len(values) == 0 {
			continue
		}
		value := masked
		if !isSecretName(name) {
			value = carillon.Clip(strings.ToValidUTF8(s.text(strings.Join(values, ", ")), "\uFFFD"), maxRecordedValue)
		}
		keep(kept, &room, s.text(name), value)
	}
	return kept
}

func isSecretName(name string) bool {
	lower := strings.ToLower(name)
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(lower, word) })
}

// keep adds a header while there is room for it, as JSON writes it.
func keep(kept map[string]string, room *int, name, value string) {
	if _, twice := kept[name]; twice {
		return
	}
	size := jsonSize(name) + jsonSize(value) + len(":,")
	if size > *room {
		return
	}
	*room -= size
	kept[name] = value
}
