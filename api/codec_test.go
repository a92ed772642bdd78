package api

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/seal"
)

// sealed is a server with a codec, and a payload that it sealed, as JSON.
func sealed(t *testing.T) (b *bundle, codec *seal.Codec, payloads string) {
	t.Helper()
	b = setup(t)
	codec, err := seal.NewCodec(seal.NewKey())
	require.NoError(t, err)
	b.deps.Codec = codec
	payload, err := converter.GetDefaultDataConverter().ToPayload("marked")
	require.NoError(t, err)
	encoded, err := codec.Encode([]*commonpb.Payload{payload})
	require.NoError(t, err)
	return b, codec, asPayloads(encoded[0])
}

func asPayloads(p *commonpb.Payload) string {
	var metadata []string
	for name, value := range p.GetMetadata() {
		metadata = append(metadata, `"`+name+`":"`+base64.StdEncoding.EncodeToString(value)+`"`)
	}
	return `{"payloads":[{"metadata":{` + strings.Join(metadata, ",") + `},"data":"` + base64.StdEncoding.EncodeToString(p.GetData()) + `"}]}`
}

type payloadsView struct {
	Payloads []struct {
		Metadata map[string][]byte `json:"metadata"`
		Data     []byte            `json:"data"`
	} `json:"payloads"`
}

func TestTheCodecOpensAndSealsPayloads(t *testing.T) {
	t.Parallel()
	b, codec, payloads := sealed(t)
	opened := decode[payloadsView](t, b.ok(t, http.StatusOK, call{method: http.MethodPost, path: "/v1/codec/decode?preserveStorageRefs=true", body: payloads}))
	require.Len(t, opened.Payloads, 1)
	require.JSONEq(t, `"marked"`, string(opened.Payloads[0].Data))
	require.Equal(t, "json/plain", string(opened.Payloads[0].Metadata["encoding"]))

	plain := `{"payloads":[{"metadata":{"encoding":"anNvbi9wbGFpbg=="},"data":"Im1hcmtlZCI="}]}`
	opened = decode[payloadsView](t, b.ok(t, http.StatusOK, call{method: http.MethodPost, path: "/v1/codec/decode", body: plain}))
	require.JSONEq(t, `"marked"`, string(opened.Payloads[0].Data), "what was never sealed stays")

	again := decode[payloadsView](t, b.ok(t, http.StatusOK, call{method: http.MethodPost, path: "/v1/codec/encode", body: plain}))
	require.Equal(t, "binary/encrypted", string(again.Payloads[0].Metadata["encoding"]))
	back, err := codec.Decode([]*commonpb.Payload{{Metadata: again.Payloads[0].Metadata, Data: again.Payloads[0].Data}})
	require.NoError(t, err)
	require.JSONEq(t, `"marked"`, string(back[0].GetData()))

	_, _, foreign := sealed(t)
	resp := b.do(t, call{method: http.MethodPost, path: "/v1/codec/decode", body: foreign})
	require.Equal(t, http.StatusBadRequest, resp.status)
	require.Contains(t, string(resp.body), "is not in CARILLON_CODEC_KEY")
	for _, body := range []string{`{`, `{"payloads":7}`, strings.Repeat(" ", maxCodecBytes) + payloads} {
		require.Equal(t, http.StatusBadRequest, b.do(t, call{method: http.MethodPost, path: "/v1/codec/decode", body: body}).status)
	}
	require.NotContains(t, b.log.String(), "marked")
}

func TestTheCodecIsForAdminsAndOperatorsOfItsNamespace(t *testing.T) {
	t.Parallel()
	b, _, payloads := sealed(t)
	ask := func(header map[string]string) int {
		return b.do(t, call{method: http.MethodPost, path: "/v1/codec/decode", body: payloads, header: header}).status
	}
	basic := func(secret string) map[string]string {
		return map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+secret))}
	}
	for role, want := range map[carillon.Role]int{
		carillon.RoleAdmin: 200, carillon.RoleOperator: 200, carillon.RoleReader: 403, carillon.RolePublisher: 403,
	} {
		secret, _ := b.store.newKey(t, role)
		require.Equal(t, want, ask(bearer(secret)), role)
		require.Equal(t, want, ask(basic(secret)), role)
		require.Equal(t, want, b.do(t, call{method: http.MethodGet, path: "/v1/codec", header: basic(secret)}).status, role)
	}
	scoped, _ := b.store.newKey(t, carillon.RoleOperator, func(k *carillon.Key) { k.Scope = map[string][]string{"feed": {"a"}} })
	require.Equal(t, 403, ask(bearer(scoped)), "payloads can be of any feed")
	for _, header := range []map[string]string{{"Authorization": ""}, basic("wrong"), {"Authorization": "Basic !"}, {"Authorization": "Basic "}} {
		require.Equal(t, 401, ask(header))
	}
	require.Equal(t, 200, ask(map[string]string{"X-Namespace": "carillon"}))
	require.Equal(t, 403, ask(map[string]string{"X-Namespace": "another"}))

	login := b.do(t, call{method: http.MethodGet, path: "/v1/codec", header: map[string]string{"Authorization": ""}})
	require.Equal(t, 401, login.status)
	require.Equal(t, `Basic realm="carillon", charset="UTF-8"`, login.header.Get("WWW-Authenticate"), "a browser asks for the key")
	require.Equal(t, 401, b.do(t, call{method: http.MethodGet, path: "/v1/sources", header: basic(key)}).status, "nowhere else")

	b.deps.Codec = nil
	p := b.problem(t, http.StatusNotFound, call{method: http.MethodPost, path: "/v1/codec/decode", body: payloads})
	require.Contains(t, p.Detail, "CARILLON_CODEC_KEY is not set")
}

func TestOnlyPagesOfTemporalWebMayAskTheCodec(t *testing.T) {
	t.Parallel()
	const web = "http://temporal.example:8233"
	b, _, payloads := sealed(t)
	ask := func(method, path, origin string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(method, path, strings.NewReader(payloads))
		req.Header.Set("Origin", origin)
		if method != http.MethodOptions {
			req.Header.Set("Authorization", "Bearer "+key)
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, req)
		return w
	}
	for _, path := range []string{"/v1/codec/decode", "/v1/codec/encode"} {
		preflight := ask(http.MethodOptions, path, web)
		require.Equal(t, http.StatusNoContent, preflight.Code)
		require.Equal(t, web, preflight.Header().Get("Access-Control-Allow-Origin"))
		require.Equal(t, "true", preflight.Header().Get("Access-Control-Allow-Credentials"))
		require.Contains(t, preflight.Header().Get("Access-Control-Allow-Headers"), "X-Namespace")
		asked := ask(http.MethodPost, path, web)
		require.Equal(t, http.StatusOK, asked.Code)
		require.Equal(t, web, asked.Header().Get("Access-Control-Allow-Origin"))
		require.Equal(t, "Origin", asked.Header().Get("Vary"))
		for _, origin := range []string{"http://evil.example", "https://temporal.example:8233", "http://temporal.example", web + ".evil.example", "null", "*"} {
			for _, method := range []string{http.MethodOptions, http.MethodPost} {
				refused := ask(method, path, origin)
				require.Equal(t, http.StatusForbidden, refused.Code, "%s %s", method, origin)
				require.Empty(t, refused.Header().Get("Access-Control-Allow-Origin"))
			}
		}
	}
	for site, origin := range map[string]string{
		"": "", "https://Web.example.com:443/temporal": "https://web.example.com", "http://[::1]:80": "http://[::1]", "https://web.example.com:80": "https://web.example.com:80",
	} {
		require.Equal(t, origin, originOf(site))
	}
	require.Empty(t, ask(http.MethodGet, "/v1/sources", web).Header().Get("Access-Control-Allow-Origin"), "and nothing but the codec")
}
