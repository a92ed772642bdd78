package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/receiver"
)

func TestTheSameEventRingsOnceWhateverHappens(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		sub := i.subscribe("/hook")
		var wg sync.WaitGroup
		answers := make([]client.Accepted, 100)
		for n := range answers {
			wg.Go(func() {
				var err error
				answers[n], err = i.client.Publish(t.Context(), added("same"))
				if err != nil {
					t.Errorf("post %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		for _, a := range answers {
			require.Equal(t, answers[0], a, "the same answer to each")
		}
		i.awaitDelivery(answers[0].ID, sub.ID, carillon.Succeeded)

		i.carillon.stop(t)
		i.startCarillon()
		require.Equal(t, answers[0], i.publish(added("same")), "after a restart")

		other := added("same")
		other.Data = map[string]any{"package": "another"}
		_, err := i.client.Publish(t.Context(), other)
		require.Equal(t, carillon.CodeEventReused, client.CodeOf(err))

		temporal := i.temporalClient()
		_, err = temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace:         "default",
			WorkflowExecution: &common.WorkflowExecution{WorkflowId: answers[0].Run.WorkflowID, RunId: answers[0].Run.RunID},
		})
		require.NoError(t, err)
		i.eventually("the run is deleted", func() bool {
			_, err := temporal.DescribeWorkflowExecution(t.Context(), answers[0].Run.WorkflowID, "")
			return err != nil
		})
		require.Equal(t, answers[0].ID, i.publish(added("same")).ID, "after its run was deleted")
		after := i.publish(added("after"))
		i.awaitDelivery(after.ID, sub.ID, carillon.Succeeded)
		require.Len(t, i.hooks.Requests("/hook"), 2, "the same event once, and the one after it")

		event, err := i.client.Event(t.Context(), answers[0].ID)
		require.NoError(t, err)
		require.NotEmpty(t, event.Note, "it says that the history is gone")
		require.Len(t, event.Deliveries, 1)
	})
}

func TestEverythingIsKilledWhileClientsPostAndDeliveriesWait(t *testing.T) {
	t.Parallel()
	i := start(t)
	i.hooks.Script("/flaky", receiver.Reply{Status: 503}, receiver.Reply{Status: 503}, receiver.Reply{})
	steady := i.subscribe("/steady")
	flaky := i.subscribe("/flaky", schedule(2*time.Second, 2*time.Second, 2*time.Second))

	const clients = 8
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	posting, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := 0; posting.Err() == nil; n++ {
				accepted, err := i.client.Publish(posting, added(fmt.Sprintf("%d-%d", c, n)))
				if err == nil {
					mu.Lock()
					acknowledged[accepted.ID] = true
					mu.Unlock()
				}
			}
		})
	}
	i.eventually("deliveries wait and events come in", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged) > 40
	})
	i.carillon.kill()
	i.temporal.kill()
	stop()
	wg.Wait()
	i.startTemporal()
	i.startCarillon()
	for id := range acknowledged {
		i.awaitDelivery(id, steady.ID, carillon.Succeeded)
		i.awaitDelivery(id, flaky.ID, carillon.Succeeded)
	}
	t.Logf("%d acknowledged events, all delivered to both", len(acknowledged))
}

func TestKilledBetweenRouteAndRecordLosesNoSubscriptionAndMatchesNoneAnew(t *testing.T) {
	t.Parallel()
	i := start(t)
	release := make(chan struct{})
	i.hooks.Script("/hangs", receiver.Reply{Hang: release}, receiver.Reply{})
	hangs := i.subscribe("/hangs")
	quick := i.subscribe("/quick")
	accepted := i.publish(added("1"))
	i.requests("/hangs", 1) // Route is committed, the first attempt is under way, nothing is recorded
	i.carillon.kill()
	close(release)
	i.startCarillon()
	late := i.subscribe("/late") // made after the post

	i.awaitDelivery(accepted.ID, hangs.ID, carillon.Succeeded)
	i.awaitDelivery(accepted.ID, quick.ID, carillon.Succeeded)
	for _, r := range i.requests("/hangs", 2) {
		require.Equal(t, accepted.ID, r.Header.Get("webhook-id"), "the receiver can tell that it is the same")
	}
	_, err := i.client.Delivery(t.Context(), accepted.ID, late.ID)
	require.Equal(t, carillon.CodeNotFound, client.CodeOf(err))
}

func TestTemporalAwayIsSaidAndNeedsNoRestart(t *testing.T) {
	t.Parallel()
	i := start(t)
	sub := i.subscribe("/hook")
	i.temporal.stop(t)
	_, err := i.client.Publish(t.Context(), added("1"))
	require.Equal(t, carillon.CodeUnavailable, client.CodeOf(err))
	var answer *client.Error
	require.ErrorAs(t, err, &answer)
	require.Equal(t, http.StatusServiceUnavailable, answer.Status)
	require.Positive(t, answer.RetryAfter)
	status, body := i.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "Temporal does not answer")

	i.startTemporal()
	i.awaitReady()
	var accepted client.Accepted
	i.eventually("posts are taken again", func() bool {
		accepted, err = i.client.Publish(t.Context(), added("1"))
		return err == nil
	})
	i.awaitDelivery(accepted.ID, sub.ID, carillon.Succeeded)
}

func TestTheDatabaseAwayFailsNoAcknowledgedEvent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		if strings.HasPrefix(databaseURL, "sqlite:") {
			return // a file does not go away
		}
		line, through := newCable(t, databaseURL)
		i := start(t, "CARILLON_DATABASE_URL="+through)
		release := make(chan struct{})
		i.hooks.Script("/slow", receiver.Reply{Hang: release}, receiver.Reply{})
		i.hooks.Script("/flaky", receiver.Reply{Status: 503}, receiver.Reply{})
		slow := i.subscribe("/slow")
		flaky := i.subscribe("/flaky", schedule(time.Second, time.Second))
		first := i.publish(added("1"))
		i.requests("/slow", 1)
		second := i.publish(added("2"))
		i.awaitDelivery(second.ID, flaky.ID, carillon.Succeeded)

		line.cut()
		close(release)
		_, err := i.client.Publish(t.Context(), added("3"))
		require.Equal(t, carillon.CodeUnavailable, client.CodeOf(err), "what cannot be taken is refused")
		<-time.After(20 * time.Second) // longer than any time limit of an activity that keeps books
		line.mend()

		for _, id := range []string{first.ID, second.ID} {
			for _, sub := range []client.Subscription{slow, flaky} {
				i.awaitDelivery(id, sub.ID, carillon.Succeeded)
			}
		}
		for _, sub := range []client.Subscription{slow, flaky} {
			read, err := i.client.Subscription(t.Context(), sub.ID)
			require.NoError(t, err)
			require.Equal(t, carillon.Enabled, read.State)
		}
	})
}

// cable is a line to a database that can be cut.
type cable struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

// newCable lays a cable to the database and returns the URL of its near end.
func newCable(t *testing.T, databaseURL string) (*cable, string) {
	t.Helper()
	place, err := url.Parse(databaseURL)
	require.NoError(t, err)
	c := &cable{target: place.Host}
	c.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.listener.Close(); c.cut() })
	go c.serve()
	place.Host = c.listener.Addr().String()
	return c, place.String()
}

func (c *cable) serve() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		c.mu.Lock()
		if c.dead || err != nil {
			_ = near.Close()
			if err == nil {
				_ = far.Close()
			}
		} else {
			c.conns = append(c.conns, near, far)
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
		c.mu.Unlock()
	}
}

// cut breaks all connections, and every new one at once.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = false
}
