package sources

import (
	"context"
	"net/http"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// Upstream is a request that a registry sent.
type Upstream struct {
	// Body is the body, byte for byte.
	Body   []byte
	Header http.Header
	// Source is the configured source that it was sent to.
	Source carillon.Source
	// ReceivedAt is when it came.
	ReceivedAt time.Time
	// Catalog has the types that an event can be of.
	Catalog *catalog.Catalog
}

// Adapter understands one registry's format.
type Adapter interface {
	// Kind names the format, such as "distribution".
	Kind() string
	// Events returns what the request tells, in order and ready to publish;
	// none, when it tells nothing of interest. It errs with
	// [carillon.CodeInvalid] when the body is not of the format's syntax, and
	// otherwise only when the memory does.
	//
	// A repeated request yields the same events again, to the byte; but for
	// products that repeat none, of whose requests two that read alike tell of
	// two events. So Time is zero where the registry tells none: like that of a producer's event
	// without a time, it is filled in after the fingerprint is taken.
	Events(ctx context.Context, in Upstream, memory Memory) ([]carillon.Event, error)
}

// adapters are all that there are, by kind.
var adapters = []Adapter{distribution{}, cloudEvents{}, myGet{}, proGet{}, codeScoring{}, defectDojo{}}

// Lookup returns the adapter of the kind, and whether there is one.
func Lookup(kind string) (Adapter, bool) {
	for _, a := range adapters {
		if a.Kind() == kind {
			return a, true
		}
	}
	return nil, false
}

// Kinds returns the kinds of all adapters, in order.
func Kinds() []string {
	kinds := make([]string, 0, len(adapters))
	for _, a := range adapters {
		kinds = append(kinds, a.Kind())
	}
	return kinds
}
