package channels_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

func TestAFailureOfTheEgressProxyIsNotTheReceivers(t *testing.T) {
	t.Parallel()
	_, base := serve(t)
	var status atomic.Int32
	status.Store(http.StatusBadGateway)
	proxyURL := server(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }), (*httptest.Server).Start)
	proxy, err := safehttp.ParseProxy(proxyURL)
	require.NoError(t, err)
	policy := loopback
	policy.Proxy = proxy
	sender := webhook(t, policy)

	a := attempt(t, sender, `{"url":"`+base+`/hook"}`)
	require.Equal(t, carillon.OutcomeThrottled, a.Outcome)
	require.Equal(t, "the egress proxy answers HTTP 502", a.Error)
	require.Equal(t, 5*time.Second, time.Duration(a.RetryAfter))

	status.Store(http.StatusGatewayTimeout)
	a = attempt(t, sender, `{"url":"`+base+`/hook"}`)
	require.Equal(t, carillon.OutcomeRetry, a.Outcome)
	require.Equal(t, "the egress proxy made no connection in time", a.Error)
}
