package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

var discard = log.New(io.Discard, "", 0)

// selfSigned makes a certificate for a name that is its own authority, and its
// key, both as PEM.
func selfSigned(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, SerialNumber: big.NewInt(1),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func TestAReceiverThatAsksForACertificateAndOneForConsent(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		i := start(t, env...)
		serverCertificate, serverKey := selfSigned(t, "hooks.internal")
		clientCertificate, clientKey := selfSigned(t, "carillon")
		pair, err := tls.X509KeyPair([]byte(serverCertificate), []byte(serverKey))
		require.NoError(t, err)
		clients := x509.NewCertPool()
		require.True(t, clients.AppendCertsFromPEM([]byte(clientCertificate)))
		hooks := receiver.New()
		demanding := httptest.NewUnstartedServer(hooks)
		demanding.Config.ErrorLog = discard
		demanding.TLS = &tls.Config{
			Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12,
		}
		demanding.StartTLS()
		t.Cleanup(demanding.Close)

		sub := hook(demanding.URL + "/hook")
		sub.Endpoint = client.Webhook{URL: demanding.URL + "/hook", TLS: &client.WebhookTLS{
			CA: serverCertificate, Certificate: clientCertificate, Key: clientKey, ServerName: "hooks.internal",
		}}
		saved, err := i.client.CreateSubscription(t.Context(), sub)
		require.NoError(t, err)
		stranger := hook(demanding.URL + "/hook")
		stranger.Endpoint = client.Webhook{URL: demanding.URL + "/hook", TLS: &client.WebhookTLS{CA: serverCertificate, ServerName: "hooks.internal"}}
		without, err := i.client.CreateSubscription(t.Context(), stranger)
		require.NoError(t, err)

		agreed := receiver.Reply{Header: http.Header{"Webhook-Allowed-Origin": {"*"}}}
		asking := hook(i.hook + "/asked")
		asking.Endpoint = client.Webhook{URL: i.hook + "/asked", Handshake: true}
		_, err = i.client.CreateSubscription(t.Context(), asking)
		require.ErrorContains(t, err, "/endpoint/handshake the receiver does not consent")
		i.hooks.Script("/asked", agreed)
		consenting, err := i.client.CreateSubscription(t.Context(), asking)
		require.NoError(t, err)

		accepted := i.publish(added("1"))
		i.awaitDelivery(accepted.ID, saved.ID, carillon.Succeeded)
		i.awaitDelivery(accepted.ID, consenting.ID, carillon.Succeeded)
		refused := i.awaitDelivery(accepted.ID, without.ID, carillon.Failed)
		require.Contains(t, refused.Error, "the receiver refused the handshake")
		require.Len(t, hooks.Requests("/hook"), 1)
		requests := i.requests("/asked", 3)
		require.Equal(t, []string{"OPTIONS", "OPTIONS", "POST"}, []string{requests[0].Method, requests[1].Method, requests[2].Method})
		require.NotEmpty(t, requests[2].Header.Get("WebHook-Request-Origin"))

		shown, err := i.client.Subscription(t.Context(), saved.ID)
		require.NoError(t, err)
		i.carillon.stop(t)
		answer, ok := shown.Endpoint.(interface{ MarshalJSON() ([]byte, error) })
		require.True(t, ok)
		text, err := answer.MarshalJSON()
		require.NoError(t, err)
		require.Contains(t, string(text), "•••• ----")
		files := i.files()
		require.Contains(t, files, accepted.ID, "what is looked for would be found")
		line := strings.Split(clientKey, "\n")[1]
		for _, place := range []string{string(text), i.carillon.log.String(), files} {
			require.NotContains(t, place, line)
		}
	})
}
