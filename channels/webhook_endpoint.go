package channels

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/signature"
)

// Limits of a webhook's endpoint. Receivers refuse longer URLs and headers
// themselves, and a signature is made with every secret, at every attempt.
const (
	defaultTimeout     = 15 * time.Second
	minTimeout         = 100 * time.Millisecond
	maxTimeout         = 30 * time.Second
	maxURLBytes        = 2048
	maxHeaders         = 20
	maxHeaderNameBytes = 128
	maxSecretBytes     = 4096
	maxPreviousSecrets = 4
)

// webhookEndpoint is the JSON shape of a webhook's endpoint.
type webhookEndpoint struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers,omitempty"`
	// Secret signs; PreviousSecrets sign as well while receivers change over.
	Secret          string           `json:"secret"`
	PublicKey       string           `json:"public_key,omitempty"` // answered only
	PreviousSecrets []previousSecret `json:"previous_secrets,omitempty"`
	// BasicAuth and BearerToken exclude each other.
	BasicAuth   *basicAuth `json:"basic_auth,omitempty"`
	BearerToken string     `json:"bearer_token,omitempty"`
	// Token goes into the header that the format has for one.
	Token   string            `json:"token,omitempty"`
	Timeout carillon.Duration `json:"timeout"`
	// TLS is who a connection is made as, and with whom; nil is the usual.
	TLS *webhookTLS `json:"tls,omitempty"`
	// Handshake has the receiver asked whether it consents; consent is its answer.
	Handshake bool `json:"handshake,omitempty"`
	consent
}

type basicAuth struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

var webhookMethods = []string{
	http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
}

// reserved are the headers that Carillon or HTTP itself sets; a name that ends
// with "-" stands for all that begin so.
var reserved = []string{
	"webhook-", "content-", "proxy-", "http2-", "host", "user-agent", "connection", "keep-alive", "transfer-encoding", "te", "trailer",
	"upgrade", "expect", "accept-encoding", "idempotency-key",
}

// readWebhook reads a stored endpoint.
func readWebhook(e carillon.Endpoint) (webhookEndpoint, *url.URL, error) {
	var endpoint webhookEndpoint
	if err := json.Unmarshal(e, &endpoint); err != nil {
		return webhookEndpoint{}, nil, errors.New("the endpoint is no JSON of a webhook")
	}
	target, err := parseURL(endpoint.URL)
	if err != nil || target.Host == "" {
		return webhookEndpoint{}, nil, errors.New("the endpoint's url is not valid")
	}
	target.Host = strings.ToLower(target.Host)
	return endpoint, target, nil
}

// keys are those that sign at a time.
func (e webhookEndpoint) keys(at time.Time) ([]signature.Key, error) {
	keys := make([]signature.Key, 0, 1+len(e.PreviousSecrets))
	for _, secret := range e.signing(at) {
		key, err := signature.ParseKey(secret)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (e webhookEndpoint) headerNames() []string { return slices.Sorted(maps.Keys(e.Headers)) }

// Prepare reads a posted webhook. A secret is made when none was posted and
// none is stored; every other field that is left out takes its default.
func (w *webhook) Prepare(posted json.RawMessage, stored carillon.Endpoint) (carillon.Endpoint, map[string]string, error) {
	var before webhookEndpoint
	var beforeURL *url.URL
	if stored != nil {
		var err error
		if before, beforeURL, err = readWebhook(stored); err != nil {
			return nil, nil, carillon.Errorf(carillon.CodeInternal, "the stored endpoint cannot be read")
		}
	}
	f := newForm(posted, names(webhookFields)...)
	if f.fields == nil {
		return nil, nil, f.err()
	}
	endpoint := webhookEndpoint{
		Method:  strings.ToUpper(f.text("method")),
		Timeout: field[carillon.Duration](f, "timeout", `a duration such as "15s"`),
	}
	var target *url.URL
	endpoint.URL, target = w.prepareURL(f, before.URL)
	moved := beforeURL != nil && target != nil && (target.Scheme != beforeURL.Scheme || !strings.EqualFold(target.Host, beforeURL.Host))
	sent := credentials{form: f, moved: moved}
	sent.prepare(&endpoint, before)
	made := prepareSecrets(f, &endpoint, before, w.now())
	prepareRest(f, &endpoint)
	sent.prepareTLS(&endpoint, before, target, w.now())
	prepareHandshake(f, &endpoint, before)
	if err := prepareTemplates(f, endpoint); err != nil {
		return nil, nil, err
	}
	if err := f.err(); err != nil {
		return nil, nil, err
	}
	kept, err := json.Marshal(endpoint)
	if err != nil {
		return nil, nil, carillon.Errorf(carillon.CodeInternal, "the endpoint cannot be written")
	}
	if made {
		return kept, map[string]string{"secret": endpoint.Secret}, nil
	}
	return kept, nil, nil
}

// prepareURL reads the URL, whose masks stand for secrets of the stored one;
// what it says is wrong never repeats it.
func (w *webhook) prepareURL(f form, stored string) (string, *url.URL) {
	text, ok := f.required("url", "https://hooks.example.com/carillon")
	if ok {
		text, ok = keptURL(f, "url", text, stored)
	}
	if !ok {
		return "", nil
	}
	u, err := parseURL(text)
	switch {
	case hasTemplate(text) && err != nil:
		wrongTemplate(f, "url", err)
	case len(text) > maxURLBytes:
		f.wrong("url", "may have at most %d bytes", maxURLBytes)
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		f.wrong("url", "must be an http:// or https:// URL with a host")
	case u.User != nil:
		f.wrong("url", "must not contain a user or password; use basic_auth")
	case u.Fragment != "":
		f.wrong("url", "must not contain a fragment (#…), which is never sent")
	case !validHost(u):
		f.wrong("url", "has no valid host name or port")
	default:
		// A name is looked up, and checked, at each attempt.
		if err := w.policy.CheckURL(context.Background(), u); err != nil {
			f.wrong("url", "%s", err)
		}
		return text, u
	}
	return "", nil
}

func validHost(u *url.URL) bool {
	if _, err := httpguts.PunycodeHostPort(u.Host); err != nil || !utf8.ValidString(u.Host) {
		return false
	}
	if u.Port() == "" {
		return true
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

// prepareSecrets reads the signing secrets, and makes one if there is none. It
// reports whether it did. Masks stand for any secret stored so far, so that the
// current one can be made a previous one without knowing it.
func prepareSecrets(f form, endpoint *webhookEndpoint, before webhookEndpoint, now time.Time) (made bool) {
	if text := f.text("secret"); isMask(text) {
		var ok bool
		if endpoint.Secret, ok = unmask(text, before.allSecrets()...); !ok {
			f.wrong("secret", noSuchMask)
		}
	} else if text != "" {
		checkSecret(f, "secret", text)
		endpoint.Secret = text
	} else if endpoint.Secret = before.Secret; endpoint.Secret == "" {
		endpoint.Secret, made = signature.NewSecret(), true
	}
	endpoint.PreviousSecrets = preparePrevious(f, before, now)
	return made
}

const noSuchMask = "is the mask of no stored secret; give the secret itself"

// checkSecret notes what is wrong with a posted signing secret.
func checkSecret(f form, pointer, text string) {
	key, err := signature.ParseKey(text)
	switch {
	case err != nil:
		f.wrong(pointer, "is not a signing secret: %s", err)
	case !key.CanSign():
		f.wrong(pointer, "is a public key, which cannot sign; give the private one (%s)", signature.PrivatePrefix)
	}
}

func prepareRest(f form, endpoint *webhookEndpoint) {
	if endpoint.Method == "" {
		endpoint.Method = http.MethodPost
	}
	if !slices.Contains(webhookMethods, endpoint.Method) {
		f.wrong("method", "must be one of %s", strings.Join(webhookMethods, ", "))
	}
	if endpoint.Timeout == 0 {
		endpoint.Timeout = carillon.Duration(defaultTimeout)
	}
	if d := time.Duration(endpoint.Timeout); d < minTimeout || d > maxTimeout {
		f.wrong("timeout", "must be from %s to %s", minTimeout, maxTimeout)
	}
}
