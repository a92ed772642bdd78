package channels_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

func TestWebhookPrepareSaysWhereAndWhatIsWrong(t *testing.T) {
	t.Parallel()
	const good = `"url":"https://hooks.example.com/x"`
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf(`"X-%d":"v"`, i)
	}
	for name, tc := range map[string]struct{ posted, pointer, detail string }{
		"no url":                       {`{}`, "url", "is required"},
		"a url that is no string":      {`{"url":7}`, "url", "must be a string"},
		"an empty url":                 {`{"url":""}`, "url", "is required, such as https://"},
		"a url that is null":           {`{"url":null}`, "url", "is required, such as https://"},
		"a url of another scheme":      {`{"url":"ftp://marked.example.com/"}`, "url", "http:// or https://"},
		"a url without a scheme":       {`{"url":"marked.example.com/x"}`, "url", "http:// or https://"},
		"a url without a host":         {`{"url":"https:///marked"}`, "url", "with a host"},
		"a url with an opaque part":    {`{"url":"https:marked"}`, "url", "with a host"},
		"a url that does not parse":    {`{"url":"https://marked\u0000/"}`, "url", "http:// or https://"},
		"a url with a password":        {`{"url":"https://user:marked@hooks.example.com/"}`, "url", "use basic_auth"},
		"a url with a fragment":        {`{"url":"https://hooks.example.com/#marked"}`, "url", "fragment"},
		"a url with port 0":            {`{"url":"https://hooks.example.com:0/marked"}`, "url", "port"},
		"a url with a port too high":   {`{"url":"https://hooks.example.com:65536/marked"}`, "url", "port"},
		"a url with a host of bytes":   {`{"url":"https://%ff.example.com/marked"}`, "url", "host name"},
		"a url that is too long":       {`{"url":"https://hooks.example.com/` + strings.Repeat("marked", 400) + `"}`, "url", "at most 2048 bytes"},
		"a url of a loopback address":  {`{"url":"http://127.0.0.1/marked"}`, "url", "address not allowed: loopback"},
		"a url of a mapped address":    {`{"url":"http://[::ffff:10.0.0.1]/marked"}`, "url", "address not allowed: private network"},
		"a url of a metadata service":  {`{"url":"http://169.254.169.254/marked"}`, "url", "address not allowed: cloud metadata service"},
		"a url of a zoned address":     {`{"url":"http://[fe80::1%25lo]/marked"}`, "url", "address not allowed: link-local"},
		"an unknown method":            {`{` + good + `,"method":"TRACE"}`, "method", "must be one of POST, PUT"},
		"a timeout that is a number":   {`{` + good + `,"timeout":15}`, "timeout", `a duration such as "15s"`},
		"a timeout without a unit":     {`{` + good + `,"timeout":"15"}`, "timeout", `a duration such as "15s"`},
		"a timeout too long":           {`{` + good + `,"timeout":"31s"}`, "timeout", "from 100ms to 30s"},
		"a timeout too short":          {`{` + good + `,"timeout":"99ms"}`, "timeout", "from 100ms to 30s"},
		"a negative timeout":           {`{` + good + `,"timeout":"-1s"}`, "timeout", "from 100ms to 30s"},
		"a secret without its prefix":  {`{` + good + `,"secret":"marked"}`, "secret", "begins with whsec_"},
		"a secret too short":           {`{` + good + `,"secret":"whsec_bWFya2Vk"}`, "secret", "24 to 64 bytes"},
		"a public key to sign with":    {`{` + good + `,"secret":"whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}`, "secret", "cannot sign"},
		"a mask with nothing stored":   {`{` + good + `,"secret":"•••• abcd"}`, "secret", "mask of no stored secret"},
		"a wrong previous secret":      {`{` + good + `,"previous_secrets":["` + markedSecret + `","marked"]}`, "previous_secrets/1", "begins with"},
		"previous secrets, no list":    {`{` + good + `,"previous_secrets":"marked"}`, "previous_secrets", "a list of strings"},
		"a previous secret, no text":   {`{` + good + `,"previous_secrets":[7]}`, "previous_secrets/0", "must be an object"},
		"an empty previous secret":     {`{` + good + `,"previous_secrets":[""]}`, "previous_secrets/0", "must not be empty"},
		"an object without its secret": {`{` + good + `,"previous_secrets":[{"expires_at":"2126-11-21T20:00:00Z"}]}`, "previous_secrets/0/secret", "is required"},
		"an expiry that is no time":    {`{` + good + `,"previous_secrets":[{"secret":"` + markedSecret + `","expires_at":"marked"}]}`, "previous_secrets/0/expires_at", "RFC 3339"},
		"an expiry without end":        {`{` + good + `,"previous_secrets":[{"secret":"` + markedSecret + `","expires_at":"9999-12-31T23:59:59-01:00"}]}`, "previous_secrets/0/expires_at", "year 10000"},
		"a wrong one that expires":     {`{` + good + `,"previous_secrets":[{"secret":"marked","expires_at":"2126-11-21T20:00:00Z"}]}`, "previous_secrets/0", "begins with"},
		"five previous secrets":        {`{` + good + `,"previous_secrets":["a","b","c","d","e"]}`, "previous_secrets", "at most 4"},
		"headers that are a list":      {`{` + good + `,"headers":["marked"]}`, "headers", "an object of strings"},
		"a header that is no string":   {`{` + good + `,"headers":{"X-A":7}}`, "headers/X-A", "must be a string"},
		"a header that is null":        {`{` + good + `,"headers":{"X-A":null}}`, "headers/X-A", "must be a string"},
		"a header's name with a space": {`{` + good + `,"headers":{"X A":"v"}}`, "headers/X A", "is not a header's name"},
		"a header's name with a slash": {`{` + good + `,"headers":{"X/A":"v"}}`, "headers/X~1A", "is not a header's name"},
		"an empty header's name":       {`{` + good + `,"headers":{"":"v"}}`, "headers/", "is not a header's name"},
		"a header with a line break":   {`{` + good + `,"headers":{"X-A":"marked\r\nX-B: v"}}`, "headers/X-A", "line breaks"},
		"a header too long":            {`{` + good + `,"headers":{"X-A":"` + strings.Repeat("marked", 700) + `"}}`, "headers/X-A", "at most 4096 bytes"},
		"a header twice":               {`{` + good + `,"headers":{"X-Team":"a","x-team":"b"}}`, "headers/x-team", "twice"},
		"an Authorization too many":    {`{` + good + `,"bearer_token":"t","headers":{"authorization":"marked"}}`, "headers/authorization", "together with bearer_token or basic_auth"},
		"a webhook header":             {`{` + good + `,"headers":{"Webhook-Anything":"marked"}}`, "headers/Webhook-Anything", "set by Carillon"},
		"a Host header":                {`{` + good + `,"headers":{"Host":"marked"}}`, "headers/Host", "set by Carillon"},
		"a Content-Type header":        {`{` + good + `,"headers":{"content-type":"marked"}}`, "headers/content-type", "set by Carillon"},
		"a Transfer-Encoding header":   {`{` + good + `,"headers":{"Transfer-Encoding":"chunked"}}`, "headers/Transfer-Encoding", "set by Carillon"},
		"21 headers":                   {`{` + good + `,"headers":{` + strings.Join(many, ",") + `}}`, "headers", "at most 20"},
		"a token with a line break":    {`{` + good + `,"bearer_token":"marked\n"}`, "bearer_token", "line breaks"},
		"a token and a password":       {`{` + good + `,"bearer_token":"marked","basic_auth":{"username":"u","password":"p"}}`, "bearer_token", "together with basic_auth"},
		"basic auth without a user":    {`{` + good + `,"basic_auth":{"password":"marked"}}`, "basic_auth/username", "is required"},
		"basic auth with a colon":      {`{` + good + `,"basic_auth":{"username":"a:b","password":"marked"}}`, "basic_auth/username", "without colons"},
		"basic auth of another shape":  {`{` + good + `,"basic_auth":"marked"}`, "basic_auth", "must be an object"},
		"basic auth with more":         {`{` + good + `,"basic_auth":{"username":"u","realm":"marked"}}`, "basic_auth/realm", "is no field of it; there are username, password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, shown, err := webhook(t, safehttp.Policy{}).Prepare(json.RawMessage(tc.posted), nil)
			require.Nil(t, shown)
			require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
			var e *carillon.Error
			require.ErrorAs(t, err, &e)
			require.Len(t, e.Problems, 1)
			require.Equal(t, "/endpoint/"+tc.pointer, e.Problems[0].Pointer)
			require.Contains(t, e.Problems[0].Detail, tc.detail)
			require.NotContains(t, e.Error(), "marked")
		})
	}
}

func TestWebhookPrepareSaysEverythingAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := webhook(t, safehttp.Policy{}).Prepare(json.RawMessage(`{"method":"TRACE","timeout":"1h","colour":1}`), nil)
	var e *carillon.Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Problems, 4)
}

func TestWebhookPrepareKeepsWhatIsStored(t *testing.T) {
	t.Parallel()
	const stored = `{"url":"https://hooks.example.com/x","method":"POST","timeout":"15s","secret":"` + markedSecret +
		`","previous_secrets":["` + markedPrevious + `"],"headers":{"X-Team":"marked-team-1234","X-Env":"test"},"bearer_token":"marked-token-5678"}`
	const url = `"url":"https://hooks.example.com/x"`
	defaults := `{"method":"POST","timeout":"15s",`
	for name, tc := range map[string]struct{ posted, want, problem string }{
		"every mask keeps its value": {
			posted: `{` + url + `,"secret":"•••• cmV0","previous_secrets":["•••• cmV2"],"headers":{"X-Team":"•••• 1234","X-Env":"••••"},"bearer_token":"•••• 5678"}`,
			want:   stored,
		},
		"a secret left out is kept, all else left out is gone": {
			posted: `{` + url + `}`, want: defaults + url + `,"secret":"` + markedSecret + `"}`,
		},
		"a current secret's mask makes it a previous one": {
			posted: `{` + url + `,"secret":"` + markedPrevious + `","previous_secrets":["•••• cmV0"]}`,
			want:   defaults + url + `,"secret":"` + markedPrevious + `","previous_secrets":[{"secret":"` + markedSecret + `"}]}`,
		},
		"an expiry applies to what the mask stands for": {
			posted: `{` + url + `,"previous_secrets":[{"secret":"•••• cmV2","expires_at":"2126-11-21T21:00:00.123456+01:00"}]}`,
			want: defaults + url + `,"secret":"` + markedSecret + `","previous_secrets":[{"secret":"` + markedPrevious +
				`","expires_at":"2126-11-21T20:00:00.123Z"}]}`,
		},
		"what has expired is gone": {
			posted: `{` + url + `,"previous_secrets":[{"secret":"•••• cmV2","expires_at":"2025-11-21T20:00:00Z"},{"secret":"•••• gone","expires_at":"2025-11-21T20:00:00Z"}]}`,
			want:   defaults + url + `,"secret":"` + markedSecret + `"}`,
		},
		"a header's mask counts by its name, in any case": {
			posted: `{` + url + `,"headers":{"x-team":"•••• 1234"}}`,
			want:   defaults + url + `,"secret":"` + markedSecret + `","headers":{"x-team":"marked-team-1234"}}`,
		},
		"a header's mask under another name is refused": {
			posted: `{` + url + `,"headers":{"X-Other":"•••• 1234"}}`, problem: "/endpoint/headers/X-Other: is not the mask",
		},
		"an Authorization of another scheme takes the place of a token": {
			posted: `{` + url + `,"headers":{"Authorization":"Token t"}}`,
			want:   defaults + url + `,"secret":"` + markedSecret + `","headers":{"Authorization":"Token t"}}`,
		},
		"a mask of another value is refused": {
			posted: `{` + url + `,"bearer_token":"•••• 0000"}`, problem: "/endpoint/bearer_token: is not the mask",
		},
		"new values replace the old ones": {
			posted: `{` + url + `,"bearer_token":"new","timeout":"30s","method":"PATCH"}`,
			want:   `{` + url + `,"method":"PATCH","timeout":"30s","secret":"` + markedSecret + `","bearer_token":"new"}`,
		},
		"another path keeps masked credentials": {
			posted: `{"url":"https://hooks.example.com/y","bearer_token":"•••• 5678"}`,
			want:   defaults + `"url":"https://hooks.example.com/y","secret":"` + markedSecret + `","bearer_token":"marked-token-5678"}`,
		},
		"another host needs the credentials again": {
			posted: `{"url":"https://evil.example.com/x","bearer_token":"•••• 5678"}`, problem: "/endpoint/bearer_token: must be given again",
		},
		"no TLS any more needs the headers again": {
			posted: `{"url":"http://hooks.example.com/x","headers":{"X-Team":"•••• 1234"}}`, problem: "/endpoint/headers/X-Team: must be given again",
		},
		"another host keeps the signing secret, which is never sent": {
			posted: `{"url":"https://new.example.com/x","secret":"•••• cmV0"}`,
			want:   defaults + `"url":"https://new.example.com/x","secret":"` + markedSecret + `"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept, shown, err := webhook(t, safehttp.Policy{}).Prepare(json.RawMessage(tc.posted), carillon.Endpoint(stored))
			require.Nil(t, shown)
			if tc.problem != "" {
				require.ErrorContains(t, err, tc.problem)
				require.NotContains(t, err.Error(), "marked")
				return
			}
			require.NoError(t, err)
			// A list of strings is read, and written as objects.
			tc.want = strings.Replace(tc.want, `["`+markedPrevious+`"]`, `[{"secret":"`+markedPrevious+`"}]`, 1)
			require.JSONEq(t, tc.want, string(kept))
		})
	}
}

func TestWebhookRedactMasksAnAuthorization(t *testing.T) {
	t.Parallel()
	sender := webhook(t, safehttp.Policy{})
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"https://hooks.example.com/x","secret":"`+markedSecret+`","headers":{"Authorization":"Splunk marked-token-1234"}}`), nil)
	require.NoError(t, err)
	require.Contains(t, string(sender.Redact(kept)), `"headers":{"Authorization":"•••• 1234"}`)
	require.NotContains(t, string(sender.Redact(kept)), "marked")
}

func TestWebhookRedactShowsThePublicKey(t *testing.T) {
	t.Parallel()
	sender := webhook(t, safehttp.Policy{})
	kept, _, err := sender.Prepare(json.RawMessage(`{"url":"https://hooks.example.com/x","secret":"whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",`+
		`"basic_auth":{"username":"user","password":"short"}}`), nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"url":"https://hooks.example.com/x","method":"POST","timeout":"15s","secret":"•••• f2A=",`+
		`"public_key":"whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=","basic_auth":{"username":"user","password":"••••"}}`, string(sender.Redact(kept)))
}
