package api

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/workflows"
)

// deliveryView is a delivery as the index has it.
type deliveryView struct {
	Event         string                 `json:"event"`
	Subscription  string                 `json:"subscription"`
	EventType     string                 `json:"event_type"`
	Channel       string                 `json:"channel"`
	Host          string                 `json:"host,omitempty"`
	State         carillon.DeliveryState `json:"state"`
	AttemptCount  int                    `json:"attempt_count"`
	Status        int                    `json:"status,omitempty"`
	Error         string                 `json:"error,omitempty"`
	DurationMS    int64                  `json:"duration_ms"`
	NextAt        *time.Time             `json:"next_at,omitempty"`
	FirstFailedAt *time.Time             `json:"first_failed_at,omitempty"`
	ReceivedAt    time.Time              `json:"received_at"`
	UpdatedAt     time.Time              `json:"updated_at"`
	// Redeliveries counts the runs after the event's own.
	Redeliveries int     `json:"redeliveries"`
	Run          runView `json:"run"`
}

// deliveryDetailView is a delivery with its attempts out of the history.
type deliveryDetailView struct {
	deliveryView
	// Attempts is null when the history cannot be read; then Note says why.
	Attempts []carillon.Attempt `json:"attempts"`
	// Payload is what was sent, when it is asked for.
	Payload *payloadView `json:"payload,omitempty"`
	Note    string       `json:"note,omitempty"`
}

func (s *Server) viewDelivery(d carillon.Delivery) deliveryView {
	return deliveryView{
		Event: d.EventID, Subscription: d.SubscriptionID, EventType: d.EventType, Channel: d.Channel, Host: d.Host,
		State: d.State, AttemptCount: d.Attempts, Status: d.Status, Error: d.Error, DurationMS: d.Duration.Milliseconds(),
		NextAt: someTime(d.NextAt), FirstFailedAt: someTime(d.FirstFailedAt),
		ReceivedAt: d.ReceivedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC(), Redeliveries: d.Redeliveries, Run: s.viewRun(d.Run),
	}
}

func someTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s *Server) listDeliveries(c echo.Context) error {
	q := readQuery(c)
	return s.deliveries(c, q, carillon.DeliveryFilter{
		SubscriptionID: q.text("subscription"), EventID: q.text("event"),
	})
}

func (s *Server) subscriptionDeliveries(c echo.Context) error {
	id, err := param(c, "id")
	if err != nil {
		return err
	}
	if _, err := s.deps.Store.Subscription(c.Request().Context(), id); err != nil {
		return err
	}
	return s.deliveries(c, readQuery(c), carillon.DeliveryFilter{SubscriptionID: id})
}

// deliveries answers a list of those that the filter and the rest of the query
// choose.
func (s *Server) deliveries(c echo.Context, q *query, f carillon.DeliveryFilter) error {
	limit := q.limit()
	f.States, f.Since, f.Until, f.Limit = q.states("state"), q.time("since"), q.time("until"), limit+1
	q.cursor(&f.Before.ReceivedAt, &f.Before.EventID, &f.Before.SubscriptionID)
	expand := q.expand()
	if expand.attempts && limit > maxExpanded {
		q.fail("the query parameter limit must be at most %d with expand", maxExpanded)
	}
	if err := q.done(); err != nil {
		return err
	}
	ctx := c.Request().Context()
	rows, err := s.deps.Store.ListDeliveries(ctx, f)
	if err != nil {
		return err
	}
	next := func(last carillon.Delivery) string { return cursor(last.ReceivedAt, last.EventID, last.SubscriptionID) }
	if !expand.attempts {
		return answer(c, http.StatusOK, newPage(rows, limit, s.viewDelivery, next))
	}
	views, err := s.details(ctx, rows[:min(len(rows), limit)], expand)
	if err != nil {
		return err
	}
	page := page[deliveryDetailView]{Items: views}
	if len(rows) > limit {
		page.NextCursor = next(rows[limit-1])
	}
	return answer(c, http.StatusOK, page)
}

// namedDelivery reads the delivery that the path names. Its path takes no query
// parameters.
func (s *Server) namedDelivery(c echo.Context) (carillon.Delivery, error) {
	if err := readQuery(c).done(); err != nil {
		return carillon.Delivery{}, err
	}
	return s.deliveryOf(c)
}

func (s *Server) deliveryOf(c echo.Context) (carillon.Delivery, error) {
	event, err := param(c, "id")
	if err != nil {
		return carillon.Delivery{}, err
	}
	subscription, err := param(c, "subscription")
	if err != nil {
		return carillon.Delivery{}, err
	}
	return s.deps.Store.Delivery(c.Request().Context(), event, subscription)
}

func (s *Server) delivery(c echo.Context) error {
	q := readQuery(c)
	expand := q.expand()
	if err := q.done(); err != nil {
		return err
	}
	d, err := s.deliveryOf(c)
	if err != nil {
		return err
	}
	view, err := s.detail(c.Request().Context(), d, expand)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, view)
}

// shownRedeliveries bounds the runs whose histories are read for one answer.
const shownRedeliveries = 10

// attempts reads the attempts of all runs of a delivery, those before the
// newest as far as their histories are still there.
func (s *Server) attempts(ctx context.Context, d carillon.Delivery) ([]carillon.Attempt, error) {
	ctx, stop := context.WithTimeout(ctx, historyTimeout)
	defer stop()
	var newest []carillon.Attempt
	var err error
	// Until a request is made, the row leads to the run that claimed it.
	if d.Attempts > 0 || !carillon.IsGather(d.Run.WorkflowID) {
		newest, err = s.deps.History.Attempts(ctx, d.Run, d.EventID, d.SubscriptionID)
	}
	if err != nil || d.Redeliveries == 0 {
		return newest, err
	}
	all, err := s.firstAttempts(ctx, d)
	if err != nil {
		return nil, err
	}
	var runs []carillon.Run
	for n := max(1, d.Redeliveries-shownRedeliveries); n < d.Redeliveries; n++ {
		runs = append(runs, carillon.Run{WorkflowID: workflows.RedeliveryWorkflowID(d.EventID, d.SubscriptionID, n)})
	}
	for _, run := range runs {
		earlier, err := s.earlierAttempts(ctx, run, d)
		if err != nil {
			return nil, err
		}
		all = append(all, earlier...)
	}
	return append(all, newest...), nil
}

// firstAttempts reads the attempts before the first redelivery. Of an event that
// shared a run, they are in that of its trouble, which repeats what came before,
// or else in the shared one; those of requests with others in the run that sent
// these.
func (s *Server) firstAttempts(ctx context.Context, d carillon.Delivery) ([]carillon.Attempt, error) {
	event, err := s.deps.Store.Event(ctx, d.EventID)
	if err != nil {
		return nil, err
	}
	if event.Run.WorkflowID != carillon.EventWorkflowID(d.EventID) {
		trouble := carillon.Run{WorkflowID: workflows.RetryWorkflowID(d.EventID)}
		if attempts, err := s.earlierAttempts(ctx, trouble, d); err != nil || len(attempts) > 0 {
			return attempts, err
		}
	}
	if attempts, err := s.earlierAttempts(ctx, event.Run, d); err != nil || len(attempts) > 0 {
		return attempts, err
	}
	return s.earlierAttempts(ctx, carillon.Run{WorkflowID: carillon.GatherWorkflowID(d.SubscriptionID)}, d)
}

// earlierAttempts reads the attempts of a run whose history may be gone.
func (s *Server) earlierAttempts(ctx context.Context, run carillon.Run, d carillon.Delivery) ([]carillon.Attempt, error) {
	attempts, err := s.deps.History.Attempts(ctx, run, d.EventID, d.SubscriptionID)
	if carillon.CodeOf(err) == carillon.CodeExpired {
		return nil, nil
	}
	return attempts, err
}

func (s *Server) retryNow(c echo.Context) error {
	return s.operate(c, "retry", func(ctx context.Context, d carillon.Delivery) error {
		return s.deps.Publisher.RetryNow(ctx, d.Run, d.SubscriptionID)
	})
}

func (s *Server) cancel(c echo.Context) error {
	return s.operate(c, "cancel", func(ctx context.Context, d carillon.Delivery) error {
		if carillon.IsGather(d.Run.WorkflowID) { // its row is its place in the queue
			return s.deps.Store.CancelGathered(ctx, d.EventID, d.SubscriptionID, s.deps.Now().UTC())
		}
		return s.deps.Publisher.Cancel(ctx, d.Run, d.SubscriptionID)
	})
}

// operate asks something of the run of a delivery that is under way. The row
// that it answers can lag behind what was asked: the run records it next.
func (s *Server) operate(c echo.Context, what string, ask func(context.Context, carillon.Delivery) error) error {
	d, err := s.namedDelivery(c)
	if err != nil {
		return err
	}
	if d.State != carillon.Pending && d.State != carillon.Retrying {
		return carillon.Errorf(carillon.CodeConflict, "the delivery is %s, not under way", d.State)
	}
	ctx := c.Request().Context()
	// Before it is asked: better an entry of what failed then than none of what
	// was done.
	err = s.deps.Store.AddAudit(ctx, carillon.AuditEntry{
		At: s.deps.Now().UTC().Truncate(time.Microsecond), Actor: actorOf(c), Action: "delivery." + what + "_requested",
		Object: d.EventID + "/" + d.SubscriptionID, Detail: "the delivery was " + string(d.State),
	})
	if err != nil {
		return err
	}
	if err := ask(ctx, d); err != nil {
		return err
	}
	if d, err = s.deps.Store.Delivery(ctx, d.EventID, d.SubscriptionID); err != nil {
		return err
	}
	return answer(c, http.StatusAccepted, s.viewDelivery(d))
}
