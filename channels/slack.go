package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

// slack posts messages to Slack: to an incoming webhook, or as a bot.
type slack struct {
	described[slackEndpoint]
	exchanger
	threads Threads // nil remembers nothing
	turns   turns
	// members are the ids of users by their addresses, of those asked for lately.
	members *lru.Cache[string, slackMember]
}

func newSlack(c Config) *slack {
	members, _ := lru.New[string, slackMember](knownMembers) // it only refuses a size below one
	return &slack{
		described: described[slackEndpoint]{about: slackDescription, check: checkSlack, settings: c.Settings},
		exchanger: newExchanger(c.Policy, c.Now), threads: c.Threads, members: members,
	}
}

// Host is that of the webhook, or of Slack's Web API. That of an installation
// with a base URL of its own is only known to its attempts.
func (s *slack) Host(e carillon.Endpoint) string {
	endpoint, ok := s.read(e)
	if !ok {
		return ""
	}
	address := endpoint.URL
	if address == "" {
		address = endpoint.BaseURL
	}
	if target, err := url.Parse(address); err == nil && target.Host != "" {
		return strings.ToLower(target.Host)
	}
	return slackHost
}

// Timeout is the endpoint's own, or the default.
func (s *slack) Timeout(e carillon.Endpoint) time.Duration {
	if endpoint, ok := s.read(e); ok && endpoint.Timeout > 0 {
		return time.Duration(endpoint.Timeout)
	}
	return defaultTimeout
}

// Complete implements [Completer]: a bot needs a token of its own, or the
// installation's.
func (s *slack) Complete(ctx context.Context, e carillon.Endpoint) error {
	merged, err := s.completed(ctx, e)
	if err != nil {
		return err
	}
	if endpoint, ok := s.read(merged); ok && (endpoint.URL != "" || endpoint.Token != "") {
		return nil
	}
	f := form{pointer: "/endpoint", problems: &[]carillon.Problem{}}
	f.wrong("token", "is required, such as xoxb-…, or a url: the installation has no token of its own, or base_url leads elsewhere")
	return f.err()
}

// Attempt posts the message once.
func (s *slack) Attempt(ctx context.Context, m Message) carillon.Attempt {
	endpoint, ok := s.read(m.Endpoint)
	timeout := s.Timeout(m.Endpoint)
	return try(ctx, m, timeout, s.now, func(ctx context.Context, a *carillon.Attempt) {
		if !ok {
			a.Outcome, a.Error = carillon.OutcomeReject, "the stored endpoint cannot be read"
			return
		}
		a.Request = &carillon.Request{Method: http.MethodPost, Host: s.Host(m.Endpoint)}
		message, topic, err := s.write(m, endpoint) //nolint:contextcheck // templates end by their own limits
		if err != nil {
			a.Outcome, a.Error = carillon.OutcomeReject, "the message cannot be written: "+err.Error()
			return
		}
		if endpoint.URL != "" {
			s.hook(ctx, a, endpoint, message, timeout)
			return
		}
		merged, err := s.completed(ctx, m.Endpoint)
		if err != nil {
			a.Outcome, a.Error = carillon.OutcomeRetry, "the installation's settings cannot be read"
			return
		}
		if endpoint, ok = s.read(merged); !ok || endpoint.Token == "" {
			a.Outcome, a.Error = carillon.OutcomeRefused, "there is no token of Slack: neither the endpoint has one nor the installation"
			return
		}
		s.post(ctx, a, slackPost{
			slackBot: slackBot{endpoint: endpoint, timeout: timeout}, message: message, topic: topic, subscription: m.Subscription,
			id: m.id(), event: m.Event, alone: len(m.Batch) < 2, anew: m.Progress != nil,
		})
		if a.Outcome == carillon.OutcomeDelivered {
			a.Progress = nil
		} else if a.Progress == nil {
			a.Progress = m.Progress // holds for the attempts after this one, too
		}
	})
}

// write writes the message, and returns the topic that it belongs to.
func (s *slack) write(m Message, endpoint slackEndpoint) (message slackMessage, topic string, err error) {
	told, err := told(m, endpoint.Message)
	if err != nil {
		return slackMessage{}, "", err
	}
	about := &m.Event
	if len(m.Batch) > 1 {
		about = nil
	}
	message = newSlackMessage(told, about)
	message.Channel, message.Username = endpoint.Channel, endpoint.Username
	message.IconEmoji, message.IconURL = endpoint.IconEmoji, endpoint.IconURL
	message.urgent = isUrgentSlack(told.Level)
	return message, told.Topic, nil
}

// Payload implements [Renderer]: the message as it is posted when it follows
// none.
func (s *slack) Payload(m Message) (formats.Payload, error) {
	var endpoint slackEndpoint
	_ = json.Unmarshal(m.Endpoint, &endpoint) // without one, it is the default message
	message, _, err := s.write(m, endpoint)
	if err != nil {
		return formats.Payload{}, err
	}
	body, err := json.Marshal(message)
	return formats.Payload{Body: body, ContentType: slackJSON}, err
}

// slackJSON says which characters: Slack's Web API warns of a JSON that does not.
const slackJSON = "application/json; charset=utf-8"

// hook posts to an incoming webhook. It answers "ok" or an error's name, and
// nothing by which the message could be followed.
func (s *slack) hook(ctx context.Context, a *carillon.Attempt, endpoint slackEndpoint, message slackMessage, timeout time.Duration) {
	target, err := url.Parse(endpoint.URL)
	body, wrong := json.Marshal(message)
	if err != nil || wrong != nil {
		a.Outcome, a.Error = carillon.OutcomeReject, "the stored endpoint cannot be read"
		return
	}
	target.Host = strings.ToLower(target.Host)
	secrets := []string{endpoint.URL, target.String()}
	var answer bytes.Buffer
	s.exchange(ctx, a, call{
		method: http.MethodPost, url: target, body: body, timeout: timeout, secrets: secrets, answer: &answer,
		header:  []header{{name: "Content-Type", value: slackJSON}, {name: "User-Agent", value: userAgent()}},
		profile: slackProfile(),
	})
	judgeWebhook(a, answer.String(), newScrub(append(urlSecrets(target), secrets...)...))
}

// slackProfile says what statuses mean: profiles are for webhooks alone.
func slackProfile() carillon.Profile {
	profile, _ := carillon.LookupProfile(carillon.DefaultProfile)
	return profile
}
