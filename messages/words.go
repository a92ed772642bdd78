package messages

import (
	"bytes"
	"embed"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/carillon-dev/carillon/conditions"
)

//go:embed *.yaml
var files embed.FS

// sharedFile has what the wordings of all groups share; the others have one
// group or more each.
const (
	sharedFile = "shared.yaml"
	groupFiles = "package.yaml build.yaml sca.yaml analysis.yaml tracker.yaml carillon.yaml"
)

// written is a wording as a file has it. What a type leaves out is its group's.
type written struct {
	// Title is a list of pieces, which are put together with spaces. One whose
	// values are all empty is left out; if that is the first, the whole title is,
	// and another one is taken.
	Title []string `yaml:"title"`
	// Text is a list of lines, left out in the same way.
	Text []string `yaml:"text"`
	// Facts are labels, each with a value or several: the first that is not empty
	// is taken. A type's come in front of its group's, and About in front of all.
	About yaml.Node `yaml:"about"`
	Facts yaml.Node `yaml:"facts"`
	// Links are labels with addresses, the best first.
	Links yaml.Node `yaml:"links"`
	// Level is a level, or the name of a rule.
	Level string `yaml:"level"`
	Topic string `yaml:"topic"`
	// Counts is what several are counted as: "package(s) added",
	// "vulnerabilit(y/ies) found".
	Counts string `yaml:"counts"`
}

type writtenGroup struct {
	written `yaml:",inline"`
	// Names stand for pieces of templates: <package> is replaced by the one here,
	// or by that of the shared file.
	Names map[string]string  `yaml:"names"`
	Types map[string]written `yaml:"types"`
}

type writtenShared struct {
	Names map[string]string `yaml:"names"`
	Links yaml.Node         `yaml:"links"`
}

// wording is how events of a type, or of a group, are told.
type wording struct {
	title, text         []piece
	about, facts, links []labelled
	level               rule
	topic               piece
	counts              counted
}

// labelled is a label with values, of which the first that is not empty counts.
type labelled struct {
	label  string
	values []piece
}

// wordings are all there are.
type wordings struct {
	types, groups map[string]wording
	links         []labelled
}

// of returns the wordings for an event type, the best first.
func (w *wordings) of(eventType string) []wording {
	var found []wording
	if own, ok := w.types[eventType]; ok {
		found = append(found, own)
	}
	if group, ok := w.groups[groupOf(eventType)]; ok {
		found = append(found, group)
	}
	return found
}

func groupOf(eventType string) string {
	group, _, _ := strings.Cut(eventType, ".")
	return group
}

// load reads and compiles the wordings, once for the process. It errs only when
// the embedded files are wrong, which a test finds.
var load = sync.OnceValues(func() (*wordings, error) {
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return nil, err
	}
	return (&loader{compile: templates.Compile, compiled: map[string]piece{}}).all()
})

type loader struct {
	compile  func(conditions.Source, []string) (*conditions.Template, error)
	compiled map[string]piece
	shared   map[string]string
	names    map[string]string
}

func (l *loader) all() (*wordings, error) {
	var shared writtenShared
	if err := readYAML(sharedFile, &shared); err != nil {
		return nil, err
	}
	l.shared = shared.Names
	w := &wordings{types: map[string]wording{}, groups: map[string]wording{}}
	var err error
	if w.links, err = l.labels(&shared.Links); err != nil {
		return nil, fmt.Errorf("read %s: %w", sharedFile, err)
	}
	for name := range strings.FieldsSeq(groupFiles) {
		var groups map[string]writtenGroup
		if err := readYAML(name, &groups); err != nil {
			return nil, err
		}
		for group, written := range groups {
			if err := l.group(w, group, written); err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
	return w, nil
}

func readYAML(name string, into any) error {
	text, err := files.ReadFile(name)
	if err != nil {
		return fmt.Errorf("read messages: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (l *loader) group(w *wordings, group string, g writtenGroup) error {
	l.names = g.Names
	own, err := l.wording(g.written, wording{level: rules[""]})
	if err != nil {
		return fmt.Errorf("group %s: %w", group, err)
	}
	w.groups[group] = own
	for name, t := range g.Types {
		made, err := l.wording(t, own)
		if err != nil {
			return fmt.Errorf("event type %s.%s: %w", group, name, err)
		}
		w.types[group+"."+name] = made
	}
	return nil
}

// wording compiles what is written; what is not written is that of base.
func (l *loader) wording(from written, base wording) (wording, error) {
	made := base
	for _, list := range []struct {
		from []string
		to   *[]piece
	}{{from.Title, &made.title}, {from.Text, &made.text}} {
		if list.from == nil {
			continue
		}
		var err error
		if *list.to, err = l.pieces(list.from); err != nil {
			return wording{}, err
		}
	}
	for _, list := range []struct {
		from *yaml.Node
		to   *[]labelled
	}{{&from.About, &made.about}, {&from.Facts, &made.facts}, {&from.Links, &made.links}} {
		own, err := l.labels(list.from)
		if err != nil {
			return wording{}, err
		}
		*list.to = append(own, *list.to...)
	}
	if from.Topic != "" {
		var err error
		if made.topic, err = l.piece(from.Topic); err != nil {
			return wording{}, err
		}
	}
	if from.Level != "" {
		known, ok := rules[from.Level]
		if !ok {
			return wording{}, fmt.Errorf("there is no level or rule %q", from.Level)
		}
		made.level = known
	}
	if from.Counts != "" {
		made.counts = readCounted(from.Counts)
	}
	return made, nil
}

func (l *loader) pieces(texts []string) ([]piece, error) {
	made := make([]piece, len(texts))
	for i, text := range texts {
		var err error
		if made[i], err = l.piece(text); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// labels reads a mapping in its order.
func (l *loader) labels(node *yaml.Node) ([]labelled, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	var all []labelled
	for i := 1; i < len(node.Content); i += 2 {
		var texts []string
		value := node.Content[i]
		if value.Kind == yaml.ScalarNode {
			texts = []string{value.Value}
		} else if err := value.Decode(&texts); err != nil {
			return nil, fmt.Errorf("line %d: %w", value.Line, err)
		}
		values, err := l.pieces(texts)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", value.Line, err)
		}
		all = append(all, labelled{node.Content[i-1].Value, values})
	}
	return all, nil
}

var nameInText = regexp.MustCompile(`<([a-z_]+)>`)

// piece compiles a text after putting in what names stand for.
func (l *loader) piece(text string) (piece, error) {
	var missing error
	text = nameInText.ReplaceAllStringFunc(text, func(name string) string {
		name = name[1 : len(name)-1]
		for _, names := range []map[string]string{l.names, l.shared} {
			if found, ok := names[name]; ok {
				return found
			}
		}
		missing = fmt.Errorf("there is no name <%s>", name)
		return ""
	})
	if missing != nil {
		return piece{}, missing
	}
	if known, ok := l.compiled[text]; ok {
		return known, nil
	}
	made, err := newPiece(text, l.compile)
	if err != nil {
		return piece{}, fmt.Errorf("compile %q: %w", text, err)
	}
	l.compiled[text] = made
	return made, nil
}
