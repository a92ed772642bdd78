package channels

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
)

const (
	// knownMembers and knownFor bound what is remembered of users: who left the
	// workspace is found out within the hour, and Slack takes some 50 questions
	// a minute.
	knownMembers = 1000
	knownFor     = time.Hour
)

// slackMember is a user that was asked for.
type slackMember struct {
	id    string
	until time.Time
}

// slackBot is who calls Slack's Web API.
type slackBot struct {
	endpoint slackEndpoint
	timeout  time.Duration
}

// slackAnswer is what Slack's Web API says of a call.
type slackAnswer struct {
	OK      bool
	Error   string
	Needed  string
	Channel string // where the message is, always an id
	TS      string // which one it is
	User    struct {
		ID string `json:"id"`
	}
}

// call asks a method of Slack's Web API, and fills in the attempt.
func (s *slack) call(ctx context.Context, a *carillon.Attempt, bot slackBot, method, contentType string, body []byte) slackAnswer {
	base, err := url.Parse(bot.endpoint.BaseURL)
	if err != nil {
		a.Outcome, a.Error = carillon.OutcomeReject, "the stored endpoint cannot be read"
		return slackAnswer{}
	}
	base.Host = strings.ToLower(base.Host)
	var raw bytes.Buffer
	secrets := []string{bot.endpoint.Token}
	a.Response, a.Error, a.RetryAfter = nil, "", 0 // of a call before this one
	s.exchange(ctx, a, call{
		method: http.MethodPost, url: base.JoinPath(method), body: body, timeout: bot.timeout, secrets: secrets, answer: &raw,
		header: []header{
			{name: "Content-Type", value: contentType}, {name: "User-Agent", value: userAgent()},
			{name: "Authorization", value: "Bearer " + bot.endpoint.Token, secret: true},
		},
		profile: slackProfile(),
	})
	if a.Response == nil {
		return slackAnswer{}
	}
	answer := readSlack(raw.Bytes())
	if !answer.isClean() {
		answer = slackAnswer{}
	}
	switch {
	case answer.OK && a.Outcome == carillon.OutcomeDelivered:
	case answer.Error != "":
		judge(a, answer.Error, answer.Needed, newScrub(secrets...))
		if strings.HasPrefix(answer.Error, "rate") && a.RetryAfter == 0 { // with a status that says nothing
			a.RetryAfter = retryAfter(a.Response.Headers["Retry-After"], s.now())
		}
	case a.Outcome == carillon.OutcomeDelivered:
		a.Outcome, a.Error = carillon.OutcomeRetry, "the answer is none of Slack's"
	}
	return answer
}

// slackID is what ids look like, and times by which messages are named.
var slackID = regexp.MustCompile(`^[A-Za-z0-9.]{0,40}$`)

// isClean reports whether what is kept of the answer is what it claims to be.
func (a slackAnswer) isClean() bool {
	return slackID.MatchString(a.Channel) && slackID.MatchString(a.TS) && slackID.MatchString(a.User.ID)
}

// readSlack reads what an answer says before it repeats the message, which can
// be longer than what is read of it.
func readSlack(body []byte) (answer slackAnswer) {
	d := json.NewDecoder(bytes.NewReader(body))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return slackAnswer{}
	}
	fields := map[string]any{
		"ok": &answer.OK, "error": &answer.Error, "needed": &answer.Needed, "channel": &answer.Channel, "ts": &answer.TS, "user": &answer.User,
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return answer
		}
		key, _ := name.(string) // the decoder takes nothing else there
		var other json.RawMessage
		into, known := fields[key]
		if !known {
			into = &other
		}
		if d.Decode(into) != nil {
			return answer
		}
	}
	return answer
}

// member returns the id of whoever has the endpoint's address; false when the
// attempt says why not.
func (s *slack) member(ctx context.Context, a *carillon.Attempt, bot slackBot) (id string, ok bool) {
	key := bot.memberKey()
	if known, ok := s.members.Get(key); ok && s.now().Before(known.until) {
		return known.id, true
	}
	form := url.Values{"email": {bot.endpoint.Email}} // this method takes no JSON
	asked := *a
	answer := s.call(ctx, &asked, bot, "users.lookupByEmail", "application/x-www-form-urlencoded", []byte(form.Encode()))
	if asked.Outcome == carillon.OutcomeDelivered && answer.User.ID == "" {
		asked.Outcome, asked.Error = carillon.OutcomeRetry, "the answer is none of Slack's"
	}
	if asked.Outcome != carillon.OutcomeDelivered {
		*a = asked
		a.Error = "users.lookupByEmail: " + a.Error
		return "", false
	}
	s.members.Add(key, slackMember{id: answer.User.ID, until: s.now().Add(knownFor)})
	return answer.User.ID, true
}

// memberKey tells workspaces apart by their tokens, of which it shows nothing.
func (b slackBot) memberKey() string {
	return digest([]byte(strings.Join([]string{b.endpoint.BaseURL, b.endpoint.Token, strings.ToLower(b.endpoint.Email)}, "\n")))
}
