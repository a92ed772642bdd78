package channels_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

func prepareEmail(t *testing.T, p safehttp.Policy, posted string) (carillon.Endpoint, map[string]string) {
	t.Helper()
	endpoint, _, err := emailSender(t, p).Prepare(json.RawMessage(posted), nil)
	details := map[string]string{}
	if found, ok := errors.AsType[*carillon.Error](err); ok {
		for _, problem := range found.Problems {
			details[problem.Pointer] = problem.Detail
		}
	} else {
		require.NoError(t, err)
	}
	return endpoint, details
}

func TestRecipientsAreAListOrOneText(t *testing.T) {
	t.Parallel()
	const rest = `,"host":"smtp.example.com","from":"a@example.com"}`
	endpoint, wrong := prepareEmail(t, safehttp.Policy{}, `{"to":" Ann <ann@example.com> ;bob@example.com;"`+rest)
	require.Empty(t, wrong)
	listed, wrong := prepareEmail(t, safehttp.Policy{}, `{"to":["Ann <ann@example.com>","bob@example.com"]`+rest)
	require.Empty(t, wrong)
	require.JSONEq(t, string(listed), string(endpoint))
	require.JSONEq(t, `{
		"host":"smtp.example.com","from":"a@example.com","to":["Ann <ann@example.com>","bob@example.com"],"content":"both","timeout":"30s"
	}`, string(endpoint))

	_, wrong = prepareEmail(t, safehttp.Policy{}, `{"to":" ; "`+rest)
	require.Contains(t, wrong, "/endpoint/to")
	_, wrong = prepareEmail(t, safehttp.Policy{}, `{"to":7`+rest)
	require.Equal(t, "must be an array of strings, or a string with ; between them", wrong["/endpoint/to"])
}

func TestWhatIsWrongWithAMailsEndpoint(t *testing.T) {
	t.Parallel()
	for posted, want := range map[string]map[string]string{
		`{"host":"smtp.example.com","from":"not one","to":["a@b","ann@example.com, eve@example.com","${data.author}@example.com","é@example.com"],"reply_to":"x"}`: {
			"/endpoint/from": "must be an address such as core@example.com or Core <core@example.com>",
			"/endpoint/to/1": "must be an address such as core@example.com or Core <core@example.com>",
			"/endpoint/to/2": "cannot hold ${…}: events do not decide where mail goes",
			"/endpoint/to/3": "must have ASCII before its @: few mail servers take anything else",

			"/endpoint/reply_to": "must be an address such as core@example.com or Core <core@example.com>",
		},
		`{"host":"smtp.example.com:25","from":"a@b.example","to":"a@b.example","password":"x"}`: {
			"/endpoint/host":     "must be a host name or an IP address alone, without a port",
			"/endpoint/password": "is nobody's: give the user, too",
		},
		`{"host":"smtp.example.com","port":6379,"from":"a@b.example","to":"a@b.example","ca":"x","content":"text","html":"<p>"}`: {
			"/endpoint/port": "address not allowed: mail is handed over at the ports 25, 465, 587 and 2525, not at 6379",
			"/endpoint/ca":   "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)",
			"/endpoint/html": "is not sent with the content text",
		},
		`{"host":"10.1.2.3","from":"a@b.example","to":"a@b.example","timeout":"1ms"}`: {
			"/endpoint/host":    "address not allowed: private network (CARILLON_ALLOW_CIDRS can allow it)",
			"/endpoint/timeout": "must be from 100ms to 30s",
		},
	} {
		_, wrong := prepareEmail(t, safehttp.Policy{}, posted)
		require.Equal(t, want, wrong, posted)
	}
}

func TestTheServerIsNamedWithThePortOfItsEncryption(t *testing.T) {
	t.Parallel()
	inside := safehttp.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for fields, want := range map[string]string{
		`"host":"smtp.example.com"`:                               "smtp.example.com:587",
		`"host":"smtp.example.com","tls":"starttls"`:              "smtp.example.com:587",
		`"host":"smtp.example.com","tls":"implicit"`:              "smtp.example.com:465",
		`"host":"10.1.2.3","tls":"none"`:                          "10.1.2.3:25",
		`"host":"10.1.2.3","tls":"none","port":1025`:              "10.1.2.3:1025",
		`"host":"2001:4860:4860::8888"`:                           "[2001:4860:4860::8888]:587",
		`"host":"bücher.example","port":2525,"tls":"starttls"`:    "bücher.example:2525",
		`"host":"mail.internal.example","port":1025,"tls":"none"`: "mail.internal.example:1025",
	} {
		endpoint, wrong := prepareEmail(t, inside, `{"from":"a@b.example","to":"a@b.example",`+fields+`}`)
		require.Empty(t, wrong, fields)
		require.Equal(t, want, emailSender(t, inside).Host(endpoint))
	}
}

func TestTemplatesOfAMailAreCheckedWhenItIsSaved(t *testing.T) {
	t.Parallel()
	sender := emailSender(t, safehttp.Policy{})
	endpoint, wrong := prepareEmail(t, safehttp.Policy{}, `{"to":"a@b.example",
		"message":{"title":"${data.pakage}","text":"${data.version}"},"html":"<p>${data.package}</p>\n<a href=${data.nowhere}>x</a>"}`)
	require.Empty(t, wrong)
	err := sender.(channels.Templated).CheckTemplates(endpoint, []string{"package.added"})
	found, ok := errors.AsType[*carillon.Error](err)
	require.True(t, ok)
	require.Equal(t, carillon.CodeInvalid, found.Code)
	require.Len(t, found.Problems, 2)
	require.Equal(t, "/endpoint/message/title", found.Problems[0].Pointer)
	require.Equal(t, "/endpoint/html", found.Problems[1].Pointer)
	require.Equal(t, 2, found.Problems[1].Line)
	require.NoError(t, sender.(channels.Templated).CheckTemplates(kept(t, sender, map[string]any{"to": "a@b.example"}), []string{"*"}))
}

// installation is what is set for all subscriptions.
type installation struct {
	kept carillon.Endpoint
	err  error
}

func (i *installation) Setting(context.Context, string) (carillon.Endpoint, error) {
	return i.kept, i.err
}

func TestAMailServerIsSetOnceForTheInstallation(t *testing.T) {
	t.Parallel()
	s := startMail(t, &mailServer{})
	settings := &installation{}
	sender := channels.NewRegistry(channels.Config{Policy: loopback, Now: time.Now, Settings: settings})["email"]
	endpoint := kept(t, sender, map[string]any{"to": "ann@example.com"})
	require.Empty(t, sender.Host(endpoint))

	attempt := func() carillon.Attempt { return sender.Attempt(t.Context(), conformance{}.message(endpoint, 1)) }
	a := attempt()
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Contains(t, a.Error, "no mail server is set")
	require.Error(t, sender.(channels.Completer).Complete(t.Context(), endpoint))

	posted, err := json.Marshal(map[string]any{"host": "127.0.0.1", "port": s.port(), "tls": "none", "from": "bells@example.com"})
	require.NoError(t, err)
	settings.kept, err = channels.PrepareSetting(sender, posted, nil)
	require.NoError(t, err)
	require.NoError(t, sender.(channels.Completer).Complete(t.Context(), endpoint))
	a = attempt()
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Equal(t, s.listener.Addr().String(), a.Request.Host)
	require.Equal(t, "bells@example.com", s.taken()[0].from)

	settings.err = errors.New("marked")
	a = attempt()
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "what is set for the installation cannot be read", a.Error)

	_, err = channels.PrepareSetting(sender, json.RawMessage(`{"host":"smtp.example.com:25","from":"nobody"}`), nil)
	found, ok := errors.AsType[*carillon.Error](err)
	require.True(t, ok)
	require.Len(t, found.Problems, 2)
}
