package formats

import (
	"bytes"
	"encoding/json"
	"strings"
)

// fields reads an event's data by name. What is missing, null or of another
// kind is unknown: a producer's slip must not stop a delivery, nor change the
// type of what a receiver reads.
type fields map[string]any

// readData opens the data; numbers keep their digits.
func readData(data json.RawMessage) (fields, error) {
	var f fields
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&f); err != nil || f == nil {
		return nil, errNoObject
	}
	return f, nil
}

// text returns a text, or a number's digits; nil when unknown.
func (f fields) text(name string) *string { return asText(f[name]) }

// filled is text, with the empty text for what is unknown.
func (f fields) filled(name string) string {
	if text := f.text(name); text != nil {
		return *text
	}
	return ""
}

// words returns a text, or a list of texts joined by what separates them.
func (f fields) words(name, separator string) *string {
	list, ok := f[name].([]any)
	if !ok {
		return f.text(name)
	}
	words := make([]string, 0, len(list))
	for _, item := range list {
		if text := asText(item); text != nil {
			words = append(words, *text)
		}
	}
	joined := strings.Join(words, separator)
	return &joined
}

// integer returns an integer, also one that is written as a text; nil when
// unknown.
func (f fields) integer(name string) *json.Number {
	text := f.text(name)
	if text == nil {
		return nil
	}
	number := json.Number(*text)
	if _, err := number.Int64(); err != nil || !json.Valid([]byte(number)) {
		return nil
	}
	return &number
}

// object returns an object; nil when unknown, which can be read as well.
func (f fields) object(name string) fields {
	object, _ := f[name].(map[string]any)
	return object
}

// objects returns the objects of a list; nil when unknown.
func (f fields) objects(name string) []fields {
	list, ok := f[name].([]any)
	if !ok {
		return nil
	}
	objects := []fields{}
	for _, item := range list {
		if object, ok := item.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// texts returns the texts of a list; nil when unknown.
func (f fields) texts(name string) []string {
	list, ok := f[name].([]any)
	if !ok {
		return nil
	}
	texts := []string{}
	for _, item := range list {
		if text := asText(item); text != nil {
			texts = append(texts, *text)
		}
	}
	return texts
}

func asText(value any) *string {
	switch v := value.(type) {
	case string:
		return &v
	case json.Number:
		text := v.String()
		return &text
	default:
		return nil
	}
}

// known returns a text that is not empty; nil for the empty one.
func known(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// each writes every item of a list; nil stays nil, which is null in JSON.
func each[T any](items []fields, write func(fields) T) []T {
	if items == nil {
		return nil
	}
	written := make([]T, len(items))
	for i, item := range items {
		written[i] = write(item)
	}
	return written
}
