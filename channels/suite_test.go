package channels_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// behaviour is how the other side of a channel takes an attempt.
type behaviour string

const (
	accepts   behaviour = "accepts"
	busy      behaviour = "is busy"
	busyFor   behaviour = "is busy for 7 seconds" // and says so
	forbidden behaviour = "must not be reached"
	gone      behaviour = "is gone"
	hangs     behaviour = "hangs"
	down      behaviour = "is down"
	untrusted behaviour = "has a certificate of an unknown authority"
	oversized behaviour = "answers without end"
	nasty     behaviour = "answers what JSON writes longest"
	echoes    behaviour = "echoes all it gets"
)

// conformance is what every channel is tested with: a sender, and the other
// side behaving in one way.
type conformance struct {
	// setup starts the other side and returns the endpoint to post for it. Its
	// timeout is 200 ms when the other side hangs, and a minute's part else.
	setup func(t *testing.T, b behaviour) (channels.Sender, json.RawMessage)
	// secrets are all that the endpoints of setup hold; hidden is what people may
	// read in the endpoint, and no attempt may repeat.
	secrets, hidden []string
	format          string
	// want is what the channel expects in the place of the suite's, and never what
	// its other side cannot do.
	want  map[behaviour]expected
	never []behaviour
}

// expected is what an attempt comes to.
type expected struct {
	outcome    carillon.Outcome
	errorHas   string
	retryAfter time.Duration
}

// run is the suite: every sender passes it.
func (c conformance) run(t *testing.T) {
	for b, want := range map[behaviour]expected{
		accepts:   {outcome: carillon.OutcomeDelivered},
		busy:      {outcome: carillon.OutcomeRetry, errorHas: "503"},
		busyFor:   {outcome: carillon.OutcomeRetry, errorHas: "429", retryAfter: 7 * time.Second},
		forbidden: {outcome: carillon.OutcomeReject, errorHas: "address not allowed: loopback"},
		gone:      {outcome: carillon.OutcomeGone, errorHas: "410"},
		hangs:     {outcome: carillon.OutcomeRetry, errorHas: "timed out after 200ms"},
		down:      {outcome: carillon.OutcomeRetry, errorHas: "connection refused"},
		untrusted: {outcome: carillon.OutcomeRetry, errorHas: "TLS: certificate of an unknown authority"},
		oversized: {outcome: carillon.OutcomeDelivered},
		nasty:     {outcome: carillon.OutcomeRetry, errorHas: "500"},
		echoes:    {outcome: carillon.OutcomeDelivered},
	} {
		if slices.Contains(c.never, b) {
			continue
		}
		if own, ok := c.want[b]; ok {
			want = own
		}
		t.Run("the other side "+string(b), func(t *testing.T) {
			t.Parallel()
			sender, posted := c.setup(t, b)
			kept, shown, err := sender.Prepare(posted, nil)
			require.NoError(t, err)
			a := sender.Attempt(t.Context(), c.message(kept, 3))

			require.Equal(t, want.outcome, a.Outcome, a.Error)
			if want.errorHas == "" {
				require.Empty(t, a.Error)
			} else {
				require.Contains(t, a.Error, want.errorHas)
			}
			require.Equal(t, want.retryAfter, time.Duration(a.RetryAfter))
			c.requireWellFormed(t, a, shown)
			require.Equal(t, sender.Host(kept), a.Request.Host)
			require.Less(t, time.Duration(a.DurationMS)*time.Millisecond, sender.Timeout(kept)+time.Second)
		})
	}

	t.Run("a context that has ended makes no attempt", func(t *testing.T) {
		t.Parallel()
		sender, kept := c.kept(t, accepts)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		a := sender.Attempt(ctx, c.message(kept, 1))
		require.Equal(t, carillon.OutcomeRetry, a.Outcome)
		require.Equal(t, "interrupted before an answer came", a.Error)
	})

	t.Run("a context that ends cuts the attempt short", func(t *testing.T) {
		t.Parallel()
		sender, kept := c.kept(t, hangs)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		a := sender.Attempt(ctx, c.message(kept, 1))
		require.Equal(t, carillon.OutcomeRetry, a.Outcome)
		require.Equal(t, "interrupted before an answer came", a.Error)
	})

	t.Run("an endpoint that cannot be read is rejected", func(t *testing.T) {
		t.Parallel()
		sender, _ := c.setup(t, accepts)
		for _, e := range []carillon.Endpoint{nil, {}, carillon.Endpoint(`[]`), carillon.Endpoint(`{}`), carillon.Endpoint(`{"marked`)} {
			a := sender.Attempt(t.Context(), c.message(e, 1))
			require.Equal(t, carillon.OutcomeReject, a.Outcome)
			require.NotContains(t, a.Error, "marked")
			require.Empty(t, sender.Host(e))
			require.JSONEq(t, `{}`, string(sender.Redact(e)))
			require.Positive(t, sender.Timeout(e))
		}
	})

	t.Run("what is answered is masked, and may be posted back", func(t *testing.T) {
		t.Parallel()
		sender, kept := c.kept(t, accepts)
		redacted := sender.Redact(kept)
		for _, secret := range c.secrets {
			require.NotContains(t, string(redacted), secret)
		}
		again, shown, err := sender.Prepare(redacted, kept)
		require.NoError(t, err)
		require.Nil(t, shown)
		require.JSONEq(t, string(kept), string(again))
	})

	t.Run("a mask that stands for nothing stored is refused", func(t *testing.T) {
		t.Parallel()
		sender, kept := c.kept(t, accepts)
		_, _, err := sender.Prepare(sender.Redact(kept), nil)
		if len(c.secrets) == 0 { // nothing is masked
			require.NoError(t, err)
			return
		}
		require.Equal(t, carillon.CodeInvalid, carillon.CodeOf(err))
	})

	t.Run("an unknown field is refused by its pointer", func(t *testing.T) {
		t.Parallel()
		sender, posted := c.setup(t, accepts)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(posted, &fields))
		fields["colour"] = "marked"
		more, err := json.Marshal(fields)
		require.NoError(t, err)
		_, _, err = sender.Prepare(more, nil)
		require.ErrorContains(t, err, "/endpoint/colour: ")
		require.NotContains(t, err.Error(), "marked")
	})

	t.Run("what is no object is refused", func(t *testing.T) {
		t.Parallel()
		sender, _ := c.setup(t, accepts)
		for _, posted := range []string{``, `null`, `[]`, `"marked"`, `7`} {
			_, _, err := sender.Prepare(json.RawMessage(posted), nil)
			require.ErrorContains(t, err, "/endpoint: must be an object", posted)
		}
	})
}

func (c conformance) kept(t *testing.T, b behaviour) (channels.Sender, carillon.Endpoint) {
	t.Helper()
	sender, posted := c.setup(t, b)
	kept, _, err := sender.Prepare(posted, nil)
	require.NoError(t, err)
	return sender, kept
}

func (c conformance) message(e carillon.Endpoint, number int) channels.Message {
	return channels.Message{
		Event: carillon.Event{
			ID: "evt_01JD9Q7V5T3K8M2N4P6R8S0T1V", Type: "package.added", Source: "registry.example.com", Subject: "pkg:npm/left-pad@1.3.0",
			Time: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC), Data: json.RawMessage(`{"package":"left-pad","version":"1.3.0"}`),
		},
		Endpoint: e, Format: c.format, Number: number,
	}
}

// requireWellFormed checks what holds for every attempt, whatever it came to.
func (c conformance) requireWellFormed(t *testing.T, a carillon.Attempt, shown map[string]string) {
	t.Helper()
	require.Equal(t, "evt_01JD9Q7V5T3K8M2N4P6R8S0T1V", a.EventID)
	require.Equal(t, 3, a.Number)
	require.WithinDuration(t, time.Now(), a.StartedAt, time.Minute)
	require.Equal(t, time.UTC, a.StartedAt.Location())
	require.LessOrEqual(t, len(a.Error), carillon.MaxErrorBytes)

	a.SubscriptionID = "sub_" + strings.Repeat("0", 60)
	encoded, err := json.Marshal(a)
	require.NoError(t, err)
	require.LessOrEqual(t, len(encoded), 8<<10)
	if a.Response != nil {
		require.LessOrEqual(t, len(a.Response.Body), carillon.MaxExcerptBytes)
	}
	for _, secret := range append(slices.Clone(c.secrets), c.hidden...) {
		require.NotContains(t, string(encoded), secret)
	}
	for _, secret := range shown {
		require.NotContains(t, string(encoded), secret)
	}
}
