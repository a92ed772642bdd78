package channels

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/formats"
	"github.com/carillon-dev/carillon/internal/safehttp"
	"github.com/carillon-dev/carillon/messages"
)

const teamsName = "teams"

// The kinds of URLs that Teams gives out for a channel.
const (
	teamsWorkflow  = "workflow"
	teamsConnector = "connector"
)

// maxTeamsBytes is how long a message may be: Teams refuses those above 28 KB,
// and says nowhere which KB it means.
// https://learn.microsoft.com/microsoftteams/limits-specifications-teams
const maxTeamsBytes = 28_000

// teamsEndpoint is the JSON shape of an endpoint of Teams.
type teamsEndpoint struct {
	URL     string             `json:"url"`
	Kind    string             `json:"kind,omitempty"`
	Message messages.Overrides `json:"message,omitzero"`
	Timeout carillon.Duration  `json:"timeout"`
}

func (e teamsEndpoint) address() string          { return e.URL }
func (e teamsEndpoint) limit() carillon.Duration { return e.Timeout }

// kind is the URL's, guessed from its host where the endpoint names none: Teams
// moves URLs from the one kind to the other, and a kept guess would stay.
func (e teamsEndpoint) kind() string {
	if e.Kind != "" {
		return e.Kind
	}
	target, err := url.Parse(e.URL)
	if err != nil {
		return teamsWorkflow
	}
	switch host := strings.ToLower(target.Hostname()); {
	case strings.HasSuffix(host, ".webhook.office.com"), host == "outlook.office.com", host == "outlook.office365.com":
		return teamsConnector
	default:
		return teamsWorkflow
	}
}

func newTeams(x exchanger, p safehttp.Policy) Sender {
	return service[teamsEndpoint]{
		exchanger: x,
		described: described[teamsEndpoint]{
			about: Description{
				Name: teamsName, Title: "Microsoft Teams", ForPeople: true, Fields: teamsFields,
				Text: "Cards in a channel of Microsoft Teams, by a workflow that takes webhook requests.",
			},
			check: func(f form, e *teamsEndpoint) { checkAddress(f, "url", e.URL, p) },
		},
		write: writeTeams,
		send: func(ctx context.Context, a *carillon.Attempt, m Message, e teamsEndpoint, payload formats.Payload) {
			x.post(ctx, a, m, e, posting{url: e.URL, payload: payload})
			if e.kind() == teamsConnector {
				judgeConnector(a, m)
			}
		},
	}
}

var teamsFields = []Field{
	{
		Name: "url", Type: URL, Required: true, Secret: true, Max: maxURLBytes, Example: "https://prod-00.westeurope.logic.azure.com/workflows/…",
		Text: "The URL that the workflow shows, of its trigger \"When a Teams webhook request is received\". Whoever has it can post.",
	},
	{
		Name: "kind", Type: Text, Values: []string{teamsWorkflow, teamsConnector},
		Text: "workflow takes Adaptive Cards; connector is an incoming webhook of Office 365, which Microsoft retires, and takes message " +
			"cards. Left out, the URL's host tells.",
	},
	messageField, timeoutField,
}

func writeTeams(m Message, e teamsEndpoint) (formats.Payload, error) {
	message, err := told(m, e.Message)
	if err != nil {
		return formats.Payload{}, err
	}
	return card(e.kind(), message), nil
}

// card is the message that a URL of the kind takes, cut to what Teams takes.
func card(kind string, m messages.Message) formats.Payload {
	of := adaptiveMessage
	if kind == teamsConnector {
		of = messageCard
	}
	fits := func(m messages.Message) bool { return len(written(of(m)).Body) <= maxTeamsBytes }
	return written(of(fitted(m, fits)))
}

// inConnectorsAnswer finds the status that a connector met itself: it answers
// 200 for nearly everything.
// https://github.com/MicrosoftDocs/msteams-docs/issues/7425
var inConnectorsAnswer = regexp.MustCompile(`HTTP error (\d{3})\b`)

// judgeConnector takes a connector's 2xx for what it is: only a number, of the
// messages that were sent, or nothing says that one was.
func judgeConnector(a *carillon.Attempt, m Message) {
	if a.Outcome != carillon.OutcomeDelivered || a.Response == nil {
		return
	}
	text := strings.TrimSpace(a.Response.Body)
	if _, err := strconv.ParseUint(text, 10, 64); err == nil || text == "" {
		return
	}
	status := http.StatusInternalServerError
	if found := inConnectorsAnswer.FindStringSubmatch(text); found != nil {
		status, _ = strconv.Atoi(found[1]) // three digits
	}
	profile, _ := carillon.LookupProfile(m.Profile)
	if a.Outcome, _ = classify(profile, status); a.Outcome == carillon.OutcomeDelivered {
		a.Outcome = carillon.OutcomeRetry
	}
	a.Error = "the connector answered " + strconv.Itoa(a.Response.Status) + " but failed"
	saying(a, text)
}
