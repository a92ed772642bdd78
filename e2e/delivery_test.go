package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// databases runs a story on SQLite and, where there is one, on PostgreSQL.
func databases(t *testing.T, story func(t *testing.T, env ...string)) {
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		if strings.HasPrefix(databaseURL, "sqlite:") {
			story(t) // the default, in the data folder
			return
		}
		story(t, "CARILLON_DATABASE_URL="+databaseURL)
	})
}

func TestAnEventIsDeliveredOverAReceiversBadMoments(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		i.hooks.Script("/flaky", receiver.Reply{Status: 500}, receiver.Reply{Status: 503}, receiver.Reply{Status: 204})
		flaky := i.subscribe("/flaky", schedule(time.Second, time.Second))
		healthy := i.subscribe("/healthy")
		elsewhere := i.subscribe("/elsewhere", func(s *client.Subscription) { s.Condition = "scope.feed == 'another'" })

		accepted := i.publish(added("1"))
		delivery := i.awaitDelivery(accepted.ID, flaky.ID, carillon.Succeeded)
		require.Equal(t, []carillon.Outcome{"retry", "retry", "delivered"}, outcomes(delivery))
		require.Equal(t, 3, delivery.AttemptCount)
		require.Equal(t, 204, delivery.Status)
		require.Equal(t, 500, delivery.Attempts[0].Response.Status)

		requests := i.requests("/flaky", 3)
		for _, r := range requests {
			require.Equal(t, accepted.ID, r.Header.Get("webhook-id"), "the same in every attempt")
			require.NoError(t, client.Verify([]string{flaky.Secret()}, r.Header, r.Body))
		}
		require.Equal(t, "package.added", read(t, requests[0]).Type)

		i.awaitDelivery(accepted.ID, healthy.ID, carillon.Succeeded)
		_, err := i.client.Delivery(t.Context(), accepted.ID, elsewhere.ID)
		require.Equal(t, carillon.CodeNotFound, client.CodeOf(err), "its condition is false")
		require.Empty(t, i.hooks.Requests("/elsewhere"))

		event, err := i.client.Event(t.Context(), accepted.ID)
		require.NoError(t, err)
		require.JSONEq(t, `{"package":"MyCorp.CoolUtils","version":"3.2.0"}`, string(event.Data), "read from the history")
		require.Len(t, event.Deliveries, 2)
	})
}

func TestSignaturesAreAcceptedByLibrariesThatOthersWrote(t *testing.T) {
	t.Parallel()
	i := start(t)
	sub := i.subscribe("/hook")
	i.publish(added("1"))
	request := i.requests("/hook", 1)[0]
	tampered := bytes.Replace(request.Body, []byte("3.2.0"), []byte("3.2.1"), 1)
	require.NotEqual(t, request.Body, tampered)

	webhook, err := standardwebhooks.NewWebhook(sub.Secret())
	require.NoError(t, err)
	require.NoError(t, webhook.Verify(request.Body, request.Header))
	require.Error(t, webhook.Verify(tampered, request.Header))

	node := os.Getenv("CARILLON_TEST_NODE")
	if node == "" && os.Getenv("CARILLON_TEST_REQUIRE") != "all" {
		return // make test lists it as left out
	}
	headers := map[string]string{}
	for _, name := range []string{"webhook-id", "webhook-timestamp", "webhook-signature"} {
		headers[name] = request.Header.Get(name)
	}
	verify := func(body []byte) (string, error) {
		input, err := json.Marshal(map[string]any{"secret": sub.Secret(), "headers": headers, "payload": string(body)})
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), node, filepath.Join("verify", "verify.mjs"))
		cmd.Stdin = bytes.NewReader(input)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := verify(request.Body)
	require.NoError(t, err, out)
	require.Equal(t, "standardwebhooks ok\nsvix ok\n", out)
	out, err = verify(tampered)
	require.Error(t, err)
	require.Contains(t, out, "standardwebhooks refused")
	require.Contains(t, out, "svix refused")
}

func TestASubscriptionWhoseScheduleRunsOutIsDisabledAndSomebodyIsTold(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		i.hooks.Script("/down", receiver.Reply{Status: 503})
		down := i.subscribe("/down", schedule(time.Second, 2*time.Second, 3*time.Second))
		i.subscribe("/watch", func(s *client.Subscription) { s.EventTypes = []string{"subscription.*", "delivery.*"} })
		i.subscribe("/star", func(s *client.Subscription) { s.EventTypes = []string{"*"} })

		accepted := i.publish(added("1"))
		delivery := i.awaitDelivery(accepted.ID, down.ID, carillon.Failed)
		require.Len(t, delivery.Attempts, 4)
		for n, delay := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
			gap := delivery.Attempts[n+1].StartedAt.Sub(delivery.Attempts[n].StartedAt)
			require.GreaterOrEqual(t, gap, delay, "attempt %d came early", n+2)
		}

		told := map[string]payload{}
		for _, r := range i.requests("/watch", 3) {
			told[read(t, r).Type] = read(t, r)
		}
		require.Contains(t, told, "subscription.failing", "after three attempts")
		require.Contains(t, told, "subscription.disabled")
		require.Contains(t, told, "delivery.exhausted")
		require.Contains(t, string(told["subscription.disabled"].Data), down.ID)

		disabled, err := i.client.Subscription(t.Context(), down.ID)
		require.NoError(t, err)
		require.Equal(t, carillon.Disabled, disabled.State)
		require.Contains(t, disabled.DisabledReason, "HTTP 503")

		// What comes now is kept and not attempted.
		held := i.publish(added("2"))
		i.awaitDelivery(held.ID, down.ID, carillon.Held)
		require.Len(t, i.hooks.Requests("/down"), 4)
		require.Len(t, i.hooks.Requests("/watch"), 3)
		for _, r := range i.requests("/star", 2) {
			require.Equal(t, "package.added", read(t, r).Type, "* leaves Carillon's own events out")
		}
	})
}

func TestWhatAReceiverAnswersDecides(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/gone", receiver.Reply{Status: http.StatusGone})
	i.hooks.Script("/moved", receiver.Reply{Status: http.StatusFound, Header: http.Header{"Location": {i.hook + "/secret-place"}}})
	i.hooks.Script("/busy",
		receiver.Reply{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"3"}}}, receiver.Reply{})
	gone := i.subscribe("/gone")
	moved := i.subscribe("/moved", schedule(time.Second))
	busy := i.subscribe("/busy", schedule(time.Second, 10*time.Second))
	accepted := i.publish(added("1"))

	t.Run("410 disables at once", func(t *testing.T) {
		t.Parallel()
		delivery := i.awaitDelivery(accepted.ID, gone.ID, carillon.Failed)
		require.Equal(t, []carillon.Outcome{"gone"}, outcomes(delivery))
		i.eventually("the subscription is disabled", func() bool {
			sub, err := i.client.Subscription(t.Context(), gone.ID)
			require.NoError(t, err)
			return sub.State == carillon.Disabled
		})
	})
	t.Run("a redirect is not followed", func(t *testing.T) {
		t.Parallel()
		delivery := i.awaitDelivery(accepted.ID, moved.ID, carillon.Failed)
		require.Equal(t, []carillon.Outcome{"retry", "retry"}, outcomes(delivery))
		require.Empty(t, i.hooks.Requests("/secret-place"))
	})
	t.Run("Retry-After moves the next attempt later", func(t *testing.T) {
		t.Parallel()
		delivery := i.awaitDelivery(accepted.ID, busy.ID, carillon.Succeeded)
		gap := delivery.Attempts[1].StartedAt.Sub(delivery.Attempts[0].StartedAt)
		require.GreaterOrEqual(t, gap, 3*time.Second)
	})
}

func TestAWaitingDeliveryIsRetriedNowOrCanceled(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/first", receiver.Reply{Status: 503}, receiver.Reply{})
	i.hooks.Script("/second", receiver.Reply{Status: 503})
	first, second := i.subscribe("/first"), i.subscribe("/second")
	accepted := i.publish(added("1"))
	i.awaitDelivery(accepted.ID, first.ID, carillon.Retrying)
	i.awaitDelivery(accepted.ID, second.ID, carillon.Retrying)
	_, err := i.client.RetryNow(t.Context(), accepted.ID, first.ID)
	require.NoError(t, err)
	i.awaitDelivery(accepted.ID, first.ID, carillon.Succeeded)
	_, err = i.client.CancelDelivery(t.Context(), accepted.ID, second.ID)
	require.NoError(t, err)
	delivery := i.awaitDelivery(accepted.ID, second.ID, carillon.Canceled)
	require.Len(t, delivery.Attempts, 1)
	_, err = i.client.RetryNow(t.Context(), accepted.ID, second.ID)
	require.Equal(t, carillon.CodeConflict, client.CodeOf(err))
}

func TestPrivateAddressesAreRefusedUnlessAllowed(t *testing.T) {
	t.Parallel()
	i := start(t, "CARILLON_ALLOW_CIDRS=203.0.113.0/24")
	hook, err := url.Parse(i.hook)
	require.NoError(t, err)
	for _, host := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "localhost", "①②⑦.0.0.1",
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			sub := client.Subscription{
				Name: host, EventTypes: []string{"package.*"}, Channel: "webhook",
				Endpoint: client.Webhook{URL: "http://" + host + ":" + hook.Port() + "/hook"},
			}
			saved, err := i.client.CreateSubscription(t.Context(), sub)
			if err != nil { // an address that is plainly private is refused when it is saved
				require.Equal(t, carillon.CodeInvalid, client.CodeOf(err))
				require.ErrorContains(t, err, "/endpoint/url")
				return
			}
			accepted := i.publish(added("to " + host))
			delivery := i.awaitDelivery(accepted.ID, saved.ID, carillon.Failed)
			require.Equal(t, []carillon.Outcome{"reject"}, outcomes(delivery))
			require.Contains(t, delivery.Error, "address not allowed")
			require.Empty(t, i.hooks.Requests("/hook"))
		})
	}
}

// marked are secrets that nobody may ever see again; each is long enough to be
// looked for.
var marked = map[string]string{
	"secret":   "whsec_bWFya2VkLXNlY3JldC1vZi10aGUtZW5kcG9pbnQ=",
	"previous": "whsec_bWFya2VkLW9sZGVyLXNlY3JldC1vZi1lbmRwb2ludA==",
	"header":   "marked-header-value-4f1c",
	"password": "marked-password-value-9a2e",
	"bearer":   "marked-bearer-value-77d0",
	"path":     "marked-url-path-b3c8",
}

func TestSecretsAreSeenNowhere(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		// The receivers say everything that they were told, as some do.
		echo := func(path string, told ...string) string {
			told = append(told, marked["header"], marked["secret"])
			i.hooks.Script(path, receiver.Reply{
				Status: 500, Body: strings.Join(told, " "), Header: http.Header{"X-Echo": told},
			})
			return i.hook + path
		}
		endpoints := []map[string]any{
			{
				"url":        echo("/basic/"+marked["path"], marked["password"]),
				"basic_auth": map[string]string{"username": "carillon", "password": marked["password"]},
			},
			{"url": echo("/bearer/"+marked["path"], marked["bearer"]), "bearer_token": marked["bearer"]},
		}
		var answers strings.Builder
		note := func(v any) {
			text, err := json.Marshal(v)
			require.NoError(t, err)
			answers.Write(text)
		}
		var subs []client.Subscription
		for _, endpoint := range endpoints {
			endpoint["secret"], endpoint["previous_secrets"] = marked["secret"], []string{marked["previous"]}
			endpoint["headers"] = map[string]string{"X-Team": marked["header"]}
			sub, err := i.client.CreateSubscription(t.Context(), client.Subscription{
				Name: "marked", EventTypes: []string{"*"}, Channel: "webhook", Endpoint: endpoint,
				Retry: &carillon.Retry{Schedule: []carillon.Duration{carillon.Duration(time.Second)}, Disable: carillon.DisableExhausted},
			})
			require.NoError(t, err)
			subs = append(subs, sub)
		}
		accepted := i.publish(added("1"))
		for _, sub := range subs {
			delivery := i.awaitDelivery(accepted.ID, sub.ID, carillon.Failed)
			require.Len(t, delivery.Attempts, 2)
			note(delivery)
			read, err := i.client.Subscription(t.Context(), sub.ID)
			require.NoError(t, err)
			note(read)
			test, err := i.client.TestSubscription(t.Context(), sub.ID)
			require.NoError(t, err)
			note(test)
		}
		for _, path := range []string{"/metrics", "/readyz", "/openapi.json"} {
			_, body := i.get(path)
			answers.WriteString(body)
		}
		i.carillon.stop(t)
		places := map[string]string{
			"an answer":  withoutURLs(answers.String()),
			"the log":    i.carillon.log.String(),
			"a database": i.files(),
		}
		require.Contains(t, places["a database"], accepted.ID, "what is looked for would be found")
		for place, text := range places {
			for name, secret := range marked {
				require.NotContains(t, text, secret, "%s is in %s", name, place)
			}
		}
	})
}

// withoutURLs removes the endpoints' own URLs, which a subscription shows.
func withoutURLs(text string) string {
	return regexp.MustCompile(`"url":"[^"]*"`).ReplaceAllString(text, "")
}

// files returns all that the processes keep on disk: Carillon's database, and
// Temporal's with every history.
func (i *instance) files() string {
	i.t.Helper()
	i.temporal.stop(i.t)
	var all strings.Builder
	require.NoError(i.t, filepath.WalkDir(i.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	}))
	return all.String()
}
