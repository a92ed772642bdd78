package channels

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dghubble/oauth1"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/messages"
)

const (
	xName = "x"
	xURL  = "https://api.x.com"
	// rateLimitReset says, in seconds of Unix, when X takes posts again.
	rateLimitReset = "X-Rate-Limit-Reset"
)

// xEndpoint is the JSON shape of an endpoint of X: an application's key, and an
// account's token for it.
type xEndpoint struct {
	ConsumerKey    string             `json:"consumer_key"`
	ConsumerSecret string             `json:"consumer_secret"`
	AccessToken    string             `json:"access_token"`
	AccessSecret   string             `json:"access_secret"`
	BaseURL        string             `json:"base_url"`
	Message        messages.Overrides `json:"message,omitzero"`
	Timeout        carillon.Duration  `json:"timeout"`
}

func (e xEndpoint) address() string          { return e.BaseURL }
func (e xEndpoint) limit() carillon.Duration { return e.Timeout }

func newX(x exchanger, p safehttp.Policy) Sender {
	return service[xEndpoint]{
		exchanger: x,
		described: described[xEndpoint]{
			about: Description{
				Name: xName, Title: "X", ForPeople: true, Fields: xFields,
				Text: "Posts of an account on X, formerly Twitter: what happened in one line, with a link.",
			},
			check: func(f form, e *xEndpoint) { checkBase(f, "base_url", e.BaseURL, p) },
		},
		write: func(m Message, e xEndpoint) (formats.Payload, error) {
			message, err := told(m, e.Message)
			if err != nil {
				return formats.Payload{}, err
			}
			return written(object{"text": xText(message)}), nil
		},
		send: x.sendX,
	}
}

var xFields = []Field{
	{Name: "consumer_key", Type: Text, Required: true, Secret: true, Text: "The application's API key."},
	{Name: "consumer_secret", Type: Text, Required: true, Secret: true, Text: "The application's API secret."},
	{
		Name: "access_token", Type: Text, Required: true, Secret: true,
		Text: "The account's access token, made when the application may read and write.",
	},
	{Name: "access_secret", Type: Text, Required: true, Secret: true, Text: "The access token's secret."},
	baseURLField(xURL, xURL), titleField, timeoutField,
}

// sendX posts, signed with OAuth 1.0a for the account. The body is JSON, which
// the signature leaves out.
func (x exchanger) sendX(ctx context.Context, a *carillon.Attempt, m Message, e xEndpoint, p formats.Payload) {
	base := context.WithValue(ctx, oauth1.HTTPClient, &http.Client{Transport: x.transport})
	signing := x
	signing.transport = oauth1.NewConfig(e.ConsumerKey, e.ConsumerSecret).
		Client(base, oauth1.NewToken(e.AccessToken, e.AccessSecret)).Transport
	signing.post(ctx, a, m, e, posting{
		url: at(e.BaseURL, "2", "tweets"), payload: p,
		secrets: []string{e.ConsumerKey, e.ConsumerSecret, e.AccessToken, e.AccessSecret},
	})
	judgeX(a, x.now())
}

// judgeX reads an answer that is no 2xx.
func judgeX(a *carillon.Attempt, now time.Time) {
	if a.Response == nil || a.Outcome == carillon.OutcomeDelivered {
		return
	}
	status := a.Response.Status
	// A post that is there already was made by an attempt whose answer was lost.
	if text := strings.ToLower(a.Response.Body); status == http.StatusForbidden &&
		(strings.Contains(text, "duplicate content") || strings.Contains(text, "status is a duplicate")) {
		a.Outcome, a.Error = carillon.OutcomeDelivered, ""
		return
	}
	if status == http.StatusTooManyRequests && a.RetryAfter == 0 {
		a.RetryAfter = untilReset(a.Response.Headers[rateLimitReset], now)
	}
	answer := answered[struct {
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}](a)
	if answer.Detail == "" {
		answer.Detail = answer.Title
	}
	saying(a, answer.Detail)
	if status == http.StatusUnauthorized {
		a.Error = "X does not take the keys: " + a.Error
	}
}

// untilReset is how long it is until a time in seconds of Unix; zero when that
// is none, or over.
func untilReset(at string, now time.Time) carillon.Duration {
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return 0
	}
	return retryAfter(time.Unix(seconds, 0).UTC().Format(http.TimeFormat), now)
}
