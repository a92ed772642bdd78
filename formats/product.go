package formats

import (
	"errors"
	"fmt"

	"github.com/carillon-dev/carillon/catalog"
)

// product is a product whose notifications a format writes. What it calls our
// event types is the catalog's to know: the same table serves the sources.
type product string

// Name is the product's.
func (p product) Name() string { return string(p) }

// Carries is true for what the product has a name for: its own events.
func (p product) Carries(eventType string) bool {
	_, ok := catalog.ProductName(string(p), eventType)
	return ok
}

// nameOf returns what the product calls the type, or says that it has no name
// for it.
func (p product) nameOf(eventType string) (string, error) {
	name, ok := catalog.ProductName(string(p), eventType)
	if !ok {
		return "", fmt.Errorf("the format %s does not carry %s", p, eventType)
	}
	return name, nil
}

var errNoObject = errors.New("the event's data is no JSON object")
