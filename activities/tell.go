package activities

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

// failure is the attempt that people are told of.
type failure struct {
	event    string
	attempts int
	status   int
	err      string
}

// tell lets people know, once an outage, that an endpoint fails, and that it
// takes deliveries again. What goes wrong is made good at the next attempt: it
// is the same event then, so nobody hears of it twice.
func (a *Activities) tell(ctx context.Context, id string, h carillon.Health, last failure) {
	var err error
	switch {
	case h.Failures >= carillon.FailingAfter && h.ToldSince.IsZero():
		err = a.tellFailing(ctx, id, h, last)
	case h.State() == carillon.HealthOK && !h.ToldSince.IsZero():
		err = a.tellRecovered(ctx, id, h.ToldSince)
	default:
		return
	}
	if err != nil {
		a.log.WarnContext(ctx, "people are not told how an endpoint stands; the next attempt does it", "subscription", id, "error", err)
	}
}

func (a *Activities) tellFailing(ctx context.Context, id string, h carillon.Health, last failure) error {
	sub, err := a.store.Subscription(ctx, id)
	if err != nil {
		return err
	}
	fields := map[string]any{
		"subscription": id, "name": sub.Name, "channel": sub.Channel,
		"reason": fmt.Sprintf("%d attempts in a row failed", h.Failures), "attempts": last.attempts, "error": last.err,
	}
	if last.event != "" {
		fields["event"] = last.event
	}
	if last.status != 0 {
		fields["status"] = last.status
	}
	if err := a.alertOwn(ctx, "subscription.failing", outage(id, h.FailingSince), id, a.now(), fields); err != nil {
		return err
	}
	if err := a.store.Tell(ctx, id, h.FailingSince); err != nil {
		return err
	}
	h.ToldSince = h.FailingSince
	a.troubles.set(id, h)
	return nil
}

func (a *Activities) tellRecovered(ctx context.Context, id string, since time.Time) error {
	sub, err := a.store.Subscription(ctx, id)
	if err != nil {
		return err
	}
	err = a.alertOwn(ctx, "subscription.recovered", outage(id, since), id, a.now(), map[string]any{
		"subscription": id, "name": sub.Name, "channel": sub.Channel, "failing_since": since.UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		return err
	}
	if err := a.store.EndOutage(ctx, id, since); err != nil {
		return err
	}
	a.troubles.set(id, carillon.Health{})
	return nil
}

// outage is the key of what happens once in an outage.
func outage(id string, since time.Time) string {
	return id + "/" + strconv.FormatInt(since.UnixMicro(), 10)
}

// publishOwn publishes an event of Carillon's own. One of the same key that says
// it in other words was published before.
func (a *Activities) publishOwn(ctx context.Context, eventType, key, subject string, at time.Time, fields map[string]any) error {
	event, err := carillon.OwnEvent(eventType, key, subject, at, fields)
	if err != nil {
		return err
	}
	fingerprint, err := carillon.Fingerprint(event)
	if err != nil {
		return err
	}
	_, err = a.publisher.Publish(ctx, event, fingerprint)
	if err != nil && carillon.CodeOf(err) != carillon.CodeEventReused {
		return fmt.Errorf("publish %s: %w", eventType, err)
	}
	return nil
}

// alertOwn publishes an event of Carillon's own, and puts it into the system's
// inbox: people learn of it also where nobody subscribed to it.
func (a *Activities) alertOwn(ctx context.Context, eventType, key, subscription string, at time.Time, fields map[string]any) error {
	if err := a.publishOwn(ctx, eventType, key, subscription, at, fields); err != nil {
		return err
	}
	event, err := carillon.OwnEvent(eventType, key, subscription, at, fields)
	if err != nil {
		return err
	}
	message, err := messages.Write(event, messages.Overrides{}) //nolint:contextcheck // templates end by their own limits
	if err != nil {
		return fmt.Errorf("write the message of %s: %w", eventType, err)
	}
	alert := message.Alert(event, at)
	alert.SubscriptionID = subscription
	return a.store.AddAlert(ctx, alert)
}
