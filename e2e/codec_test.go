package e2e

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/seal"
)

// saying is an event whose data say something that can be looked for.
func saying(id, words string) client.NewEvent {
	event := added(id)
	event.Data = map[string]any{"package": "MyCorp.CoolUtils", "version": "3.2.0", "description": words}
	return event
}

// What Temporal keeps is sealed from one restart on: events before it go on and
// stay readable, those after it are in clear nowhere, and a missing key makes
// runs wait, and loses none.
func TestWithACodecHistoriesSayNothing(t *testing.T) {
	t.Parallel()
	const legible, hidden, answered = "words-in-clear-5cf1", "words-sealed-77aa", "words-of-the-receiver-0d1e"
	first, second := seal.NewKey(), seal.NewKey()
	i := start(t)
	down := receiver.Reply{Status: http.StatusServiceUnavailable, Body: answered}
	i.hooks.Script("/flaky", down)
	flaky := i.subscribe("/flaky", schedule(time.Second, time.Hour))
	before := i.publish(saying("before", legible))
	i.eventually("its run waits for an hour", func() bool {
		d, err := i.client.Delivery(t.Context(), before.ID, flaky.ID)
		return err == nil && len(d.Attempts) == 2
	})
	require.Contains(t, joined(i.histories()), legible, "without a codec everybody reads it, and what is looked for would be found")
	require.Contains(t, joined(i.histories()), answered)

	i.restart("CARILLON_CODEC_KEY=" + first)
	out, code := command(t, i.environment(), "", "doctor")
	require.Zero(t, code, out)
	require.Contains(t, out, "ok       payloads: what Temporal keeps of runs is sealed with ")
	sealed := i.publish(saying("sealed", hidden))
	i.awaitDelivery(sealed.ID, flaky.ID, carillon.Retrying)
	i.eventually("it was tried again", func() bool {
		d, err := i.client.Delivery(t.Context(), sealed.ID, flaky.ID)
		require.NoError(t, err)
		return len(d.Attempts) == 2 && d.Attempts[1].Response.Body == answered
	})
	i.hooks.Script("/flaky", receiver.Reply{})
	for _, event := range []client.Accepted{before, sealed} { // the first one's history begins in clear
		_, err := i.client.RetryNow(t.Context(), event.ID, flaky.ID)
		require.NoError(t, err)
		i.awaitDelivery(event.ID, flaky.ID, carillon.Succeeded)
		read, err := i.client.Event(t.Context(), event.ID)
		require.NoError(t, err)
		require.Contains(t, string(read.Data), "words-")
	}
	runOf := func(event client.Accepted) string {
		return i.histories()[event.Run.WorkflowID+" "+event.Run.RunID]
	}
	require.Contains(t, runOf(before), legible)
	text := runOf(sealed)
	require.Contains(t, text, "binary/encrypted")
	require.NotContains(t, text, hidden)
	require.NotContains(t, text, answered)
	require.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(hidden)))
	require.Contains(t, text, "internal-utils", "search attributes are not sealed")

	// Temporal Web has its payloads opened.
	payload := firstInput(i, sealed)
	status, body := i.post(t, http.MethodPost, "/v1/codec/decode", "application/json", payload)
	require.Equal(t, http.StatusOK, status, body)
	var opened struct{ Payloads []struct{ Data []byte } }
	require.NoError(t, json.Unmarshal([]byte(body), &opened))
	require.Contains(t, string(opened.Payloads[0].Data), hidden)

	// Another key in front; what the first sealed stays readable, and an event
	// whose key is taken away waits until it is there again.
	i.restart("CARILLON_CODEC_KEY=" + second + "," + first)
	_, err := i.client.Redeliver(t.Context(), sealed.ID, flaky.ID, 1)
	require.NoError(t, err)
	i.awaitDelivery(sealed.ID, flaky.ID, carillon.Succeeded)
	i.hooks.Script("/flaky", down, receiver.Reply{})
	waiting := i.subscribe("/waiting", schedule(3*time.Second))
	i.hooks.Script("/waiting", down, receiver.Reply{})
	held := i.publish(saying("held", hidden))
	i.awaitDelivery(held.ID, waiting.ID, carillon.Retrying)
	i.restart("CARILLON_CODEC_KEY=" + first)
	i.eventually("its run is stuck, and not lost", func() bool {
		events := i.temporalClient().GetWorkflowHistory(t.Context(), held.Run.WorkflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(t, err)
			require.NotEqual(t, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, event.GetEventType())
			if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED {
				return true
			}
		}
		return false
	})
	i.restart("CARILLON_CODEC_KEY=plain," + first + "," + second)
	i.awaitDelivery(held.ID, waiting.ID, carillon.Succeeded)
	after := i.publish(saying("after", legible))
	i.awaitDelivery(after.ID, waiting.ID, carillon.Succeeded)
	require.Contains(t, runOf(after), legible, "turned off for what is new")

	i.carillon.stop(t)
	require.NotContains(t, i.logged(), first)
	require.NotContains(t, i.logged(), second)
	files := i.files()
	require.Contains(t, files, legible)
	require.NotContains(t, files, hidden, "nor is it in Temporal's database")
}

// firstInput is the input of an event's run, as Temporal Web asks for it.
func firstInput(i *instance, event client.Accepted) []byte {
	i.t.Helper()
	events := i.temporalClient().GetWorkflowHistory(i.t.Context(), event.Run.WorkflowID, event.Run.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := events.Next()
	require.NoError(i.t, err)
	payload := first.GetWorkflowExecutionStartedEventAttributes().GetInput().GetPayloads()[0]
	type asPosted struct {
		Metadata map[string][]byte `json:"metadata"`
		Data     []byte            `json:"data"`
	}
	text, err := json.Marshal(map[string]any{"payloads": []asPosted{{payload.GetMetadata(), payload.GetData()}}})
	require.NoError(i.t, err)
	return text
}
