// Package catalog knows the event types: what each means, the JSON Schema of
// its data, an example, and which scope keys its events can carry.
//
// The types are written in the YAML files beside the code, grouped by their
// first word; defs.yaml holds what several of them share, and products.yaml
// what other products call them. They are compiled in
// and complete after [Load]: no file, network or clock is read later.
//
// The one invariant: a schema describes the fields it names and forbids none
// that it does not, so that a producer can say more than Carillon knows.
package catalog
