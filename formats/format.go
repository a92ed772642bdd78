// Package formats writes events as payloads: the exact bytes that a channel
// sends and signs. One file a format.
//
// A format sees the event and nothing else: no endpoint, no secret, no
// network. Its one invariant: the same event gives the same bytes, in every
// attempt and every redelivery.
package formats

import (
	"slices"

	"github.com/carillon-dev/carillon"
)

// Payload is what is sent.
type Payload struct {
	// Body holds the exact bytes sent and signed.
	Body []byte
	// ContentType is the body's media type.
	ContentType string
}

// Format writes an event in one shape. It is safe for concurrent use.
type Format interface {
	// Name is the word that a subscription selects it by.
	Name() string
	// Render writes the event. An error means that the event can never be
	// written in this format; its text is for people.
	Render(e carillon.Event) (Payload, error)
}

// all holds every format, in the order in which people see them.
var all = []Format{standard{}}

// Lookup returns the format of the name.
func Lookup(name string) (Format, bool) {
	i := slices.IndexFunc(all, func(f Format) bool { return f.Name() == name })
	if i < 0 {
		return nil, false
	}
	return all[i], true
}

// Names lists the formats' names.
func Names() []string {
	names := make([]string, 0, len(all))
	for _, f := range all {
		names = append(names, f.Name())
	}
	return names
}
