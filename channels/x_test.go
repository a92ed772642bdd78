package channels_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

const duplicate = `{"detail":"You are not allowed to create a Tweet with duplicate content.","type":"about:blank","title":"Forbidden","status":403}`

func TestAPostIsSignedForTheAccount(t *testing.T) {
	t.Parallel()
	base := ""
	fields := func(at string) map[string]any {
		base = at
		posted := xOf(at + "/a path")
		posted["access_secret"] = "marked secret with & and ü"
		return posted
	}
	a, got := sent(t, "x", fields, event("ping", `{}`), answers(http.StatusCreated, `{"data":{"id":"1","text":"x"}}`))
	require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
	require.Equal(t, "/a path/2/tweets", got.Path)
	require.Equal(t, "application/json; charset=utf-8", got.Header.Get("Content-Type"))
	var post map[string]string
	require.NoError(t, json.Unmarshal(got.Body, &post))
	require.Len(t, post, 1)
	require.NotEmpty(t, post["text"])
	authorization := got.Header.Get("Authorization")
	require.True(t, strings.HasPrefix(authorization, "OAuth "))
	out, ok := throughNode(t, "oauth.mjs", []any{map[string]any{
		"method": "POST", "url": base + "/a%20path/2/tweets", "authorization": authorization,
		"consumer": map[string]string{"key": "marked-consumer-key", "secret": "marked-consumer-secret"},
		"token":    map[string]string{"key": "marked-access-token", "secret": "marked secret with & and ü"},
	}})
	if ok {
		require.Equal(t, "ok\n", out)
	}
}

func TestPostsAreAsLongAsXTakesThem(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 9))
	words := []string{
		"package ", "пакет ", "包裹", "👩‍👩‍👧‍👦", "e\u0301", "System.Net ", "a.b.io/x(y)", "https://example.com/a?b=c ", "https://example.com/a… ", "@who ", "#tag ", "…", "x",
		"http://localhost/a ", "example.com,", "user@example.com ",
	}
	posts := []string{}
	for range 100 {
		var title strings.Builder
		for title.Len() < 60+r.IntN(900) {
			title.WriteString(words[r.IntN(len(words))])
		}
		data, err := json.Marshal(map[string]string{"title": carillon.Clip(title.String(), 950)})
		require.NoError(t, err)
		var post map[string]string
		require.NoError(t, json.Unmarshal(payload(t, "x",
			`{"consumer_key":"a","consumer_secret":"b","access_token":"c","access_secret":"d","message":{"title":"${data.title}"}}`,
			event("package.added", string(data))), &post))
		posts = append(posts, post["text"])
	}
	if out, ok := throughNode(t, "posts.mjs", posts); ok {
		require.Equal(t, fmt.Sprintf("%d posts\n", len(posts)), out)
	}
}

func TestWhatXAnswersDecides(t *testing.T) {
	t.Parallel()
	reset := strconv.FormatInt(noon.Add(10*time.Minute).Unix(), 10)
	for name, test := range map[string]struct {
		answer   http.HandlerFunc
		outcome  carillon.Outcome
		errorHas string
		after    time.Duration
	}{
		"a duplicate":             {answers(403, duplicate), carillon.OutcomeDelivered, "", 0},
		"an older duplicate":      {answers(403, `{"errors":[{"code":187,"message":"Status is a duplicate."}]}`), carillon.OutcomeDelivered, "", 0},
		"another refusal":         {answers(403, `{"title":"Forbidden","detail":"You are not permitted to perform this action."}`), carillon.OutcomeRetry, "HTTP 403 Forbidden: You are not permitted to perform this action.", 0},
		"a limit":                 {answers(429, `{"title":"Too Many Requests"}`, "x-rate-limit-reset", reset), carillon.OutcomeRetry, "HTTP 429 Too Many Requests: Too Many Requests", 10 * time.Minute},
		"a limit that is no time": {answers(429, ``, "x-rate-limit-reset", "soon"), carillon.OutcomeRetry, "HTTP 429", 0},
		"wrong keys":              {answers(401, `{"title":"Unauthorized"}`), carillon.OutcomeRetry, "X does not take the keys: HTTP 401", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _ := sent(t, "x", xOf, event("ping", `{}`), test.answer)
			require.Equal(t, test.outcome, a.Outcome, a.Error)
			require.Contains(t, a.Error, test.errorHas)
			require.Equal(t, test.outcome == carillon.OutcomeDelivered, a.Error == "")
			require.Equal(t, test.after, time.Duration(a.RetryAfter))
		})
	}
}
