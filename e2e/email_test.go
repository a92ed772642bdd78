package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

// mail is one that npm's smtp-server took and mailparser read; see smtp.mjs.
type mail struct {
	Port      int      `json:"port"`
	To        []string `json:"to"`
	Encrypted bool     `json:"encrypted"`
	Subject   string   `json:"subject"`
	Text      string   `json:"text"`
	HTML      string   `json:"html"`
	MessageID string   `json:"messageId"`
}

// mailServer starts npm's smtp-server. It returns its port, the authority of
// its certificate and what waits for the next mail; nil without Node, which
// make test lists as left out.
func mailServer(t *testing.T, options map[string]any) (port int, ca string, next func() mail) {
	t.Helper()
	node := os.Getenv("CARILLON_TEST_NODE")
	if node == "" && os.Getenv("CARILLON_TEST_REQUIRE") != "all" {
		return 0, "", nil
	}
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	t.Cleanup(s.Close)
	ca = encoded("CERTIFICATE", s.Certificate().Raw)
	options["cert"], options["key"] = ca, privateKey(t, s.TLS.Certificates[0])
	line, err := json.Marshal(options)
	require.NoError(t, err)

	cmd := exec.Command(node, filepath.Join("verify", "smtp.mjs"))
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = input.Close() // it ends with its input
		_ = cmd.Wait()
	})
	_, err = input.Write(append(line, '\n'))
	require.NoError(t, err)
	mails := make(chan mail, 100)
	go func() {
		defer close(mails)
		for lines := bufio.NewReader(output); ; {
			line, err := lines.ReadBytes('\n')
			var m mail
			if err != nil || json.Unmarshal(line, &m) != nil {
				return
			}
			mails <- m
		}
	}()
	next = func() mail {
		select {
		case m := <-mails:
			return m
		case <-time.After(patience):
			t.Fatalf("no mail within %s", patience)
			return mail{}
		}
	}
	return next().Port, ca, next
}

func encoded(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func privateKey(t *testing.T, of tls.Certificate) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(of.PrivateKey)
	require.NoError(t, err)
	return encoded("PRIVATE KEY", der)
}

func TestMailsArriveAndThoseThatAreRefusedAreTold(t *testing.T) {
	t.Parallel()
	port, ca, next := mailServer(t, map[string]any{
		"user": "carillon", "password": "marked-password", "refuse": map[string]any{"bob@example.com": []any{550, "no such user"}},
	})
	if next == nil {
		return
	}
	i := start(t)
	endpoint := func(changes map[string]any) json.RawMessage {
		fields := map[string]any{
			"host": "127.0.0.1", "port": port, "ca": ca, "user": "carillon", "password": "marked-password",
			"from": "Carillon <bells@example.com>", "to": "ann@example.com; eve@example.com",
			"message": map[string]string{"title": "${data.package} ${data.version} is there"},
		}
		maps.Copy(fields, changes)
		posted, err := json.Marshal(fields)
		require.NoError(t, err)
		return posted
	}
	mailed := func(name string, changes map[string]any) client.Subscription {
		sub, err := i.client.CreateSubscription(t.Context(), client.Subscription{
			Name: name, EventTypes: []string{"package.*"}, Channel: "email", Endpoint: endpoint(changes),
		})
		require.NoError(t, err)
		shown, err := json.Marshal(sub.Endpoint)
		require.NoError(t, err)
		require.NotContains(t, string(shown), "marked-password")
		return sub
	}
	both := mailed("both", nil)
	accepted := i.publish(added("1"))
	delivery := i.awaitDelivery(accepted.ID, both.ID, carillon.Succeeded)
	first := next()
	require.Equal(t, []string{"ann@example.com", "eve@example.com"}, first.To)
	require.True(t, first.Encrypted)
	require.Equal(t, "MyCorp.CoolUtils 3.2.0 is there", first.Subject)
	require.Contains(t, first.Text, accepted.ID)
	require.Contains(t, first.HTML, "MyCorp.CoolUtils 3.2.0 is there")
	require.Equal(t, 250, delivery.Status)
	i.eventually("its attempt is in the history", func() bool {
		var err error
		delivery, err = i.client.Delivery(t.Context(), accepted.ID, both.ID)
		require.NoError(t, err)
		return len(delivery.Attempts) == 1
	})
	require.Contains(t, delivery.Attempts[0].Response.Body, "250 ")

	// One of three is refused, and the two are told once.
	require.NoError(t, i.client.DeleteSubscription(t.Context(), both.ID, ""))
	three := mailed("three", map[string]any{"to": []string{"ann@example.com", "bob@example.com", "eve@example.com"}})
	accepted = i.publish(added("2"))
	delivery = i.awaitDelivery(accepted.ID, three.ID, carillon.Failed)
	require.Equal(t, []string{"ann@example.com", "eve@example.com"}, next().To)
	require.Equal(t, 1, delivery.AttemptCount)
	require.Contains(t, delivery.Error, "1 of 3 recipients refused for good: 550 no such user (bob@example.com)")

	// A mail server inside is refused.
	_, err := i.client.CreateSubscription(t.Context(), client.Subscription{
		Name: "inside", EventTypes: []string{"package.*"}, Channel: "email", Endpoint: endpoint(map[string]any{"host": "10.1.2.3"}),
	})
	require.ErrorContains(t, err, "/endpoint/host")
	require.ErrorContains(t, err, "private network")
}
