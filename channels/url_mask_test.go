package channels

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

func TestWhatOfAURLIsMasked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ url, want string }{
		"words":            {"https://hooks.example.com/carillon/team-registry_notifications.v", "https://hooks.example.com/carillon/team-registry_notifications.v"},
		"no path":          {"https://hooks.example.com", "https://hooks.example.com"},
		"a port":           {"http://10.0.0.1:8080/hook", "http://10.0.0.1:8080/hook"},
		"short and made":   {"https://h.example.com/T00000000/B0000000", "https://h.example.com/T00000000/B0000000"},
		"Slack":            {"https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "https://hooks.slack.com/services/T00000000/B00000000/••••"},
		"Discord":          {"https://discord.com/api/webhooks/123456789012345678/aB-cD_eFgHiJkLmN", "https://discord.com/api/webhooks/••••/••••"},
		"Teams":            {"https://x.webhook.office.com/webhookb2/6e0a5e4b-6a3b-4f0c@6e0a5e4b/IncomingWebhook/0123456789abcdef/1", "https://x.webhook.office.com/webhookb2/••••/IncomingWebhook/••••/1"},
		"Telegram":         {"https://api.telegram.org/bot123456:ABC-DEF1234ghIkl/sendMessage", "https://api.telegram.org/••••/sendMessage"},
		"a query":          {"https://h.example.com/a?sig=marked&v=1", "https://h.example.com/a?sig=••••&v=••••"},
		"a bare query":     {"https://h.example.com?marked", "https://h.example.com?••••"},
		"empty values":     {"https://h.example.com/?a=&&b", "https://h.example.com/?a=&&••••"},
		"an opaque name":   {"https://h.example.com/?0123456789abcdefX=1", "https://h.example.com/?••••=••••"},
		"several =":        {"https://h.example.com/?a=b=c", "https://h.example.com/?a=••••"},
		"a slash behind":   {"https://h.example.com/?a=/x/y?z", "https://h.example.com/?a=••••"},
		"percent encoding": {"https://h.example.com/%73%33%63%72%65%74", "https://h.example.com/••••"},
		"fields":           {"https://h.example.com/${data.package}/x?v=${data.version}", "https://h.example.com/${data.package}/x?v=${data.version}"},
		"fields and words": {"https://h.example.com/a-${data.package}-b?v=marked-${data.version}", "https://h.example.com/a-${data.package}-b?v=••••${data.version}"},
		"a secret and fields": {
			"https://h.example.com/S3cretS3cret${data.package}S3cret?k=marked${scope.feed}marked",
			"https://h.example.com/••••${data.package}••••?k=••••${scope.feed}••••",
		},
		"a text in an expression":    {`https://h.example.com/${data.a == "x" ? "S3cret" : "b"}?k=${"S3cret"}`, `https://h.example.com/••••?k=••••`},
		"a comment in an expression": {"https://h.example.com/?k=${data.a//S3cret\n}", "https://h.example.com/?k=••••"},
		"an escaped expression":      {"https://h.example.com/$${x}/a?k=$${x}", "https://h.example.com/$${x}/a?k=••••"},
		"a & in an expression":       {"https://h.example.com/?k=${data.a && true}&l=1", "https://h.example.com/?k=••••&l=••••"},
		"what is no URL":             {"marked", "••••"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, maskURL(tc.url))
			restored, wrong := unmaskURL(tc.want, tc.url)
			require.Empty(t, wrong)
			require.Equal(t, tc.url, restored)
		})
	}
}

func TestAMaskedURLKeepsWhatIsStored(t *testing.T) {
	t.Parallel()
	const stored = "https://h.example.com/S3cretS3cretS3cret/a?k=one&l=two&k=three"
	for name, tc := range map[string]struct{ posted, want, wrong string }{
		"as answered":                {"https://h.example.com/••••/a?k=••••&l=••••&k=••••", stored, ""},
		"as a browser writes it":     {"https://h.example.com/%E2%80%A2%e2%80%a2%E2%80%A2%E2%80%A2/a?k=%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2&l=••••&k=••••", stored, ""},
		"without masks":              {"https://h.example.com/b", "https://h.example.com/b", ""},
		"to elsewhere without masks": {"https://other.example.com/b?k=four", "https://other.example.com/b?k=four", ""},
		"one replaced":               {"https://h.example.com/••••/a?k=••••&l=new&k=••••", "https://h.example.com/S3cretS3cretS3cret/a?k=one&l=new&k=three", ""},
		"one removed":                {"https://h.example.com/••••/a?k=••••&k=••••", "https://h.example.com/S3cretS3cretS3cret/a?k=one&k=three", ""},
		"one added":                  {"https://h.example.com/••••/a?n=1&k=••••&l=••••&k=••••", "https://h.example.com/S3cretS3cretS3cret/a?n=1&k=one&l=two&k=three", ""},
		"in another order":           {"https://h.example.com/••••/a?l=••••&k=••••&k=••••", "https://h.example.com/S3cretS3cretS3cret/a?l=two&k=one&k=three", ""},
		"a longer path":              {"https://h.example.com/••••/a/b?l=••••", "https://h.example.com/S3cretS3cretS3cret/a/b?l=two", ""},
		"a host in capitals":         {"https://H.example.com/••••", "https://H.example.com/S3cretS3cretS3cret", ""},
		"to another host":            {"https://evil.example.com/••••/a?k=••••&l=••••&k=••••", "", maskedElsewhere},
		"to another port":            {"https://h.example.com:444/••••", "", maskedElsewhere},
		"to another scheme":          {"http://h.example.com/••••", "", maskedElsewhere},
		"a mask in the host":         {"https://••••.example.com/", "", maskedElsewhere},
		"one of two of a name":       {"https://h.example.com/••••/a?k=••••", "", maskedOtherwise},
		"one more of a name":         {"https://h.example.com/••••/a?k=••••&k=••••&k=••••", "", maskedOtherwise},
		"a name without a value":     {"https://h.example.com/?n=••••", "", maskedOtherwise},
		"at another place":           {"https://h.example.com/a/••••", "", maskedOtherwise},
		"in the path from the query": {"https://h.example.com/a/k=••••", "", maskedOtherwise},
		"a part of a mask":           {"https://h.example.com/•••/a", "", maskedOtherwise},
		"a mask and more":            {"https://h.example.com/••••x/a", "", maskedOtherwise},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, wrong := unmaskURL(tc.posted, stored)
			require.Equal(t, tc.wrong, wrong)
			require.Equal(t, tc.want, text)
		})
	}
	_, wrong := unmaskURL("https://h.example.com/••••", "")
	require.Equal(t, maskedOtherwise, wrong, "a new one has nothing to keep")
}

// prepared is a webhook's endpoint with a URL, and what people see of it.
func prepared(t *testing.T, w *webhook, posted string, stored carillon.Endpoint) (kept carillon.Endpoint, shown webhookEndpoint, err error) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"url": posted})
	require.NoError(t, err)
	if kept, _, err = w.Prepare(body, stored); err != nil {
		return nil, shown, err
	}
	require.NoError(t, json.Unmarshal(w.Redact(kept), &shown))
	return kept, shown, nil
}

func TestAReceiverThatEchoesAPieceOfItsURLRevealsNothing(t *testing.T) {
	t.Parallel()
	u, err := url.Parse("https://h.example.com/services/S3cretS3cretS3cret/%53%33cretS3cretX?token=marked-token&S3cretBareS3cret&S3cretNameS3cret=1")
	require.NoError(t, err)
	s := newScrub(urlSecrets(u)...)
	require.Equal(t, "no_team token •••• •••• •••• •••• •••• ••••",
		s.text("no_team token S3cretS3cretS3cret %53%33cretS3cretX S3cretS3cretX marked-token S3cretBareS3cret S3cretNameS3cret"))
}

func TestAURLOfADescribedChannelIsMaskedAsAWebhooks(t *testing.T) {
	t.Parallel()
	type endpoint struct {
		Base string `json:"base"`
		Key  string `json:"key,omitempty"`
	}
	d := described[endpoint]{about: Description{Name: "pager", Fields: []Field{
		{Name: "base", Type: URL, Required: true, Moves: true, Example: "https://api.example.com"},
		{Name: "key", Type: Text, Secret: true},
	}}}
	kept, _, err := d.Prepare(json.RawMessage(`{"base":"https://api.example.com/S3cretS3cretS3cret?k=v","key":"marked-key-marked"}`), nil)
	require.NoError(t, err)
	shown := d.Redact(kept)
	require.JSONEq(t, `{"base":"https://api.example.com/••••?k=••••","key":"•••• rked"}`, string(shown))
	again, _, err := d.Prepare(shown, kept)
	require.NoError(t, err)
	require.JSONEq(t, string(kept), string(again))
	for name, posted := range map[string]string{
		"another host": `{"base":"https://evil.example.com/••••","key":"•••• rked"}`,
		"another path": `{"base":"https://api.example.com/elsewhere","key":"•••• rked"}`,
	} {
		_, _, err = d.Prepare(json.RawMessage(posted), kept)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "marked", name)
	}
}

// secretMark is in every secret part of a fuzzed URL.
const secretMark = "S3cret-Mark"

func FuzzNoSecretOfAURLIsShown(f *testing.F) {
	for _, seed := range [][3]string{
		{"services/", "", "token="}, {"${data.package}/", "${scope.feed}", "a=1&b="}, {"$${", "}", "${"}, {"a?b=", "&c", "=&"},
		{"${data.a//", "\n}", "${'"}, {"%", "%41", "?&=;"}, {"•••", "•", "k=%E2%80%A2"}, {"${", "}", "${}"}, {"a/../", "@", ":"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	w := newWebhook(safehttp.Policy{}, time.Now, "")
	f.Fuzz(func(t *testing.T, before, behind, query string) {
		posted := "https://h.example.com/" + before + secretMark + "0123456789" + behind + "?" + query + secretMark + "&k=" + secretMark + behind
		kept, shown, err := prepared(t, w, posted, nil)
		if err != nil {
			require.NotContains(t, err.Error(), secretMark)
			return
		}
		require.NotContains(t, shown.URL, secretMark, "of %q", posted)
		require.True(t, strings.HasPrefix(shown.URL, "https://h.example.com"))

		again, _, err := prepared(t, w, shown.URL, kept)
		require.NoError(t, err)
		var restored, stored webhookEndpoint
		require.NoError(t, json.Unmarshal(again, &restored))
		require.NoError(t, json.Unmarshal(kept, &stored))
		require.Equal(t, stored.URL, restored.URL, "what is answered can be posted back")
		_, _, err = prepared(t, w, strings.Replace(shown.URL, "h.example.com", "i.example.com", 1), kept)
		require.Error(t, err, "to the same host only")
	})
}
