package carillon

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Profile is how a product behaves towards its receivers: when it tries again,
// which answers it takes for what, and when it gives up. It fills in what a
// subscription does not say itself.
type Profile struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// Retry and Timeout are what a subscription gets that gives none.
	Retry   Retry    `json:"retry"`
	Timeout Duration `json:"timeout"`
	// Window is how long events are gathered for one request; 0 for none.
	Window Duration `json:"batch_window,omitempty"`
	// Answers are what answers mean; the first that fits decides.
	Answers []AnswerRule `json:"answers"`
	// Holds keeps what is given up as held instead of failed, so that it arrives
	// once the subscription is enabled again.
	Holds bool `json:"holds"`
	// Differs says for people where Carillon does otherwise than the product.
	Differs string `json:"differs,omitempty"`
}

// AnswerRule says what an answer means.
type AnswerRule struct {
	// Answer is a status ("410"), a hundred of them ("5xx"), "other" for every
	// status, "timeout", or "network": no connection, no name, no TLS.
	Answer  string  `json:"answer"`
	Outcome Outcome `json:"outcome"`
}

// The answers that are no status.
const (
	AnswerOther   = "other"
	AnswerTimeout = "timeout"
	AnswerNetwork = "network"
)

// DefaultProfile is the profile of subscriptions that name none.
const DefaultProfile = "carillon"

const defaultProfileTimeout = 15 * time.Second

// retryAll takes everything but 2xx for a reason to try again.
func retryAll(first ...AnswerRule) []AnswerRule {
	rules := append([]AnswerRule{{"2xx", OutcomeDelivered}}, first...)
	return append(rules,
		AnswerRule{AnswerOther, OutcomeRetry}, AnswerRule{AnswerTimeout, OutcomeRetry}, AnswerRule{AnswerNetwork, OutcomeRetry})
}

// schedule reads delays of this file, which cannot be wrong.
func schedule(texts string) []Duration {
	var delays []Duration
	for text := range strings.FieldsSeq(texts) {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic(err)
		}
		delays = append(delays, Duration(d))
	}
	return delays
}

var profiles = []Profile{
	{
		Name: DefaultProfile, Title: "Carillon", Retry: DefaultRetry(), Timeout: Duration(defaultProfileTimeout),
		Answers: retryAll(AnswerRule{"410", OutcomeGone}),
	},
	{
		Name: "codescoring", Title: "CodeScoring", Retry: DefaultRetry(), Timeout: Duration(defaultProfileTimeout),
		Window: Duration(5 * time.Second), Answers: retryAll(), Holds: true,
		Differs: "What its schedule gives up is held. Its page names no timeout.",
	},
	{
		Name: "defectdojo", Title: "DefectDojo",
		// After a temporary error the product lets the next event try after a
		// minute, and gives up after 24 h of that; so does this one, in steps.
		Retry: Retry{
			Schedule: schedule("1m 1m 1m 1m 1m 5m 5m 10m 10m 20m 35m 1h 1h 2h 2h 3h 4h 4h30m 5h"), Disable: DisableExhausted,
		},
		Timeout: Duration(10 * time.Second),
		Answers: []AnswerRule{
			{"2xx", OutcomeDelivered}, {"429", OutcomeRetry}, {"5xx", OutcomeRetry}, {AnswerTimeout, OutcomeRetry},
			{AnswerOther, OutcomeRefused}, {AnswerNetwork, OutcomeRefused},
		},
		Holds: true,
		Differs: "The event that failed is tried again and then held; the product drops it, and all that come while it is out. " +
			"Only the failing delivery waits that minute: other events are still tried, until the breaker opens.",
	},
	{
		Name: "svix", Title: "Svix",
		Retry:   Retry{Schedule: schedule("5s 5m 30m 2h 5h 10h 10h"), Disable: DisableUnreachable},
		Timeout: Duration(15 * time.Second), Answers: retryAll(),
		Differs: "Svix disables after five days in which everything failed; this one when a schedule runs out in which nothing was delivered.",
	},
	{
		Name: "standard-webhooks", Title: "Standard Webhooks",
		Retry:   Retry{Schedule: schedule("5s 5m 30m 2h 5h 10h 14h 20h 24h"), Disable: DisableUnreachable},
		Timeout: Duration(20 * time.Second), Answers: retryAll(AnswerRule{"410", OutcomeGone}),
		Differs: "The specification leaves open when a failing endpoint is disabled.",
	},
	{
		Name: "gitlab", Title: "GitLab",
		Retry: Retry{
			Schedule: schedule("1m 2m 4m 8m 16m 32m 1h4m 2h8m 4h16m 8h32m 17h4m 24h"), Disable: DisableUnreachable,
		},
		Timeout: Duration(10 * time.Second), Answers: retryAll(),
		Differs: "GitLab does not send an event again: it waits so long before the next one, from the fourth failure on, and gives up after forty.",
	},
}

// Profiles returns all profiles, in the order in which people see them.
func Profiles() []Profile { return slices.Clone(profiles) }

// LookupProfile returns the profile of the name; "" is that of [DefaultProfile].
func LookupProfile(name string) (Profile, bool) {
	if name == "" {
		name = DefaultProfile
	}
	i := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return profiles[0], false
	}
	return profiles[i], true
}

// Status says what an answer with the HTTP status means.
func (p Profile) Status(status int) Outcome {
	text := strconv.Itoa(status)
	for _, rule := range p.Answers {
		hundred, ok := strings.CutSuffix(rule.Answer, "xx")
		if rule.Answer == text || rule.Answer == AnswerOther || ok && len(text) == 3 && text[:1] == hundred {
			return rule.Outcome
		}
	}
	return OutcomeRetry
}

// Silence says what it means that no answer came: [AnswerTimeout] or
// [AnswerNetwork].
func (p Profile) Silence(answer string) Outcome {
	for _, rule := range p.Answers {
		if rule.Answer == answer {
			return rule.Outcome
		}
	}
	return OutcomeRetry
}
