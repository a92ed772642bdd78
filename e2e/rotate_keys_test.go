package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/seal"
)

// load publishes events one after the other, over restarts, until it is told to
// stop; then it returns their ids.
func (i *instance) load() (stop func() []string) {
	ending, ended := make(chan struct{}), make(chan []string, 1)
	go func() {
		var ids []string
		defer func() { ended <- ids }()
		for n := 0; ; n++ {
			event := added(fmt.Sprintf("load-%d", n))
			for {
				accepted, err := i.client.Publish(i.t.Context(), event)
				if err == nil {
					ids = append(ids, accepted.ID)
					break
				}
				// It is being restarted; the same event is posted again.
				select {
				case <-i.t.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
			select {
			case <-ending:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() []string {
		close(ending)
		return <-ended
	}
}

func TestKeysAreRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		const subscriptions = 60 // more than a page of the rotation
		older, newer := seal.NewKey(), seal.NewKey()
		oldRing, err := seal.NewRing(older)
		require.NoError(t, err)
		newRing, err := seal.NewRing(newer)
		require.NoError(t, err)
		key := func(keys ...string) string { return "CARILLON_SECRET_KEY=" + strings.Join(keys, ",") }
		i := start(t, append(env, key(older))...)
		for n := range subscriptions {
			edit := schedule(time.Second, time.Second, time.Second)
			if n >= 3 { // the others are there to be sealed
				edit = func(s *client.Subscription) { s.EventTypes = []string{"build.*"} }
			}
			i.subscribe(fmt.Sprintf("/load-%d", n), edit)
		}
		proof := client.SourceAuthentication{Scheme: "bearer", Secret: "a-secret-of-the-source"}
		_, err = i.client.CreateSource(t.Context(), client.Source{Name: "registry", Kind: "cloudevents", Authentication: &proof})
		require.NoError(t, err)
		require.Equal(t, map[string]map[string]int{
			"subscriptions.endpoint": {oldRing.Newest(): subscriptions}, "sources.authentication": {oldRing.Newest(): 1},
		}, i.sealedBy(), "another column with sealed texts must be rotated, too")
		stop := i.load()

		i.restart(key(newer, older))
		out, code := command(t, i.environment(), "", "doctor")
		require.Zero(t, code, out)
		require.Contains(t, out, fmt.Sprintf("%d with %s. Remedy: carillon rotate-keys", subscriptions+1, oldRing.Newest()))
		out, code = command(t, i.environment(), "", "rotate-keys")
		require.Zero(t, code, out)
		require.Contains(t, out, fmt.Sprintf("%d secrets, %d of them sealed anew with the key %s\n", subscriptions+1, subscriptions+1, newRing.Newest()))
		require.Contains(t, out, "nothing is sealed any more with "+oldRing.Newest())
		want := map[string]map[string]int{
			"subscriptions.endpoint": {newRing.Newest(): subscriptions}, "sources.authentication": {newRing.Newest(): 1},
		}
		require.Equal(t, want, i.sealedBy())
		out, code = command(t, i.environment(), "", "rotate-keys", "--json")
		require.Zero(t, code, out)
		require.Contains(t, out, `"resealed":0,"unreadable":[],"left":[],"removable":["`+oldRing.Newest()+`"]`)
		out, _ = command(t, i.environment(), "", "doctor")
		require.Contains(t, out, "none with "+oldRing.Newest())

		i.restart(key(newer))
		out, code = command(t, i.environment(), "", "doctor")
		require.Zero(t, code, out)
		require.Contains(t, out, fmt.Sprintf("ok       secret keys: %d of %d secrets are sealed with the newest, %s", subscriptions+1, subscriptions+1, newRing.Newest()))
		last := i.publish(added("after"))
		events := append(stop(), last.ID)
		require.Greater(t, len(events), 10, "there was load")
		page, err := i.client.Subscriptions(t.Context(), 250, "")
		require.NoError(t, err)
		require.Len(t, page.Items, subscriptions)
		for _, event := range events {
			i.eventually("all deliveries of "+event, func() bool {
				found, err := i.client.Event(t.Context(), event)
				require.NoError(t, err)
				done := 0
				for _, delivery := range found.Deliveries {
					require.NotContains(t, []carillon.DeliveryState{carillon.Failed, carillon.Canceled, carillon.Held}, delivery.State)
					if delivery.State == carillon.Succeeded {
						done++
					}
				}
				return done == 3
			})
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.url()+"/v1/sources/registry/events", strings.NewReader(
			`{"specversion":"1.0","id":"1","source":"r","type":"package.added","data":{"package":"p","version":"1"}}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/cloudevents+json")
		req.Header.Set("Authorization", "Bearer "+proof.Secret)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusAccepted, resp.StatusCode, "the source's secret is the one it was")
		require.Equal(t, want, i.sealedBy())
		for _, secret := range []string{older, newer} {
			require.NotContains(t, i.logged(), secret)
		}
	})
}
