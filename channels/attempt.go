package channels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carillon-dev/carillon"
)

// maxAttemptBytes keeps an attempt's JSON within 8 KiB, with the ids that the
// caller adds.
const maxAttemptBytes = 8<<10 - 256

// errTimeout is why an attempt's context ends when its own time is over, unlike
// a worker that stops.
var errTimeout = errors.New("attempt timed out")

// try makes one attempt with send, within the timeout: what all channels'
// attempts have in common. Times are read from now.
func try(
	ctx context.Context, m Message, timeout time.Duration, now func() time.Time,
	send func(ctx context.Context, a *carillon.Attempt),
) (a carillon.Attempt) {
	began := now()
	a = carillon.Attempt{EventID: m.Event.ID, Number: m.Number, StartedAt: began.UTC().Truncate(time.Millisecond)}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	defer func() {
		if fault := recover(); fault != nil {
			// The value itself can hold anything, secrets included.
			a.Outcome, a.Error = carillon.OutcomeRetry, fmt.Sprintf("a fault of Carillon: %T in %s", fault, panicPlace())
		}
		a.DurationMS = now().Sub(began).Milliseconds()
		fit(&a)
	}()
	send(ctx, &a)
	return a
}

// panicPlace returns the file and line that panicked, for a bug report. It is
// called by the deferred function that recovers.
func panicPlace() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	panicked := false
	for {
		frame, more := frames.Next()
		inRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if panicked && !inRuntime {
			return fmt.Sprintf("%s:%d", filepath.Base(frame.File), frame.Line)
		}
		panicked = panicked || frame.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}

// interrupted says for people why an attempt's context ended; empty when it did
// not.
func interrupted(ctx context.Context, timeout time.Duration) string {
	switch {
	case ctx.Err() == nil:
		return ""
	case errors.Is(context.Cause(ctx), errTimeout):
		return "timed out after " + carillon.Duration(timeout).String()
	default:
		return "interrupted before an answer came"
	}
}

// fit shortens the attempt's texts to their limits, and the response's body
// further where JSON's escapes would make the whole too long.
func fit(a *carillon.Attempt) {
	a.Error = carillon.Clip(a.Error, carillon.MaxErrorBytes)
	if a.Response == nil {
		return
	}
	if cut := clip(a.Response.Body, carillon.MaxExcerptBytes); len(cut) < len(a.Response.Body) {
		a.Response.Body, a.Response.Truncated = cut, true
	}
	if roughSize(a) <= maxAttemptBytes {
		return
	}
	excess := jsonSize(a) - maxAttemptBytes
	if excess <= 0 {
		return
	}
	body := a.Response.Body
	room := jsonSize(body) - excess - len(`,"truncated":true`)
	tooLong := sort.Search(len(body), func(n int) bool { return jsonSize(clip(body, n)) > room })
	a.Response.Body, a.Response.Truncated = clip(body, tooLong-1), true
}

// roughSize is at least how long the attempt is as JSON, worked out without
// writing it: nearly all are small.
func roughSize(a *carillon.Attempt) int {
	const (
		fixed   = 1 << 10 // names, numbers, times and ids
		escaped = 6       // bytes of the longest escape of one
	)
	texts := len(a.Error) + len(a.Progress) + len(a.Response.Body) + headerSize(a.Response.Headers)
	if a.Request != nil {
		texts += len(a.Request.Host) + headerSize(a.Request.Headers)
	}
	return fixed + escaped*texts
}

func headerSize(headers map[string]string) int {
	size := 0
	for name, value := range headers {
		size += len(name) + len(value) + len(`"":"",`)
	}
	return size
}

// clip returns at most n bytes of text, cut between characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// jsonSize is how long v is as JSON, escapes included.
func jsonSize(v any) int {
	encoded, err := json.Marshal(v)
	if err != nil {
		// Strings, numbers and times of this century can always be written.
		panic(err)
	}
	return len(encoded)
}
