package channels_test

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// inProfile makes one attempt under a profile.
func inProfile(t *testing.T, profile, posted, sha256 string) carillon.Attempt {
	t.Helper()
	sender := webhook(t, loopback)
	endpoint, _, err := sender.Prepare(json.RawMessage(posted), nil)
	require.NoError(t, err)
	return sender.Attempt(t.Context(), channels.Message{
		Event:    carillon.Event{ID: "evt_1", Type: "package.added", Source: "me", Time: time.Unix(0, 0), Data: json.RawMessage(`{}`)},
		Endpoint: endpoint, Format: "standard", Profile: profile, PayloadSHA256: sha256, Number: 1,
	})
}

func TestAProfileSaysWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := "http://" + closed.Addr().String()
	require.NoError(t, closed.Close())
	hang := make(chan struct{})
	hooks, address := serve(t)
	t.Cleanup(func() { close(hang) })
	hooks.Script("/404", receiver.Reply{Status: http.StatusNotFound})
	hooks.Script("/410", receiver.Reply{Status: http.StatusGone})
	hooks.Script("/503", receiver.Reply{Status: http.StatusServiceUnavailable})
	hooks.Script("/hang", receiver.Reply{Hang: hang})
	tests := []struct {
		name, url                   string
		carillon, dojo, codescoring carillon.Outcome
	}{
		{"taken", address + "/200", carillon.OutcomeDelivered, carillon.OutcomeDelivered, carillon.OutcomeDelivered},
		{"not found", address + "/404", carillon.OutcomeRetry, carillon.OutcomeRefused, carillon.OutcomeRetry},
		{"gone", address + "/410", carillon.OutcomeGone, carillon.OutcomeRefused, carillon.OutcomeRetry},
		{"unavailable", address + "/503", carillon.OutcomeRetry, carillon.OutcomeRetry, carillon.OutcomeRetry},
		{"no answer in time", address + "/hang", carillon.OutcomeRetry, carillon.OutcomeRetry, carillon.OutcomeRetry},
		{"nobody listens", nobody, carillon.OutcomeRetry, carillon.OutcomeRefused, carillon.OutcomeRetry},
		{"no such name", "http://nowhere.invalid/", carillon.OutcomeRetry, carillon.OutcomeRefused, carillon.OutcomeRetry},
		{"no TLS", "https" + address[len("http"):], carillon.OutcomeRetry, carillon.OutcomeRefused, carillon.OutcomeRetry},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			posted := `{"url":"` + test.url + `","timeout":"500ms"}`
			if test.name == "no such name" {
				posted = `{"url":"` + test.url + `","timeout":"30s"}`
			}
			require.Equal(t, test.carillon, inProfile(t, "carillon", posted, "").Outcome)
			require.Equal(t, test.dojo, inProfile(t, "defectdojo", posted, "").Outcome)
			require.Equal(t, test.codescoring, inProfile(t, "codescoring", posted, "").Outcome)
		})
	}
}

func TestOnlyThePayloadThatWasSentIsSent(t *testing.T) {
	t.Parallel()
	hooks, address := serve(t)
	posted := `{"url":"` + address + `/x"}`
	first := inProfile(t, "", posted, "")
	require.Equal(t, carillon.OutcomeDelivered, first.Outcome)
	require.Equal(t, carillon.OutcomeDelivered, inProfile(t, "", posted, first.Request.PayloadSHA256).Outcome)
	other := inProfile(t, "", posted, "00")
	require.Equal(t, carillon.OutcomeReject, other.Outcome)
	require.Contains(t, other.Error, "the format was changed")
	require.Len(t, hooks.Requests("/x"), 2)
}
