package channels

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

// slackPost is a message on its way.
type slackPost struct {
	slackBot
	message      slackMessage
	topic        string
	subscription string
	// id is the same whenever the message is sent again, and event is what it is
	// about, if it is alone.
	id    string
	event carillon.Event
	alone bool
	// anew says that Slack lost the message that this one was posted as before.
	anew bool
}

// slackThread is what is remembered of a topic: its first message, and what
// that tells of.
type slackThread struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
	// Message is the id of what it tells of, At when that happened, and Step which
	// of the steps of a build it is, 0 for none.
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	Step    int       `json:"step,omitempty"`
}

// slackSteps are the events of a build whose one message is kept current, in
// their order.
var slackSteps = []string{"build.queued", "build.started", "build.finished"}

// step is 0 for what is none.
func (p slackPost) step() int {
	if !p.alone {
		return 0
	}
	return slices.Index(slackSteps, p.event.Type) + 1
}

// isUrgentSlack says what must not be overlooked in a thread.
func isUrgentSlack(l messages.Level) bool {
	return l == messages.Failed || l == messages.High || l == messages.Critical
}

// clientMsgID is a UUID, as Slack's own clients send it. Slack answers a post
// with one that it knows by the message that is there.
func (p slackPost) clientMsgID() string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("carillon:"+p.subscription+"/"+p.id)).String()
}

// key names the topic at the place where its messages go: an endpoint that leads
// elsewhere begins new threads.
func (p slackPost) key() string {
	return digest([]byte(strings.Join([]string{p.endpoint.BaseURL, p.endpoint.Channel, strings.ToLower(p.endpoint.Email), p.topic}, "\n")))
}

// post puts the message where it belongs: in the place of its build's, in the
// thread of its topic, or by itself.
func (s *slack) post(ctx context.Context, a *carillon.Attempt, p slackPost) {
	if p.endpoint.Email != "" {
		id, ok := s.member(ctx, a, p.slackBot)
		if !ok {
			return
		}
		p.message.Channel = id
	}
	if p.topic == "" || s.threads == nil {
		s.say(ctx, a, p, nil, false)
	} else {
		release, ok := s.turns.take(ctx, p.subscription+"/"+p.key())
		if !ok {
			a.Outcome, a.Error = carillon.OutcomeRetry, interrupted(ctx, p.timeout)
			return
		}
		defer release()
		s.follow(ctx, a, p)
	}
	if p.endpoint.Email != "" && a.Outcome == carillon.OutcomeGone {
		s.members.Remove(p.memberKey())
	}
}

// follow is post for what has a topic. What cannot be followed any more is not
// held against the message, which then stands by itself.
func (s *slack) follow(ctx context.Context, a *carillon.Attempt, p slackPost) {
	thread := s.find(ctx, p)
	word := ""
	if thread != nil && thread.replacedBy(p) {
		if word = s.say(ctx, a, p, thread, true); !isOneOf(slackFixed, word) && !isOneOf(slackVanish, word) {
			return
		}
	}
	if thread != nil && !isOneOf(slackVanish, word) {
		if word = s.say(ctx, a, p, thread, false); !isOneOf(slackVanish, word) {
			return
		}
	}
	s.say(ctx, a, p, nil, false)
}

// replacedBy reports whether the message takes the place of the thread's first:
// it is the same, or the same build's and later.
func (t slackThread) replacedBy(p slackPost) bool {
	if t.Message == p.id {
		return true
	}
	step := p.step()
	if step == 0 || t.Step == 0 {
		return false
	}
	return p.event.Time.After(t.At) || p.event.Time.Equal(t.At) && step > t.Step
}

// say makes the one call: an update of the thread's first message, a reply to
// it, or a message by itself. It returns the error that Slack names.
func (s *slack) say(ctx context.Context, a *carillon.Attempt, p slackPost, thread *slackThread, update bool) string {
	method, message := "chat.postMessage", p.message
	switch {
	case update:
		method = "chat.update"
		message = slackMessage{Channel: thread.Channel, TS: thread.TS, Text: message.Text, Blocks: message.Blocks, Attachments: message.Attachments}
	case thread != nil:
		message.Channel, message.ThreadTS, message.ReplyBroadcast = thread.Channel, thread.TS, message.urgent
	}
	if !update && !p.anew {
		message.ClientMsgID = p.clientMsgID()
	}
	body, err := json.Marshal(message)
	if err != nil {
		a.Outcome, a.Error = carillon.OutcomeReject, "the message cannot be written"
		return ""
	}
	answer := s.call(ctx, a, p.slackBot, method, slackJSON, body)
	if isOneOf(slackForgets, answer.Error) {
		a.Progress = json.RawMessage(`{"anew":true}`)
	}
	if a.Outcome == carillon.OutcomeDelivered {
		s.keep(ctx, p, thread, update, answer)
	}
	return answer.Error
}

// find returns the topic's thread; nil when there is none. A database that is
// away costs the thread, not the message.
func (s *slack) find(ctx context.Context, p slackPost) *slackThread {
	kept, err := s.threads.FindThread(ctx, p.subscription, p.key())
	var thread slackThread
	if err != nil || json.Unmarshal(kept, &thread) != nil || thread.Channel == "" || thread.TS == "" {
		return nil
	}
	return &thread
}

// keep remembers the thread, also when it only goes on: threads that are used
// are not pruned. One that cannot be remembered costs what follows its thread.
func (s *slack) keep(ctx context.Context, p slackPost, before *slackThread, update bool, answer slackAnswer) {
	if p.topic == "" || s.threads == nil || answer.TS == "" || answer.Channel == "" {
		return
	}
	thread := slackThread{Channel: answer.Channel, TS: answer.TS, Message: p.id, At: p.event.Time, Step: p.step()}
	switch {
	case before != nil && update:
		thread.Channel, thread.TS = before.Channel, before.TS
	case before != nil:
		thread = *before
	}
	kept, err := json.Marshal(thread)
	if err == nil {
		_ = s.threads.KeepThread(ctx, p.subscription, p.key(), kept, s.now())
	}
}
