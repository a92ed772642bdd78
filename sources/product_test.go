package sources

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// product is a source of one of the products, without a scope of its own.
func product(t *testing.T, kind string) *bench {
	t.Helper()
	b := setup(t)
	adapter, ok := Lookup(kind)
	require.True(t, ok)
	b.adapter = adapter
	b.source = carillon.Source{ID: "src_1", Name: kind + ".example.com", Kind: kind}
	return b
}

// tell returns the events of a request with a header, "Name: value".
func (b *bench) tell(body, header string) []carillon.Event {
	b.t.Helper()
	in := b.upstream(body)
	if name, value, ok := strings.Cut(header, ": "); ok {
		in.Header.Set(name, value)
	}
	events, err := b.adapter.Events(b.t.Context(), in, b.memory)
	require.NoError(b.t, err)
	for _, e := range events {
		source := b.source
		source.Scope = e.Scope // some of it is told
		requirePublishable(b.t, b.catalog, source, e)
	}
	return events
}

// page returns an example of the product's page.
func page(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", path))
	require.NoError(t, err)
	return string(text)
}

// seen is an event as a person would write it down: all but its id and source.
type seen struct {
	Type    string            `json:"type"`
	Actor   string            `json:"actor"`
	Scope   map[string]string `json:"scope"`
	Subject string            `json:"subject"`
	Time    time.Time         `json:"time"`
	Data    json.RawMessage   `json:"data"`
}

func requireSeen(t *testing.T, want string, e carillon.Event) {
	t.Helper()
	got, err := json.Marshal(seen{e.Type, e.Actor, e.Scope, e.Subject, e.Time, e.Data})
	require.NoError(t, err)
	require.JSONEq(t, want, string(got))
}

func requireUnknown(t *testing.T, events []carillon.Event, reason string) {
	t.Helper()
	require.Len(t, events, 1)
	require.Equal(t, "source.unknown", events[0].Type)
	var data unknownData
	require.NoError(t, json.Unmarshal(events[0].Data, &data))
	require.Contains(t, data.Reason, reason)
	require.NotEmpty(t, data.Body)
}

func TestWhatAProductsSourceDoesNotUnderstandIsKept(t *testing.T) {
	t.Parallel()
	tests := []struct{ kind, body, header, reason string }{
		{"myget", `[]`, "", "no JSON object"},
		{"myget", `{}`, "", "no PayloadType"},
		{"myget", `{"Identifier":"1","PayloadType":7,"Payload":{}}`, "", "no PayloadType"},
		{"myget", `{"Identifier":"1","PayloadType":"PackageAddedWebHookEventPayloadV2","Payload":{}}`, "", `"PackageAddedWebHookEventPayloadV2" is not known`},
		{"myget", `{"PayloadType":"PingWebHookEventPayloadV1","Payload":{}}`, "", "no Identifier"},
		{"myget", `{"Identifier":"1","PayloadType":"PingWebHookEventPayloadV1"}`, "", "the Payload is no JSON object"},
		{"myget", `{"Identifier":"1","PayloadType":"PackageListedWebHookEventPayloadV1","Payload":{"Action":"hidden"}}`, "", `the Action "hidden"`},
		{"myget", `{"Identifier":"1","PayloadType":"PackageListedWebHookEventPayloadV1","Payload":{"Action":"pinned"}}`, "", `the Action "pinned"`},
		{"myget", `{"Identifier":"1","PayloadType":"PackagePinnedWebHookEventPayloadV1","Payload":{}}`, "", `the Action ""`},
		{"myget", `{"Identifier":"1","PayloadType":"PackageAddedWebHookEventPayloadV1","Payload":{"PackageIdentifier":7}}`, "", "/data/package"},
		{"proget", `"text"`, "", "no JSON object"},
		{"proget", `{"package":"a"}`, "", "none of ProGet's default contents"},
		{"proget", `{"package":"a","event":"Exploded"}`, "", `"Exploded" is not known`},
		{"proget", `{"package":"a","event":null}`, "", `"" is not known`},
		{"proget", `{"version":"1.0","event":"Added"}`, "", "/data/package"},
		{"proget", `{"vulnerabilityId":"X","score":"high"}`, "", "/data/score"},
		{"codescoring", `[]`, "", `no list "events"`},
		{"codescoring", `{"events":{}}`, "", `no list "events"`},
		{"codescoring", `{"events":["x"]}`, "", "the event is no JSON object"},
		{"codescoring", `{"events":[{"trigger":"project_created"}]}`, "", `the trigger "project_created"`},
		{"codescoring", `{"events":[{"trigger":"test","payload":[]}]}`, "", "the payload is no JSON object"},
		{"codescoring", `{"events":[{"trigger":"sca_policy_has_been_triggered","payload":{"alert_id":{}}}]}`, "", "/data/alert_id"},
		{"defectdojo", `{}`, "", "no header X-DefectDojo-Event"},
		{"defectdojo", `{}`, "X-DefectDojo-Event: code_review", `the event "code_review"`},
		{"defectdojo", `[]`, "X-DefectDojo-Event: ping", "no JSON object"},
		{"defectdojo", `{"finding_count":"many"}`, "X-DefectDojo-Event: scan_added", "/data/finding_count"},
	}
	for _, test := range tests {
		t.Run(test.kind+" "+test.body, func(t *testing.T) {
			t.Parallel()
			b := product(t, test.kind)
			events := b.tell(test.body, test.header)
			requireUnknown(t, events, test.reason)
			require.Equal(t, events, b.tell(test.body, test.header), "repeated, it is one event")
		})
	}
}

func TestANotificationThatIsTooLargeIsKeptAndNotRefused(t *testing.T) {
	t.Parallel()
	body := `{"description":"` + strings.Repeat("a", carillon.MaxEventBytes) + `"}`
	requireUnknown(t, product(t, "defectdojo").tell(body, "X-DefectDojo-Event: other"), "larger than 256 KiB")
}

func TestProductsSendJSON(t *testing.T) {
	t.Parallel()
	for _, kind := range catalog.Products {
		for _, body := range []string{"", "payload=1", `{"a":`, "{}{}", "{\"a\":\"\xff\"}"} {
			b := product(t, kind)
			_, err := b.adapter.Events(t.Context(), b.upstream(body), b.memory)
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err), "%s %q", kind, body)
			require.Contains(t, err.Error(), kind)
		}
	}
}

func TestTheScopeOfASourceStandsAboveWhatIsTold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		configured, told map[string]string
		want             map[string]string
	}{
		{"nothing", nil, nil, nil},
		{"told", nil, map[string]string{"feed": "a"}, map[string]string{"feed": "a"}},
		{"nothing told", nil, map[string]string{"feed": ""}, nil},
		{"configured", map[string]string{"feed": "a"}, nil, map[string]string{"feed": "a"}},
		{"both, of one key", map[string]string{"feed": "a"}, map[string]string{"feed": "b"}, map[string]string{"feed": "a"}},
		{"both, of two keys", map[string]string{"product": "a"}, map[string]string{"feed": "b"}, map[string]string{"product": "a", "feed": "b"}},
		{"more than a scope's value holds", nil, map[string]string{"feed": strings.Repeat("a", 256)}, nil},
		{"a control character", nil, map[string]string{"feed": "a\nb"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, scopeOf(test.configured, test.told))
		})
	}
	full := map[string]string{}
	for i := range carillon.MaxScopeKeys {
		full[string(rune('a'+i))] = "x"
	}
	require.Equal(t, full, scopeOf(full, map[string]string{"feed": "b"}), "a scope has so many keys and no more")
}

func TestPurls(t *testing.T) {
	t.Parallel()
	tests := []struct{ packageType, group, name, version, want string }{
		{"nuget", "", "MyCorp.CoolUtils", "3.2.0-pre.1", "pkg:nuget/MyCorp.CoolUtils@3.2.0-pre.1"},
		{"NuGet", "", "A", "1.0+build", "pkg:nuget/A@1.0%2Bbuild"},
		{"npm", "", "@acme/ui", "1.0.0", "pkg:npm/%40acme/ui@1.0.0"},
		{"npm", "@acme", "ui", "1.0.0", "pkg:npm/%40acme/ui@1.0.0"},
		{"maven", "org.acme", "core", "1", "pkg:maven/org.acme/core@1"},
		{"maven", "", "org.acme:core", "1", "pkg:maven/org.acme/core@1"},
		{"python", "", "Django_Rest", "1", "pkg:pypi/django-rest@1"},
		{"php", "", "acme/web", "1", "pkg:composer/acme/web@1"},
		{"nuget", "", "A", "(>= 2.0)", "pkg:nuget/A"},
		{"nuget", "", "A", "≥ 2.0", "pkg:nuget/A"},
		{"nuget", "", "A", "", "pkg:nuget/A"},
		{"nuget", "", "", "1", ""},
		{"oci", "", "acme/hello", "v1", ""},
		{"", "", "A", "1", ""},
	}
	for _, test := range tests {
		t.Run(test.packageType+" "+test.name+" "+test.version, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, purl(test.packageType, test.group, test.name, test.version))
		})
	}
}

// What a product sends once is an event each time; what it can send again is
// one event.
func TestWhichRequestsAreTheSame(t *testing.T) {
	t.Parallel()
	tests := []struct {
		kind, example, header string
		once                  bool
	}{
		{"myget", "package_added.json", "", false},
		{"codescoring", "every_trigger.json", "", false},
		{"proget", "package_event.json", "", true},
		{"defectdojo", "product_added.json", "X-DefectDojo-Event: product_added", true},
	}
	for _, test := range tests {
		t.Run(test.kind, func(t *testing.T) {
			t.Parallel()
			b := product(t, test.kind)
			body := page(t, test.kind+"/"+test.example)
			first, again := b.tell(body, test.header), b.tell(body, test.header)
			if !test.once {
				require.Equal(t, first, again)
				return
			}
			require.NotEqual(t, first[0].ID, again[0].ID)
			again[0].ID = first[0].ID
			require.Equal(t, first, again)

			named := func(id string) string {
				in := b.upstream(body)
				name, value, _ := strings.Cut(test.header, ": ")
				in.Header.Set(name, value)
				in.Header.Set("Webhook-Id", id)
				events, err := b.adapter.Events(t.Context(), in, b.memory)
				require.NoError(t, err)
				require.Len(t, events, 1)
				return events[0].ID
			}
			require.Equal(t, named("evt_1"), named("evt_1"))
			require.NotEqual(t, named("evt_1"), named("evt_2"))
			require.NotEqual(t, named("no id"), named("no id"))
		})
	}
}

func FuzzProducts(f *testing.F) {
	for i, kind := range catalog.Products {
		paths, err := filepath.Glob("testdata/" + kind + "/*.json")
		require.NoError(f, err)
		require.NotEmpty(f, paths)
		for _, path := range paths {
			text, err := os.ReadFile(path)
			require.NoError(f, err)
			f.Add(i, strings.TrimSuffix(filepath.Base(path), ".json"), text)
		}
	}
	f.Add(1, "", []byte(`{"event":"Added","package":"a","packageType":"npm","package_type":7,"user":"\u0000"}`))
	c, err := loadCatalog()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, i int, event string, body []byte) {
		kind := catalog.Products[max(i, -i)&3]
		adapter, ok := Lookup(kind)
		require.True(t, ok)
		in := Upstream{
			Body: body, Header: http.Header{eventHeader: {event}}, Catalog: c,
			Source:     carillon.Source{ID: "src_1", Name: kind, Kind: kind, Scope: map[string]string{"feed": "a"}},
			ReceivedAt: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC),
		}
		events, err := adapter.Events(t.Context(), in, nil)
		if err != nil {
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
			return
		}
		for _, e := range events {
			source := in.Source
			source.Scope = e.Scope
			require.Equal(t, "a", e.Scope["feed"])
			requirePublishable(t, c, source, e)
		}
		again, err := adapter.Events(t.Context(), in, nil)
		require.NoError(t, err)
		require.Equal(t, events, again)
	})
}
