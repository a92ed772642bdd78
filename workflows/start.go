package workflows

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/carillon-dev/carillon"
)

// Task queues. Dispatch runs, and what they keep their books with, do not wait
// behind attempts.
const (
	DispatchQueue   = "carillon-dispatch"
	DeliveriesQueue = "carillon-deliveries"
)

// BatchWorkflowID names a shared run: id is a ULID.
func BatchWorkflowID(id string) string { return "batch/" + id }

// RetryWorkflowID names the run of an event of a shared run that is in trouble.
func RetryWorkflowID(eventID string) string { return carillon.EventWorkflowID(eventID) + "/retry" }

// RedeliveryWorkflowID names the run of a delivery's redelivery n, from 1.
func RedeliveryWorkflowID(eventID, subscription string, n int) string {
	return fmt.Sprintf("event/%s/%s/redelivery/%d", eventID, subscription, n)
}

// RecoverWorkflowID names the run that owns a subscription's backlog.
func RecoverWorkflowID(subscription string) string { return "recover/" + subscription }

// startTimeout bounds one try of a start. A start whose answer did not come is
// tried again once: under the same workflow id that is safe.
const (
	startTimeout = 3 * time.Second
	startTries   = 2
	// lateTimeout is how long an answer is waited for that comes too late for the
	// producer.
	lateTimeout = 30 * time.Second
	// maxLate is how many of them there are at most.
	maxLate = 256
)

// Index is what a publisher needs of the database.
type Index interface {
	// Accepted returns the config version in force, and the row of an event
	// when there is one.
	Accepted(ctx context.Context, eventID string) (configVersion int64, row *carillon.EventRow, err error)
	// ConfigVersion and Owners are the same of many events: whose those are that
	// were claimed.
	ConfigVersion(ctx context.Context) (int64, error)
	Owners(ctx context.Context, ids []string) (map[string]carillon.EventOwner, error)
}

// Publisher starts the run of an event, and reaches it later.
type Publisher struct {
	client    client.Client
	converter converter.DataConverter
	index     Index
	now       func() time.Time
	log       *slog.Logger
	namespace string

	attributes searchAttributes
	late       atomic.Int64
	recent     recent
	turns      turns
	group      *group // nil unless single posts share runs
}

// NewPublisher returns a publisher. The data converter and the namespace are
// the client's.
func NewPublisher(
	c client.Client, dc converter.DataConverter, namespace string, index Index, now func() time.Time, log *slog.Logger,
) *Publisher {
	return &Publisher{client: c, converter: dc, namespace: namespace, index: index, now: now, log: log}
}

// Publish starts the run of an event and returns once Temporal has it for
// good. A repeated post is answered with the run of the first. Errors:
// [carillon.CodeEventReused] when the event's id was published with another
// fingerprint; [carillon.CodeUnavailable] when it is not known whether the
// event was taken.
func (p *Publisher) Publish(ctx context.Context, event carillon.Event, fingerprint string) (carillon.Run, error) {
	posted := carillon.Posted{Event: event, Fingerprint: fingerprint}
	if p.group != nil {
		return p.group.publish(ctx, posted)
	}
	return p.publishAlone(ctx, posted)
}

// publishAlone publishes an event in a run of its own.
func (p *Publisher) publishAlone(ctx context.Context, posted carillon.Posted) (carillon.Run, error) {
	event := posted.Event
	release, err := p.turns.take(ctx, []string{event.ID})
	if err != nil {
		return carillon.Run{}, err
	}
	defer release()
	if owner, ok := p.recent.get(event.ID); ok {
		return sameEvent(event.ID, owner.Run, owner.Fingerprint, posted.Fingerprint)
	}
	version, row, err := p.accepted(ctx, event.ID)
	if err != nil {
		return carillon.Run{}, unavailable("the database does not answer", err)
	}
	if row != nil {
		return sameEvent(event.ID, row.Run, row.Fingerprint, posted.Fingerprint)
	}
	run, err := p.startAlone(ctx, carillon.Publication{
		Event: event, Fingerprint: posted.Fingerprint, ConfigVersion: version, ReceivedAt: p.now().UTC(),
	})
	if err == nil {
		p.recent.add(event.ID, carillon.EventOwner{Run: run, Fingerprint: posted.Fingerprint})
	}
	return run, err
}

func (p *Publisher) accepted(ctx context.Context, eventID string) (int64, *carillon.EventRow, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return p.index.Accepted(ctx, eventID)
}

// startAlone starts the run of an event that the index does not know.
func (p *Publisher) startAlone(ctx context.Context, pub carillon.Publication) (carillon.Run, error) {
	id := carillon.EventWorkflowID(pub.Event.ID)
	run, err := p.start(ctx, func(attributes bool) (client.StartWorkflowOptions, string, any) {
		options := startOptions(id, Summary(pub.Event))
		options.TypedSearchAttributes = startAttributes(attributes, pub.Event)
		return options, DispatchType, DispatchInput{Publication: &pub, SearchAttributes: attributes}
	})
	if started, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
		run := carillon.Run{WorkflowID: id, RunID: started.RunId}
		known, err := p.fingerprint(ctx, run)
		if err != nil {
			return carillon.Run{}, unavailable("Temporal does not answer", err)
		}
		return sameEvent(pub.Event.ID, run, known, pub.Fingerprint)
	}
	if err != nil {
		return carillon.Run{}, unavailable("Temporal does not answer", err)
	}
	return run, nil
}

// start starts a run, trying twice when no answer comes. what says which, on a
// server with or without Carillon's search attributes.
func (p *Publisher) start(ctx context.Context, what func(attributes bool) (client.StartWorkflowOptions, string, any)) (carillon.Run, error) {
	var err error
	for range startTries {
		var run carillon.Run
		run, err = p.startOnce(ctx, what)
		if err == nil || ctx.Err() != nil {
			return run, err
		}
		if _, ok := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); ok {
			return run, err
		}
		if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok {
			// The search attributes may have been removed since they were seen.
			p.attributes.forget()
		}
	}
	return carillon.Run{}, err
}

func (p *Publisher) startOnce(ctx context.Context, what func(attributes bool) (client.StartWorkflowOptions, string, any)) (carillon.Run, error) {
	options, kind, input := what(p.attributes.present(ctx, p))
	answered := make(chan outcome, 1)
	// Neither a producer that hangs up nor one that is told to come again breaks
	// the start off: the answer to an eager start brings its first task, which
	// would be lost until that times out.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateTimeout)
	go func() {
		defer cancel()
		handle, err := p.client.ExecuteWorkflow(ctx, options, kind, input)
		if err != nil {
			answered <- outcome{err: err}
			return
		}
		answered <- outcome{run: carillon.Run{WorkflowID: handle.GetID(), RunID: handle.GetRunID()}}
	}()
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	select {
	case o := <-answered:
		return o.run, o.err
	case <-deadline.C:
		// Not without end: with a server that is away, each post leaves one.
		if p.late.Add(1) > maxLate {
			cancel()
			p.late.Add(-1)
		} else {
			context.AfterFunc(ctx, func() { p.late.Add(-1) })
		}
		return carillon.Run{}, fmt.Errorf("start %s: %w", options.ID, context.DeadlineExceeded)
	}
}

// startOptions are those of every run of events: its id is never used again.
func startOptions(id, summary string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                DispatchQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowTaskTimeout:                      taskTimeout,
		EnableEagerStart:                         true,
		StaticSummary:                            summary,
	}
}

// fingerprint reads what a started run was posted with: its index row may not
// be written yet.
func (p *Publisher) fingerprint(ctx context.Context, run carillon.Run) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	iter := p.client.GetWorkflowHistory(ctx, run.WorkflowID, run.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	first, err := iter.Next()
	if err != nil {
		return "", err
	}
	var in DispatchInput
	if err := p.converter.FromPayloads(first.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in); err != nil {
		return "", err
	}
	if in.Publication == nil {
		return "", fmt.Errorf("run %s carries no event", run.WorkflowID)
	}
	return in.Publication.Fingerprint, nil
}

// RetryNow makes a waiting delivery's next attempt now. Its error is
// [carillon.CodeConflict] when the delivery is not waiting.
func (p *Publisher) RetryNow(ctx context.Context, run carillon.Run, subscription string) error {
	return p.update(ctx, run, UpdateRetryNow, subscription)
}

// Cancel ends a delivery that is under way. Its error is
// [carillon.CodeConflict] when it is not.
func (p *Publisher) Cancel(ctx context.Context, run carillon.Run, subscription string) error {
	return p.update(ctx, run, UpdateCancel, subscription)
}

// updateTimeout is above the longest attempt, which a cancel waits for.
const updateTimeout = attemptTimeout + 5*time.Second

func (p *Publisher) update(ctx context.Context, run carillon.Run, name, subscription string) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	handle, err := p.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: run.WorkflowID, UpdateName: name, WaitForStage: client.WorkflowUpdateStageCompleted,
		Args: []any{UpdateInput{Subscription: subscription}},
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return &carillon.Error{Code: carillon.CodeConflict, Message: "the delivery is not under way: its run has ended", Err: err}
	}
	if refused, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return &carillon.Error{Code: carillon.CodeConflict, Message: refused.Message(), Err: err}
	}
	return unavailable("Temporal does not answer", err)
}

// sameEvent answers a repeated post: with the first one's run when it said the
// same.
func sameEvent(id string, run carillon.Run, known, posted string) (carillon.Run, error) {
	if known != posted {
		return carillon.Run{}, carillon.Errorf(carillon.CodeEventReused,
			"an event with this source and id was published before with other content; its id here is %s", id)
	}
	return run, nil
}

func unavailable(message string, err error) error {
	return &carillon.Error{Code: carillon.CodeUnavailable, Message: message, Err: err}
}

const (
	// recheck is how often a server without the search attributes is asked
	// again.
	recheck = time.Minute
	// recheckTimeout bounds that question: posts wait for it.
	recheckTimeout = time.Second
)

// searchAttributes knows whether the server has Carillon's search attributes:
// runs go without them on one that does not. One post at a time asks; the
// others go by what is known.
type searchAttributes struct {
	asking  atomic.Bool
	mu      sync.Mutex
	checked time.Time
	known   bool
}

func (s *searchAttributes) forget() { s.learn(time.Time{}, false) }

func (s *searchAttributes) learn(checked time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked, s.known = checked, known
}

func (s *searchAttributes) last() (checked time.Time, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked, s.known
}

func (s *searchAttributes) present(ctx context.Context, p *Publisher) bool {
	checked, known := s.last()
	if known || p.now().Sub(checked) < recheck || !s.asking.CompareAndSwap(false, true) {
		return known
	}
	defer s.asking.Store(false)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recheckTimeout)
	defer cancel()
	missing, err := MissingSearchAttributes(ctx, p.client, p.namespace)
	switch {
	case err != nil:
		p.log.Warn("search attributes are not known; runs start without them", "error", err)
	case len(missing) > 0:
		p.log.Warn("the namespace has no search attributes of Carillon; runs start without them",
			"missing", missing, "create_them_with", CreateSearchAttributesCommand(p.namespace))
	}
	known = err == nil && len(missing) == 0
	s.learn(p.now(), known)
	return known
}

// startAttributes are the search attributes of a run at its start; none on a
// server that does not have them.
func startAttributes(present bool, e carillon.Event) temporal.SearchAttributes {
	if !present {
		return temporal.SearchAttributes{}
	}
	return temporal.NewSearchAttributes(
		AttributeEventType.ValueSet(carillon.Clip(e.Type, maxKeyword)),
		AttributeScope.ValueSet(carillon.Clip(e.ScopeText(), maxKeyword)),
		AttributeSubject.ValueSet(carillon.Clip(e.Subject, maxKeyword)),
	)
}

// attributeTypes are the search attributes and the types that they are
// registered with.
var attributeTypes = []struct {
	key temporal.SearchAttributeKey
	typ enumspb.IndexedValueType
}{
	{AttributeEventType, enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	{AttributeScope, enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	{AttributeSubject, enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	{AttributeState, enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	{AttributeFailing, enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST},
}

// MissingSearchAttributes returns the names of Carillon's search attributes
// that the namespace lacks, or has with another type.
func MissingSearchAttributes(ctx context.Context, c client.Client, namespace string) ([]string, error) {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return nil, fmt.Errorf("list search attributes: %w", err)
	}
	var missing []string
	for _, want := range attributeTypes {
		if have.GetCustomAttributes()[want.key.GetName()] != want.typ {
			missing = append(missing, want.key.GetName())
		}
	}
	return missing, nil
}

// CreateSearchAttributesCommand is the command that makes the search
// attributes on a self-hosted server.
func CreateSearchAttributesCommand(namespace string) string {
	command := "temporal operator search-attribute create --namespace " + namespace
	for _, want := range attributeTypes {
		typ := "Keyword"
		if want.typ == enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST {
			typ = "KeywordList"
		}
		command += " --name " + want.key.GetName() + " --type " + typ
	}
	return command
}
