package carillon

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Confinement is what a key with a scope sees and changes: for each of its
// scope's keys, the values that belong to it. Whatever is outside does not exist
// for that key. The zero value confines nothing.
type Confinement map[string][]string

type confinementKey struct{}

// Confine returns a context under which the store shows and changes only what
// is within the confinement. It travels with a request, so that no handler has
// to remember it; what runs on its own is not confined.
func Confine(ctx context.Context, to Confinement) context.Context {
	return context.WithValue(ctx, confinementKey{}, to)
}

// ConfinementOf returns what the context is confined to.
func ConfinementOf(ctx context.Context) Confinement {
	to, _ := ctx.Value(confinementKey{}).(Confinement)
	return to
}

// Keys returns the scope's keys in order.
func (c Confinement) Keys() []string { return slices.Sorted(maps.Keys(c)) }

// Holds reports whether an event or a source of the scope is within: for every
// key it has one of the values.
func (c Confinement) Holds(scope map[string]string) bool { return len(c.outside(one(scope))) == 0 }

// HoldsAll reports whether a subscription with the scope is within: for every
// key it asks for some of the values, and for no other, so that it gets nothing
// from outside.
func (c Confinement) HoldsAll(scope map[string][]string) bool {
	return len(c.outside(many(scope))) == 0
}

// Check returns nil when a source of the scope is within, and else an error of
// [CodeForbidden] that says what is allowed.
func (c Confinement) Check(scope map[string]string) error { return c.refuse(one(scope)) }

// CheckAll is [Confinement.Check] for a subscription.
func (c Confinement) CheckAll(scope map[string][]string) error { return c.refuse(many(scope)) }

func one(scope map[string]string) func(string) ([]string, bool) {
	return func(key string) ([]string, bool) {
		value, ok := scope[key]
		return []string{value}, ok
	}
}

func many(scope map[string][]string) func(string) ([]string, bool) {
	return func(key string) ([]string, bool) {
		values, ok := scope[key]
		return values, ok
	}
}

// outside returns the keys for which a scope is not within. One without the key
// is not: it would belong to everybody.
func (c Confinement) outside(scope func(key string) ([]string, bool)) []string {
	var keys []string
	for _, key := range c.Keys() {
		values, ok := scope(key)
		if !ok || slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(c[key], v) }) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (c Confinement) refuse(scope func(key string) ([]string, bool)) error {
	keys := c.outside(scope)
	if len(keys) == 0 {
		return nil
	}
	refused := Errorf(CodeForbidden, "this key is limited to a scope, and that is outside it")
	for _, key := range keys {
		refused.Problems = append(refused.Problems, Problem{Pointer: "/scope", Detail: c.allowed(key)})
	}
	return refused
}

// allowed says what the key's values may be.
func (c Confinement) allowed(key string) string {
	return "must have " + key + ", and of its values only " + strings.Join(c[key], ", ")
}
