package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/carillon-dev/carillon/config"
)

// healthTimeout is above what /readyz takes for its own checks.
const healthTimeout = 4 * time.Second

// runHealth asks the process on this machine whether it is ready: an image
// without a shell has nothing else to ask with.
func runHealth(ctx context.Context, cfg config.Config, out io.Writer) error {
	host, port, err := net.SplitHostPort(cfg.HTTPAddr)
	if err != nil {
		return usagef("CARILLON_HTTP_ADDR: %w", err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	url := "http://" + net.JoinHostPort(host, port) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return usagef("CARILLON_HTTP_ADDR: %w", err)
	}
	local := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	resp, err := local.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, shownBytes))
	if err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	text := printable(strings.TrimSpace(string(body)))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", text)
	}
	_, err = fmt.Fprintln(out, text)
	return err
}
