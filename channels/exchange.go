package channels

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

const (
	// maxDrained is how much of an answer is read beyond its excerpt, so that
	// its connection can be used again.
	maxDrained = 64 << 10
	// maxBodyTime is how long an answer's body may take: the status has said
	// it all, so a body without end must not hold up the attempt.
	maxBodyTime = 2 * time.Second
	// proxyRetry is how soon an attempt that the egress proxy failed is due again;
	// the workflow makes it longer each time.
	proxyRetry = 5 * time.Second
	// minQuerySecret is the length from which a value in a URL's query is taken
	// for a secret: shorter ones are words such as "json".
	minQuerySecret = 8
)

// exchanger makes the HTTP requests of attempts.
type exchanger struct {
	transport http.RoundTripper
	now       func() time.Time
}

func newExchanger(p safehttp.Policy, now func() time.Time) exchanger {
	return exchanger{transport: safehttp.NewClient(p).Transport, now: now}
}

// call is one HTTP request.
type call struct {
	method string
	url    *url.URL
	header []header // in the order of their importance for people
	body   []byte
	// profile says what the answer means.
	profile carillon.Profile
	// timeout is the one of ctx, for the error's text.
	timeout time.Duration
	// secrets are masked wherever the answer repeats them, and so are the URL's
	// path and query.
	secrets []string
	// answer, unless nil, takes the beginning of the answer's body as it came, at
	// most what is read of it.
	answer *bytes.Buffer
}

// digest is how payloads are told apart.
func digest(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

// exchange makes the call once and fills in the attempt: what was sent, what
// came back, and how it is classified.
func (x exchanger) exchange(ctx context.Context, a *carillon.Attempt, c call) {
	a.Request = &carillon.Request{
		Method: c.method, Host: c.url.Host, Headers: record(c.header),
		PayloadSHA256: digest(c.body), PayloadBytes: len(c.body),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, c.method, c.url.String(), bytes.NewReader(c.body))
	if err != nil {
		a.Outcome, a.Error = carillon.OutcomeReject, "the request cannot be made from the endpoint"
		return
	}
	for _, h := range c.header {
		req.Header.Set(h.name, h.value)
	}
	// The receiver knows a repeated event by its id, so a request that met a
	// connection just closed may go out again on a new one. An empty list says
	// so to net/http, and sends nothing.
	req.Header["Idempotency-Key"] = nil

	// Not http.Client: it fails on a Location that is no URL, and loses the answer.
	resp, err := x.transport.RoundTrip(req)
	if err != nil {
		x.failed(ctx, a, c, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	stop := time.AfterFunc(maxBodyTime, cancel)
	defer stop.Stop()
	if c.answer != nil {
		resp.Body = copying(resp.Body, c.answer)
	}
	a.Response = answer(resp, newScrub(append(urlSecrets(c.url), c.secrets...)...))
	a.Outcome, a.Error = classify(c.profile, resp.StatusCode)
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		a.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), x.now())
	}
}

// failed classifies a call without an answer.
func (x exchanger) failed(ctx context.Context, a *carillon.Attempt, c call, err error) {
	a.Error = interrupted(ctx, c.timeout)
	switch {
	case errors.Is(err, safehttp.ErrAddress):
		a.Outcome = carillon.OutcomeReject
	case errors.Is(err, safehttp.ErrProxy):
		// It costs no attempt: it says nothing of the receiver.
		a.Outcome, a.RetryAfter = carillon.OutcomeThrottled, carillon.Duration(proxyRetry)
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errTimeout):
		a.Outcome = carillon.OutcomeRetry // a worker that stops says nothing of the receiver
	case ctx.Err() != nil || timedOut(err):
		a.Outcome = c.profile.Silence(carillon.AnswerTimeout)
	default:
		a.Outcome = c.profile.Silence(carillon.AnswerNetwork)
	}
	if a.Error == "" {
		a.Error = safehttp.Explain(err)
	}
}

// timedOut reports whether a connection's own time limit ended it.
func timedOut(err error) bool {
	slow, ok := errors.AsType[net.Error](err)
	return ok && slow.Timeout()
}

// classify says what an HTTP status means for a delivery, and for people.
func classify(profile carillon.Profile, status int) (outcome carillon.Outcome, trouble string) {
	if outcome = profile.Status(status); outcome == carillon.OutcomeDelivered {
		return outcome, ""
	}
	trouble = strings.TrimSpace(fmt.Sprintf("HTTP %d %s", status, http.StatusText(status)))
	if status >= 300 && status < 400 {
		trouble += ": redirects are not followed"
	}
	return outcome, trouble
}

// retryAfter reads a Retry-After: seconds or a date. What is neither, or lies
// in the past, is zero; the longest is [carillon.MaxDelay].
// https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
func retryAfter(value string, now time.Time) carillon.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		wait = time.Duration(min(seconds, uint64(carillon.MaxDelay/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		// A date has whole seconds; a part of one is rounded up, never to come early.
		wait = (at.Sub(now) + time.Second - 1).Truncate(time.Second)
	}
	return carillon.Duration(min(max(wait, 0), carillon.MaxDelay))
}

// answer records a response without the secrets it may echo, and reads a little
// further so that the connection can be used again.
func answer(resp *http.Response, s scrub) *carillon.Response {
	record := &carillon.Response{Status: resp.StatusCode, Headers: recordAnswer(resp.Header, s)}
	// The body of a 101 is the raw connection, which no deadline ends.
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return record
	}
	excerpt, err := io.ReadAll(io.LimitReader(resp.Body, carillon.MaxExcerptBytes+1))
	record.Truncated = err != nil || len(excerpt) > carillon.MaxExcerptBytes
	if record.Truncated {
		record.Body = s.cut(string(excerpt))
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
	} else {
		record.Body = s.text(string(excerpt))
	}
	record.Body = strings.ToValidUTF8(record.Body, "\uFFFD")
	return record
}

// urlSecrets lists the parts of a URL that may be secret.
func urlSecrets(u *url.URL) []string {
	parts := []string{u.RequestURI(), u.EscapedPath(), u.Path, u.RawQuery}
	for name, values := range u.Query() {
		// What has no value is one itself, and an opaque name is masked as well.
		if len(name) >= minQuerySecret && (slices.Contains(values, "") || opaque(name)) {
			parts = append(parts, name)
		}
		for _, v := range values {
			if len(v) >= minQuerySecret {
				parts = append(parts, v)
			}
		}
	}
	return append(parts, opaqueSegments(u)...)
}
