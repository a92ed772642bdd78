package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/carillon-dev/carillon"
)

const (
	draft = "https://json-schema.org/draft/2020-12/schema"
	// localRef is how a schema names a shared definition; it resolves within
	// the schema, which carries a copy.
	localRef = "#/$defs/"
)

// entry is a type as its file writes it.
type entry struct {
	Title       string    `yaml:"title"`
	Description string    `yaml:"description"`
	Own         bool      `yaml:"own"`
	Scoped      []string  `yaml:"scoped"`
	Schema      yaml.Node `yaml:"schema"`
	// Example is an event without its id and type, which follow from the name.
	Example yaml.Node `yaml:"example"`
}

// definitions are the shared schemas by name.
type definitions map[string]yaml.Node

func readShared() (definitions, error) {
	var shared definitions
	err := readYAML(sharedFile, &shared)
	return shared, err
}

func readEntries(name string) (map[string]entry, error) {
	var entries map[string]entry
	err := readYAML(name, &entries)
	return entries, err
}

func readYAML(name string, into any) error {
	text, err := files.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read catalog: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (e entry) compile(name string, shared definitions) (Type, error) {
	t := Type{
		Name: name, Title: e.Title, Description: strings.TrimSpace(e.Description),
		Own: e.Own, Scoped: e.Scoped, Products: map[string]string{},
	}
	whole, err := shared.bundle(&e.Schema)
	if err != nil {
		return Type{}, err
	}
	if t.Schema, err = toJSON(whole); err != nil {
		return Type{}, fmt.Errorf("schema: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(t.Schema))
	if err != nil {
		return Type{}, fmt.Errorf("read schema: %w", err)
	}
	// Nothing is loaded from the URL; it names the schema in errors.
	url := "catalog:///" + name
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(url, doc); err != nil {
		return Type{}, fmt.Errorf("add schema: %w", err)
	}
	if t.compiled, err = compiler.Compile(url); err != nil {
		return Type{}, fmt.Errorf("compile schema: %w", err)
	}
	raw, err := toJSON(&e.Example)
	if err != nil {
		return Type{}, fmt.Errorf("example: %w", err)
	}
	if err := json.Unmarshal(raw, &t.Example); err != nil {
		return Type{}, fmt.Errorf("example: %w", err)
	}
	t.Example.Type = name
	t.Example.ID = carillon.EventID(t.Example.Source, "example/"+name)
	return t, nil
}

// bundle returns the schema with the draft's name, and with a copy of the
// definitions that it needs, directly or through others: it can be read alone.
func (d definitions) bundle(schema *yaml.Node) (*yaml.Node, error) {
	if schema.Kind != yaml.MappingNode {
		return nil, errors.New("the schema is no mapping")
	}
	defs := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	seen := map[string]bool{}
	var collect func(node *yaml.Node) error
	collect = func(node *yaml.Node) error {
		for i, child := range node.Content {
			if node.Kind == yaml.MappingNode && i%2 == 1 && node.Content[i-1].Value == "$ref" {
				name := strings.TrimPrefix(child.Value, localRef)
				def, ok := d[name]
				if !ok {
					return fmt.Errorf("line %d: there is no definition %q", child.Line, child.Value)
				}
				if !seen[name] {
					seen[name] = true
					defs.Content = append(defs.Content, scalar(name), &def)
					if err := collect(&def); err != nil {
						return err
					}
				}
			}
			if err := collect(child); err != nil {
				return err
			}
		}
		return nil
	}
	if err := collect(schema); err != nil {
		return nil, err
	}
	whole := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	whole.Content = append(whole.Content, scalar("$schema"), scalar(draft))
	whole.Content = append(whole.Content, schema.Content...)
	if len(seen) > 0 {
		whole.Content = append(whole.Content, scalar("$defs"), defs)
	}
	return whole, nil
}

func scalar(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

// toJSON writes a YAML node as JSON with the keys in the order of the file, in
// which people read schemas and examples.
func toJSON(node *yaml.Node) (json.RawMessage, error) {
	var out bytes.Buffer
	if err := writeJSON(&out, node); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeJSON(out *bytes.Buffer, node *yaml.Node) error {
	switch node.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		brackets := "[]"
		if node.Kind == yaml.MappingNode {
			brackets = "{}"
		}
		out.WriteByte(brackets[0])
		for i, child := range node.Content {
			switch {
			case i == 0:
			case node.Kind == yaml.MappingNode && i%2 == 1:
				out.WriteByte(':')
			default:
				out.WriteByte(',')
			}
			if err := writeJSON(out, child); err != nil {
				return err
			}
		}
		out.WriteByte(brackets[1])
		return nil
	case yaml.ScalarNode:
		var value any
		if err := node.Decode(&value); err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false) // people read "< 2.0" more easily than its escapes
		if err := enc.Encode(value); err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
		out.Truncate(out.Len() - 1) // the encoder ends with a line break
		return nil
	default:
		return fmt.Errorf("line %d: neither a mapping nor a list nor a value", node.Line)
	}
}
