package carillon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestPatternsMatchTypes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, eventType string
		want               bool
	}{
		{"package.added", "package.added", true},
		{"package.added", "package.added2", false},
		{"package.*", "package.added", true},
		{"package.*", "packages.added", false},
		{"package.*", "package", false},
		{"pack*", "package.added", false}, // only whole segments
		{"*", "package.added", true},
		{"*", "source.unknown", true},
		{"*", "subscription.disabled", false},
		{"*", "delivery.exhausted", false},
		{"subscription.*", "subscription.disabled", true},
		{"subscription.disabled", "subscription.disabled", true},
		{"package.status_changed", "package.listed", true},
		{"package.status_changed", "package.unlisted", true},
		{"package.listed", "package.status_changed", false},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" "+tt.eventType, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, carillon.MatchesType(tt.pattern, tt.eventType))
		})
	}
}

func TestEventIDsAreMadeOfSourceAndIDTogether(t *testing.T) {
	t.Parallel()
	// The parts are told apart, wherever the border between them is.
	seen := map[string]bool{}
	for _, pair := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"abc", ""}, {"a", "b"}, {"b", "a"}} {
		id := carillon.EventID(pair[0], pair[1])
		require.False(t, seen[id], "%v", pair)
		require.Regexp(t, `^evt_[0-9A-HJKMNP-TV-Z]{32}$`, id)
		seen[id] = true
	}
}

func TestNewIDsAreULIDsThatSortByTime(t *testing.T) {
	t.Parallel()
	// The time part of 01ARYZ6S41, the example of the ULID specification.
	// https://github.com/ulid/spec
	at := time.UnixMilli(1469918176385)
	require.True(t, strings.HasPrefix(carillon.NewID("sub_", at), "sub_01ARYZ6S41"))
	var last string
	for n := range 1000 {
		id := carillon.NewID("evt_", at.Add(time.Duration(n)*time.Millisecond))
		require.Regexp(t, `^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$`, id)
		require.Less(t, last, id)
		last = id
	}
}

func TestFingerprintIsOfWhatWasSaidNotOfHow(t *testing.T) {
	t.Parallel()
	event := func(data string) carillon.Event {
		return carillon.Event{Type: "package.added", Source: "s", Scope: map[string]string{"a": "1", "b": "2"}, Data: json.RawMessage(data)}
	}
	of := func(e carillon.Event) string {
		f, err := carillon.Fingerprint(e)
		require.NoError(t, err)
		return f
	}
	same := of(event(`{"package":"p","size":1.0}`))
	require.Equal(t, same, of(event(` { "size" : 1.0, "package" : "p" } `)))
	id := event(`{"package":"p","size":1.0}`)
	id.ID = "evt_x"
	require.Equal(t, same, of(id), "the id is not part of it")

	for name, edit := range map[string]func(*carillon.Event){
		"type":    func(e *carillon.Event) { e.Type = "package.deleted" },
		"source":  func(e *carillon.Event) { e.Source = "t" },
		"actor":   func(e *carillon.Event) { e.Actor = "a" },
		"scope":   func(e *carillon.Event) { e.Scope = map[string]string{"a": "1"} },
		"subject": func(e *carillon.Event) { e.Subject = "x" },
		"time":    func(e *carillon.Event) { e.Time = time.Unix(1, 0) },
		"data":    func(e *carillon.Event) { e.Data = json.RawMessage(`{"package":"p","size":1.00}`) },
	} {
		other := event(`{"package":"p","size":1.0}`)
		edit(&other)
		require.NotEqual(t, same, of(other), name)
	}
	_, err := carillon.Fingerprint(event(`{`))
	require.Error(t, err)
}

func TestDurationsReadAndWriteAsPeopleDo(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"60s": "1m", "90s": "1m30s", "3h0m0s": "3h", "48h": "48h", "100ms": "100ms", "3h0m5s": "3h0m5s", "0s": "0s", "10m": "10m",
	} {
		var d carillon.Duration
		require.NoError(t, d.UnmarshalText([]byte(text)))
		require.Equal(t, want, d.String())
	}
	var d carillon.Duration
	require.ErrorContains(t, d.UnmarshalText([]byte("soon")), `"soon" is not a duration such as`)
}

func TestClipKeepsCharactersWholeAndOneLine(t *testing.T) {
	t.Parallel()
	require.Equal(t, "a b", carillon.Clip("a\nb", 10))
	for n := range 30 {
		got := carillon.Clip("äöü€𝄞 and more text", n)
		require.LessOrEqual(t, len(got), n)
		require.NotContains(t, got, "\uFFFD")
	}
}

func TestEndpointsNeverPrintThemselves(t *testing.T) {
	t.Parallel()
	sub := carillon.Subscription{ID: "sub_1", Endpoint: carillon.Endpoint(`{"secret":"whsec_x"}`)}
	asJSON, err := json.Marshal(sub)
	require.NoError(t, err)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "endpoint", sub.Endpoint, "subscription", sub)
	for _, text := range []string{
		fmt.Sprint(sub), fmt.Sprintf("%+v %#v %s %v", sub, sub, sub.Endpoint, &sub), string(asJSON), log.String(),
	} {
		require.NotContains(t, text, "whsec_x")
	}
}

func TestErrorsKeepTheirCodeWhenWrapped(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("save: %w", carillon.Invalid("/name", "is required"))
	require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
	require.ErrorContains(t, err, "/name: is required")
	require.Equal(t, carillon.CodeInternal, carillon.CodeOf(errors.New("other")))
}
