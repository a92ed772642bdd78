package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
)

// manyTypes stands for the type of a shared run whose events have several.
const manyTypes = "many"

// batchSummary is the line that names a shared run: "100 events · package.added ×60, build.finished ×40".
func batchSummary(pubs []carillon.Publication) string {
	counts := map[string]int{}
	var types []string // in the order of their first event
	for _, pub := range pubs {
		if counts[pub.Event.Type] == 0 {
			types = append(types, pub.Event.Type)
		}
		counts[pub.Event.Type]++
	}
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = fmt.Sprintf("%s ×%d", t, counts[t])
	}
	return carillon.Clip(fmt.Sprintf("%d events · %s", len(pubs), strings.Join(parts, ", ")), maxSummary)
}

func attemptsSummary(n int) string { return fmt.Sprintf("first attempts of %d deliveries", n) }

// commonEvent is an event with what all events of a shared run have in common,
// for its search attributes.
func commonEvent(pubs []carillon.Publication) carillon.Event {
	common := carillon.Event{Type: pubs[0].Event.Type, Scope: pubs[0].Event.Scope}
	for _, pub := range pubs[1:] {
		if pub.Event.Type != common.Type {
			common.Type = manyTypes
		}
		if pub.Event.ScopeText() != common.ScopeText() {
			common.Scope = nil
		}
	}
	return common
}

// maxShownEvents bounds the events in a run's details.
const maxShownEvents = 100

// show writes the details of a shared run: what became of it, and where its
// trouble goes on.
func (b *batch) show(ctx workflow.Context) {
	var text strings.Builder
	fmt.Fprintf(&text, "**%s**\n\n", cell(batchSummary(b.publications)))
	fmt.Fprintf(&text, "%d delivered, %d failed, %d held, %d canceled, %d in trouble\n",
		b.result.Succeeded, b.result.Failed, b.result.Held, b.result.Canceled, b.result.InTrouble)
	for _, woken := range b.gathered {
		fmt.Fprintf(&text, "\n%s in the batches of %s: run `%s`\n", events(woken.Events), cell(woken.Name), carillon.GatherWorkflowID(woken.Subscription))
	}
	trouble := map[int]bool{}
	for _, dl := range b.deliveries {
		if dl.attempt == nil || dl.attempt.Outcome != carillon.OutcomeDelivered {
			trouble[dl.event] = true
		}
	}
	text.WriteString("\n| event | what | now |\n|---|---|---|\n")
	for n, pub := range b.publications[:min(len(b.publications), maxShownEvents)] {
		now := "delivered"
		switch {
		case b.routed[n].Conflict:
			now = "left out: another event was taken under this id at the same time"
		case b.routed[n].Duplicate:
			now = "left out: another run rang for it before"
		case b.routed[n].Paged:
			now = "in child runs, a page of deliveries each"
		case trouble[n]:
			now = "see the child run " + RetryWorkflowID(pub.Event.ID) + ", or the index"
		case len(b.routed[n].Held) > 0:
			now = "delivered, or held"
		case len(b.routed[n].Pending) == 0:
			now = "no subscription matches"
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s |\n", pub.Event.ID, cell(Summary(pub.Event)), cell(now))
	}
	workflow.SetCurrentDetails(ctx, text.String())
}
