package api

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// proGet is a client of ProGet's webhook API.
type proGet struct {
	t *testing.T
	b *bundle
}

func (p proGet) send(path, body string) (int, string) {
	p.t.Helper()
	r := p.b.do(p.t, call{method: http.MethodPost, path: "/api/webhooks/" + path, body: body, header: map[string]string{"X-ApiKey": key, "Authorization": ""}})
	return r.status, strings.TrimSpace(string(r.body))
}

func (p proGet) webhook(status int, path, body string) proGetWebhook {
	p.t.Helper()
	got, text := p.send(path, body)
	require.Equal(p.t, status, got, text)
	return decode[proGetWebhook](p.t, []byte(text))
}

// subscription is the only one there is.
func (p proGet) subscription() carillon.Subscription {
	p.t.Helper()
	require.Len(p.t, p.b.store.subscriptions, 1)
	return slices.Collect(maps.Values(p.b.store.subscriptions))[0]
}

// sent makes an attempt of the subscription, and returns what the receiver got.
func (p proGet) sent(hooks *receiver.Receiver, event carillon.Event) receiver.Request {
	p.t.Helper()
	sub := p.subscription()
	a := p.b.deps.Channels[sub.Channel].Attempt(p.t.Context(), channels.Message{
		Event: event, Endpoint: sub.Endpoint, Format: sub.Format, FormatOptions: sub.FormatOptions, Number: 1,
	})
	require.Equal(p.t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	requests := hooks.Requests("/pg")
	return requests[len(requests)-1]
}

func coolUtils() carillon.Event {
	return carillon.Event{ID: "evt_1", Type: "package.added", Source: "proget", Actor: "anna", Data: []byte(`{"package":"MyCorp.CoolUtils","version":"3.2.0"}`)}
}

func TestProGetSendsAnAuthorizationOfAnyScheme(t *testing.T) {
	t.Parallel()
	basic := base64.StdEncoding.EncodeToString([]byte("anna:pass:word-1234"))
	for name, c := range map[string]struct{ given, shown, sent string }{
		"Bearer":             {"Bearer the-secret-token", "Bearer •••• oken", "Bearer the-secret-token"},
		"bearer":             {"bearer the-secret-token", "Bearer •••• oken", "Bearer the-secret-token"},
		"Basic":              {"Basic " + basic, "Basic anna:•••• 1234", "Basic " + basic},
		"a scheme of theirs": {"Splunk the-secret-token", "•••• oken", "Splunk the-secret-token"},
		"no scheme":          {"the-secret-token", "•••• oken", "the-secret-token"},
		"Basic of no pair":   {"Basic the-secret-token", "•••• oken", "Basic the-secret-token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hooks := receiver.New()
			server := httptest.NewServer(hooks)
			defer server.Close()
			p := proGet{t, setup(t)}
			made := p.webhook(201, "create", `{"name":"n","url":"`+server.URL+`/pg","event":"added","payload":{"method":"POST","headers":{"Authorization":"`+c.given+`","X-Team":"core"}}}`)
			require.Equal(t, map[string]string{"Authorization": c.shown, "X-Team": "••••"}, made.Payload.Headers)
			require.Equal(t, c.sent, p.sent(hooks, coolUtils()).Header.Get("Authorization"))

			// What is answered can be put back.
			again := p.webhook(200, "edit?id=1", `{"payload":{"headers":{"Authorization":"`+c.shown+`"}}}`)
			require.Equal(t, map[string]string{"Authorization": c.shown}, again.Payload.Headers)
			require.Equal(t, c.sent, p.sent(hooks, coolUtils()).Header.Get("Authorization"))

			// Another scheme takes its place.
			p.webhook(200, "edit?id=1", `{"payload":{"headers":{"authorization":"Token other-secret"}}}`)
			require.Equal(t, "Token other-secret", p.sent(hooks, coolUtils()).Header.Get("Authorization"))
			bare := p.webhook(200, "edit?id=1", `{"payload":{"headers":{}}}`)
			require.Empty(t, bare.Payload.Headers)
			require.Empty(t, p.sent(hooks, coolUtils()).Header.Get("Authorization"))
		})
	}
}

func TestProGetsHeadersReplaceTheOldOnes(t *testing.T) {
	t.Parallel()
	p := proGet{t, setup(t)}
	p.webhook(201, "create", `{"name":"n","url":"https://hooks.example.com/pg","event":"added","payload":{"headers":{"X-One":"1","X-Two":"2","X-Null":null}}}`)
	require.Contains(t, string(p.subscription().Endpoint), `"headers":{"X-One":"1","X-Two":"2"}`)
	p.webhook(200, "edit?id=1", `{"payload":{"headers":{"x-two":"••••","X-Three":"3","X-One":null}}}`)
	require.Contains(t, string(p.subscription().Endpoint), `"headers":{"X-Three":"3","x-two":"2"}`)
	p.webhook(200, "edit?id=1", `{"payload":{"method":"PUT"}}`)
	require.Contains(t, string(p.subscription().Endpoint), `"headers":{"X-Three":"3","x-two":"2"}`)
}

func TestProGetsContentIsConverted(t *testing.T) {
	t.Parallel()
	hooks := receiver.New()
	server := httptest.NewServer(hooks)
	defer server.Close()
	p := proGet{t, setup(t)}
	const content = "$ToJson(%(package: $PackageId, who: $UserName))"
	made := p.webhook(201, "create", `{"name":"n","url":"`+server.URL+`/pg","event":"added","payload":{"method":"POST","content":"`+content+`"}}`)
	require.Equal(t, content, *made.Payload.Content)
	require.Equal(t, "custom", p.subscription().Format)
	request := p.sent(hooks, coolUtils())
	require.Equal(t, `{"package":"MyCorp.CoolUtils","who":"anna"}`, string(request.Body))
	require.Equal(t, "application/json", request.Header.Get("Content-Type"))
	_, listed := p.b.do(t, call{method: http.MethodGet, path: "/api/webhooks/list"}), p.webhook(200, "edit?id=1", `{"name":"m"}`)
	require.Equal(t, content, *listed.Payload.Content)

	// Another content takes the place of all of it; its type is the header's.
	text := p.webhook(200, "edit?id=1", `{"payload":{"headers":{"Content-Type":"text/plain"},"content":"$PackageId by $UserName"}}`)
	require.Equal(t, map[string]string{"Content-Type": "text/plain"}, text.Payload.Headers)
	request = p.sent(hooks, coolUtils())
	require.Equal(t, "MyCorp.CoolUtils by anna", string(request.Body))
	require.Equal(t, "text/plain", request.Header.Get("Content-Type"))

	// Without one, the default content is sent, in the type that a header says.
	plain := p.webhook(200, "edit?id=1", `{"payload":{"headers":{"Content-Type":"application/vnd.example+json"},"content":null}}`)
	require.Nil(t, plain.Payload.Content)
	require.Equal(t, map[string]string{"Content-Type": "application/vnd.example+json"}, plain.Payload.Headers)
	require.Equal(t, "proget", p.subscription().Format)
	request = p.sent(hooks, coolUtils())
	require.JSONEq(t, `{"package":"MyCorp.CoolUtils","version":"3.2.0","event":"Added","user":"anna","feed":""}`, string(request.Body))
	require.Equal(t, "application/vnd.example+json", request.Header.Get("Content-Type"))

	// A template of one's own is none of the API's.
	created(t, p.b, watchers(`"format":"standard"`, `"format":"custom","format_options":{"content":{"a":"b"}}`))
	r := p.b.do(t, call{method: http.MethodGet, path: "/api/webhooks/list?key=" + key})
	require.Len(t, decode[[]proGetWebhook](t, r.body), 1)
}

func TestWhatOfProGetCannotBeConvertedIsSaid(t *testing.T) {
	t.Parallel()
	p := proGet{t, setup(t)}
	for body, want := range map[string]string{
		`"payload":{"content":"$ToJson(%(a: $MyKey, b: $WebBaseUrl))"}`:                          `payload/content: line 1, column 14, "$MyKey": it is none of ProGet's own variables`,
		`"payload":{"content":"<a>$PackageId</a>","headers":{"Content-Type":"image/svg+xml"}}`:   `payload/content: line 1, column 1, "/content_type": the converted template does not compile here`,
		`"payload":{"content":"$VulnerabilityId"}`:                                               `format_options/content: package.added has no field data.vulnerability_id`,
		`"payload":{"headers":{"Content-Type":"nonsense"}}`:                                      `format_options/content_type: must be a media type`,
		`"condition":"$WebBaseUrl == x"`:                                                         `condition: line 1, column 1, "$WebBaseUrl": the event does not say where its registry is`,
		`"condition":"$PackageName =~ x"`:                                                        `condition: `,
		`"condition":"$PackageName == "`:                                                         `condition: `,
		`"payload":{"headers":{"Authorization":"Bearer \u2022\u2022\u2022\u2022 nope"}}`:         `is not the mask of the stored value`,
		`"payload":{"headers":["x"]}`:                                                            `payload/headers: must be an object of strings`,
		`"payload":{"headers":{"Authorization":"Bearer token","authorization":"Token another"}}`: `cannot be given together with bearer_token`,
	} {
		status, text := p.send("create", `{"name":"n","url":"https://hooks.example.com/pg","event":"added",`+body+`}`)
		require.Equal(t, 400, status, body+" "+text)
		require.Contains(t, text, want, body)
	}
	require.Empty(t, p.b.store.subscriptions)
}

func TestAPredicateOfProGetBecomesACondition(t *testing.T) {
	t.Parallel()
	for predicate, want := range map[string]string{
		`$PackageName == MyCorp.CoolUtils`:                               `string(data.package) == 'MyCorp.CoolUtils'`,
		`$PackageName != x && !($UserName == anna)`:                      `string(data.package) != 'x' && ! ( actor == 'anna' )`,
		`$MatchesRegex($PackageName, \"^MyCorp[.]\") || $FeedName == in`: `string(data.package).matches('^MyCorp[.]') || string(scope.feed) == 'in'`,
		`$Compare($VulnerabilityScore, >=, 7.5)`:                         `(double(string(data.score)) >= double('7.5'))`,
		`pkg.name.matches('x$')`:                                         `pkg.name.matches('x$')`,
		`pkg.name == 'x'`:                                                `pkg.name == 'x'`,
	} {
		p := proGet{t, setup(t)}
		made := p.webhook(201, "create", `{"name":"n","url":"https://hooks.example.com/pg","event":"added","condition":"`+predicate+`"}`)
		require.Equal(t, want, *made.Condition)
		require.Equal(t, want, *p.webhook(200, "edit?id=1", `{"condition":"`+want+`"}`).Condition)
	}
}
