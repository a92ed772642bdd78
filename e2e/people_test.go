package e2e

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

// mailPassword is that of the user carillon.
const mailPassword = "marked-password-of-mails"

// mailServerOf is what an endpoint says of the server and whom to tell; without
// that, what is set for all.
func mailServerOf(port int, ca string, to ...string) map[string]any {
	fields := map[string]any{
		"host": "127.0.0.1", "port": port, "ca": ca, "user": "carillon", "password": mailPassword,
		"from": "Carillon <bells@example.com>",
	}
	if len(to) > 0 {
		fields["to"] = to
	}
	return fields
}

// mailed makes a subscription write mails.
func mailed(endpoint map[string]any, types ...string) func(*client.Subscription) {
	return func(s *client.Subscription) {
		s.Name, s.Channel, s.Endpoint, s.EventTypes = "mails", "email", endpoint, types
	}
}

// deliveriesOf lists all deliveries to a subscription.
func (i *instance) deliveriesOf(subscription string) []client.Delivery {
	i.t.Helper()
	var all []client.Delivery
	filter := client.DeliveryFilter{Subscription: subscription, Limit: 250}
	for {
		page, err := i.client.Deliveries(i.t.Context(), filter)
		require.NoError(i.t, err)
		all = append(all, page.Items...)
		if page.NextCursor == "" {
			return all
		}
		filter.Cursor = page.NextCursor
	}
}

// hasten waits until n deliveries to a subscription have succeeded. Those that
// wait to be summed up it sends at once, as a person can.
func (i *instance) hasten(subscription string, n int) {
	i.t.Helper()
	i.eventually("all is matched", func() bool { return len(i.deliveriesOf(subscription)) == n })
	i.eventually("all is sent", func() bool {
		left, err := i.client.Deliveries(i.t.Context(), client.DeliveryFilter{
			Subscription: subscription, States: []carillon.DeliveryState{carillon.Pending, carillon.Retrying}, Limit: 1,
		})
		require.NoError(i.t, err)
		for _, d := range left.Items {
			// It may be on its way right now: then there is nothing to hasten.
			_, _ = i.client.RetryNow(i.t.Context(), d.Event, d.Subscription)
		}
		return len(left.Items) == 0
	})
	all := i.deliveriesOf(subscription)
	require.Len(i.t, all, n, "nothing is dropped")
	for _, d := range all {
		require.Equal(i.t, carillon.Succeeded, d.State, d.Event)
		require.Equal(i.t, 1, d.AttemptCount, d.Event)
	}
}

// summedUp begins the title of a sum.
var summedUp = regexp.MustCompile(`^([\d,]+) more events?: `)

// represented counts the titles of single events and of sums, and the events
// that the sums tell of.
func represented(t *testing.T, titles []string) (singles, sums, summed int) {
	t.Helper()
	for _, title := range titles {
		found := summedUp.FindStringSubmatch(title)
		if found == nil {
			require.Contains(t, title, "MyCorp.CoolUtils")
			singles++
			continue
		}
		n, err := strconv.Atoi(strings.ReplaceAll(found[1], ",", ""))
		require.NoError(t, err)
		sums++
		summed += n
	}
	return singles, sums, summed
}

// requireBraked checks what came of a storm that began then: each minute that
// it touched has twenty messages at most, and one that sums up the others.
func requireBraked(t *testing.T, titles []string, events int, began time.Time) {
	t.Helper()
	minutes := int(time.Now().Unix()/60 - began.Unix()/60 + 1)
	singles, sums, summed := represented(t, titles)
	require.Equal(t, events, singles+summed, "%d singles, %d sums: %q", singles, sums, titles)
	require.GreaterOrEqual(t, singles, 20)
	require.LessOrEqual(t, singles, 20*minutes)
	require.GreaterOrEqual(t, sums, 1)
	require.LessOrEqual(t, sums, minutes)
}

// storm publishes batches of a hundred events of a feed.
func (i *instance) storm(feed string, batches int) (last client.Accepted) {
	i.t.Helper()
	for b := range batches {
		events := someAdded(feed+"-"+strconv.Itoa(b), 100)
		for k := range events {
			events[k].Scope = map[string]string{"feed": feed}
		}
		accepted, err := i.client.PublishAll(i.t.Context(), events)
		require.NoError(i.t, err)
		last = accepted[len(accepted)-1]
	}
	return last
}

func TestAStormIsSummedUpAndNothingIsDropped(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, env ...string) {
		port, ca, next := mailServer(t, map[string]any{"user": "carillon", "password": mailPassword})
		if next != nil {
			storms(t, start(t, env...), mailServerOf(port, ca, "ann@example.com"), next)
		}
	})
}

func storms(t *testing.T, i *instance, endpoint map[string]any, next func() mail) {
	t.Helper()
	const batches, events = 25, 2500
	stormed := i.subscribe("", mailed(endpoint, "package.*"), func(s *client.Subscription) {
		s.Scope = map[string][]string{"feed": {"stormy"}}
	})
	require.Equal(t, 20, stormed.MaxPerMinute)
	marker := i.subscribe("", mailed(endpoint, "build.*"))

	began := time.Now()
	last := i.storm("stormy", batches)
	i.hasten(stormed.ID, events)
	i.awaitDelivery(i.publish(buildEvent("finished", time.Now())).ID, marker.ID, carillon.Succeeded)
	var titles []string
	for {
		m := next()
		if strings.Contains(m.Subject, "SampleBuild") {
			break // what was sent before has arrived before
		}
		titles = append(titles, m.Subject)
	}
	requireBraked(t, titles, events, began)
	i.eventually("the request of the sum is its attempt", func() bool {
		d, err := i.client.Delivery(t.Context(), last.ID, stormed.ID)
		require.NoError(t, err)
		return len(d.Attempts) == 1 && d.Attempts[0].Outcome == carillon.OutcomeDelivered
	})

	t.Run("in the inbox, too", func(t *testing.T) {
		inbox := i.subscribe("", func(s *client.Subscription) {
			s.Channel, s.Endpoint = "alert", map[string]any{"owner": "ann"}
			s.Scope = map[string][]string{"feed": {"windy"}}
		})
		began := time.Now()
		i.storm("windy", 2)
		i.hasten(inbox.ID, 200)
		requireBraked(t, i.inbox("ann", nil), 200, began)
	})
}

// inbox returns the titles of the alerts in an inbox, newest first; and hands
// each to see.
func (i *instance) inbox(owner string, see func(client.Alert)) (titles []string) {
	i.t.Helper()
	for cursor := ""; ; {
		page, err := i.client.Alerts(i.t.Context(), owner, cursor)
		require.NoError(i.t, err)
		for _, alert := range page.Items {
			titles = append(titles, alert.Title)
			if see != nil {
				see(alert)
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return titles
		}
	}
}

func TestEachRecipientHasTheMailOnce(t *testing.T) {
	t.Parallel()
	port, ca, next := mailServer(t, map[string]any{
		"user": "carillon", "password": mailPassword,
		"later":  map[string]any{"zoe@example.com": []any{451, "greylisted"}, "eve@example.com": []any{450, "mailbox busy"}},
		"refuse": map[string]any{"bob@example.com": []any{550, "no such user"}},
	})
	if next == nil {
		return
	}
	i := start(t)
	subscribe := func(feed string, to ...string) client.Subscription {
		return i.subscribe("", mailed(mailServerOf(port, ca, to...), "package.*"), schedule(time.Second, time.Second),
			func(s *client.Subscription) { s.Scope = map[string][]string{"feed": {feed}} })
	}
	publish := func(feed string) string {
		event := added(feed)
		event.Scope = map[string]string{"feed": feed}
		return i.publish(event).ID
	}
	attempts := func(event string, sub client.Subscription, n int) (d client.Delivery) {
		i.eventually("its attempts are in the history", func() bool {
			var err error
			d, err = i.client.Delivery(t.Context(), event, sub.ID)
			require.NoError(t, err)
			return len(d.Attempts) == n
		})
		return d
	}

	// 451, then 250.
	grey := subscribe("grey", "zoe@example.com")
	event := publish("grey")
	i.awaitDelivery(event, grey.ID, carillon.Succeeded)
	d := attempts(event, grey, 2)
	require.Equal(t, []carillon.Outcome{carillon.OutcomeRetry, carillon.OutcomeDelivered}, outcomes(d))
	require.Contains(t, d.Attempts[0].Error, "451 greylisted")
	require.Equal(t, []string{"zoe@example.com"}, next().To)

	// One takes it, one never will, one does later.
	three := subscribe("three", "ann@example.com", "bob@example.com", "eve@example.com")
	event = publish("three")
	i.awaitDelivery(event, three.ID, carillon.Failed)
	d = attempts(event, three, 2)
	require.Equal(t, []carillon.Outcome{carillon.OutcomeRetry, carillon.OutcomeReject}, outcomes(d))
	require.Contains(t, d.Error, "1 of 3 recipients refused for good: 550 no such user (bob@example.com)")
	first, second := next(), next()
	require.Equal(t, []string{"ann@example.com"}, first.To, "and of zoe there was one")
	require.Equal(t, []string{"eve@example.com"}, second.To)
	require.Equal(t, first.MessageID, second.MessageID)

	// Who redelivers it wants it tried with who had it not.
	_, err := i.client.Redeliver(t.Context(), event, three.ID, 1)
	require.NoError(t, err)
	i.awaitDelivery(event, three.ID, carillon.Failed)
	attempts(event, three, 3)
	marker := subscribe("last", "mia@example.com")
	i.awaitDelivery(publish("last"), marker.ID, carillon.Succeeded)
	require.Equal(t, []string{"mia@example.com"}, next().To, "ann and eve have it already")
}

func TestAWrongPasswordIsToldOnceAndItsEndToo(t *testing.T) {
	t.Parallel()
	port, ca, next := mailServer(t, map[string]any{"user": "carillon", "password": mailPassword})
	if next == nil {
		return
	}
	const wrong = "marked-wrong-password"
	i := start(t)
	i.subscribe("/watch", func(s *client.Subscription) { s.EventTypes = []string{"subscription.*"} })
	endpoint := mailServerOf(port, ca, "ann@example.com")
	endpoint["password"] = wrong
	sub := i.subscribe("", mailed(endpoint, "package.*"), schedule(time.Second, time.Second, time.Hour))
	failedTimes := func(event string, n int) {
		i.eventually("it failed", func() bool {
			d, err := i.client.Delivery(t.Context(), event, sub.ID)
			return err == nil && d.State == carillon.Retrying && d.AttemptCount == n && len(d.Attempts) == n
		})
	}
	events := []string{i.publish(added("1")).ID}
	failedTimes(events[0], 3)
	failing := i.requests("/watch", 1)[0]
	require.Equal(t, "subscription.failing", read(t, failing).Type)
	require.NotContains(t, string(failing.Body), "marked-")

	// The outage goes on: there is no news.
	events = append(events, i.publish(added("2")).ID)
	failedTimes(events[1], 3)
	var alerts []client.Alert
	look := func() []string {
		alerts = nil
		return i.inbox("", func(a client.Alert) { alerts = append(alerts, a) })
	}
	i.eventually("it is in the inbox", func() bool { return len(look()) > 0 })
	require.Len(t, alerts, 1)
	require.Equal(t, "subscription.failing", alerts[0].EventType)
	require.Equal(t, sub.ID, alerts[0].Subscription)
	require.Contains(t, alerts[0].Text, "the mail server refused the login: 535")
	d, err := i.client.Delivery(t.Context(), events[0], sub.ID)
	require.NoError(t, err)
	require.Equal(t, []carillon.Outcome{carillon.OutcomeRetry, carillon.OutcomeRetry, carillon.OutcomeRetry}, outcomes(d))

	_, err = i.client.ChangeSubscription(t.Context(), sub.ID, "", map[string]any{"endpoint": map[string]any{"password": mailPassword}})
	require.NoError(t, err)
	for _, event := range events {
		_, err = i.client.RetryNow(t.Context(), event, sub.ID)
		require.NoError(t, err)
		i.awaitDelivery(event, sub.ID, carillon.Succeeded)
		require.Equal(t, []string{"ann@example.com"}, next().To)
	}
	i.requests("/watch", 2)
	i.eventually("its end is in the inbox", func() bool { return len(look()) > 1 })
	require.Equal(t, "subscription.recovered", alerts[0].EventType)
	require.Len(t, alerts, 2)

	// What there was to be told was told before the next.
	_, err = i.client.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	_, err = i.client.Enable(t.Context(), sub.ID)
	require.NoError(t, err)
	var told []string
	for _, r := range i.requests("/watch", 3) {
		told = append(told, read(t, r).Type)
	}
	require.Equal(t, []string{"subscription.failing", "subscription.recovered", "subscription.enabled"}, told)
	shown, err := json.Marshal(alerts)
	require.NoError(t, err)
	require.NotContains(t, string(shown), "marked-")
	require.NotContains(t, i.carillon.log.String(), "marked-")
}

func TestOneMailServerServesAllSubscriptions(t *testing.T) {
	t.Parallel()
	port, ca, next := mailServer(t, map[string]any{"user": "carillon", "password": mailPassword})
	if next == nil {
		return
	}
	i := start(t)
	wish := client.Subscription{
		Name: "to ann", EventTypes: []string{"package.*"}, Channel: "email", Endpoint: map[string]any{"to": "ann@example.com"},
		Retry: &carillon.Retry{Schedule: []carillon.Duration{carillon.Duration(time.Hour)}, Disable: carillon.DisableExhausted},
	}
	_, err := i.client.CreateSubscription(t.Context(), wish)
	for _, said := range []string{"/endpoint/host", "/endpoint/from", "the installation has no setting for the channel email"} {
		require.ErrorContains(t, err, said)
	}
	_, err = i.client.Test(t.Context(), wish)
	require.ErrorContains(t, err, "/endpoint/host")

	server := mailServerOf(port, ca)
	set, err := i.client.SetForAll(t.Context(), "email", server)
	require.NoError(t, err)
	require.NotContains(t, string(set), "marked-")
	tried, err := i.client.Test(t.Context(), wish)
	require.NoError(t, err)
	require.Equal(t, carillon.OutcomeDelivered, tried.Attempt.Outcome, tried.Attempt.Error)
	require.Equal(t, []string{"ann@example.com"}, next().To)
	sub, err := i.client.CreateSubscription(t.Context(), wish)
	require.NoError(t, err)
	require.NotContains(t, string(endpointOf(t, sub)), "marked-")
	i.awaitDelivery(i.publish(added("1")).ID, sub.ID, carillon.Succeeded)
	require.Contains(t, next().Subject, "MyCorp.CoolUtils")

	// Without it nothing is lost, and saving says what is missing.
	require.NoError(t, i.client.UnsetForAll(t.Context(), "email"))
	event := i.publish(added("2")).ID
	require.Contains(t, i.awaitDelivery(event, sub.ID, carillon.Retrying).Error, "no mail server is set")
	_, err = i.client.ChangeSubscription(t.Context(), sub.ID, "", map[string]any{"name": "renamed"})
	require.ErrorContains(t, err, "/endpoint/host")
	_, err = i.client.SetForAll(t.Context(), "email", server)
	require.NoError(t, err)
	_, err = i.client.RetryNow(t.Context(), event, sub.ID)
	require.NoError(t, err)
	i.awaitDelivery(event, sub.ID, carillon.Succeeded)
	require.Contains(t, next().Subject, "MyCorp.CoolUtils")
	require.NotContains(t, i.carillon.log.String(), "marked-")
}
