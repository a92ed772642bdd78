package strict

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
)

// Twilio takes messages as Twilio's API does, for one account, and nothing that
// it would not take.
// https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
type Twilio struct {
	SID string
	// User and Password are the SID and its token, or an API key and its secret.
	User, Password string

	mu       sync.Mutex
	refusals map[string][]TwilioError
	taken    []SMS
	problems []error
}

// SMS is a message that was taken. From is a number or the SID of a messaging
// service.
type SMS struct{ To, From, Body string }

// TwilioError is an answer that takes no message.
type TwilioError struct {
	Status, Code int
	Message      string
	RetryAfter   string
}

// Refuse sets the next answers to messages to a number; the last stays.
func (t *Twilio) Refuse(number string, answers ...TwilioError) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refusals == nil {
		t.refusals = map[string][]TwilioError{}
	}
	t.refusals[number] = answers
}

// Taken returns the messages that were taken so far.
func (t *Twilio) Taken() []SMS {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.taken)
}

// Problems returns what was wrong with requests that no sender may make.
func (t *Twilio) Problems() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.problems...)
}

// ServeHTTP implements [http.Handler].
func (t *Twilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if user, password, _ := r.BasicAuth(); user != t.User || password != t.Password {
		refuse(w, TwilioError{Status: http.StatusUnauthorized, Code: 20003, Message: "Authenticate"})
		return
	}
	sms, err := t.read(r)
	if err != nil {
		t.problems = append(t.problems, err)
		refuse(w, TwilioError{Status: http.StatusBadRequest, Code: 21602, Message: err.Error()})
		return
	}
	if waiting := t.refusals[sms.To]; len(waiting) > 0 {
		answer := waiting[0]
		if len(waiting) > 1 {
			t.refusals[sms.To] = waiting[1:]
		}
		if answer.Status != 0 { // zero takes it
			refuse(w, answer)
			return
		}
	}
	t.taken = append(t.taken, sms)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"sid": "SM" + strings.Repeat("0", 32), "status": "queued", "error_code": nil, "to": sms.To, "body": sms.Body,
	})
}

// read reads a request field by field.
func (t *Twilio) read(r *http.Request) (SMS, error) {
	if want := "/2010-04-01/Accounts/" + t.SID + "/Messages.json"; r.Method != http.MethodPost || r.URL.Path != want || r.URL.RawQuery != "" {
		return SMS{}, fmt.Errorf("%s %s instead of POST %s", r.Method, r.URL, want)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return SMS{}, fmt.Errorf("Content-Type: %s", r.Header.Get("Content-Type"))
	}
	if err := r.ParseForm(); err != nil {
		return SMS{}, fmt.Errorf("read the form: %w", err)
	}
	for name, values := range r.PostForm {
		if !slices.Contains([]string{"To", "From", "MessagingServiceSid", "Body"}, name) || len(values) != 1 || values[0] == "" {
			return SMS{}, fmt.Errorf("the field %s has %d values", name, len(values))
		}
	}
	sms := SMS{To: r.PostForm.Get("To"), From: r.PostForm.Get("From") + r.PostForm.Get("MessagingServiceSid"), Body: r.PostForm.Get("Body")}
	if !strings.HasPrefix(sms.To, "+") || sms.From == "" || r.PostForm.Has("From") == r.PostForm.Has("MessagingServiceSid") {
		return SMS{}, fmt.Errorf("from %q to %q", sms.From, sms.To)
	}
	if n := len(utf16.Encode([]rune(sms.Body))); n == 0 || n > 1600 {
		return SMS{}, fmt.Errorf("a text of %d characters", n)
	}
	return sms, nil
}

func refuse(w http.ResponseWriter, answer TwilioError) {
	if answer.RetryAfter != "" {
		w.Header().Set("Retry-After", answer.RetryAfter)
	}
	w.WriteHeader(answer.Status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"code": answer.Code, "message": answer.Message, "status": answer.Status,
		"more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", answer.Code),
	})
}
