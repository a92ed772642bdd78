package channels

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/internal/signature"
)

// webhook sends payloads to a URL, signed as Standard Webhooks lays it down.
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
type webhook struct {
	exchanger
	policy   safehttp.Policy
	instance formats.Instance
	// known are endpoints that were read lately: each delivery needs its own.
	known *lru.Cache[string, knownEndpoint]
	// identities are the transports of endpoints with a TLS identity of their own.
	identities *lru.Cache[string, *http.Transport]
}

// cachedEndpoints bounds them: at most 64 KiB each, and rarely one.
const cachedEndpoints = 1024

// knownEndpoint is a stored endpoint that was read. Nobody changes it.
type knownEndpoint struct {
	webhookEndpoint
	target *url.URL
}

func newWebhook(p safehttp.Policy, now func() time.Time, publicURL string) *webhook {
	known, _ := lru.New[string, knownEndpoint](cachedEndpoints) // it only refuses a size below one
	return &webhook{
		exchanger: newExchanger(p, now), policy: p, known: known, identities: newIdentities(),
		instance: formats.Instance{PublicURL: publicURL, Agent: userAgent()},
	}
}

// userAgent is "Carillon/" and the version that the binary was built as.
func userAgent() string {
	version := "dev"
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		version = strings.TrimPrefix(info.Main.Version, "v")
	}
	return "Carillon/" + version
}

// webhookName is what a subscription selects the channel by.
const webhookName = "webhook"

// Name is "webhook".
func (*webhook) Name() string { return webhookName }

// Host is the URL's host, with its port when it has one.
func (w *webhook) Host(e carillon.Endpoint) string {
	_, target, err := w.read(e)
	if err != nil {
		return ""
	}
	return target.Host
}

// Timeout is the endpoint's own, or the default.
func (w *webhook) Timeout(e carillon.Endpoint) time.Duration {
	endpoint, _, err := w.read(e)
	if err != nil {
		return defaultTimeout
	}
	return time.Duration(endpoint.Timeout)
}

// read is [readWebhook] for those who change nothing of it.
func (w *webhook) read(e carillon.Endpoint) (webhookEndpoint, *url.URL, error) {
	if known, ok := w.known.Get(string(e)); ok {
		return known.webhookEndpoint, known.target, nil
	}
	endpoint, target, err := readWebhook(e)
	if err == nil {
		w.known.Add(string(e), knownEndpoint{endpoint, target})
	}
	return endpoint, target, err
}

// Attempt renders, signs and sends the event once.
func (w *webhook) Attempt(ctx context.Context, m Message) carillon.Attempt {
	endpoint, target, err := w.read(m.Endpoint)
	timeout := defaultTimeout
	if err == nil {
		timeout = time.Duration(endpoint.Timeout)
	}
	return try(ctx, m, timeout, w.now, func(ctx context.Context, a *carillon.Attempt) {
		if err != nil {
			a.Outcome, a.Error = carillon.OutcomeReject, "the stored endpoint cannot be read"
			return
		}
		w.send(ctx, a, m, endpoint, target)
	})
}

// Payload renders the event, or all events of a batch.
func (w *webhook) Payload(m Message) (formats.Payload, error) {
	if m.Batch != nil {
		return w.joined(m)
	}
	format, ok := formats.Lookup(m.Format)
	if !ok {
		return formats.Payload{}, errors.New("there is no format " + strconv.Quote(m.Format))
	}
	payload, err := format.Render(formats.Request{Event: m.Event, Options: m.FormatOptions, Instance: w.instance})
	if err != nil {
		return formats.Payload{}, fmt.Errorf("the payload cannot be written: %w", err)
	}
	return payload, nil
}

func (w *webhook) send(ctx context.Context, a *carillon.Attempt, m Message, endpoint webhookEndpoint, target *url.URL) {
	reject := func(why string) { a.Outcome, a.Error = carillon.OutcomeReject, why }
	a.Request = &carillon.Request{Method: endpoint.Method, Host: target.Host}
	endpoint, target, err := endpoint.written(ctx, m.Event, target)
	if err != nil {
		if ctx.Err() != nil {
			a.Outcome, a.Error = carillon.OutcomeRetry, interrupted(ctx, time.Duration(endpoint.Timeout))
			return
		}
		reject(err.Error())
		return
	}
	payload, err := w.Payload(m)
	if err != nil {
		reject(err.Error())
		return
	}
	if m.PayloadSHA256 != "" && m.PayloadSHA256 != digest(payload.Body) {
		reject("the payload is no more what was sent before: the format was changed; redeliver it rendered anew")
		return
	}
	keys, err := endpoint.keys(a.StartedAt)
	if err != nil {
		reject("the stored signing secret cannot be read")
		return
	}
	through, err := w.through(endpoint.TLS)
	if err != nil {
		reject("the stored tls cannot be read")
		return
	}
	if endpoint.Handshake && endpoint.ValidatedAt.IsZero() {
		reject("the receiver has not consented; save the subscription anew")
		return
	}
	headers := w.headers(endpoint, m.id(), payload, keys, a.StartedAt)
	if format, ok := formats.Lookup(m.Format); ok && format.Describe().TokenHeader != "" && endpoint.Token != "" {
		headers = append(headers, header{name: format.Describe().TokenHeader, value: endpoint.Token, secret: true})
	}
	profile, _ := carillon.LookupProfile(m.Profile)
	var answer bytes.Buffer
	c := call{
		profile: profile,
		method:  endpoint.Method, url: target, header: headers, body: payload.Body,
		timeout: time.Duration(endpoint.Timeout), secrets: endpoint.secrets(),
	}
	if m.answersByID() {
		c.answer = &answer
	}
	through.exchange(ctx, a, c)
	if a.Outcome == carillon.OutcomeDelivered {
		a.NotTaken = m.notTaken(answer.Bytes())
	}
}

// headers are the signature's, the format's and the endpoint's own. A later one
// takes the place of an earlier one of the same name.
func (w *webhook) headers(endpoint webhookEndpoint, id string, payload formats.Payload, keys []signature.Key, at time.Time) []header {
	headers := []header{
		{name: signature.HeaderID, value: id},
		{name: signature.HeaderTimestamp, value: strconv.FormatInt(at.Unix(), 10)},
		{name: signature.HeaderSignature, value: signature.Sign(keys, id, at, payload.Body)},
		{name: "User-Agent", value: w.instance.Agent},
	}
	if payload.ContentType != "" {
		headers = append(headers, header{name: "Content-Type", value: payload.ContentType})
	}
	if endpoint.Handshake {
		headers = append(headers, header{name: requestOrigin, value: w.origin()})
	}
	for _, h := range payload.Headers {
		headers = append(headers, header{name: h.Name, value: h.Value})
	}
	if auth := endpoint.authorization(); auth != "" {
		headers = append(headers, header{name: "Authorization", value: auth, secret: true})
	}
	for _, name := range endpoint.headerNames() {
		headers = append(headers, header{name: name, value: endpoint.Headers[name], secret: true})
	}
	return headers
}

// Redact masks everything secret, leaves out what has expired, and adds the
// public key that a receiver verifies with when the signing key is asymmetric.
func (w *webhook) Redact(e carillon.Endpoint) json.RawMessage {
	endpoint, _, err := readWebhook(e)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	if key, err := signature.ParseKey(endpoint.Secret); err == nil {
		endpoint.PublicKey, _ = key.Public()
	}
	endpoint.URL, endpoint.Secret = maskURL(endpoint.URL), mask(endpoint.Secret)
	now := w.now()
	endpoint.PreviousSecrets = slices.DeleteFunc(endpoint.PreviousSecrets, func(p previousSecret) bool { return !p.signs(now) })
	for i, previous := range endpoint.PreviousSecrets {
		endpoint.PreviousSecrets[i].Secret = mask(previous.Secret)
	}
	for name, value := range endpoint.Headers {
		endpoint.Headers[name] = mask(value)
	}
	if endpoint.BasicAuth != nil {
		endpoint.BasicAuth.Password = mask(endpoint.BasicAuth.Password)
	}
	endpoint.TLS = endpoint.TLS.redacted()
	endpoint.BearerToken, endpoint.Token = mask(endpoint.BearerToken), mask(endpoint.Token)
	redacted, err := json.Marshal(endpoint)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return redacted
}

// authorization is the value of the Authorization header; empty for none.
func (e webhookEndpoint) authorization() string {
	switch {
	case e.BearerToken != "":
		return "Bearer " + e.BearerToken
	case e.BasicAuth != nil:
		return "Basic " + e.BasicAuth.encoded()
	default:
		return ""
	}
}

func (b basicAuth) encoded() string {
	return base64.StdEncoding.EncodeToString([]byte(b.Username + ":" + b.Password))
}

// secrets lists every text that must not be recorded, should a receiver echo
// it.
func (e webhookEndpoint) secrets() []string {
	var secrets []string
	for _, secret := range e.allSecrets() {
		_, encoded, _ := strings.Cut(secret, "_")
		secrets = append(secrets, secret, encoded)
	}
	secrets = append(secrets, e.BearerToken, e.Token)
	if e.BasicAuth != nil {
		secrets = append(secrets, e.BasicAuth.Password, e.BasicAuth.encoded())
	}
	for _, value := range e.Headers {
		secrets = append(secrets, value)
		// "Token s3cr3t" may come back without its first word.
		for word := range strings.FieldsSeq(value) {
			if len(word) >= minQuerySecret {
				secrets = append(secrets, word)
			}
		}
	}
	return secrets
}
