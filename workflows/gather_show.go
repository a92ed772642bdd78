package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
)

// shownRequests bounds the table of a run's requests.
const shownRequests = 10

// requestLine is one request, for people.
type requestLine struct {
	at     time.Time
	events int
	what   string
}

// label names the subscription for people.
func (g *gathering) label() string {
	if g.now.Name != "" {
		return g.now.Name
	}
	return g.subscription
}

// waitSummary is the line of a timer: "3 events wait, in 5s · CoolUtils
// watchers", or "3 events again in 5m, 1 of them new · …".
func (g *gathering) waitSummary(wait time.Duration) string {
	text := fmt.Sprintf("%s, request in %s", events(g.now.Waiting), roughly(wait))
	if g.now.Unsuccessful > 0 {
		text = fmt.Sprintf("%s, %d unsuccessful, again in %s", events(g.now.Waiting), g.now.Unsuccessful, roughly(wait))
	}
	return carillon.Clip(text+" · "+g.label(), maxSummary)
}

// sendSummary is the line of a request: "3 events, attempt 2/8 webhook
// hooks.example.com · CoolUtils watchers".
func (g *gathering) sendSummary(rows []activities.GatheredRow) string {
	return carillon.Clip(fmt.Sprintf("%s, attempt %d/%d %s %s · %s", events(len(rows)), rows[0].Attempts+1,
		len(g.now.Delays)+1, g.now.Channel, g.now.Host, g.label()), maxSummary)
}

func events(n int) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}

// told keeps what came of a request for people.
func (g *gathering) told(ctx workflow.Context, sent int, out activities.SendResult) {
	g.progress.Requests++
	what := string(out.Attempt.Outcome)
	if out.Attempt.Error != "" {
		what += ": " + carillon.Clip(out.Attempt.Error, 80)
	}
	if n := len(out.NotTaken); n > 0 {
		what += fmt.Sprintf(", but for %d", n)
	}
	g.progress.Last = what
	g.requests = append(g.requests, requestLine{at: workflow.Now(ctx), events: sent, what: what})
	if len(g.requests) > shownRequests {
		g.requests = g.requests[1:]
	}
}

// show brings the details up to date.
func (g *gathering) show(ctx workflow.Context, what string) {
	p := g.progress
	if what == "" {
		what = events(p.Waiting) + " in the next request, at " + p.NextAt.UTC().Format("2006-01-02 15:04:05Z")
		if p.Unsuccessful > 0 {
			what += fmt.Sprintf("; %d of them were in one that failed", p.Unsuccessful)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**batches of %s** `%s`: %s\n\n%d requests: %d delivered, %d failed, %d held\n",
		cell(g.label()), g.subscription, what, p.Requests, p.Succeeded, p.Failed, p.Held)
	if len(g.requests) > 0 {
		b.WriteString("\n| request | events | what came of it |\n|---|---|---|\n")
	}
	for _, r := range g.requests {
		fmt.Fprintf(&b, "| %s | %d | %s |\n", r.at.UTC().Format("2006-01-02 15:04:05Z"), r.events, cell(r.what))
	}
	workflow.SetCurrentDetails(ctx, b.String())
}
