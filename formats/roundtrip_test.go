package formats_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/strict"
	"github.com/carillon-dev/carillon/sources"
)

// sentBack writes an event in a product's format, and has the product's source
// read it.
func sentBack(t *testing.T, product string, e carillon.Event) carillon.Event {
	t.Helper()
	f := lookup(t, product)
	payload, err := f.Render(formats.Request{Event: e, Instance: instance})
	require.NoError(t, err)
	header := headerOf(f, payload)
	header.Set("webhook-id", e.ID)
	adapter, ok := sources.Lookup(product)
	require.True(t, ok)
	events, err := adapter.Events(t.Context(), sources.Upstream{
		Body: payload.Body, Header: header, Catalog: types, ReceivedAt: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
		Source: carillon.Source{ID: "src_1", Name: e.Source, Kind: product},
	}, nil)
	require.NoError(t, err)
	require.Len(t, events, 1)
	return events[0]
}

func TestAProductsSourceReadsWhatItsFormatWrites(t *testing.T) {
	t.Parallel()
	// These carry all that their types say; ProGet's contents leave some out.
	whole := map[string]bool{catalog.MyGet: true, catalog.CodeScoring: true, catalog.DefectDojo: true}
	for _, product := range catalog.Products {
		for _, row := range catalog.ProductTypes(product) {
			t.Run(product+" × "+row.Type, func(t *testing.T) {
				t.Parallel()
				typ, ok := types.Type(row.Type)
				require.True(t, ok)
				typ.Example.Time = typ.Example.Time.Add(time.Nanosecond * 123_456_700) // MyGet's times have seven digits
				back := sentBack(t, product, typ.Example)
				if row.OneWay {
					require.NotEqual(t, typ.Name, back.Type)
					return
				}
				require.Equal(t, typ.Name, back.Type)
				want, got := known(t, typ.Example.Data), known(t, back.Data)
				if object, ok := want.(map[string]any); ok && typ.Name == "sca.policy_triggered" {
					delete(object, "project_name") // CodeScoring's page has the project's number alone
				}
				if object, ok := got.(map[string]any); ok && product == catalog.DefectDojo {
					// DefectDojo writes a text that it does not have as an empty one.
					for _, key := range []string{"description", "title"} {
						if _, told := want.(map[string]any)[key]; !told && object[key] == "" {
							delete(object, key)
						}
					}
				}
				if whole[product] && typ.Name != "ping" {
					require.Equal(t, want, got)
				}
				again := sentBack(t, product, back)
				require.Equal(t, known(t, back.Data), known(t, again.Data), "the second time round, nothing is lost")
				require.Equal(t, back.Scope, again.Scope)
				require.Equal(t, back.Actor, again.Actor)
				require.Equal(t, back.Subject, again.Subject)
				require.Equal(t, back.Time, again.Time)
				for key, value := range back.Scope {
					if told, ok := typ.Example.Scope[key]; ok {
						require.Equal(t, told, value)
					}
				}
				if back.Actor != "" {
					require.Equal(t, typ.Example.Actor, back.Actor)
				}
				if product == catalog.MyGet || product == catalog.CodeScoring {
					require.Equal(t, typ.Example.Time.UTC(), back.Time)
				}
			})
		}
	}
}

func TestMyGetsNameOfAnEcosystemComesBack(t *testing.T) {
	t.Parallel()
	adapter, _ := sources.Lookup(catalog.MyGet)
	body := `{"Identifier":"1","Username":null,"When":"2026-11-22T00:00:00.1234567Z","PayloadType":"PackageDeletedWebHookEventPayloadV1",` +
		`"Payload":{"PackageType":"Npm","PackageIdentifier":"left-pad","PackageVersion":"1.0.0","FeedIdentifier":"f","FeedUrl":null}}`
	events, err := adapter.Events(t.Context(), sources.Upstream{Body: []byte(body), Catalog: types, Source: carillon.Source{ID: "src_1", Kind: catalog.MyGet}}, nil)
	require.NoError(t, err)
	payload, err := lookup(t, catalog.MyGet).Render(formats.Request{Event: events[0], Instance: instance})
	require.NoError(t, err)
	require.Contains(t, string(payload.Body), `"PackageType":"Npm"`)
	require.Contains(t, string(payload.Body), `"When":"2026-11-22T00:00:00.1234567Z"`)
}

// The standard CloudEvents source understands what the format writes, too.
func TestACloudEventComesBackAsTheSameEvent(t *testing.T) {
	t.Parallel()
	for _, options := range everyOption(lookup(t, "cloudevents")) {
		for _, typ := range types.Types() {
			if typ.Own {
				continue
			}
			f := lookup(t, "cloudevents")
			payload, err := f.Render(formats.Request{Event: typ.Example, Options: options})
			require.NoError(t, err)
			adapter, _ := sources.Lookup("cloudevents")
			events, err := adapter.Events(t.Context(), sources.Upstream{
				Body: payload.Body, Header: headerOf(f, payload), Catalog: types,
				Source: carillon.Source{ID: "src_1", Name: typ.Example.Source, Kind: "cloudevents"},
			}, nil)
			require.NoError(t, err)
			require.Len(t, events, 1)
			require.Equal(t, typ.Name, events[0].Type, "%s", payload.Body)
			require.Equal(t, typ.Example.Actor, events[0].Actor)
			require.Equal(t, typ.Example.Scope, events[0].Scope)
			require.Equal(t, typ.Example.Subject, events[0].Subject)
			require.Equal(t, typ.Example.Time.UTC(), events[0].Time)
			require.JSONEq(t, string(typ.Example.Data), string(events[0].Data))
		}
	}
}

// known is data without what says nothing: nulls, and objects of nulls alone.
func known(t *testing.T, data json.RawMessage) any {
	t.Helper()
	value, err := strict.Decode(data)
	require.NoError(t, err)
	return withoutNulls(value)
}

func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, member := range v {
			inner := withoutNulls(member)
			if object, ok := inner.(map[string]any); inner == nil || ok && len(object) == 0 {
				delete(v, key)
			} else {
				v[key] = inner
			}
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return value
}
