package workflows

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/carillon-dev/carillon"
)

// PublishAll starts one run for all events, or none, and returns once Temporal
// has it for good: the runs of the events, in their order. An event that was
// published before has the run of then. Errors: [carillon.CodeEventReused] when
// one of the ids was published with another fingerprint, at the pointer of the
// first such event; [carillon.CodeUnavailable] when it is not known whether the
// events were taken.
func (p *Publisher) PublishAll(ctx context.Context, events []carillon.Posted) ([]carillon.Run, error) {
	ctx = context.WithoutCancel(ctx) // nothing is half done for a producer that hangs up
	outcomes := p.publishShared(ctx, events, true)
	runs := make([]carillon.Run, len(events))
	for i, outcome := range outcomes {
		if outcome.err != nil {
			return nil, at(i, outcome.err)
		}
		runs[i] = outcome.run
	}
	return runs, nil
}

// at says which event of a batch was refused.
func at(i int, err error) error {
	e, ok := errors.AsType[*carillon.Error](err)
	if !ok || e.Code != carillon.CodeEventReused {
		return err
	}
	return &carillon.Error{Code: e.Code, Err: err, Message: fmt.Sprintf(
		"the event at number %d, counted from 0: %s; none of the batch was taken", i, e.Message)}
}

// outcome is what became of one event of a batch.
type outcome struct {
	run carillon.Run
	err error
}

// publishShared publishes events with one start. Each that cannot be is refused
// alone, unless they go all together.
func (p *Publisher) publishShared(ctx context.Context, events []carillon.Posted, together bool) []outcome {
	outcomes := make([]outcome, len(events))
	fail := func(err error) []outcome {
		for i := range outcomes {
			outcomes[i] = outcome{err: err}
		}
		return outcomes
	}
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.Event.ID
	}
	release, err := p.turns.take(ctx, ids)
	if err != nil {
		return fail(err)
	}
	defer release()
	version, owners, err := p.known(ctx, ids)
	if err != nil {
		return fail(unavailable("the database does not answer", err))
	}
	first := map[string]int{} // of the events that are new, by their ids
	var fresh []int
	for i, e := range events {
		id := e.Event.ID
		if owner, ok := owners[id]; ok {
			outcomes[i].run, outcomes[i].err = sameEvent(id, owner.Run, owner.Fingerprint, e.Fingerprint)
		} else if n, ok := first[id]; ok {
			_, outcomes[i].err = sameEvent(id, carillon.Run{}, events[n].Fingerprint, e.Fingerprint)
		} else {
			first[id] = i
			fresh = append(fresh, i)
		}
	}
	refused := slices.ContainsFunc(outcomes, func(o outcome) bool { return o.err != nil })
	if len(fresh) == 0 || together && refused {
		return outcomes
	}
	run, err := p.startShared(ctx, events, fresh, version)
	for i, e := range events {
		n, isNew := first[e.Event.ID]
		switch {
		case !isNew || outcomes[i].err != nil:
		case err != nil:
			outcomes[i].err = err
		default:
			outcomes[i].run = run
			if n == i {
				p.recent.add(e.Event.ID, carillon.EventOwner{Run: run, Fingerprint: e.Fingerprint})
			}
		}
	}
	return outcomes
}

// known returns the config version in force, and those of the events that were
// published before.
func (p *Publisher) known(ctx context.Context, ids []string) (int64, map[string]carillon.EventOwner, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	// The version first: what is saved after it was read does not apply.
	version, err := p.index.ConfigVersion(ctx)
	if err != nil {
		return 0, nil, err
	}
	owners, err := p.index.Owners(ctx, ids)
	if err != nil {
		return 0, nil, err
	}
	for _, id := range ids {
		if owner, ok := p.recent.get(id); ok {
			owners[id] = owner
		}
	}
	return version, owners, nil
}

// startShared starts the run of the chosen events. One alone has its own.
func (p *Publisher) startShared(ctx context.Context, events []carillon.Posted, chosen []int, version int64) (carillon.Run, error) {
	now := p.now().UTC()
	pubs := make([]carillon.Publication, len(chosen))
	for i, n := range chosen {
		pubs[i] = carillon.Publication{
			Event: events[n].Event, Fingerprint: events[n].Fingerprint, ConfigVersion: version, ReceivedAt: now,
		}
	}
	if len(pubs) == 1 {
		return p.startAlone(ctx, pubs[0])
	}
	id := BatchWorkflowID(carillon.NewID("", now))
	run, err := p.start(ctx, func(attributes bool) (client.StartWorkflowOptions, string, any) {
		options := startOptions(id, batchSummary(pubs))
		options.TypedSearchAttributes = startAttributes(attributes, commonEvent(pubs))
		return options, BatchType, BatchInput{Publications: pubs, SearchAttributes: attributes}
	})
	if started, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		// By the first try, whose answer was lost.
		return carillon.Run{WorkflowID: id, RunID: started.RunId}, nil
	}
	if err != nil {
		return carillon.Run{}, unavailable("Temporal does not answer", err)
	}
	return run, nil
}
