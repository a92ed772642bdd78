package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Slack is a workspace of Slack, as far as messages go: its Web API below /api/,
// and incoming webhooks below /services/. It keeps what Slack's documentation
// says that it takes, and answers the rest with the errors that are documented.
type Slack struct {
	// Token is the bot's. Channels are ids by names, Members ids by addresses, and
	// Webhook is the path of the one webhook, which posts to the channel "#hooks".
	Token    string
	Channels map[string]string
	Members  map[string]string
	Webhook  string

	mu       sync.Mutex
	script   []SlackReply
	calls    []SlackCall
	messages []SlackMessage
	posted   map[string]string // times of messages by client_msg_id
	clock    int
}

// SlackReply is an answer in the place of Slack's own.
type SlackReply struct {
	Status int
	Header http.Header
	Body   string
	// After says that Slack does as it was asked, and only answers otherwise.
	After bool
}

// SlackCall is a request that came: the method of the Web API, or "webhook".
type SlackCall struct {
	Method string
	Header http.Header
	Body   []byte
}

// SlackMessage is a message that is there.
type SlackMessage struct {
	Channel, TS, Text, Username string
	// ThreadTS is the message that it replies to; Broadcast that it is shown in
	// the channel as well.
	ThreadTS  string
	Broadcast bool
	// Edits counts how often it was updated.
	Edits int
	Body  json.RawMessage
}

// Script sets the answers to the requests that come next.
func (s *Slack) Script(replies ...SlackReply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = replies
}

// Calls returns the requests that came, and Messages what is there.
func (s *Slack) Calls() []SlackCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Messages returns what is there, in the order in which it was posted.
func (s *Slack) Messages() []SlackMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Delete removes a message, as people do.
func (s *Slack) Delete(ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = slices.DeleteFunc(s.messages, func(m SlackMessage) bool { return m.TS == ts })
}

// ServeHTTP implements [http.Handler].
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	method, api := strings.CutPrefix(r.URL.Path, "/api/")
	if !api {
		method = "webhook"
	}
	s.calls = append(s.calls, SlackCall{Method: method, Header: r.Header, Body: body})
	var scripted *SlackReply
	if len(s.script) > 0 {
		scripted, s.script = &s.script[0], s.script[1:]
	}
	if scripted == nil || scripted.After {
		answer := s.answer(method, r, body)
		if scripted == nil {
			write(w, answer)
			return
		}
	}
	maps.Copy(w.Header(), scripted.Header)
	w.WriteHeader(max(scripted.Status, http.StatusOK))
	_, _ = io.WriteString(w, scripted.Body)
}

// slackText is an answer of a webhook, with its status.
type slackText struct {
	status int
	text   string
}

func write(w http.ResponseWriter, answer any) {
	if text, ok := answer.(slackText); ok {
		w.WriteHeader(text.status)
		_, _ = io.WriteString(w, text.text)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body)
}

func failed(word string) map[string]any { return map[string]any{"ok": false, "error": word} }

func (s *Slack) answer(method string, r *http.Request, body []byte) any {
	if method == "webhook" {
		return s.hook(r, body)
	}
	if r.Header.Get("Authorization") != "Bearer "+s.Token {
		return failed("invalid_auth")
	}
	if method == "users.lookupByEmail" {
		return s.lookup(r, body)
	}
	if r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		return failed("invalid_post_type")
	}
	message, shape := readMessage(body), slackPosted
	if method == "chat.update" {
		shape = slackUpdated
	}
	if err := checkShape(shape, body); err != nil {
		return map[string]any{"ok": false, "error": "invalid_arguments", "response_metadata": map[string]any{"messages": []string{err.Error()}}}
	}
	switch method {
	case "chat.postMessage":
		return s.post(message)
	case "chat.update":
		return s.update(message)
	}
	return failed("unknown_method")
}

// posted is what a request says of a message.
type posted struct {
	Channel, TS, Text, Username string
	ThreadTS                    string `json:"thread_ts"`
	Broadcast                   bool   `json:"reply_broadcast"`
	ID                          string `json:"client_msg_id"`
	body                        []byte
}

func readMessage(body []byte) posted {
	var m posted
	_ = json.Unmarshal(body, &m) // its shape is checked
	m.body = body
	return m
}

func (s *Slack) hook(r *http.Request, body []byte) any {
	switch {
	case r.URL.Path != s.Webhook:
		return slackText{http.StatusNotFound, "no_service"}
	case r.Method != http.MethodPost, checkShape(slackHooked, body) != nil:
		return slackText{http.StatusBadRequest, "invalid_payload"}
	}
	s.put("#hooks", readMessage(body))
	return slackText{http.StatusOK, "ok"}
}

func (s *Slack) lookup(r *http.Request, body []byte) any {
	r.Body = io.NopCloser(bytes.NewReader(body))
	id, ok := s.Members[r.PostFormValue("email")]
	if !ok {
		return failed("users_not_found")
	}
	return map[string]any{"ok": true, "user": map[string]any{"id": id, "profile": map[string]any{"email": "private@example.com"}}}
}

func (s *Slack) post(m posted) any {
	id := s.conversation(m.Channel)
	if id == "" {
		return failed("channel_not_found")
	}
	if ts, again := s.posted[m.ID]; again && m.ID != "" {
		if s.find(id, ts) == nil {
			return failed("duplicate_message_not_found")
		}
		return map[string]any{"ok": true, "channel": id, "ts": ts}
	}
	if m.ThreadTS != "" && s.find(id, m.ThreadTS) == nil {
		return failed("thread_not_found")
	}
	ts := s.put(id, m)
	return map[string]any{"ok": true, "channel": id, "ts": ts, "message": json.RawMessage(m.body)}
}

// conversation returns the id of what a message may be sent to: a channel by its
// name or id, or a user, whose conversation with the bot has one of its own.
func (s *Slack) conversation(to string) string {
	if id, ok := s.Channels[to]; ok {
		return id
	}
	for _, id := range s.Channels {
		if id == to {
			return id
		}
	}
	for _, user := range s.Members {
		if to == user || to == "D"+user {
			return "D" + user
		}
	}
	return ""
}

func (s *Slack) put(channel string, m posted) (ts string) {
	s.clock++
	ts = fmt.Sprintf("1700000000.%06d", s.clock)
	s.messages = append(s.messages, SlackMessage{
		Channel: channel, TS: ts, Text: m.Text, Username: m.Username, ThreadTS: m.ThreadTS, Broadcast: m.Broadcast, Body: m.body,
	})
	if s.posted == nil {
		s.posted = map[string]string{}
	}
	s.posted[m.ID] = ts
	return ts
}

func (s *Slack) update(m posted) any {
	message := s.find(m.Channel, m.TS)
	if message == nil {
		return failed("message_not_found")
	}
	message.Text, message.Body = m.Text, m.body
	message.Edits++
	return map[string]any{"ok": true, "channel": m.Channel, "ts": m.TS, "text": m.Text}
}

func (s *Slack) find(channel, ts string) *SlackMessage {
	for i := range s.messages {
		if s.messages[i].Channel == channel && s.messages[i].TS == ts {
			return &s.messages[i]
		}
	}
	return nil
}
