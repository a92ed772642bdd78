package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/dnstest"
)

// mailHook is a subscription of mails over the server, tried once.
func mailHook(t *testing.T, host string, port int) client.Subscription {
	t.Helper()
	endpoint, err := json.Marshal(map[string]any{
		"host": host, "port": port, "tls": "none", "from": "bells@example.com", "to": "ann@example.com", "timeout": "5s",
	})
	require.NoError(t, err)
	sub := hook(host)
	sub.Channel, sub.Endpoint = "email", json.RawMessage(endpoint)
	return sub
}

// counted listens at all addresses of this machine, and counts who comes.
func counted(t *testing.T) (port int, came *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	came = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			came.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().(*net.TCPAddr).Port, came
}

func TestNoMailServerInsideIsReachedHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	dns := dnstest.Start(t)
	dns.Answer("localhost", "127.0.0.1") // as some servers have it
	port, came := counted(t)
	i := start(t, "CARILLON_ALLOW_CIDRS=203.0.113.0/24", "CARILLON_DNS_SERVER="+dns.Addr())

	for _, address := range inside {
		_, err := i.client.CreateSubscription(t.Context(), mailHook(t, address, port))
		require.ErrorContains(t, err, "/endpoint/host address not allowed", address)
	}
	for _, host := range append([]string{"[::1]", "[127.0.0.1]", "::1%lo", "127.0.0.1:25"}, spellings...) {
		sub := mailHook(t, host, port)
		_, saving := i.client.CreateSubscription(t.Context(), sub)
		test, err := i.client.Test(t.Context(), sub)
		if saving != nil { // what says itself where it leads is not even saved
			require.ErrorContains(t, saving, "/endpoint/host", host)
			require.ErrorContains(t, err, "/endpoint/host", host)
			continue
		}
		require.NoError(t, err, host)
		require.Nil(t, test.Attempt.Response, host)
		if strings.Trim(strings.ToLower(host), ".") == "localhost" {
			require.Equal(t, carillon.OutcomeReject, test.Attempt.Outcome, host)
			require.Contains(t, test.Attempt.Error, "address not allowed", host)
			continue
		}
		// Anything else is a name to us, and nobody's.
		require.Equal(t, carillon.OutcomeRetry, test.Attempt.Outcome, host)
		require.Contains(t, test.Attempt.Error, "host name not found", host)
	}

	// The same addresses, as what names come to, at real deliveries.
	subscribed := map[string]string{}
	for n, address := range inside {
		name := fmt.Sprintf("mail-%d.test", n)
		dns.Answer(name, address)
		saved, err := i.client.CreateSubscription(t.Context(), mailHook(t, name, port))
		require.NoError(t, err)
		subscribed[address] = saved.ID
	}
	accepted := i.publish(added("1"))
	for address, id := range subscribed {
		delivery := i.awaitDelivery(accepted.ID, id, carillon.Failed)
		i.eventually("its attempt is in the history", func() bool {
			var err error
			delivery, err = i.client.Delivery(t.Context(), accepted.ID, id)
			require.NoError(t, err)
			return len(delivery.Attempts) > 0
		})
		require.Equal(t, []carillon.Outcome{"reject"}, outcomes(delivery), address)
		require.Contains(t, delivery.Error, "address not allowed", address)
		require.NotContains(t, delivery.Error, " "+address, "a name does not tell where it leads")
	}
	require.Zero(t, came.Load())
}
