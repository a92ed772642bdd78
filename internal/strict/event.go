package strict

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// schema is as much of a JSON Schema as the catalog's have.
type schema struct {
	Ref         string             `json:"$ref"`
	Definitions map[string]*schema `json:"$defs"`
	Properties  map[string]*schema `json:"properties"`
	Required    []string           `json:"required"`
	AllOf       []*schema          `json:"allOf"`
	Items       *schema            `json:"items"`
	Type        oneOrMore          `json:"type"`
	Const       any                `json:"const"`
	Format      string             `json:"format"`
	Pattern     string             `json:"pattern"`
}

type oneOrMore []string

// UnmarshalJSON reads a text as a list of it alone.
func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// RandomEvent makes an event of a type out of its schema: with each field that
// is not required, or without it. Every text in it is a word of its own, so that
// a reader can look where it went.
func RandomEvent(typ catalog.Type, random *rand.Rand) (carillon.Event, error) {
	var root schema
	if err := json.Unmarshal(typ.Schema, &root); err != nil {
		return carillon.Event{}, fmt.Errorf("read the schema of %s: %w", typ.Name, err)
	}
	m := maker{random: random, definitions: root.Definitions}
	value, ok := m.object([]*schema{&root}, 0).(map[string]any)
	if !ok {
		return carillon.Event{}, fmt.Errorf("the schema of %s is of no object", typ.Name)
	}
	// A severity is one of a scale, where its field says so at all.
	if _, ok := value["severity"].(string); ok {
		value["severity"] = []string{"Low", "Medium", "High", "Critical"}[random.IntN(4)]
	}
	data, err := json.Marshal(value)
	if err != nil {
		return carillon.Event{}, fmt.Errorf("write data of %s: %w", typ.Name, err)
	}
	e := carillon.Event{
		ID: "evt_" + m.word(), Type: typ.Name, Source: m.word() + ".example.com", Data: data,
		Time: time.Date(2026, 11, 21, 20, random.IntN(60), 0, 0, time.UTC),
	}
	if m.either() {
		e.Actor = m.word()
	}
	if name, ok := value["package"].(string); ok && m.either() {
		e.Subject = "pkg:nuget/" + name
		if version, ok := value["version"].(string); ok {
			e.Subject += "@" + version
		}
	}
	for _, key := range append(slices.Clone(typ.Scoped), "team") {
		if !typ.Own && m.either() {
			if e.Scope == nil {
				e.Scope = map[string]string{}
			}
			e.Scope[key] = m.word()
		}
	}
	return e, nil
}

// Tells are the values of an event that whoever is told of it must read: its
// package and version, how bad it is, where it happened and who did it.
func Tells(e carillon.Event) []string {
	var told []string
	for _, key := range e.ScopeKeys() {
		told = append(told, e.Scope[key])
	}
	if e.Actor != "" {
		told = append(told, e.Actor)
	}
	var data map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(e.Data)))
	decoder.UseNumber()
	if decoder.Decode(&data) != nil {
		return told
	}
	for _, key := range []string{"package", "version", "severity", "score", "level", "dependency_purl"} {
		switch value := data[key].(type) {
		case string:
			told = append(told, value)
		case json.Number:
			told = append(told, value.String())
		}
	}
	if finding, ok := data["finding"].(map[string]any); ok {
		if severity, ok := finding["severity"].(string); ok {
			told = append(told, severity)
		}
	}
	return told
}

type maker struct {
	random      *rand.Rand
	definitions map[string]*schema
}

func (m maker) either() bool { return m.random.IntN(4) > 0 }

// word is one that nothing else in an event has.
func (m maker) word() string {
	letters := []rune("abcdefghijkmnpqrstuvwxyz23456789")
	word := []rune{'w'}
	for range 9 {
		word = append(word, letters[m.random.IntN(len(letters))])
	}
	return string(word)
}

// parts are the schemas that a schema is made of, itself first.
func (m maker) parts(s *schema) []*schema {
	all := []*schema{s}
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok && m.definitions[name] != nil {
		all = append(all, m.parts(m.definitions[name])...)
	}
	for _, part := range s.AllOf {
		all = append(all, m.parts(part)...)
	}
	return all
}

func (m maker) value(s *schema, depth int) any {
	all := m.parts(s)
	var types []string
	for _, part := range all {
		if part.Const != nil {
			return part.Const
		}
		if types == nil {
			types = part.Type
		}
	}
	if len(types) == 0 {
		types = []string{"object"}
	}
	switch types[m.random.IntN(len(types))] {
	case "string":
		return m.text(all)
	case "integer":
		return 10_000 + m.random.IntN(90_000)
	case "number":
		return float64(m.random.IntN(101)) / 10
	case "boolean":
		return m.either()
	case "array":
		return m.list(all, depth)
	case "object":
		return m.object(all, depth)
	default:
		return nil
	}
}

func (m maker) text(all []*schema) string {
	for _, part := range all {
		switch {
		case part.Pattern != "":
			return fmt.Sprintf("%d.%d", m.random.IntN(10), m.random.IntN(10))
		case part.Format == "date-time":
			return "2026-11-21T20:00:00Z"
		case part.Format == "uri-reference":
			return "https://" + m.word() + ".example.com/" + m.word()
		}
	}
	return m.word()
}

func (m maker) list(all []*schema, depth int) []any {
	list := []any{}
	for _, part := range all {
		if part.Items == nil {
			continue
		}
		for range m.random.IntN(4) {
			list = append(list, m.value(part.Items, depth+1))
		}
		break
	}
	return list
}

func (m maker) object(all []*schema, depth int) any {
	object := map[string]any{}
	required := map[string]bool{}
	var flat []*schema
	for _, s := range all {
		for _, part := range m.parts(s) {
			flat = append(flat, part)
			for _, name := range part.Required {
				required[name] = true
			}
		}
	}
	for _, part := range flat {
		for _, name := range slices.Sorted(maps.Keys(part.Properties)) {
			if _, there := object[name]; !there && (required[name] || depth < 6 && m.either()) {
				object[name] = m.value(part.Properties[name], depth+1)
			}
		}
	}
	return object
}
