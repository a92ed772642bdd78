package receiver_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/internal/receiver"
)

func setup(t *testing.T) (r *receiver.Receiver, base string) {
	t.Helper()
	r = receiver.New()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

func post(t *testing.T, ctx context.Context, target, body string) (status int, answer string, err error) { //nolint:revive // t first, as everywhere
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Team", "core")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text), nil
}

func TestRepliesAreUsedInOrderAndTheLastForEver(t *testing.T) {
	t.Parallel()
	r, base := setup(t)
	r.Script("/a", receiver.Reply{Status: 503, Header: http.Header{"retry-after": {"7"}}}, receiver.Reply{Body: "taken"})
	for _, want := range []struct {
		status int
		body   string
	}{{503, ""}, {200, "taken"}, {200, "taken"}} {
		status, body, err := post(t, t.Context(), base+"/a", "")
		require.NoError(t, err)
		require.Equal(t, want.status, status)
		require.Equal(t, want.body, body)
	}
	status, _, err := post(t, t.Context(), base+"/unscripted", "")
	require.NoError(t, err)
	require.Equal(t, 200, status)
}

func TestRequestsAreKeptByPath(t *testing.T) {
	t.Parallel()
	r, base := setup(t)
	seen := make(chan receiver.Request, 1)
	r.OnRequest(func(req receiver.Request) { seen <- req })
	_, _, err := post(t, t.Context(), base+"/a?b=c", "payload")
	require.NoError(t, err)

	got := r.Requests("/a")
	require.Len(t, got, 1)
	require.Equal(t, "POST", got[0].Method)
	require.Equal(t, "/a", got[0].Path)
	require.Equal(t, "b=c", got[0].Query)
	require.Equal(t, "core", got[0].Header.Get("X-Team"))
	require.Equal(t, "payload", string(got[0].Body))
	require.WithinDuration(t, time.Now(), got[0].At, time.Minute)
	require.Equal(t, got[0], <-seen)
	require.Empty(t, r.Requests("/b"))
}

func TestWaitReturnsWhenEnoughCame(t *testing.T) {
	t.Parallel()
	r, base := setup(t)
	done := make(chan error, 1)
	go func() {
		_, err := r.Wait(t.Context(), "/a", 2)
		done <- err
	}()
	for range 2 {
		_, _, err := post(t, t.Context(), base+"/a", "")
		require.NoError(t, err)
	}
	require.NoError(t, <-done)
}

func TestWaitSaysHowManyCame(t *testing.T) {
	t.Parallel()
	r, base := setup(t)
	_, _, err := post(t, t.Context(), base+"/a", "")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	got, err := r.Wait(ctx, "/a", 2)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "wait for 2 requests to /a, got 1")
	require.Len(t, got, 1)
}

func TestAHangingReplyWaitsForItsChannelOrTheClient(t *testing.T) {
	t.Parallel()
	r, base := setup(t)
	release := make(chan struct{})
	r.Script("/a", receiver.Reply{Hang: release, Body: "late", Delay: time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := post(t, ctx, base+"/a", "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Len(t, r.Requests("/a"), 1)

	close(release)
	_, body, err := post(t, t.Context(), base+"/a", "")
	require.NoError(t, err)
	require.Equal(t, "late", body)
}
