package channels_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// inbox keeps alerts, or fails, or hangs.
type inbox struct {
	alerts []carillon.Alert
	err    error
	hangs  bool
}

func (i *inbox) AddAlert(ctx context.Context, a carillon.Alert) error {
	if i.hangs {
		<-ctx.Done()
	}
	if i.err == nil && ctx.Err() == nil {
		i.alerts = append(i.alerts, a)
	}
	return errors.Join(i.err, ctx.Err())
}

func inboxSender(i *inbox) channels.Sender {
	return channels.NewRegistry(channels.Config{Now: time.Now, Inbox: i})["alert"]
}

func TestAnAlertIsPutIntoItsOwnersInbox(t *testing.T) {
	t.Parallel()
	for posted, owner := range map[string]string{`{}`: "", `{"owner":"anna","message":{"title":"${data.package} is there"}}`: "anna"} {
		i := &inbox{}
		sender := inboxSender(i)
		kept, shown, err := sender.Prepare(json.RawMessage(posted), nil)
		require.NoError(t, err)
		require.Nil(t, shown)
		require.JSONEq(t, string(kept), string(sender.Redact(kept)))
		require.Equal(t, "inbox", sender.Host(kept))
		m := conformance{}.message(kept, 1)
		m.Subscription = "sub_1"
		a := sender.Attempt(t.Context(), m)
		require.Equal(t, carillon.OutcomeDelivered, a.Outcome, a.Error)
		require.Len(t, i.alerts, 1)
		require.Equal(t, owner, i.alerts[0].Owner)
		require.Equal(t, m.Event.ID, i.alerts[0].EventID)
		require.Equal(t, "sub_1", i.alerts[0].SubscriptionID)
		require.Contains(t, i.alerts[0].Title, "left-pad")
		if owner != "" {
			require.Equal(t, "left-pad is there", i.alerts[0].Title)
		}
	}
}

func TestAnAlertThatCannotBeKeptIsTriedAgain(t *testing.T) {
	t.Parallel()
	sender := inboxSender(&inbox{err: errors.New("marked")})
	kept, _, err := sender.Prepare(json.RawMessage(`{}`), nil)
	require.NoError(t, err)
	a := sender.Attempt(t.Context(), conformance{}.message(kept, 1))
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "the database did not take it", a.Error)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a = sender.Attempt(ctx, conformance{}.message(kept, 1))
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "interrupted before an answer came", a.Error)
	require.Equal(t, carillon.OutcomeReject, sender.Attempt(t.Context(), conformance{}.message(carillon.Endpoint(`[`), 1)).Outcome)
}
