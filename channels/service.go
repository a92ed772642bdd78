package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

const jsonType = "application/json; charset=utf-8"

// noLongerSent is why a delivery that may only be what it was before is not
// sent.
const noLongerSent = "the message is no more what was sent before: its words or its endpoint changed; redeliver it written anew"

// service is a channel whose attempts are calls to the HTTP service that its
// endpoints name.
type service[E serviceEndpoint] struct {
	described[E]
	exchanger
	// write writes what is sent; its errors are for people.
	write func(m Message, e E) (formats.Payload, error)
	// send sends it, and says of the attempt what came of it.
	send func(ctx context.Context, a *carillon.Attempt, m Message, e E, p formats.Payload)
}

// serviceEndpoint is an endpoint of a [service].
type serviceEndpoint interface {
	// address is a URL of the service; its path and query can be secret.
	address() string
	limit() carillon.Duration
}

// Host implements [Sender].
func (s service[E]) Host(e carillon.Endpoint) string {
	if endpoint, ok := s.read(e); ok {
		return hostOf(endpoint)
	}
	return ""
}

func hostOf(e serviceEndpoint) string {
	target, err := url.Parse(e.address())
	if err != nil {
		return ""
	}
	return strings.ToLower(target.Host)
}

// Timeout implements [Sender].
func (s service[E]) Timeout(e carillon.Endpoint) time.Duration {
	endpoint, _ := s.read(e)
	if limit := endpoint.limit(); limit > 0 {
		return time.Duration(limit)
	}
	return defaultTimeout
}

// Payload implements [Renderer].
func (s service[E]) Payload(m Message) (formats.Payload, error) {
	endpoint, ok := s.read(m.Endpoint)
	if !ok {
		return formats.Payload{}, errUnreadable
	}
	return s.write(m, endpoint)
}

var errUnreadable = errors.New("the stored endpoint cannot be read")

// Attempt implements [Sender].
func (s service[E]) Attempt(ctx context.Context, m Message) carillon.Attempt {
	return try(ctx, m, s.Timeout(m.Endpoint), s.now, func(ctx context.Context, a *carillon.Attempt) {
		reject := func(why string) { a.Outcome, a.Error = carillon.OutcomeReject, why }
		endpoint, ok := s.read(m.Endpoint)
		if !ok {
			reject(errUnreadable.Error())
			return
		}
		a.Request = &carillon.Request{Method: http.MethodPost, Host: hostOf(endpoint)}
		payload, err := s.write(m, endpoint)
		switch {
		case err != nil:
			reject(err.Error())
		case m.PayloadSHA256 != "" && m.PayloadSHA256 != digest(payload.Body):
			reject(noLongerSent)
		default:
			s.send(ctx, a, m, endpoint, payload)
		}
	})
}

// posting is one POST to a service.
type posting struct {
	url     string
	payload formats.Payload
	// authorization is the header's value; empty for none.
	authorization string
	secrets       []string
}

// post makes a call and says of the attempt what came of it.
func (x exchanger) post(ctx context.Context, a *carillon.Attempt, m Message, e serviceEndpoint, p posting) {
	target, err := url.Parse(p.url)
	if err != nil || target.Host == "" {
		a.Outcome, a.Error = carillon.OutcomeReject, errUnreadable.Error()
		return
	}
	target.Host = strings.ToLower(target.Host)
	profile, _ := carillon.LookupProfile(m.Profile)
	headers := []header{
		{name: "Content-Type", value: p.payload.ContentType}, {name: "Accept", value: "application/json"},
		{name: "User-Agent", value: userAgent()},
	}
	if p.authorization != "" {
		headers = append(headers, header{name: "Authorization", value: p.authorization, secret: true})
	}
	x.exchange(ctx, a, call{
		profile: profile, method: http.MethodPost, url: target, header: headers, body: p.payload.Body,
		timeout: time.Duration(e.limit()), secrets: append(p.secrets, p.url),
	})
}

// saying adds to the attempt's error what the service itself says is wrong, of
// an answer without the secrets that it may have echoed.
func saying(a *carillon.Attempt, what string) {
	if what = oneLine(what); what != "" && a.Outcome != carillon.OutcomeDelivered {
		a.Error += ": " + carillon.Clip(what, carillon.MaxErrorBytes/2)
	}
}

// answered reads the attempt's answer as JSON; what is none is zero.
func answered[T any](a *carillon.Attempt) (answer T) {
	if a.Response != nil {
		_ = json.Unmarshal([]byte(a.Response.Body), &answer)
	}
	return answer
}

// written is a payload of JSON, in which HTML's characters stay as they are.
func written(value any) formats.Payload {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // of texts, numbers and lists of them
	}
	return formats.Payload{ContentType: jsonType, Body: bytes.TrimSuffix(body.Bytes(), []byte("\n"))}
}

// at is a URL below a base.
func at(base string, path ...string) string {
	var full strings.Builder
	full.WriteString(strings.TrimRight(base, "/"))
	for _, part := range path {
		full.WriteString("/" + url.PathEscape(part))
	}
	return full.String()
}

// baseURLField is where a service is; without a default it is required.
func baseURLField(byDefault, example string) Field {
	f := Field{
		Name: "base_url", Type: URL, Moves: true, Max: maxURLBytes, Example: example,
		Text: "Where the service is; another place for a gateway or a compatible server.",
	}
	if byDefault == "" {
		f.Required = true
		return f
	}
	f.Default, _ = json.Marshal(byDefault) // a string
	return f
}

// checkBase notes what is wrong with a URL that paths are put behind.
func checkBase(f form, name, text string, p safehttp.Policy) {
	if strings.ContainsRune(text, '?') {
		f.wrong(name, "must not have a query")
	}
	checkAddress(f, name, text, p)
}

// checkAddress notes that a URL names an address that may not be dialled. A
// host's name is looked up, and checked, at each attempt.
func checkAddress(f form, name, text string, p safehttp.Policy) {
	target, err := url.Parse(text)
	if err != nil {
		return
	}
	if addr, err := netip.ParseAddr(target.Hostname()); err == nil {
		if err := p.Check(addr); err != nil {
			f.wrong(name, "%s", err)
		}
	}
}
