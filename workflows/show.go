package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
)

// Search attributes of Dispatch runs. The first three are set at the start,
// the others only when a delivery is in trouble.
var (
	AttributeEventType = temporal.NewSearchAttributeKeyKeyword("CarillonEventType")
	AttributeScope     = temporal.NewSearchAttributeKeyKeyword("CarillonScope")
	AttributeSubject   = temporal.NewSearchAttributeKeyKeyword("CarillonSubject")
	AttributeState     = temporal.NewSearchAttributeKeyKeyword("CarillonState")
	AttributeFailing   = temporal.NewSearchAttributeKeyKeywordList("CarillonFailing")
)

const (
	// maxKeyword keeps a search attribute far below the 2 KB at which the
	// server would end the run.
	maxKeyword = 200
	// maxSummary is what Temporal documents for summaries.
	maxSummary = 200
	// maxFailing bounds the list of failing subscriptions; manyFailing stands
	// for the rest.
	maxFailing  = 40
	manyFailing = "many"
)

// Summary is the line that names an event in a list of runs.
func Summary(e carillon.Event) string {
	text := e.Type
	if e.Subject != "" {
		text += " " + subjectText(e.Subject)
	}
	for _, key := range e.ScopeKeys() {
		text += " · " + e.Scope[key]
	}
	return carillon.Clip(text, maxSummary)
}

// subjectText writes a purl as people do, "MyCorp.CoolUtils 3.2.0", and any
// other subject as it is.
func subjectText(subject string) string {
	purl, ok := strings.CutPrefix(subject, "pkg:")
	if !ok {
		return subject
	}
	purl, _, _ = strings.Cut(purl, "#")
	path, query, _ := strings.Cut(purl, "?")
	if _, name, ok := strings.Cut(path, "/"); ok { // without the type
		path = name
	}
	name, version, _ := strings.Cut(path, "@")
	for part := range strings.SplitSeq(query, "&") { // an image is known by its tag
		if tag, ok := strings.CutPrefix(part, "tag="); ok {
			version = tag
		}
	}
	name = strings.ReplaceAll(name, "%40", "@")
	return strings.TrimSpace(name + " " + version)
}

// label names a delivery for people.
func (dl *delivery) label() string {
	if dl.Name != "" {
		return dl.Name
	}
	return dl.Subscription
}

// attemptSummary is the line of an attempt: "attempt 3/8 webhook hooks.example.com · CoolUtils watchers".
func (dl *delivery) attemptSummary() string {
	return carillon.Clip(fmt.Sprintf("attempt %d/%d %s %s · %s",
		dl.attempts+1, len(dl.Delays)+1, dl.Channel, dl.Host, dl.label()), maxSummary)
}

// waitSummary is the line of a timer: "retry 3/8 in 30m (HTTP 503)".
func (dl *delivery) waitSummary() string {
	return carillon.Clip(fmt.Sprintf("retry %d/%d in %s (%s) · %s",
		dl.attempts+1, len(dl.Delays)+1, roughly(dl.wait), dl.reason(), dl.label()), maxSummary)
}

// roughly writes a delay as people say it, without its jitter's milliseconds.
func roughly(wait time.Duration) carillon.Duration {
	if wait > time.Minute {
		return carillon.Duration(wait.Round(time.Second))
	}
	return carillon.Duration(wait.Round(100 * time.Millisecond))
}

func (dl *delivery) reason() string {
	if dl.status != 0 && dl.Channel == "email" {
		return fmt.Sprintf("SMTP %d", dl.status)
	}
	if dl.status != 0 {
		return fmt.Sprintf("HTTP %d", dl.status)
	}
	return carillon.Clip(dl.err, 80)
}

// shown is what a run last told Temporal of itself.
type shown struct {
	state           carillon.DeliveryState
	failing         string
	conditionErrors []carillon.ConditionError
}

// show brings details and search attributes up to date. A run without trouble
// sets none: each change of attributes costs the server a write.
func (d *dispatch) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, d.details())
	if !d.attributes || !d.troubled {
		return
	}
	state, failing := d.overall()
	joined := strings.Join(failing, " ")
	if state == d.shown.state && joined == d.shown.failing {
		return
	}
	d.shown.state, d.shown.failing = state, joined
	err := workflow.UpsertTypedSearchAttributes(ctx,
		AttributeState.ValueSet(string(state)), AttributeFailing.ValueSet(failing))
	if err != nil {
		workflow.GetLogger(ctx).Error("search attributes not set", "error", err)
	}
}

// overall returns the state that an operator looks for first, and the
// subscriptions that do not get the event now.
func (d *dispatch) overall() (carillon.DeliveryState, []string) {
	worst := carillon.Succeeded
	rank := map[carillon.DeliveryState]int{
		carillon.Succeeded: 0, carillon.Canceled: 1, carillon.Held: 2, carillon.Failed: 3,
		carillon.Pending: 4, carillon.Retrying: 4,
	}
	failing := []string{}
	for _, dl := range d.deliveries {
		if rank[dl.state] > rank[worst] {
			worst = dl.state
		}
		if dl.state != carillon.Retrying && dl.state != carillon.Failed {
			continue
		}
		switch {
		case len(failing) < maxFailing:
			failing = append(failing, dl.Subscription)
		case len(failing) == maxFailing:
			failing = append(failing, manyFailing)
		}
	}
	if worst == carillon.Pending { // a first try that Carillon could not make is on its way again
		worst = carillon.Retrying
	}
	return worst, failing
}

// details is the table of deliveries, in Markdown.
func (d *dispatch) details() string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n", cell(d.summary))
	if d.result.Duplicate {
		b.WriteString("Another run rang for this event before; this one does nothing.\n")
		return b.String()
	}
	if len(d.deliveries) == 0 && len(d.gathered) > 0 {
		b.WriteString("Every delivery goes in batches.\n")
	} else if len(d.deliveries) == 0 {
		b.WriteString("No subscription matches.\n")
	} else {
		// What an operator looks for comes first: Temporal Web shows little more
		// than 500 pixels of it.
		b.WriteString("| state | attempts | last | next | subscription |\n|---|---|---|---|---|\n")
		for _, dl := range d.deliveries {
			next := ""
			if !dl.nextAt.IsZero() {
				next = dl.nextAt.UTC().Format("2006-01-02 15:04:05Z")
			}
			last := ""
			if dl.attempts > 0 || dl.err != "" {
				last = dl.reason()
			}
			fmt.Fprintf(&b, "| %s | %d of %d | %s | %s | %s · %s %s `%s` |\n",
				dl.state, dl.attempts, len(dl.Delays)+1, cell(last), next,
				cell(dl.Name), cell(dl.Channel), cell(dl.Host), dl.Subscription)
		}
	}
	for _, woken := range d.gathered {
		fmt.Fprintf(&b, "\nIn the batches of %s: run `%s`.\n", cell(woken.Name), carillon.GatherWorkflowID(woken.Subscription))
	}
	if d.result.MorePages {
		b.WriteString("\nFurther deliveries are in runs of their own: the child workflow is the next page.\n")
	}
	for _, e := range d.shown.conditionErrors {
		fmt.Fprintf(&b, "\nThe condition of `%s` could not be evaluated: %s\n", e.SubscriptionID, cell(e.Error))
	}
	return b.String()
}

// marks are what means something to Markdown, and how it is written to mean
// nothing but itself.
var marks = strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ", "`", "'", "<", "&lt;", "[", "\\[", "*", "\\*", "_", "\\_")

// cell makes text safe within a Markdown table: it stays one line, one cell,
// and means nothing but itself.
func cell(text string) string { return marks.Replace(carillon.Clip(text, maxSummary)) }
