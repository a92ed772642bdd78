package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

// bomb is 64 MiB of zeros, packed.
var bomb = func() []byte {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write(make([]byte, 64<<20))
	_ = w.Close()
	return packed.Bytes()
}()

// hostile are receivers that mean harm, by their paths. Each ends with its
// client.
func hostile(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	flushed := func(w http.ResponseWriter, text string) bool {
		_, err := io.WriteString(w, text)
		return err == nil && http.NewResponseController(w).Flush() == nil
	}
	// raw answers with what write writes, once a second if slowly.
	raw := func(pause time.Duration, first string, then string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			for text := first; ; text = then {
				if _, err := io.WriteString(conn, text); err != nil {
					return
				}
				<-time.After(pause)
			}
		}
	}
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for r.Context().Err() == nil {
			if _, err := w.Write(bomb); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		text := strings.Repeat("x", 64<<10)
		for r.Context().Err() == nil {
			if !flushed(w, text) {
				return
			}
		}
	})
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil && flushed(w, "x") {
			<-time.After(time.Second)
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Bomb", strings.Repeat("x", 64<<10)) })
	mux.HandleFunc("/header-drip", raw(time.Second, "HTTP/1.1 200 OK\r\nX-Drip: ", "x"))
	mux.HandleFunc("/header-flood", raw(0, "HTTP/1.1 200 OK\r\n", "X-Flood: "+strings.Repeat("x", 4<<10)+"\r\n"))
	mux.HandleFunc("/continues", raw(0, "", "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"))
	mux.HandleFunc("/trailers", raw(0, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\nx\r\n0\r\n", "X: "+strings.Repeat("x", 4<<10)+"\r\n"))
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody notices that the client has gone
		mux.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = discard
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// memory is what the process holds now, by its own metrics.
func (i *instance) memory() int {
	i.t.Helper()
	_, metrics := i.get("/metrics")
	found := regexp.MustCompile(`(?m)^go_memstats_sys_bytes (\S+)$`).FindStringSubmatch(metrics)
	require.Len(i.t, found, 2)
	size, err := strconv.ParseFloat(found[1], 64)
	require.NoError(i.t, err)
	return int(size)
}

func TestAReceiverThatMeansHarmHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	i := start(t)
	base := hostile(t)
	const events = 6
	// What becomes of a delivery, and how its error begins; "" is none.
	want := map[string]struct {
		state carillon.DeliveryState
		err   string
	}{
		// The status has said it all: bodies are cut, and their deliveries made.
		"/bomb":     {carillon.Succeeded, ""},
		"/endless":  {carillon.Succeeded, ""},
		"/drip":     {carillon.Succeeded, ""},
		"/trailers": {carillon.Succeeded, ""},

		"/headers":      {carillon.Failed, "no valid HTTP answer"},
		"/header-flood": {carillon.Failed, "no valid HTTP answer"},
		"/continues":    {carillon.Failed, "no valid HTTP answer"},
		"/header-drip":  {carillon.Failed, "timed out after 3s"},
		"/silent":       {carillon.Failed, "timed out after 3s"},
	}
	subscribed := map[string]string{}
	for path := range want {
		sub := hook(base + path)
		sub.Endpoint = client.Webhook{URL: base + path, Timeout: carillon.Duration(3 * time.Second)}
		saved, err := i.client.CreateSubscription(t.Context(), sub)
		require.NoError(t, err)
		subscribed[path] = saved.ID
	}
	i.subscribe("/healthy")
	before := i.memory()
	var accepted []string
	for n := range events {
		accepted = append(accepted, i.publish(added(strconv.Itoa(n))).ID)
	}
	// None of the events waits for those that never answer.
	i.requests("/healthy", events)
	waiting := 0
	for _, id := range accepted {
		delivery, err := i.client.Delivery(t.Context(), id, subscribed["/silent"])
		if err != nil || delivery.State == carillon.Pending {
			waiting++
		}
	}
	require.Positive(t, waiting, "the healthy one had its events before the silent one had timed out")

	for path, expected := range want {
		for _, id := range accepted {
			delivery := i.awaitDelivery(id, subscribed[path], expected.state)
			require.Equal(t, 1, delivery.AttemptCount, path)
			require.Equal(t, expected.err, delivery.Error, path)
			// A row can be there before the history that has the attempt.
			i.eventually("the attempt is in the history", func() bool {
				delivery = i.awaitDelivery(id, subscribed[path], expected.state)
				return len(delivery.Attempts) == 1
			})
			if response := delivery.Attempts[0].Response; response != nil {
				require.LessOrEqual(t, len(response.Body), carillon.MaxExcerptBytes, path)
			}
		}
	}
	// Read to their ends, the answers would have been many gigabytes.
	require.Less(t, i.memory()-before, 128<<20)
}
