package channels

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/safehttp"
)

// postProgress is what an attempt leaves for the next: who need not be told
// again. Recipients stand there as their marks.
type postProgress struct {
	// Sent have the mail, Refused can never have it.
	Sent    []string `json:"sent,omitempty"`
	Refused []string `json:"refused,omitempty"`
	// Code and Why are the first refusal's.
	Code int    `json:"code,omitempty"`
	Why  string `json:"why,omitempty"`
}

// post is a mail on its way to its recipients: who has it, who never will, and
// what keeps it from the others.
type post struct {
	recipients []string
	// open are those that this attempt is for, and then those that are left.
	open     []string
	progress postProgress
	// code and trouble are of what keeps it from those that are left; forGood says
	// that nothing will change it.
	code    int
	trouble string
	cut     bool // the connection, not the server's reply, is the trouble
	forGood bool
	// said are the server's replies, for the record, and answer the code of the
	// one that counts.
	said   []string
	answer int
	// secrets are masked wherever the server repeats them.
	secrets scrub
}

// newPost takes up what an earlier attempt left.
func newPost(left json.RawMessage, recipients []string, secrets scrub) *post {
	p := &post{recipients: recipients, secrets: secrets}
	var before postProgress
	if json.Unmarshal(left, &before) == nil {
		p.progress.Code, p.progress.Why = before.Code, before.Why
	}
	for _, r := range recipients {
		switch m := mark(r); {
		case slices.Contains(before.Sent, m):
			p.progress.Sent = append(p.progress.Sent, m)
		case slices.Contains(before.Refused, m):
			p.progress.Refused = append(p.progress.Refused, m)
		default:
			p.open = append(p.open, r)
		}
	}
	return p
}

// broke notes what ended the transaction before it came to the recipients that
// are open; before is said before a server's reply.
func (p *post) broke(before string, err error) {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		text := p.spoken(reply.Code, reply.Msg)
		p.code, p.trouble = reply.Code, before+text
		p.said = append(p.said, text)
		return
	}
	p.code, p.trouble, p.cut = 0, explainMail(err), true
	p.forGood = errors.Is(err, safehttp.ErrAddress)
}

// refuse notes a reply that keeps the mail from some recipients, for now or for
// good.
func (p *post) refuse(reply *textproto.Error, forGood bool, recipients ...string) {
	text := p.spoken(reply.Code, reply.Msg) + " (" + listed(recipients) + ")"
	p.said = append(p.said, text)
	if !forGood {
		if p.trouble == "" {
			p.code, p.trouble = reply.Code, text
		}
		return
	}
	if p.progress.Code == 0 {
		p.progress.Code, p.progress.Why = reply.Code, text
	}
	p.settle(&p.progress.Refused, recipients)
}

// take notes that the server has the mail for the recipients.
func (p *post) take(recipients []string, answer string) {
	p.said = append(p.said, p.spoken(codeTaken, answer))
	p.settle(&p.progress.Sent, recipients)
}

func (p *post) settle(as *[]string, recipients []string) {
	for _, r := range recipients {
		*as = append(*as, mark(r))
	}
	p.open = slices.DeleteFunc(slices.Clone(p.open), func(r string) bool { return slices.Contains(recipients, r) })
}

// listed names the first of some recipients.
func listed(recipients []string) string {
	const named = 3
	if len(recipients) <= named {
		return strings.Join(recipients, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(recipients[:named], ", "), len(recipients)-named)
}

// spoken is a reply on one line, without what it repeats of the login.
func (p *post) spoken(code int, text string) string {
	text = strings.ToValidUTF8(p.secrets.text(text), "\uFFFD")
	return strings.Join(append([]string{strconv.Itoa(code)}, strings.Fields(text)...), " ")
}

// report fills in the attempt.
func (p *post) report(ctx context.Context, a *carillon.Attempt, timeout time.Duration) {
	switch {
	case len(p.open) > 0:
		p.unfinished(ctx, a, timeout)
	case len(p.progress.Refused) > 0:
		a.Outcome, p.answer = carillon.OutcomeReject, p.progress.Code
		a.Error = counted(len(p.progress.Refused), len(p.recipients), "refused for good") + p.progress.Why
		p.progress.Refused, p.progress.Code, p.progress.Why = nil, 0, "" // somebody who sends it again wants it tried
	default:
		a.Outcome, p.answer = carillon.OutcomeDelivered, codeTaken
	}
	if len(p.said) > 0 {
		a.Response = &carillon.Response{Status: p.answer, Body: strings.Join(p.said, "\n")}
	}
	if a.Outcome != carillon.OutcomeDelivered {
		a.Progress = p.progress.written()
	}
}

// unfinished is for a mail that some recipients have still to get.
func (p *post) unfinished(ctx context.Context, a *carillon.Attempt, timeout time.Duration) {
	a.Outcome, a.Error, p.answer = carillon.OutcomeRetry, p.trouble, p.code
	if p.forGood {
		a.Outcome = carillon.OutcomeReject
	}
	if why := interrupted(ctx, timeout); why != "" && p.cut {
		a.Outcome, a.Error = carillon.OutcomeRetry, why
	}
	a.Partial = len(p.progress.Sent) > 0 && !p.cut && p.code != 0
	if len(p.open) < len(p.recipients) {
		a.Error = counted(len(p.open), len(p.recipients), "left to be told") + a.Error
	}
}

// counted begins a text about some of the recipients; empty when there is but
// one.
func counted(some, all int, what string) string {
	if all == 1 {
		return ""
	}
	return fmt.Sprintf("%d of %d recipients %s: ", some, all, what)
}

// written is the progress as it is kept; nil when there is none. The reason is
// what can be spared.
func (p postProgress) written() json.RawMessage {
	if len(p.Sent) == 0 && len(p.Refused) == 0 {
		return nil
	}
	p.Why = carillon.Clip(p.Why, carillon.MaxErrorBytes)
	for p.Why != "" && jsonSize(p) > carillon.MaxProgressBytes {
		p.Why = clip(p.Why, len(p.Why)/2)
	}
	kept, err := json.Marshal(p)
	if err != nil {
		return nil // texts and a number can always be written
	}
	return kept
}
