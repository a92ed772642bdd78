package channels

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
)

// twilioProgress is what an attempt leaves to the next: who has the message,
// and who can never get it. People are named by digests: a history has no use
// for their numbers.
type twilioProgress struct {
	Accepted []string `json:"accepted,omitempty"`
	// Refused has Twilio's error code by the digest.
	Refused map[string]int `json:"refused,omitempty"`
}

// personal is the digest of a number, of as many digits as tell those of one
// endpoint apart.
func personal(number string) string {
	sum := sha256.Sum256([]byte(number))
	return hex.EncodeToString(sum[:4])
}

// waiting returns the numbers of which nothing is known.
func (p twilioProgress) waiting(numbers []string) []string {
	return slices.DeleteFunc(slices.Clone(numbers), func(number string) bool {
		_, refused := p.Refused[personal(number)]
		return refused || slices.Contains(p.Accepted, personal(number))
	})
}

// sendTwilio has the message sent to each number that did not get it yet.
func (x exchanger) sendTwilio(ctx context.Context, a *carillon.Attempt, m Message, e twilioEndpoint, text formats.Payload) {
	done := twilioProgress{}
	if json.Unmarshal(m.Progress, &done) != nil || done.Refused == nil {
		done.Refused = map[string]int{} // without progress everybody waits
	}
	var failed *carillon.Attempt
	for _, number := range done.waiting(e.To) {
		one := *a
		x.text(ctx, &one, m, e, number, string(text.Body))
		verdict := judgeTwilio(&one)
		switch {
		case verdict.refused != 0:
			done.Refused[personal(number)] = verdict.refused
		case one.Outcome == carillon.OutcomeDelivered:
			done.Accepted = append(done.Accepted, personal(number))
		}
		if failed == nil {
			a.Request, a.Response = one.Request, one.Response
		}
		if verdict.refused == 0 && one.Outcome != carillon.OutcomeDelivered {
			failed = &one
			a.RetryAfter = max(a.RetryAfter, one.RetryAfter)
		}
		if verdict.ofAll {
			break
		}
	}
	done.settle(a, e.To, failed)
	// What was sent is the text; its forms differ by the number.
	a.Request.PayloadSHA256, a.Request.PayloadBytes = digest(text.Body), len(text.Body)
}

// text makes the call for one number.
func (x exchanger) text(ctx context.Context, a *carillon.Attempt, m Message, e twilioEndpoint, number, text string) {
	values := url.Values{"To": {number}, "Body": {text}}
	if e.MessagingServiceSID != "" {
		values.Set("MessagingServiceSid", e.MessagingServiceSID)
	} else {
		values.Set("From", e.From)
	}
	login := basicAuth{Username: e.AccountSID, Password: e.AuthToken}
	if e.APIKey != "" {
		login = basicAuth{Username: e.APIKey, Password: e.APISecret}
	}
	x.post(ctx, a, m, e, posting{
		url:           at(e.BaseURL, "2010-04-01", "Accounts", e.AccountSID, "Messages.json"),
		payload:       formats.Payload{ContentType: "application/x-www-form-urlencoded", Body: []byte(values.Encode())},
		authorization: "Basic " + login.encoded(), secrets: []string{login.Password, login.encoded(), number},
	})
}

// settle says of the attempt what came of all numbers.
func (p twilioProgress) settle(a *carillon.Attempt, numbers []string, failed *carillon.Attempt) {
	waiting := p.waiting(numbers)
	refusals := p.refusals(numbers)
	refused := strings.Join(refusals, ", ")
	switch {
	case failed != nil:
		a.Outcome, a.Error = failed.Outcome, failed.Error
		if len(numbers) > 1 {
			a.Error = fmt.Sprintf("%d of %d numbers wait: %s", len(waiting), len(numbers), failed.Error)
		}
		if refused != "" {
			a.Error += "; refused: " + refused
		}
	case refused != "":
		a.Outcome = carillon.OutcomeReject
		a.Error = fmt.Sprintf("%d of %d numbers refused: %s", len(refusals), len(numbers), refused)
	default:
		a.Outcome, a.Error = carillon.OutcomeDelivered, ""
	}
	a.Partial = failed != nil && failed.Response != nil && len(p.Accepted) > 0
	if a.Outcome == carillon.OutcomeReject {
		p.Refused = map[string]int{} // somebody who sends it again wants them tried
	}
	if a.Outcome != carillon.OutcomeDelivered && len(p.Accepted)+len(p.Refused) > 0 {
		a.Progress = written(p).Body
	}
}

// refusals says for people which numbers are refused, and why.
func (p twilioProgress) refusals(numbers []string) (all []string) {
	for _, number := range numbers {
		if code, ok := p.Refused[personal(number)]; ok {
			all = append(all, fmt.Sprintf("%s %s", mask(number), refusal(code)))
		}
	}
	return all
}

// refusal says what a code means for people; that of an answer without one is
// its HTTP status.
func refusal(code int) string {
	text, ok := map[int]string{
		21211: "is no valid number", 21217: "is no valid number", 21408: "is in a region that the account may not send to",
		21610: "has unsubscribed", 21612: "cannot be reached from this sender", 21614: "takes no SMS", 21635: "is a landline",
	}[code]
	if !ok {
		return fmt.Sprintf("(Twilio's error %d)", code)
	}
	return fmt.Sprintf("%s (%d)", text, code)
}

// verdict is what Twilio's answer says beyond its status.
type verdict struct {
	// refused is the code of an error that this number will always meet.
	refused int
	// ofAll answers would be the same for all numbers now.
	ofAll bool
}

// Codes of errors that are about the account or the sender, which its owner can
// mend, and not about the number. Twilio adds codes about numbers from time to
// time, so that every other is one.
// https://www.twilio.com/docs/api/errors
var (
	unauthenticated = []int{20003, 20005, 20006, 20008}
	ofTheSender     = []int{
		20404, 21212, 21601, 21603, 21606, 21607, 21609, 21656, 21659, 21660, 21661, 21701, 21703, 21704, 21705, 21712, 21715,
	}
	tooMany = []int{20429, 14107, 21611}
)

// judgeTwilio reads an answer that is no 2xx.
func judgeTwilio(a *carillon.Attempt) verdict {
	switch {
	case a.Outcome == carillon.OutcomeDelivered:
		return verdict{}
	case a.Response == nil || a.Outcome == carillon.OutcomeGone:
		return verdict{ofAll: true}
	}
	answer := answered[struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}](a)
	status := a.Response.Status
	saying(a, answer.Message)
	if answer.Code != 0 && answer.Message != "" {
		a.Error += " (" + strconv.Itoa(answer.Code) + ")"
	}
	switch {
	case status == http.StatusUnauthorized || slices.Contains(unauthenticated, answer.Code):
		a.Error = "Twilio does not take the credentials: " + a.Error
		return verdict{ofAll: true}
	case status == http.StatusTooManyRequests || slices.Contains(slices.Concat(ofTheSender, tooMany), answer.Code):
		return verdict{ofAll: true}
	case status == http.StatusBadRequest && answer.Code != 0:
		return verdict{refused: answer.Code}
	default:
		return verdict{ofAll: status < http.StatusInternalServerError}
	}
}
