package formats_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/strict"
)

// golden is an event and how it is written, as the product's page has it. The
// files are written by hand: nothing here makes them anew.
type golden struct {
	Name    string            `json:"name"`
	Event   carillon.Event    `json:"event"`
	Options json.RawMessage   `json:"options"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	// Partial says that the event lacks what the receiver asks for.
	Partial bool `json:"partial"`
	// Whole says that a receiver can do without some of the keys.
	Whole bool `json:"whole"`
}

var instance = formats.Instance{PublicURL: "https://bells.example.com", Agent: "Carillon/test"}

// types are all that there are.
var types = func() *catalog.Catalog {
	c, err := catalog.Load()
	if err != nil {
		panic(err)
	}
	return c
}()

func goldens(t testing.TB, format string) []golden {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", format+".json"))
	require.NoError(t, err)
	var all []golden
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&all))
	require.NotEmpty(t, all)
	return all
}

func lookup(t testing.TB, name string) formats.Format {
	t.Helper()
	f, ok := formats.Lookup(name)
	require.True(t, ok, name)
	return f
}

// headerOf is what a receiver sees of a payload.
func headerOf(f formats.Format, payload formats.Payload) http.Header {
	header := http.Header{"Content-Type": {payload.ContentType}}
	for _, h := range payload.Headers {
		header.Set(h.Name, h.Value)
	}
	if name := f.Describe().TokenHeader; name != "" {
		header.Set(name, strict.Token)
	}
	return header
}

// written are the formats that write what a product, or a specification, says.
func written() []string { return slices.Sorted(maps.Keys(strict.Receivers)) }

func TestThePagesExamplesAreRebuilt(t *testing.T) {
	t.Parallel()
	for _, name := range written() {
		f := lookup(t, name)
		for _, g := range goldens(t, name) {
			t.Run(name+": "+g.Name, func(t *testing.T) {
				t.Parallel()
				payload, err := f.Render(formats.Request{Event: g.Event, Options: g.Options, Instance: instance})
				require.NoError(t, err)
				var want bytes.Buffer
				require.NoError(t, json.Compact(&want, g.Body))
				require.Equal(t, want.String(), string(payload.Body), "same keys, order, nulls and types")
				header := headerOf(f, payload)
				for field, value := range g.Headers {
					require.Equal(t, value, header.Get(field), field)
				}
				if !g.Partial {
					require.NoError(t, strict.Receivers[name](header, payload.Body))
				}
				again, err := f.Render(formats.Request{Event: g.Event, Options: g.Options, Instance: instance})
				require.NoError(t, err)
				require.Equal(t, payload, again)
			})
		}
	}
}

// mutation is a golden's body with one thing changed.
type mutation struct {
	what string
	body any
}

// mutations returns the value with each key removed, renamed and retyped, and
// each item of a list retyped, one at a time.
func mutations(at string, value any) []mutation {
	var all []mutation
	switch v := value.(type) {
	case map[string]any:
		change := func(what, key string, change func(map[string]any)) {
			object := maps.Clone(v)
			change(object)
			all = append(all, mutation{what + " " + at + "/" + key, object})
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			change("removed", key, func(o map[string]any) { delete(o, key) })
			change("renamed", key, func(o map[string]any) { delete(o, key); o[key+"X"] = v[key] })
			change("retyped", key, func(o map[string]any) { o[key] = retyped(v[key]) })
			for _, below := range mutations(at+"/"+key, v[key]) {
				all = append(all, mutation{below.what, with(v, key, below.body)})
			}
		}
	case []any:
		for i, item := range v {
			inner := append([]mutation{{"retyped " + at, retyped(item)}}, mutations(fmt.Sprintf("%s/%d", at, i), item)...)
			for _, below := range inner {
				list := slices.Clone(v)
				list[i] = below.body
				all = append(all, mutation{below.what, list})
			}
		}
	}
	return all
}

func with(object map[string]any, key string, value any) map[string]any {
	changed := maps.Clone(object)
	changed[key] = value
	return changed
}

// retyped returns a value of another kind.
func retyped(value any) any {
	switch v := value.(type) {
	case string:
		return json.Number("17")
	case json.Number:
		return v.String()
	case map[string]any:
		return []any{v}
	case []any:
		return map[string]any{"0": v}
	default: // null or a boolean
		return map[string]any{}
	}
}

func TestAStrictReceiverRefusesWhatIsNotAsThePageHasIt(t *testing.T) {
	t.Parallel()
	for _, name := range written() {
		f := lookup(t, name)
		for _, g := range goldens(t, name) {
			if g.Partial || g.Whole {
				continue
			}
			t.Run(name+": "+g.Name, func(t *testing.T) {
				t.Parallel()
				payload, err := f.Render(formats.Request{Event: g.Event, Options: g.Options, Instance: instance})
				require.NoError(t, err)
				header := headerOf(f, payload)
				require.NoError(t, strict.Receivers[name](header, g.Body))
				value, err := strict.Decode(g.Body)
				require.NoError(t, err)
				changed := mutations("", value)
				require.NotEmpty(t, changed)
				for _, m := range changed {
					body, err := json.Marshal(m.body)
					require.NoError(t, err)
					require.Error(t, strict.Receivers[name](header, body), "%s was taken: %s", m.what, body)
				}
			})
		}
	}
}
