package messages

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/conditions"
)

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
		_, err := templates.Compile(conditions.Source{Text: t.text, Mode: conditions.Text}, eventTypes)
		found, ok := errors.AsType[*carillon.Error](err)
		if err != nil && !ok {
			return err
		}
		if ok {
			for _, p := range found.Problems {
				p.Pointer = t.pointer
				problems = append(problems, p)
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &carillon.Error{Code: carillon.CodeInvalid, Message: "the message is not valid", Problems: problems}
}

func write(e carillon.Event, o Overrides) (Message, error) {
	types, err := catalog.Load()
	if err != nil {
		return Message{}, err
	}
	title := e.Type
	if t, ok := types.Type(e.Type); ok {
		title = t.Title
	}
	m := Message{Title: strings.TrimSpace(title + " " + e.Subject), Level: Neutral, Topic: e.Subject}
	for _, key := range slices.Sorted(maps.Keys(e.Scope)) {
		m.Facts = append(m.Facts, Fact{Label: key, Value: e.Scope[key]})
	}
	if e.Actor != "" {
		m.Facts = append(m.Facts, Fact{Label: "by", Value: e.Actor})
	}
	if m.Title, err = render(e, o.Title, m.Title); err != nil {
		return Message{}, err
	}
	m.Text, err = render(e, o.Text, m.Text)
	return m, err
}

func render(e carillon.Event, template, otherwise string) (string, error) {
	if template == "" {
		return otherwise, nil
	}
	templates, err := conditions.LoadTemplates()
	if err != nil {
		return "", err
	}
	compiled, err := templates.Kept(conditions.Source{Text: template, Mode: conditions.Text})
	if err != nil {
		return "", err
	}
	input, err := conditions.NewTemplateInput(e)
	if err != nil {
		return "", err
	}
	text, err := compiled.Render(context.Background(), input)
	return string(text), err
}

func summarize(events []carillon.Event) Message {
	kinds := map[string]int{}
	for _, e := range events {
		kinds[e.Type]++
	}
	m := Message{Title: fmt.Sprintf("%d events", len(events)), Level: Neutral}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		m.Facts = append(m.Facts, Fact{Label: kind, Value: fmt.Sprint(kinds[kind])})
	}
	return m
}
