package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/carillon-dev/carillon"
)

// relay measures the bare limit: a server that keeps nothing, posts what it
// got to the receiver, and answers 202. It returns events a second.
func (s *stack) relay(ctx context.Context, connections, n int) (float64, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("start the relay: %w", err)
	}
	out := &http.Client{Timeout: postTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer out.CloseIdleConnections()
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(pass(req, out, s.receiver.url("/relay")))
	})}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // a listener on loopback does not fail
		}
	}()
	defer func() { _ = server.Close() }()
	l := newLoad("http://"+listener.Addr().String(), s.adminKey, connections)
	defer l.close()
	begin := time.Now()
	if _, err := l.closed(ctx, events("relay", feed, n)); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}

// pass posts a request on and returns the status to answer.
func pass(req *http.Request, out *http.Client, url string) int {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return http.StatusBadRequest
	}
	var e struct{ ID, Source string }
	if err := json.Unmarshal(body, &e); err != nil {
		return http.StatusBadRequest
	}
	on, err := http.NewRequestWithContext(req.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return http.StatusInternalServerError
	}
	on.Header.Set("webhook-id", carillon.EventID(e.Source, e.ID))
	resp, err := out.Do(on)
	if err != nil {
		return http.StatusBadGateway
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return http.StatusAccepted
}
