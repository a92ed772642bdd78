package formats

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode"

	"github.com/carillon-dev/carillon"
)

// optionsPointer is where a subscription's options are.
const optionsPointer = "/format_options"

// chosen reads options of which each is one of a few words, or else a media type, and returns them
// with the defaults filled in.
func chosen(options []Option, raw json.RawMessage) (map[string]string, error) {
	values := map[string]string{}
	for _, o := range options {
		values[o.Name] = o.Default
	}
	if len(raw) == 0 {
		return values, nil
	}
	var posted map[string]json.RawMessage
	if err := json.Unmarshal(raw, &posted); err != nil || posted == nil {
		return nil, carillon.Invalid(optionsPointer, "must be an object")
	}
	var problems []carillon.Problem
	for _, name := range slices.Sorted(maps.Keys(posted)) {
		if detail := choose(options, values, name, posted[name]); detail != "" {
			problems = append(problems, carillon.Problem{Pointer: optionsPointer + "/" + escape(name), Detail: detail})
		}
	}
	if len(problems) > 0 {
		return nil, &carillon.Error{Code: carillon.CodeInvalid, Message: "the format's options are not valid", Problems: problems}
	}
	return values, nil
}

// choose takes one option, and says what is wrong with it.
func choose(options []Option, values map[string]string, name string, raw json.RawMessage) (detail string) {
	i := slices.IndexFunc(options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return noSuchOption(options)
	}
	var value string
	err := json.Unmarshal(raw, &value)
	if options[i].Values == nil {
		if _, ok := readMediaType(value); err != nil || !ok {
			return "must be a media type, in UTF-8"
		}
		values[name] = value
		return ""
	}
	if err != nil || !slices.Contains(options[i].Values, value) {
		return "must be one of " + strings.Join(options[i].Values, ", ")
	}
	values[name] = value
	return ""
}

// readMediaType reads a Content-Type of a text in UTF-8, without its parameters.
func readMediaType(contentType string) (media string, ok bool) {
	media, parameters, err := mime.ParseMediaType(contentType)
	charset := strings.ToLower(parameters["charset"])
	return media, err == nil && len(contentType) <= maxContentTypeBytes && (charset == "" || charset == "utf-8") &&
		strings.Contains(media, "/") && !strings.ContainsFunc(contentType, unicode.IsControl)
}

func noSuchOption(options []Option) string {
	if len(options) == 0 {
		return "is no option: the format has none"
	}
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.Name
	}
	return fmt.Sprintf("is no option of the format; there is %s", strings.Join(names, ", "))
}

// prepare checks options as [chosen] reads them, and keeps them as they were
// posted.
func prepare(options []Option, posted json.RawMessage) (json.RawMessage, error) {
	if _, err := chosen(options, posted); err != nil {
		return nil, err
	}
	if string(posted) == "{}" {
		return nil, nil
	}
	return posted, nil
}

// escape writes a name as a token of a JSON Pointer.
// https://www.rfc-editor.org/rfc/rfc6901#section-3
func escape(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
