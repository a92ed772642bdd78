package channels

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

// email sends mails over a mail server of the subscription's own, or of the
// installation's.
type email struct {
	described[emailEndpoint]
	policy safehttp.Policy
	now    func() time.Time
	// name is what it greets servers with.
	name string
	// payloads writes those of raw mails.
	payloads *webhook
}

func newEmail(c Config) *email {
	e := &email{policy: c.Policy, now: c.Now, name: greetingName(c.PublicURL), payloads: newWebhook(c.Policy, c.Now, c.PublicURL)}
	e.described = described[emailEndpoint]{about: emailChannel, check: checkEmail(c.Policy), settings: c.Settings}
	return e
}

// greetingName is the name of this host, which many servers want to be one
// with a dot: that of the public URL, or the machine's.
func greetingName(publicURL string) string {
	if u, err := url.Parse(publicURL); err == nil && strings.Contains(u.Hostname(), ".") && validHost(&url.URL{Host: u.Hostname()}) {
		return u.Hostname()
	}
	if name, err := os.Hostname(); err == nil && validHost(&url.URL{Host: name}) {
		return name
	}
	return "localhost"
}

// peek reads of a stored endpoint what needs no settings.
func (e *email) peek(kept carillon.Endpoint) (emailEndpoint, bool) {
	var endpoint emailEndpoint
	if json.Unmarshal(kept, &endpoint) != nil || len(endpoint.To) == 0 {
		return emailEndpoint{}, false
	}
	return endpoint, true
}

// Host is the mail server; empty when it is the installation's.
func (e *email) Host(kept carillon.Endpoint) string {
	endpoint, _ := e.peek(kept)
	return endpoint.address()
}

// Timeout is the endpoint's own, or the longest.
func (e *email) Timeout(kept carillon.Endpoint) time.Duration {
	if endpoint, ok := e.peek(kept); ok && endpoint.Timeout > 0 {
		return time.Duration(endpoint.Timeout)
	}
	return maxTimeout
}

// checkSetting implements [settingChecker].
func (e *email) checkSetting(f form, values map[string]any) {
	var endpoint emailEndpoint
	kept, err := json.Marshal(values)
	if err == nil && json.Unmarshal(kept, &endpoint) == nil {
		checkServer(f, e.policy, endpoint)
	}
}

// CheckTemplates implements [Templated]: those of the message, and the page.
func (e *email) CheckTemplates(kept carillon.Endpoint, eventTypes []string) error {
	endpoint, ok := e.peek(kept)
	if !ok {
		return nil // who reads it says so
	}
	all := &carillon.Error{Code: carillon.CodeInvalid, Message: "the endpoint is not valid"}
	for _, err := range []error{e.described.CheckTemplates(kept, eventTypes), checkPage(endpoint.HTML, eventTypes)} {
		found, ok := errors.AsType[*carillon.Error](err)
		if err != nil && (!ok || found.Code != carillon.CodeInvalid) {
			return err
		}
		if ok {
			all.Problems = append(all.Problems, found.Problems...)
		}
	}
	if len(all.Problems) == 0 {
		return nil
	}
	return all
}

// Payload implements [Renderer]: the page, or the text of a mail that has none.
func (e *email) Payload(m Message) (formats.Payload, error) {
	endpoint, ok := e.peek(m.Endpoint)
	if !ok {
		return formats.Payload{}, errors.New("the stored endpoint cannot be read")
	}
	content, err := e.content(context.Background(), m, endpoint)
	if err != nil {
		return formats.Payload{}, err
	}
	return content.shown(), nil
}

// Fit implements [Batcher]: raw mails hold all payloads, others sum them up.
func (e *email) Fit(m Message) (n int, unwritable map[int]string) {
	if endpoint, ok := e.peek(m.Endpoint); ok && endpoint.Content == contentRaw {
		return e.payloads.Fit(m)
	}
	return e.described.Fit(m)
}

// Attempt writes the mail and hands it over for everybody who has not got it
// yet.
func (e *email) Attempt(ctx context.Context, m Message) carillon.Attempt {
	return try(ctx, m, e.Timeout(m.Endpoint), e.now, func(ctx context.Context, a *carillon.Attempt) { e.send(ctx, a, m) })
}

func (e *email) send(ctx context.Context, a *carillon.Attempt, m Message) {
	fail := func(outcome carillon.Outcome, why string) { a.Outcome, a.Error = outcome, why }
	timeout := e.Timeout(m.Endpoint)
	if _, ok := e.peek(m.Endpoint); !ok {
		fail(carillon.OutcomeReject, "the stored endpoint cannot be read")
		return
	}
	merged, err := e.completed(ctx, m.Endpoint)
	if err != nil {
		fail(carillon.OutcomeRetry, "what is set for the installation cannot be read")
		return
	}
	endpoint, ok := e.read(merged)
	if !ok {
		fail(carillon.OutcomeRetry, "no mail server is set: neither the subscription nor the installation has both host and from")
		return
	}
	a.Request = &carillon.Request{Method: "SMTP", Host: endpoint.address()}
	env, err := endpoint.envelope()
	if err != nil {
		fail(carillon.OutcomeReject, "an address of the stored endpoint "+err.Error())
		return
	}
	content, err := e.content(ctx, m, endpoint)
	if err != nil {
		if why := interrupted(ctx, timeout); why != "" {
			fail(carillon.OutcomeRetry, why)
			return
		}
		fail(carillon.OutcomeReject, err.Error())
		return
	}
	shown := content.shown().Body
	a.Request.PayloadSHA256, a.Request.PayloadBytes = digest(shown), len(shown)
	if m.PayloadSHA256 != "" && m.PayloadSHA256 != a.Request.PayloadSHA256 {
		fail(carillon.OutcomeReject, "the payload is no more what was sent before: the message was changed; redeliver it rendered anew")
		return
	}
	written, err := compose(m, env, content, a.StartedAt)
	if err != nil {
		fail(carillon.OutcomeReject, "the mail cannot be written")
		return
	}
	post := newPost(m.Progress, env.recipients, newScrub(endpoint.secrets()...))
	if len(post.open) > 0 {
		e.handOver(ctx, endpoint, env, written, post)
	}
	post.report(ctx, a, timeout)
}
