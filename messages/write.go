package messages

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"slices"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// maxTopic is for names that make a key; a longer one is cut, and told apart by
// a hash.
const maxTopic = 200

func try(e carillon.Event, o Overrides) (Message, []carillon.Problem, error) {
	known, err := load()
	if err != nil {
		return Message{}, nil, err
	}
	v := newValues(e)
	m := compose(known, e, v)
	if o == (Overrides{}) {
		return m, nil, nil
	}
	problems, err := o.apply(v, &m)
	return m, problems, err
}

func newValues(e carillon.Event) *values {
	v := &values{data: decode(e.Data)}
	v.input, v.err = conditions.NewTemplateInput(e)
	return v
}

func decode(raw json.RawMessage) map[string]any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var data map[string]any
	if dec.Decode(&data) != nil {
		return nil
	}
	return data
}

// compose writes the default message.
func compose(known *wordings, e carillon.Event, v *values) Message {
	found := known.of(e.Type)
	m := Message{Level: Neutral, Title: titleOf(found, e, v)}
	if len(found) > 0 {
		best := found[0]
		m.Text = clip(writeLines(best.text, v), maxText)
		m.Facts = factsOf(slices.Concat(best.about, best.facts), v)
		m.Link = linkOf(best.links, v)
		m.Level = best.level.apply(v.data)
		m.Topic = topicOf(best.topic.write(v))
	}
	if m.Link.URL == "" {
		m.Link = linkOf(known.links, v)
	}
	if len(found) == 0 {
		m.Facts = plainFacts(e, v)
	}
	m.Facts = append(m.Facts, circumstances(e, m.Facts)...)
	return m
}

func titleOf(found []wording, e carillon.Event, v *values) string {
	for _, w := range found {
		if title := writeTitle(w.title, v); title != "" {
			return clip(title, maxTitle)
		}
	}
	return clip(genericTitle(found, e, v), maxTitle)
}

func factsOf(facts []labelled, v *values) []Fact {
	var all []Fact
	for _, f := range facts {
		value := f.first(v)
		if value == "" || slices.ContainsFunc(all, func(other Fact) bool { return other.Label == f.label }) {
			continue
		}
		if all = append(all, Fact{f.label, clip(value, maxValue)}); len(all) == maxOwnFacts {
			break
		}
	}
	return all
}

// linkOf returns the first address that a browser can open.
func linkOf(links []labelled, v *values) Link {
	for _, l := range links {
		for _, p := range l.values {
			if address := p.write(v); isAddress(address) {
				return Link{l.label, address}
			}
		}
	}
	return Link{}
}

func isAddress(text string) bool {
	if len(text) > maxURL {
		return false
	}
	parsed, err := url.Parse(text)
	return err == nil && (parsed.Scheme == "http" || parsed.Scheme == "https") && parsed.Host != "" && parsed.User == nil
}

func topicOf(text string) string {
	if len(text) <= maxTopic {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return carillon.Clip(text, maxTopic-17) + "/" + hex.EncodeToString(sum[:8])
}

// apply puts the subscription's own words in the place of the default ones. One
// that cannot be written for this event is left out, and told.
func (o Overrides) apply(v *values, m *Message) ([]carillon.Problem, error) {
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return nil, err
	}
	var problems []carillon.Problem
	for _, own := range []struct {
		pointer, template string
		take              func(string)
	}{
		{"/title", o.Title, func(text string) { m.Title = cmp.Or(clip(oneLine(text), maxTitle), m.Title) }},
		{"/text", o.Text, func(text string) { m.Text = clip(lines(text), maxText) }},
	} {
		if own.template == "" {
			continue
		}
		compiled, err := templates.Kept(conditions.Source{Text: own.template, Mode: conditions.Text})
		if err == nil {
			var text string
			if text, err = v.render(compiled); err == nil {
				own.take(text)
				continue
			}
		}
		problems = append(problems, problemsOf(err, own.pointer)...)
	}
	return problems, nil
}

// problemsOf writes why a template gave nothing, for people.
func problemsOf(err error, pointer string) []carillon.Problem {
	var problems []carillon.Problem
	if failed, ok := errors.AsType[*conditions.RenderError](err); ok {
		problems = append(problems, failed.Problem)
	} else if invalid, ok := errors.AsType[*carillon.Error](err); ok {
		problems = append(problems, invalid.Problems...)
	}
	for i := range problems {
		problems[i].Pointer = pointer
	}
	return problems
}

func check(o Overrides, eventTypes []string) error {
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return err
	}
	var problems []carillon.Problem
	for _, t := range []struct{ pointer, text string }{{"/title", o.Title}, {"/text", o.Text}} {
		if t.text == "" {
			continue
		}
		if _, err := templates.Compile(conditions.Source{Text: t.text, Mode: conditions.Text}, eventTypes); err != nil {
			found := problemsOf(err, t.pointer)
			if found == nil {
				return err
			}
			problems = append(problems, found...)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &carillon.Error{Code: carillon.CodeInvalid, Message: "the message is not valid", Problems: problems}
}
