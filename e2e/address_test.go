package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/dnstest"
	"github.com/carillon-dev/carillon/internal/receiver"
)

// inside are addresses that lead to no public receiver, as others' tests have
// them: smokescreen's, svix's and safeurl's.
var inside = []string{
	"127.0.0.1", "127.0.1.1", "127.127.127.127", "127.255.255.255", "10.0.0.1", "10.254.0.0", "172.16.0.1", "172.16.10.65", "172.31.255.255",
	"192.168.0.0", "192.168.0.15", "192.168.10.65", "100.64.0.1", "100.100.0.0", "100.127.255.254", "169.254.45.1", "169.254.169.254",
	"169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0", "0.1.2.3", "192.0.0.0", "192.0.0.255", "192.0.2.255",
	"198.51.100.65", "198.18.0.0", "198.19.255.255", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
	"250.10.20.30", "255.255.255.255",
	"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.5", "::ffff:0.0.0.1", "::ffff:192.0.2.1", "::ffff:0:7f00:1",
	"64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "64:ff9c::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
	"2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00::5",
	"fd00:ec2::254", "fd20:ce::254", "fe80::1", "fec0::1", "ff02::2", "0:0:0:ffff::1",
}

// spellings are hosts that somebody's resolver or parser takes for one of them.
var spellings = []string{
	"2130706433", "3232235777", "017700000001", "0x7f000001", "0xc0a80014", "0x0000007f.0x00000000.0x00000000.0x00000001",
	"0x7f.0x0.0x00000000.0x01", "0", "127.1", "0177.0x0.0x0.0x1", "0177.0.0.1", "127.0.0.1.", "①②⑦.0.0.1", "１２７.0.0.1",
	"localhost", "LOCALHOST", "localhost.", "[0000::1]", "[fe80::1%25lo]", "[::ffff:7f00:1]",
}

// hook is a subscription of a webhook at the URL that is tried once.
func hook(target string) client.Subscription {
	return client.Subscription{
		Name: carillon.Clip(target, 200), EventTypes: []string{"package.*"}, Channel: "webhook",
		Endpoint: client.Webhook{URL: target, Timeout: carillon.Duration(5 * time.Second)},
		Retry:    &carillon.Retry{Schedule: []carillon.Duration{}, Disable: carillon.DisableNever},
	}
}

func TestNoAddressInsideIsReachedHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	dns := dnstest.Start(t)
	dns.Answer("localhost", "127.0.0.1") // as some servers have it
	// The one network that is allowed is one where nobody is.
	i := start(t, "CARILLON_ALLOW_CIDRS=203.0.113.0/24", "CARILLON_DNS_SERVER="+dns.Addr())
	at, err := url.Parse(i.hook)
	require.NoError(t, err)

	var literal []string
	for _, address := range inside {
		if strings.Contains(address, ":") {
			address = "[" + address + "]"
		}
		literal = append(literal, address)
	}
	for _, host := range append(literal, spellings...) {
		target := "http://" + host + ":" + at.Port() + "/hook"
		_, saving := i.client.CreateSubscription(t.Context(), hook(target))
		test, err := i.client.Test(t.Context(), hook(target))
		if saving != nil { // what says itself where it leads is not even saved
			require.Equal(t, carillon.CodeInvalid, client.CodeOf(saving), host)
			require.ErrorContains(t, saving, "/endpoint/url", host)
			require.ErrorContains(t, err, "/endpoint/url", host)
			continue
		}
		require.Equal(t, "localhost", strings.Trim(strings.ToLower(host), "."), "a name is looked up when it is dialled")
		require.NoError(t, err, host)
		require.Equal(t, carillon.OutcomeReject, test.Attempt.Outcome, host)
		require.Contains(t, test.Attempt.Error, "address not allowed", host)
	}

	// The same addresses, as what names come to, at real deliveries.
	subscribed := map[string]string{}
	for n, address := range inside {
		name := fmt.Sprintf("name-%d.test", n)
		dns.Answer(name, address)
		saved, err := i.client.CreateSubscription(t.Context(), hook("http://"+name+":"+at.Port()+"/hook"))
		require.NoError(t, err)
		subscribed[address] = saved.ID
	}
	accepted := i.publish(added("1"))
	for address, id := range subscribed {
		delivery := i.awaitDelivery(accepted.ID, id, carillon.Failed)
		require.Equal(t, []carillon.Outcome{"reject"}, outcomes(delivery), address)
		require.Contains(t, delivery.Error, "address not allowed", address)
		require.NotContains(t, delivery.Error, " "+address, "a name does not tell where it leads")
	}
	require.Empty(t, i.hooks.Requests("/hook"))
}

func TestAPortOfAnotherProtocolIsNotDialled(t *testing.T) {
	t.Parallel()
	i := start(t)
	for _, port := range []string{"22", "25", "6667"} {
		_, err := i.client.CreateSubscription(t.Context(), hook("http://hooks.example.com:"+port+"/"))
		require.ErrorContains(t, err, "/endpoint/url address not allowed: port "+port)
	}
}

// twins starts two receivers at one port: one at 127.0.0.2 and one at 127.0.0.1.
func twins(t *testing.T) (port string, allowed, forbidden *receiver.Receiver) {
	t.Helper()
	allowed, forbidden = receiver.New(), receiver.New()
	first, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	_, port, err = net.SplitHostPort(first.Addr().String())
	require.NoError(t, err)
	second, err := net.Listen("tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	for listener, handler := range map[net.Listener]http.Handler{first: allowed, second: forbidden} {
		server := httptest.NewUnstartedServer(handler)
		_ = server.Listener.Close()
		server.Listener = listener
		server.Start()
		t.Cleanup(server.Close)
	}
	return port, allowed, forbidden
}

func TestANameThatMovesInsideAndARedirectThereLeadNowhere(t *testing.T) {
	t.Parallel()
	dns := dnstest.Start(t)
	// 127.0.0.2 stands for what is public: tests call nobody else.
	i := start(t, "CARILLON_ALLOW_CIDRS=127.0.0.2/31", "CARILLON_DNS_SERVER="+dns.Addr())
	port, allowed, forbidden := twins(t)
	dns.Answer("moves.test", "127.0.0.2", "127.0.0.1")
	dns.Answer("both.test", "127.0.0.3 127.0.0.1")
	dns.Answer("redirects.test", "127.0.0.2")
	allowed.Script("/moves", receiver.Reply{Status: http.StatusServiceUnavailable, Header: http.Header{"Connection": {"close"}}})
	allowed.Script("/redirects", receiver.Reply{
		Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"http://127.0.0.1:" + port + "/redirected"}},
	})
	ids := map[string]string{}
	for _, name := range []string{"moves", "both", "redirects"} {
		sub := hook("http://" + name + ".test:" + port + "/" + name)
		schedule(time.Second)(&sub)
		saved, err := i.client.CreateSubscription(t.Context(), sub)
		require.NoError(t, err)
		ids[name] = saved.ID
	}
	accepted := i.publish(added("1"))

	moves := i.awaitDelivery(accepted.ID, ids["moves"], carillon.Failed)
	require.Equal(t, []carillon.Outcome{"retry", "reject"}, outcomes(moves))
	require.Equal(t, "address not allowed: loopback (CARILLON_ALLOW_CIDRS can allow it)", moves.Error)
	both := i.awaitDelivery(accepted.ID, ids["both"], carillon.Failed)
	require.Equal(t, []carillon.Outcome{"retry", "retry"}, outcomes(both))
	redirects := i.awaitDelivery(accepted.ID, ids["redirects"], carillon.Failed)
	require.Contains(t, redirects.Error, "redirects are not followed")
	for _, path := range []string{"/moves", "/both", "/redirects", "/redirected"} {
		require.Empty(t, forbidden.Requests(path), path)
	}
	require.Len(t, allowed.Requests("/moves"), 1)
}

func TestCarillonDeliversToNoneOfItsOwnListeners(t *testing.T) {
	t.Parallel()
	dns := dnstest.Start(t)
	dns.Answer("own.test", "127.0.0.1")
	i := start(t, "CARILLON_DNS_SERVER="+dns.Addr()) // which allows all of loopback
	const text = "address not allowed: Carillon itself, or what it keeps its data in, listens there"
	for name, own := range map[string]string{"the API": i.url(), "Temporal": "http://" + i.temporalAddress()} {
		_, err := i.client.CreateSubscription(t.Context(), hook(own+"/v1/keys"))
		require.ErrorContains(t, err, "/endpoint/url "+text, name)
		saved, err := i.client.CreateSubscription(t.Context(), hook(strings.Replace(own, "127.0.0.1", "own.test", 1)+"/v1/keys"))
		require.NoError(t, err, name)
		accepted := i.publish(added("to " + name))
		delivery := i.awaitDelivery(accepted.ID, saved.ID, carillon.Failed)
		require.Equal(t, []carillon.Outcome{"reject"}, outcomes(delivery), name)
		require.Equal(t, text, delivery.Error, name)
	}
	saved := i.subscribe("/hook")
	i.awaitDelivery(i.publish(added("to a receiver")).ID, saved.ID, carillon.Succeeded)
}

func TestAnErrorTellsNothingOfWhatListensInside(t *testing.T) {
	t.Parallel()
	dns := dnstest.Start(t)
	i := start(t, "CARILLON_ALLOW_CIDRS=203.0.113.0/24", "CARILLON_DNS_SERVER="+dns.Addr())
	listening, err := url.Parse(i.hook)
	require.NoError(t, err)
	closed := httptest.NewServer(nil)
	closed.Close()
	silent, err := url.Parse(closed.URL)
	require.NoError(t, err)
	dns.Answer("scan.test", "127.0.0.1")
	told := map[string]int{}
	for _, port := range []string{listening.Port(), silent.Port(), strconv.Itoa(i.ports.api), strconv.Itoa(i.ports.temporal)} {
		test, err := i.client.Test(t.Context(), hook("http://scan.test:"+port+"/"))
		require.NoError(t, err)
		require.Nil(t, test.Attempt.Response)
		told[test.Attempt.Error]++
	}
	require.Equal(t, map[string]int{"address not allowed: loopback (CARILLON_ALLOW_CIDRS can allow it)": 4}, told)
}
