package channels

import (
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/carillon-dev/carillon"
)

// Limits of fields that give none.
const (
	maxTextBytes     = 1000
	maxLongTextBytes = 32 << 10
	maxTexts         = 100
)

// fill reads a posted endpoint as its fields describe it: values are what is to
// be kept, nil when it is no object. What is left out takes its default; a
// secret posted as its mask keeps the stored value, unless it would go elsewhere
// than before.
func fill(fields []Field, posted json.RawMessage, stored carillon.Endpoint) (f form, values map[string]any) {
	f = newForm(posted, names(fields)...)
	if f.fields == nil {
		return f, nil
	}
	var before map[string]json.RawMessage
	_ = json.Unmarshal(stored, &before) // one that cannot be read keeps nothing
	filler := filler{moved: slices.ContainsFunc(fields, func(field Field) bool {
		return field.Moves && !field.Secret && before != nil && !same(restored(field, f.fields[field.Name], before[field.Name]), before[field.Name], field.Default)
	})}
	return f, filler.object(f, fields, before)
}

// same reports whether a posted value is the stored one, which can be a default.
func same(posted, stored, byDefault json.RawMessage) bool {
	if isMissing(posted) {
		posted = byDefault
	}
	if isMissing(stored) {
		stored = byDefault
	}
	if isMissing(posted) || isMissing(stored) {
		return isMissing(posted) && isMissing(stored)
	}
	var a, b any
	if json.Unmarshal(posted, &a) != nil || json.Unmarshal(stored, &b) != nil {
		return false
	}
	return reflect.DeepEqual(a, b)
}

// isMissing reports whether a field says nothing.
func isMissing(raw json.RawMessage) bool {
	return len(raw) == 0 || isNull(raw) || string(raw) == `""`
}

// filler fills objects; moved says that secrets would go elsewhere.
type filler struct{ moved bool }

func (fill filler) object(f form, fields []Field, before map[string]json.RawMessage) map[string]any {
	values := map[string]any{}
	for _, field := range fields {
		if field.ReadOnly {
			continue
		}
		if isMissing(f.fields[field.Name]) {
			switch {
			case field.Shared: // it may be set for the installation, which completes it
			case field.Default != nil:
				values[field.Name] = field.Default
			case field.Required:
				f.wrong(field.Name, "is required, such as %s", field.Example)
			}
			continue
		}
		if value := fill.value(f, field, before[field.Name]); value != nil {
			values[field.Name] = value
		}
	}
	return values
}

// value reads one field that is there; nil when it is wrong.
func (fill filler) value(f form, field Field, stored json.RawMessage) any {
	switch field.Type {
	case Text, LongText, URL:
		return fill.text(f, field, stored)
	case Integer:
		return fill.integer(f, field)
	case Boolean:
		if value := fieldOf[bool](f, field.Name, "true or false"); value != nil {
			return *value
		}
	case Duration:
		return fill.duration(f, field)
	case Texts:
		return fill.texts(f, field)
	case Object:
		var before map[string]json.RawMessage
		_ = json.Unmarshal(stored, &before)
		if inner, ok := f.object(field.Name, names(field.Fields)...); ok {
			return fill.object(inner, field.Fields, before)
		}
	case Secrets, Objects: // the channels that have them read them
	}
	return nil
}

func (fill filler) text(f form, field Field, stored json.RawMessage) any {
	value := fieldOf[string](f, field.Name, "a string")
	if value == nil {
		return nil
	}
	if field.Type == URL && !field.Secret {
		var before string
		_ = json.Unmarshal(stored, &before)
		kept, ok := keptURL(f, field.Name, *value, before)
		if !ok {
			return nil
		}
		*value = kept
	}
	if field.Secret && isMask(*value) {
		var before string
		_ = json.Unmarshal(stored, &before)
		kept, ok := unmask(*value, before)
		switch {
		case !ok:
			f.wrong(field.Name, "is not the mask of the stored value; give the value itself")
		case fill.moved:
			f.wrong(field.Name, "must be given again, because it would go to another place")
		}
		return kept
	}
	return checkText(f, field.Name, field, *value)
}

// checkText checks a text at a path; nil when it is wrong.
func checkText(f form, path string, field Field, value string) any {
	limit := field.Max
	if limit == 0 {
		limit = maxTextBytes
		if field.Type == LongText {
			limit = maxLongTextBytes
		}
	}
	switch {
	case len(value) > limit:
		f.wrong(path, "is %d bytes long, at most %d are allowed", len(value), limit)
	case len(value) < field.Min:
		f.wrong(path, "is %d bytes long, at least %d are needed", len(value), field.Min)
	case field.Type != LongText && !httpguts.ValidHeaderFieldValue(value):
		f.wrong(path, "must be one line, without control characters")
	case strings.ContainsRune(value, 0):
		f.wrong(path, "holds the character U+0000")
	case len(field.Values) > 0 && !slices.Contains(field.Values, value):
		f.wrong(path, "must be one of %s", strings.Join(field.Values, ", "))
	case field.Type == URL && !isWebURL(value):
		f.wrong(path, "must be an http:// or https:// URL with a host, without user, password and fragment")
	default:
		return value
	}
	return nil
}

func isWebURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil &&
		u.Fragment == "" && validHost(u)
}

func (filler) integer(f form, field Field) any {
	value := fieldOf[int](f, field.Name, "a whole number")
	if value == nil {
		return nil
	}
	if *value < field.Min || field.Max != 0 && *value > field.Max {
		f.wrong(field.Name, "must be from %d to %d", field.Min, field.Max)
		return nil
	}
	return *value
}

// duration's bounds are in seconds.
func (filler) duration(f form, field Field) any {
	value := fieldOf[carillon.Duration](f, field.Name, "a duration such as 15s")
	if value == nil {
		return nil
	}
	least, most := time.Duration(field.Min)*time.Second, time.Duration(field.Max)*time.Second
	if d := time.Duration(*value); d < least || d > most {
		f.wrong(field.Name, "must be from %s to %s", least, most)
		return nil
	}
	return *value
}

func (filler) texts(f form, field Field) any {
	values := listOf(f, field)
	if values == nil {
		return nil
	}
	limit := field.Max
	if limit == 0 {
		limit = maxTexts
	}
	if len(*values) > limit || len(*values) < field.Min || field.Required && len(*values) == 0 {
		f.wrong(field.Name, "has %d entries, %d to %d are allowed", len(*values), max(field.Min, 1), limit)
		return nil
	}
	for i, value := range *values {
		if checkText(f, field.Name+"/"+strconv.Itoa(i), Field{Type: Text, Min: 1}, value) == nil {
			return nil
		}
	}
	return *values
}

// listOf reads a field that is a list, or one text when it has a separator; nil
// when it is wrong.
func listOf(f form, field Field) *[]string {
	if field.Separator == "" {
		return fieldOf[[]string](f, field.Name, "an array of strings")
	}
	var joined string
	if json.Unmarshal(f.fields[field.Name], &joined) != nil {
		return fieldOf[[]string](f, field.Name, "an array of strings, or a string with "+field.Separator+" between them")
	}
	values := []string{}
	for value := range strings.SplitSeq(joined, field.Separator) {
		if value = strings.TrimSpace(value); value != "" {
			values = append(values, value)
		}
	}
	return &values
}

// fieldOf reads a field that is there; nil when it is wrong.
func fieldOf[T any](f form, name, want string) *T {
	var value T
	if err := json.Unmarshal(f.fields[name], &value); err != nil {
		f.wrong(name, "must be %s", want)
		return nil
	}
	return &value
}

// redact masks the secrets of a stored endpoint, as its fields say.
func redact(fields []Field, e carillon.Endpoint) json.RawMessage {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(e, &values); err != nil || values == nil {
		return json.RawMessage(`{}`)
	}
	seen := map[string]json.RawMessage{}
	for _, field := range fields {
		raw, ok := values[field.Name]
		if !ok {
			continue
		}
		switch {
		case field.Type == Object:
			raw = redact(field.Fields, carillon.Endpoint(raw))
		case field.Type == URL && !field.Secret:
			raw = maskedURL(raw)
		case field.Secret:
			var secret string
			_ = json.Unmarshal(raw, &secret) // what is no text has nothing to show
			if masked, err := json.Marshal(mask(secret)); err == nil {
				raw = masked
			} else {
				continue
			}
		}
		seen[field.Name] = raw
	}
	redacted, err := json.Marshal(seen)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return redacted
}
