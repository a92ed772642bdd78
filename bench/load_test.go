package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// producerServer answers posts with the statuses in turn, the last for ever.
func producerServer(t *testing.T, statuses ...int) (url string, bodies func() [][]byte) {
	t.Helper()
	var mu sync.Mutex
	var got [][]byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(statuses[min(len(got), len(statuses)-1)])
		got = append(got, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, func() [][]byte {
		mu.Lock()
		defer mu.Unlock()
		return got
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()

	t.Run("every event is posted once, and timed", func(t *testing.T) {
		t.Parallel()
		url, bodies := producerServer(t, http.StatusAccepted)
		posts, err := newLoad(url, "key", 4).closed(t.Context(), events("closed", feed, 20))
		require.NoError(t, err)
		require.Len(t, bodies(), 20)
		for _, p := range posts {
			require.False(t, p.acked.Before(p.sent))
		}
	})
	t.Run("503 is posted again under the same id", func(t *testing.T) {
		t.Parallel()
		url, bodies := producerServer(t, http.StatusServiceUnavailable, http.StatusAccepted)
		l := newLoad(url, "key", 1)
		_, err := l.closed(t.Context(), events("again", feed, 1))
		require.NoError(t, err)
		require.Len(t, bodies(), 2)
		require.Equal(t, bodies()[0], bodies()[1])
		require.EqualValues(t, 1, l.unanswered.Load())
	})
	t.Run("what cannot succeed ends it", func(t *testing.T) {
		t.Parallel()
		url, _ := producerServer(t, http.StatusNotFound)
		_, err := newLoad(url, "key", 2).batches(t.Context(), events("batch", feed, 10), 5)
		var left *leftOutError
		require.ErrorAs(t, unknownRoute(err, "POST /v1/events/batch"), &left)
		require.Equal(t, "this carillon has no POST /v1/events/batch: it answers HTTP 404", left.why)
	})
	t.Run("a batch holds its events, the last one the rest", func(t *testing.T) {
		t.Parallel()
		url, bodies := producerServer(t, http.StatusAccepted)
		_, err := newLoad(url, "key", 1).batches(t.Context(), events("batch", feed, 7), 5)
		require.NoError(t, err)
		var sizes []int
		for _, body := range bodies() {
			var batch struct{ Events []json.RawMessage }
			require.NoError(t, json.Unmarshal(body, &batch))
			sizes = append(sizes, len(batch.Events))
		}
		require.Equal(t, []int{5, 2}, sizes)
	})
	t.Run("at a fixed rate each has its turn", func(t *testing.T) {
		t.Parallel()
		url, _ := producerServer(t, http.StatusAccepted)
		posts, err := newLoad(url, "key", 4).open(t.Context(), events("open", feed, 10), 1000)
		require.NoError(t, err)
		for i := range posts[1:] {
			require.Equal(t, time.Millisecond, posts[i+1].sent.Sub(posts[i].sent))
		}
	})
}

func TestReceiver(t *testing.T) {
	t.Parallel()

	r, err := openReceiver(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { r.shut() })
	post := func(path, id string) error {
		req, err := http.NewRequest(http.MethodPost, r.url(path), bytes.NewReader(nil))
		require.NoError(t, err)
		req.Header.Set("webhook-id", id)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	require.NoError(t, post("/a", "one"))
	require.NoError(t, post("/a", "one"))
	require.NoError(t, post("/b", "two"))
	a := r.at("/a")
	require.NoError(t, await(t.Context(), 1, a, r.at("/b")))
	require.Equal(t, 2, a.snapshot()["one"].Count)
	require.EqualValues(t, 1, a.distinct.Load())
	require.EqualValues(t, 1, a.most.Load())
	total := 0
	for _, n := range a.perSecond(time.Now().Add(-time.Hour)) {
		total += n
	}
	require.Equal(t, 2, total)

	r.shut()
	require.Error(t, post("/a", "three"), "while shut, connections are refused")
	require.NoError(t, r.open(t.Context()))
	require.NoError(t, post("/a", "three"), "on the same port")
}

func TestPass(t *testing.T) {
	t.Parallel()

	var got atomic.Pointer[string]
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("webhook-id")
		got.Store(&id)
	}))
	t.Cleanup(to.Close)
	e := events("relay", feed, 1)[0]
	req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(e.body()))
	require.Equal(t, http.StatusAccepted, pass(req, to.Client(), to.URL))
	require.Equal(t, carillon.EventID(source, e.key), *got.Load())
}
