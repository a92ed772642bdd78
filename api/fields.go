package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/carillon-dev/carillon"
)

// fields reads the members of a JSON object one by one and gathers everything
// that is wrong with them, so that a person sees all of it at once. Keys are
// compared exactly, and those that nobody asked for are problems.
//
// A null is taken for a member that is not there.
type fields struct {
	at       string // pointer to the object
	members  map[string]json.RawMessage
	known    []string
	problems []carillon.Problem
}

// readFields opens the object that data, accepted by [checkJSON], holds.
func readFields(at string, data json.RawMessage) *fields {
	f := &fields{at: at}
	m, ok := members(data)
	if !ok {
		f.problems = append(f.problems, carillon.Problem{Pointer: at, Detail: "must be a JSON object"})
	}
	f.members = m
	return f
}

// raw takes a member as it was written; nil when it is not there.
func (f *fields) raw(name string) json.RawMessage {
	f.known = append(f.known, name)
	v := f.members[name]
	if string(v) == "null" {
		return nil
	}
	return v
}

// has reports whether the member is there.
func (f *fields) has(name string) bool {
	v, ok := f.members[name]
	return ok && string(v) != "null"
}

// wrong adds a problem about a member, or about a place inside it.
func (f *fields) wrong(path, format string, args ...any) {
	f.problems = append(f.problems, carillon.Problem{
		Pointer: f.at + "/" + path, Detail: fmt.Sprintf(format, args...),
	})
}

// include adds the problems of err, below the member; it returns any other
// error as it is.
func (f *fields) include(name string, err error) error {
	if err == nil {
		return nil
	}
	problems, ok := problemsOf(err)
	if !ok {
		return err
	}
	prefix := f.at + "/" + name
	for _, p := range problems {
		if !strings.HasPrefix(p.Pointer, prefix) {
			p.Pointer = prefix + p.Pointer
		}
		f.problems = append(f.problems, p)
	}
	return nil
}

// text takes a string of at most limit bytes, on one line.
func (f *fields) text(name string, limit int) string {
	v := f.raw(name)
	if v == nil {
		return ""
	}
	return f.str(name, v, limit)
}

// required takes a string that must be there and not be empty.
func (f *fields) required(name string, limit int) string {
	if f.members != nil && !f.has(name) {
		f.known = append(f.known, name)
		f.wrong(name, "is required")
		return ""
	}
	n := len(f.problems)
	v := f.text(name, limit)
	if v == "" && len(f.problems) == n && f.members != nil {
		f.wrong(name, "must not be empty")
	}
	return v
}

func (f *fields) str(path string, v json.RawMessage, limit int) string {
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		f.wrong(path, "must be a string")
		return ""
	}
	switch {
	case len(s) > limit:
		f.wrong(path, "is %d bytes long, at most %d are allowed", len(s), limit)
		return ""
	case strings.ContainsFunc(s, unicode.IsControl):
		f.wrong(path, "must not contain control characters")
		return ""
	}
	return s
}

// free takes a string of at most limit bytes, which may have several lines.
func (f *fields) free(name string, limit int) string {
	v := f.raw(name)
	if v == nil {
		return ""
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		f.wrong(name, "must be a string")
	} else if len(s) > limit {
		f.wrong(name, "is %d bytes long, at most %d are allowed", len(s), limit)
	}
	return s
}

// yes takes a boolean.
func (f *fields) yes(name string) bool {
	var b bool
	if v := f.raw(name); v != nil && json.Unmarshal(v, &b) != nil {
		f.wrong(name, "must be true or false")
	}
	return b
}

// texts takes an array of strings, none empty and none twice.
func (f *fields) texts(name string, most, limit int) []string {
	v := f.raw(name)
	if v == nil {
		return nil
	}
	return f.strs(name, v, most, limit)
}

func (f *fields) strs(path string, v json.RawMessage, most, limit int) []string {
	var list []json.RawMessage
	if err := json.Unmarshal(v, &list); err != nil {
		f.wrong(path, "must be an array of strings")
		return nil
	}
	if len(list) > most {
		f.wrong(path, "has %d entries, at most %d are allowed", len(list), most)
		return nil
	}
	texts := make([]string, 0, len(list))
	for i, item := range list {
		at := path + "/" + strconv.Itoa(i)
		n := len(f.problems)
		s := f.str(at, item, limit)
		switch {
		case len(f.problems) > n:
		case s == "":
			f.wrong(at, "must not be empty")
		case slices.Contains(texts, s):
			f.wrong(at, "is given twice")
		}
		texts = append(texts, s)
	}
	return texts
}

// time takes an RFC 3339 time and returns it in UTC, to the microsecond; zero
// when it is not there.
func (f *fields) time(name string) time.Time { return f.exactTime(name).Truncate(time.Microsecond) }

// exactTime is time with all its digits: a registry that counts in smaller steps
// gets its own times back.
func (f *fields) exactTime(name string) time.Time {
	v := f.raw(name)
	if v == nil {
		return time.Time{}
	}
	var s string
	if err := json.Unmarshal(v, &s); err != nil {
		f.wrong(name, "must be a string, such as 2026-11-21T20:00:00Z")
		return time.Time{}
	}
	t, ok := parseTime(s)
	if !ok {
		f.wrong(name, "must be an RFC 3339 time of the years 1970 to 9999, such as 2026-11-21T20:00:00Z")
	}
	return t
}

// parseTime reads RFC 3339 between 1970 and 9999: years that microseconds,
// ULIDs and RFC 3339 itself can all say in UTC.
func parseTime(s string) (time.Time, bool) {
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, false
	}
	t = t.UTC()
	if t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}, false
	}
	return t, true
}

// scope takes an event's scope: one value a key.
func (f *fields) scope(name string) map[string]string {
	return eachScope(f, name, func(at string, v json.RawMessage) string {
		n := len(f.problems)
		s := f.str(at, v, carillon.MaxScopeBytes)
		if s == "" && len(f.problems) == n {
			f.wrong(at, "must not be empty")
		}
		return s
	})
}

// scopes takes a subscription's scope: the values that match, for each key.
func (f *fields) scopes(name string) map[string][]string {
	const maxValues = 100
	return eachScope(f, name, func(at string, v json.RawMessage) []string {
		n := len(f.problems)
		list := f.strs(at, v, maxValues, carillon.MaxScopeBytes)
		if len(list) == 0 && len(f.problems) == n {
			f.wrong(at, "must have at least one value: leave the key out to match everything")
		}
		return list
	})
}

func eachScope[V any](f *fields, name string, read func(at string, v json.RawMessage) V) map[string]V {
	v := f.raw(name)
	if v == nil {
		return nil
	}
	m, ok := members(v)
	if !ok {
		f.wrong(name, "must be a JSON object")
		return nil
	}
	if len(m) > carillon.MaxScopeKeys {
		f.wrong(name, "has %d keys, at most %d are allowed", len(m), carillon.MaxScopeKeys)
		return nil
	}
	if len(m) == 0 {
		return nil
	}
	scope := make(map[string]V, len(m))
	for _, key := range sortedKeys(m) {
		at := name + pointer(key)
		// "feed:x" and "feed:x,project:y" are how scopes are written on one line.
		if key == "" || len(key) > carillon.MaxScopeBytes || strings.ContainsAny(key, ":,") || strings.ContainsFunc(key, unicode.IsControl) {
			f.wrong(at, "is no key of a scope: 1 to %d bytes, no colon, comma or control character", carillon.MaxScopeBytes)
			continue
		}
		scope[key] = read(at, m[key])
	}
	return scope
}

// done returns everything that was wrong as one error, members that nobody
// asked for included.
func (f *fields) done() error {
	for _, name := range sortedKeys(f.members) {
		if !slices.Contains(f.known, name) {
			f.problems = append(f.problems, carillon.Problem{
				Pointer: f.at + pointer(name),
				Detail:  "is not known here; known are " + strings.Join(f.known, ", "),
			})
		}
	}
	if len(f.problems) == 0 {
		return nil
	}
	return &carillon.Error{Code: carillon.CodeInvalid, Message: "the input is not valid", Problems: f.problems}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
