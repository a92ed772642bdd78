package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

// Forty subscriptions are saved, edited and paused, four at a time, while
// events are posted: each event is routed by what was saved before its post.
func TestAnEventIsRoutedByWhatWasSavedBeforeItsPost(t *testing.T) {
	t.Parallel()
	const rounds, atOnce = 40, 4
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		var subs [rounds]client.Subscription
		var early, first, moved, held [rounds]string
		feed := func(n int) string { return fmt.Sprint("feed-", n) }
		publish := func(n int, name string) (string, error) {
			event := added(fmt.Sprintf("%d-%s", n, name))
			event.Scope = map[string]string{"feed": feed(n)}
			accepted, err := i.client.Publish(t.Context(), event)
			return accepted.ID, err
		}
		each := func(do func(n int) error) {
			t.Helper()
			var group errgroup.Group
			group.SetLimit(atOnce)
			for n := range rounds {
				group.Go(func() error { return do(n) })
			}
			require.NoError(t, group.Wait())
		}
		settled := func(events [rounds]string, state carillon.DeliveryState) {
			t.Helper()
			for n, id := range events {
				i.awaitDelivery(id, subs[n].ID, state)
			}
		}

		each(func(n int) (err error) {
			if early[n], err = publish(n, "early"); err != nil {
				return err
			}
			subs[n], err = i.client.CreateSubscription(t.Context(), client.Subscription{
				Name: feed(n), EventTypes: []string{"package.*"}, Channel: "webhook",
				Scope:    map[string][]string{"feed": {feed(n)}},
				Endpoint: client.Webhook{URL: fmt.Sprintf("%s/%d/first", i.hook, n)},
			})
			if err != nil {
				return err
			}
			first[n], err = publish(n, "first")
			return err
		})
		settled(first, carillon.Succeeded)
		each(func(n int) (err error) {
			_, err = i.client.ChangeSubscription(t.Context(), subs[n].ID, "", map[string]any{
				"endpoint": map[string]any{"url": fmt.Sprintf("%s/%d/moved", i.hook, n)},
			})
			if err != nil {
				return err
			}
			moved[n], err = publish(n, "moved")
			return err
		})
		settled(moved, carillon.Succeeded)
		each(func(n int) (err error) {
			if _, err = i.client.Pause(t.Context(), subs[n].ID); err != nil {
				return err
			}
			held[n], err = publish(n, "held")
			return err
		})
		settled(held, carillon.Held)

		for n := range rounds {
			for path, want := range map[string]string{"first": first[n], "moved": moved[n]} {
				requests := i.hooks.Requests(fmt.Sprintf("/%d/%s", n, path))
				require.Len(t, requests, 1)
				require.Equal(t, want, requests[0].Header.Get("webhook-id"))
			}
			event, err := i.client.Event(t.Context(), early[n])
			require.NoError(t, err)
			require.Empty(t, event.Deliveries, "the subscription was saved after its 202")
		}
	})
}
