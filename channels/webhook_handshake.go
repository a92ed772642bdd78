package channels

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

// Headers of the handshake; names are compared without case.
// https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#4-abuse-protection
const (
	requestOrigin = "Webhook-Request-Origin"
	allowedOrigin = "Webhook-Allowed-Origin"
	allowedRate   = "Webhook-Allowed-Rate"
)

// Consenter is a sender whose receivers can be asked whether they take what is
// sent to them.
type Consenter interface {
	// Consent asks the receiver where the endpoint wants that and it has not been
	// asked yet, and returns the endpoint with its answer noted. The error is a
	// CodeInvalid with a pointer below "/endpoint" when it does not consent.
	Consent(ctx context.Context, e carillon.Endpoint) (carillon.Endpoint, error)
}

// consent is what a receiver answered; answered only.
type consent struct {
	ValidatedAt time.Time `json:"validated_at,omitzero"`
	// AllowedRate is in requests a minute; 0 is any. It is kept for people: a
	// receiver that gets more than it takes answers 429, which is heeded.
	AllowedRate int `json:"allowed_rate,omitempty"`
}

// prepareHandshake keeps a receiver's consent while the URL stays as it is.
func prepareHandshake(f form, endpoint *webhookEndpoint, before webhookEndpoint) {
	endpoint.Handshake = field[bool](f, "handshake", "true or false")
	if !endpoint.Handshake {
		return
	}
	if hasTemplate(endpoint.URL) {
		f.wrong("handshake", "cannot be had with a url that events make: the receiver consents for one url")
	}
	if before.Handshake && before.URL == endpoint.URL {
		endpoint.consent = before.consent
	}
}

// origin names this Carillon to receivers.
func (w *webhook) origin() string {
	u, err := url.Parse(w.instance.PublicURL)
	if err != nil || u.Hostname() == "" {
		return "carillon"
	}
	return strings.ToLower(u.Hostname())
}

// Consent implements [Consenter].
func (w *webhook) Consent(ctx context.Context, e carillon.Endpoint) (carillon.Endpoint, error) {
	endpoint, target, err := readWebhook(e)
	if err != nil || !endpoint.Handshake || !endpoint.ValidatedAt.IsZero() {
		return e, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(endpoint.Timeout))
	defer cancel()
	if endpoint.consent, err = w.ask(ctx, endpoint, target); err != nil {
		return nil, carillon.Invalid("/endpoint/handshake", "the receiver does not consent: %s", err)
	}
	kept, err := json.Marshal(endpoint)
	if err != nil {
		return nil, carillon.Errorf(carillon.CodeInternal, "the endpoint cannot be written")
	}
	return kept, nil
}

// ask makes the request for consent. It carries no credentials: who is asked
// is not known to be the one whom they are for. The error is for people.
func (w *webhook) ask(ctx context.Context, endpoint webhookEndpoint, target *url.URL) (consent, error) {
	through, err := w.through(endpoint.TLS)
	if err != nil {
		return consent{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, target.String(), http.NoBody)
	if err != nil {
		return consent{}, errors.New("it cannot be asked at this url")
	}
	req.Header.Set(requestOrigin, w.origin())
	req.Header.Set("User-Agent", w.instance.Agent)
	answer, err := through.transport.RoundTrip(req)
	switch {
	case err != nil && ctx.Err() != nil:
		return consent{}, errors.New("it does not answer OPTIONS within " + endpoint.Timeout.String())
	case err != nil:
		return consent{}, errors.New(safehttp.Explain(err))
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, maxDrained)
	// Status codes say nothing here, says the specification.
	if origin := answer.Header.Get(allowedOrigin); origin != "*" && !strings.EqualFold(origin, w.origin()) {
		return consent{}, errors.New("its answer to OPTIONS (HTTP " + strconv.Itoa(answer.StatusCode) + ") must have " +
			"WebHook-Allowed-Origin: " + w.origin() + ", or *")
	}
	agreed := consent{ValidatedAt: w.now().UTC().Truncate(time.Second)}
	if rate := answer.Header.Get(allowedRate); rate != "" && rate != "*" {
		if agreed.AllowedRate, err = strconv.Atoi(rate); err != nil || agreed.AllowedRate < 1 {
			return consent{}, errors.New("its WebHook-Allowed-Rate must be a number of requests a minute, or *")
		}
	}
	return agreed, nil
}
