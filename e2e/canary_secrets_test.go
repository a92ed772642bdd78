package e2e

import (
	"maps"
	"slices"
	"strings"
)

// secretField is a place in a request that the description calls write-only.
type secretField struct {
	operation string // "POST /v1/sources"
	pointer   []string
	// kind is the JSON type there: a string, an object of strings or a list.
	kind string
}

// description is what /openapi.json says.
type description map[string]any

// at follows references and steps.
func (d description) at(node any, steps ...string) map[string]any {
	object, _ := node.(map[string]any)
	if ref, ok := object["$ref"].(string); ok {
		object = d.at(map[string]any(d), strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	if len(steps) == 0 || object == nil {
		return object
	}
	return d.at(object[steps[0]], steps[1:]...)
}

// secretFields lists every write-only field of every request.
func (d description) secretFields() []secretField {
	var found []secretField
	for path, item := range d.at(d["paths"]) {
		for _, method := range []string{"post", "put", "patch"} {
			content := d.at(d.at(d.at(item)[method])["requestBody"], "content")
			for _, media := range content {
				d.walk(d.at(media)["schema"], nil, 0, func(pointer []string, kind string) {
					field := secretField{strings.ToUpper(method) + " " + path, slices.Clone(pointer), kind}
					if !slices.ContainsFunc(found, func(f secretField) bool {
						return f.operation == field.operation && slices.Equal(f.pointer, field.pointer)
					}) {
						found = append(found, field)
					}
				})
			}
		}
	}
	slices.SortFunc(found, func(a, b secretField) int {
		return strings.Compare(a.operation+strings.Join(a.pointer, "/"), b.operation+strings.Join(b.pointer, "/"))
	})
	return found
}

// walk visits the properties of a schema.
func (d description) walk(node any, pointer []string, depth int, secret func(pointer []string, kind string)) {
	const deepest = 12 // schemas may refer to themselves
	schema := d.at(node)
	if schema == nil || depth > deepest {
		return
	}
	for _, combined := range []string{"allOf", "anyOf", "oneOf"} {
		some, _ := schema[combined].([]any)
		for _, one := range some {
			d.walk(one, pointer, depth+1, secret)
		}
	}
	for name, property := range d.at(schema["properties"]) {
		at := append(slices.Clone(pointer), name)
		if d.at(property)["writeOnly"] != true {
			d.walk(property, at, depth+1, secret)
			continue
		}
		kind, _ := d.at(property)["type"].(string)
		secret(at, kind)
	}
}

// with returns a body with a value at a pointer; what has to stand beside it is
// there.
func with(body map[string]any, pointer []string, value any) map[string]any {
	whole := map[string]any{}
	maps.Copy(whole, body)
	if len(pointer) == 1 {
		whole[pointer[0]] = value
		return whole
	}
	inner, _ := whole[pointer[0]].(map[string]any)
	if pointer[0] == "basic_auth" {
		inner = map[string]any{"username": "carillon"}
	}
	whole[pointer[0]] = with(inner, pointer[1:], value)
	return whole
}
