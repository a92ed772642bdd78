package channels

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestAPanicIsAnAttemptToRepeat(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]func(){
		`^a fault of Carillon: string in attempt_test\.go:\d+$`:               func() { panic("marked") },
		`^a fault of Carillon: runtime\.boundsError in attempt_test\.go:\d+$`: func() { _ = carillon.DeliveryStates[time.Now().Year()] },
	} {
		a := try(t.Context(), Message{Event: carillon.Event{ID: "evt_1"}, Number: 2}, time.Second, time.Now,
			func(context.Context, *carillon.Attempt) { fault() })
		require.Equal(t, carillon.OutcomeRetry, a.Outcome)
		require.Equal(t, "evt_1", a.EventID)
		require.Equal(t, 2, a.Number)
		require.Regexp(t, want, a.Error)
	}
}

func FuzzAnAttemptFitsIn8KiB(f *testing.F) {
	for _, body := range []string{"", "plain", strings.Repeat("x", 10000), strings.Repeat("\x00", 4096), strings.Repeat("é", 4096), strings.Repeat("<é\"\u2028", 2000), strings.Repeat("\xff", 5000)} {
		f.Add(body, "")
		f.Add(body, body)
	}
	f.Fuzz(func(t *testing.T, body, trouble string) {
		headers := http.Header{"Server": {body}, "X-A": {body}, "X-B": {body}, "X-C": {body}, "X-D": {body}, "X-E": {body}}
		a := carillon.Attempt{
			EventID: carillon.EventPrefix + strings.Repeat("0", 32), SubscriptionID: carillon.SubscriptionPrefix + strings.Repeat("0", 26), Number: 21,
			StartedAt: time.Date(2026, 11, 21, 20, 0, 0, 123e6, time.UTC), DurationMS: 30000, Outcome: carillon.OutcomeRetry, Error: trouble,
			RetryAfter: carillon.Duration(carillon.MaxDelay),
			Request: &carillon.Request{
				Method: "OPTIONS", Host: strings.Repeat("h", 259), PayloadSHA256: strings.Repeat("0", 64), PayloadBytes: 1 << 20,
				Headers: record([]header{{name: "X-A", value: strings.Repeat("a", 4096)}, {name: "X-B", value: strings.Repeat("<", 150)}}),
			},
			Response: &carillon.Response{Status: 500, Headers: recordAnswer(headers, newScrub()), Body: strings.ToValidUTF8(body, "\uFFFD")},
		}
		fit(&a)
		encoded, err := json.Marshal(a)
		require.NoError(t, err)
		require.LessOrEqual(t, len(encoded), 8<<10)
		require.LessOrEqual(t, len(a.Response.Body), carillon.MaxExcerptBytes)
		require.True(t, utf8.ValidString(a.Response.Body))
		require.True(t, strings.HasPrefix(strings.ToValidUTF8(body, "\uFFFD"), a.Response.Body))
		if !a.Response.Truncated {
			require.Equal(t, strings.ToValidUTF8(body, "\uFFFD"), a.Response.Body)
		}
	})
}

func TestFitUsesTheRoomThereIs(t *testing.T) {
	t.Parallel()
	a := carillon.Attempt{Response: &carillon.Response{Body: strings.Repeat("<", carillon.MaxExcerptBytes)}}
	fit(&a)
	require.Greater(t, jsonSize(a), maxAttemptBytes-32)
	require.True(t, a.Response.Truncated)
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]carillon.Outcome{
		200: carillon.OutcomeDelivered, 201: carillon.OutcomeDelivered, 204: carillon.OutcomeDelivered, 299: carillon.OutcomeDelivered,
		101: carillon.OutcomeRetry, 300: carillon.OutcomeRetry, 304: carillon.OutcomeRetry, 399: carillon.OutcomeRetry,
		400: carillon.OutcomeRetry, 401: carillon.OutcomeRetry, 404: carillon.OutcomeRetry, 409: carillon.OutcomeRetry,
		410: carillon.OutcomeGone, 411: carillon.OutcomeRetry, 429: carillon.OutcomeRetry, 500: carillon.OutcomeRetry,
		503: carillon.OutcomeRetry, 599: carillon.OutcomeRetry, 999: carillon.OutcomeRetry,
	} {
		outcome, trouble := classify(carillon.Profiles()[0], status)
		require.Equal(t, want, outcome, status)
		require.Equal(t, want == carillon.OutcomeDelivered, trouble == "", status)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 20, 0, 0, 500, time.UTC)
	for name, tc := range map[string]struct {
		value string
		want  time.Duration
	}{
		"nothing":                 {"", 0},
		"zero":                    {"0", 0},
		"seconds":                 {"120", 2 * time.Minute},
		"more than the longest":   {"99999999", carillon.MaxDelay},
		"more than fits a number": {"99999999999999999999999", carillon.MaxDelay},
		"a negative number":       {"-5", 0},
		"a fraction":              {"1.5", 0},
		"words":                   {"soon", 0},
		"a date, never too early": {"Sat, 21 Nov 2026 20:01:00 GMT", time.Minute},
		"a date in the past":      {"Sat, 21 Nov 2026 19:59:00 GMT", 0},
		"a date far away":         {"Sat, 21 Nov 2099 20:00:00 GMT", carillon.MaxDelay},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, time.Duration(retryAfter(tc.value, now)))
		})
	}
}
