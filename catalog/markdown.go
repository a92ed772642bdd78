package catalog

import (
	"fmt"
	"slices"
	"strings"
)

//go:generate go test . -run TestDocumentationIsCurrent -update

const documentHead = "<!-- Generated from catalog/*.yaml; `make generate` writes it anew. -->\n" + `
# Event types

Every event has one of these types. ` + "`GET /v1/event-types/{type}`" + ` answers a type with the JSON Schema of its data and
an example. A schema describes the fields that it names and forbids no others, so a producer can say more. *Scope* are
the keys that events of the type can carry: a subscription that asks for another of them never fires.

A subscription's ` + "`event_types`" + ` holds types, ` + "`prefix.*`" + `, or ` + "`*`" + `. What Carillon tells of itself, ` +
	"`subscription.*`" + ` and ` + "`delivery.*`" + `, matches only when it is named.
`

const namesHead = `
## What other products call them

The [source](sources.md) of a product's name reads what is in its table. The format of that name writes it, and carries
no other type: a subscription that names one is refused, and under a wildcard it is skipped, visibly. Types marked
*one way* are written under a name that, read, is another type, because the product has none for them.
`

// productTitles are the products as people write them.
var productTitles = map[string]string{MyGet: "MyGet", ProGet: "ProGet", CodeScoring: "CodeScoring", DefectDojo: "DefectDojo"}

// whatAName is of each product's names.
var whatAName = map[string]string{
	MyGet: "PayloadType", ProGet: "event", CodeScoring: "trigger", DefectDojo: "X-DefectDojo-Event",
}

// Markdown returns docs/event-types.md.
func (c *Catalog) Markdown() string {
	var out strings.Builder
	out.WriteString(documentHead)
	group := ""
	for _, t := range c.types {
		if first := firstWord(t.Name); first != group {
			group = first
			fmt.Fprintf(&out, "\n## %s\n\n| type | when | scope |\n|---|---|---|\n", group)
		}
		scope := strings.Join(t.Scoped, ", ")
		if scope == "" {
			scope = "none"
		}
		description := t.Description
		if t.Own {
			description += " Only Carillon publishes it."
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", t.Name, description, scope)
	}
	out.WriteString(namesHead)
	for _, product := range Products {
		fmt.Fprintf(&out, "\n### %s\n\n| %s | type |\n|---|---|\n", productTitles[product], whatAName[product])
		for _, n := range ProductTypes(product) {
			name, note := "`"+n.Name+"`", ""
			switch {
			case n.OneWay:
				note = ", one way"
			case n.When != "":
				note = ", when " + n.When
			}
			fmt.Fprintf(&out, "| %s | `%s`%s |\n", name, n.Type, note)
		}
		fmt.Fprintf(&out, "\nNot carried: %s.\n", strings.Join(c.without(product), ", "))
	}
	return out.String()
}

// without lists the types for which a product has no name; a group of them, all
// without one, as its pattern.
func (c *Catalog) without(product string) []string {
	named := map[string]bool{}
	for _, t := range c.types {
		if t.Products[product] != "" {
			named[firstWord(t.Name)] = true
		}
	}
	var missing []string
	for _, t := range c.types {
		_, _, grouped := strings.Cut(t.Name, ".")
		switch group := firstWord(t.Name); {
		case t.Own || t.Products[product] != "":
		case named[group] || !grouped:
			missing = append(missing, "`"+t.Name+"`")
		default:
			missing = append(missing, "`"+group+".*`")
		}
	}
	return slices.Compact(missing)
}
