package catalog

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/carillon-dev/carillon"
)

//go:embed *.yaml
var files embed.FS

// sharedFile holds the definitions that several types' schemas refer to.
const sharedFile = "defs.yaml"

// ScopeKeys are the scope keys that Carillon knows. Producers may use others,
// of which the catalog says nothing.
var ScopeKeys = []string{"feed", "project", "product"}

// Type is an event type.
type Type struct {
	// Name is dot-separated, such as "package.added".
	Name  string
	Title string
	// Description says when such an event happens, for people.
	Description string
	// Own says that only Carillon publishes such events.
	Own bool
	// Scoped lists those of [ScopeKeys] that events of the type can carry. A
	// subscription that asks for one of the others never fires.
	Scoped []string
	// Schema is the JSON Schema (draft 2020-12) of the data, without outside
	// references.
	Schema json.RawMessage
	// Example is a complete event.
	Example carillon.Event
	// Products holds what each of [Products] that knows such events calls the
	// type.
	Products map[string]string

	compiled *jsonschema.Schema
}

// CanCarry reports whether events of the type can have the scope key. It is
// so for every key that is none of [ScopeKeys].
func (t Type) CanCarry(scopeKey string) bool {
	return slices.Contains(t.Scoped, scopeKey) || !slices.Contains(ScopeKeys, scopeKey)
}

// Catalog is all event types. It is read-only and safe for concurrent use.
type Catalog struct {
	types  []Type
	byName map[string]Type
}

// Load reads the embedded types and compiles their schemas. It errs only when
// the embedded files are wrong, which a test finds.
func Load() (*Catalog, error) {
	shared, err := readShared()
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list catalog files: %w", err)
	}
	c := &Catalog{byName: map[string]Type{}}
	for _, name := range names {
		if name == sharedFile || name == productsFile {
			continue
		}
		entries, err := readEntries(name)
		if err != nil {
			return nil, err
		}
		for typeName, e := range entries {
			t, err := e.compile(typeName, shared)
			if err != nil {
				return nil, fmt.Errorf("event type %s in %s: %w", typeName, name, err)
			}
			if _, ok := c.byName[typeName]; ok {
				return nil, fmt.Errorf("event type %s in %s: is in another file, too", typeName, name)
			}
			c.byName[typeName] = t
			c.types = append(c.types, t)
		}
	}
	slices.SortFunc(c.types, func(a, b Type) int { return strings.Compare(a.Name, b.Name) })
	if err := c.nameTypes(); err != nil {
		return nil, err
	}
	return c, nil
}

// Types returns all types, sorted by name. The caller must not change what
// they hold.
func (c *Catalog) Types() []Type { return slices.Clone(c.types) }

// Type returns the type of the name, and whether there is one.
func (c *Catalog) Type(name string) (Type, bool) {
	t, ok := c.byName[name]
	return t, ok
}

// CheckType returns a [carillon.CodeInvalid] error that names the nearest
// known types when there is no type of the name. Its pointer is "/type".
func (c *Catalog) CheckType(name string) error {
	if _, ok := c.byName[name]; ok {
		return nil
	}
	return carillon.Invalid("/type", "%s", unknown("event type", name, c.Nearest(name)))
}

// CheckPattern returns a [carillon.CodeInvalid] error, with an empty pointer,
// when a subscription's event type pattern can match nothing: it is neither a
// known type, nor "prefix.*" with at least one known type below it, nor "*".
func (c *Catalog) CheckPattern(pattern string) error {
	if pattern == "*" {
		return nil
	}
	if _, ok := c.byName[pattern]; ok {
		return nil
	}
	if !strings.Contains(pattern, "*") {
		return carillon.Invalid("", "%s", unknown("event type", pattern, c.Nearest(pattern)))
	}
	groups := c.groups()
	if slices.Contains(groups, pattern) {
		return nil
	}
	if prefix, ok := strings.CutSuffix(pattern, ".*"); !ok || strings.Contains(prefix, "*") {
		return carillon.Invalid("", `%q is no pattern; write a type (%q), all types below a prefix (%q), or "*"`,
			carillon.Clip(pattern, carillon.MaxTypeBytes), "package.added", "package.*")
	}
	return carillon.Invalid("", "%s", unknown("group of event types", pattern, nearest(pattern, groups)))
}

// groups returns the pattern "prefix.*" of every prefix of a known type, in
// order.
func (c *Catalog) groups() []string {
	var all []string
	for _, t := range c.types {
		for i, r := range t.Name {
			if r == '.' {
				all = append(all, t.Name[:i]+".*")
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// unknown says that there is no such thing, and what was perhaps meant.
func unknown(what, name string, near []string) string {
	text := fmt.Sprintf("there is no %s %q", what, carillon.Clip(name, carillon.MaxTypeBytes))
	switch len(near) {
	case 0:
		return text + "; GET /v1/event-types lists all"
	case 1:
		return text + fmt.Sprintf("; did you mean %s?", near[0])
	default:
		last := len(near) - 1
		return text + fmt.Sprintf("; did you mean %s or %s?", strings.Join(near[:last], ", "), near[last])
	}
}
