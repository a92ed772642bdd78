package api

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/workflows"
)

// fakeStore keeps rows in maps, with the same promises as the database.
type fakeStore struct {
	mu            sync.Mutex
	events        map[string]carillon.EventRow
	deliveries    []carillon.Delivery
	subscriptions map[string]carillon.Subscription
	sources       map[string]carillon.Source
	// rotations are those that were asked for.
	rotations []carillon.Rotation
	fakeKeys
	// The tests of these work with the database itself.
	alertStore
	settingStore
	// numbers are those of each face, by subscription.
	numbers map[string]map[string]int64
	// fail is returned by every method, when set.
	fail error
	// beforeUpdate runs before an update is applied, when set.
	beforeUpdate func()
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		events:        map[string]carillon.EventRow{},
		subscriptions: map[string]carillon.Subscription{},
		sources:       map[string]carillon.Source{},
	}
}

func notFound(what, id string) error {
	return carillon.Errorf(carillon.CodeNotFound, "there is no %s %s", what, id)
}

func (s *fakeStore) ListEvents(_ context.Context, f carillon.EventFilter) ([]carillon.EventRow, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	var rows []carillon.EventRow
	for _, row := range s.events {
		before := f.Before.ID == "" || row.ReceivedAt.Before(f.Before.ReceivedAt) ||
			row.ReceivedAt.Equal(f.Before.ReceivedAt) && row.Event.ID < f.Before.ID
		if before && (f.Type == "" || f.Type == row.Event.Type) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b carillon.EventRow) int {
		return cmp.Or(b.ReceivedAt.Compare(a.ReceivedAt), cmp.Compare(b.Event.ID, a.Event.ID))
	})
	return rows[:min(len(rows), f.Limit)], nil
}

func (s *fakeStore) Event(_ context.Context, id string) (carillon.EventRow, error) {
	if s.fail != nil {
		return carillon.EventRow{}, s.fail
	}
	row, ok := s.events[id]
	if !ok {
		return carillon.EventRow{}, notFound("event", id)
	}
	return row, nil
}

func (s *fakeStore) EventDeliveries(_ context.Context, eventID, after string, limit int) ([]carillon.Delivery, error) {
	var rows []carillon.Delivery
	for _, d := range s.deliveries {
		if d.EventID == eventID && d.SubscriptionID > after {
			rows = append(rows, d)
		}
	}
	return rows[:min(len(rows), limit)], s.fail
}

func (s *fakeStore) ListDeliveries(_ context.Context, f carillon.DeliveryFilter) ([]carillon.Delivery, error) {
	var rows []carillon.Delivery
	for _, d := range s.deliveries {
		if (f.EventID == "" || f.EventID == d.EventID) && (f.SubscriptionID == "" || f.SubscriptionID == d.SubscriptionID) &&
			(f.States == nil || slices.Contains(f.States, d.State)) &&
			(f.Before.EventID == "" || d.SubscriptionID < f.Before.SubscriptionID) {
			rows = append(rows, d)
		}
	}
	slices.SortFunc(rows, func(a, b carillon.Delivery) int { return cmp.Compare(b.SubscriptionID, a.SubscriptionID) })
	return rows[:min(len(rows), f.Limit)], s.fail
}

func (s *fakeStore) Delivery(_ context.Context, eventID, subscriptionID string) (carillon.Delivery, error) {
	for _, d := range s.deliveries {
		if d.EventID == eventID && d.SubscriptionID == subscriptionID {
			return d, s.fail
		}
	}
	return carillon.Delivery{}, notFound("delivery", eventID+"/"+subscriptionID)
}

func (s *fakeStore) ListSubscriptions(_ context.Context, after string, limit int) ([]carillon.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var subs []carillon.Subscription
	for _, id := range sortedKeys(s.subscriptions) {
		if id > after {
			subs = append(subs, s.subscriptions[id])
		}
	}
	return subs[:min(len(subs), limit)], s.fail
}

func (s *fakeStore) Subscription(_ context.Context, id string) (carillon.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, ok := s.subscriptions[id]
	if !ok {
		return sub, notFound("subscription", id)
	}
	return sub, s.fail
}

func (s *fakeStore) CloseBreaker(_ context.Context, c carillon.Closing) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.subscriptions[c.SubscriptionID]
	closed := sub.Health.Open()
	sub.Health = carillon.Health{}
	s.subscriptions[c.SubscriptionID] = sub
	return closed, s.fail
}

func (s *fakeStore) CreateSubscription(_ context.Context, sub carillon.Subscription, _ string) (carillon.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub.Version, sub.Generation = 1, 1
	s.subscriptions[sub.ID] = sub
	return sub, s.fail
}

func (s *fakeStore) UpdateSubscription(
	_ context.Context, sub carillon.Subscription, ifVersion int64, _ string,
) (carillon.Subscription, error) {
	if s.beforeUpdate != nil {
		s.beforeUpdate()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stored, ok := s.subscriptions[sub.ID]
	if !ok {
		return sub, notFound("subscription", sub.ID)
	}
	if ifVersion != 0 && ifVersion != stored.Version {
		return sub, carillon.Errorf(carillon.CodeStale, "the subscription was changed since")
	}
	sub.Version = stored.Version + 1
	s.subscriptions[sub.ID] = sub
	return sub, s.fail
}

func (s *fakeStore) RotateSecret(ctx context.Context, r carillon.Rotation) (carillon.Subscription, error) {
	sub, err := s.Subscription(ctx, r.SubscriptionID)
	if err != nil {
		return sub, err
	}
	sub.Endpoint, sub.UpdatedAt = r.Endpoint, r.Now
	s.rotations = append(s.rotations, r)
	return s.UpdateSubscription(ctx, sub, r.IfVersion, r.Actor)
}

func (s *fakeStore) DeleteSubscription(_ context.Context, id string, _ int64, _ string, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.subscriptions, id)
	return s.fail
}

func (s *fakeStore) FaceNumbers(_ context.Context, face string, subscriptions []string) (map[string]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.numbers == nil {
		s.numbers = map[string]map[string]int64{}
	}
	if s.numbers[face] == nil {
		s.numbers[face] = map[string]int64{}
	}
	for _, id := range subscriptions {
		if _, ok := s.numbers[face][id]; !ok {
			s.numbers[face][id] = int64(len(s.numbers[face])) + 1
		}
	}
	return maps.Clone(s.numbers[face]), s.fail
}

func (s *fakeStore) FaceSubscription(_ context.Context, face string, number int64) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.numbers[face] {
		if n == number {
			return id, s.fail
		}
	}
	return "", notFound("number", strconv.FormatInt(number, 10))
}

func (s *fakeStore) Backlog(_ context.Context, b carillon.Backlog, limit int) ([]carillon.Delivery, int, error) {
	var chosen []carillon.Delivery
	for _, d := range s.deliveries {
		if d.SubscriptionID == b.SubscriptionID && slices.Contains(b.States, d.State) {
			chosen = append(chosen, d)
		}
	}
	return chosen[:min(limit, len(chosen))], len(chosen), s.fail
}

func (s *fakeStore) CancelGathered(_ context.Context, eventID, subscription string, _ time.Time) error {
	for i, d := range s.deliveries {
		if d.EventID == eventID && d.SubscriptionID == subscription {
			s.deliveries[i].State = carillon.Canceled
		}
	}
	return s.fail
}

func (s *fakeStore) Sources(context.Context) ([]carillon.Source, error) {
	var all []carillon.Source
	for _, name := range sortedKeys(s.sources) {
		all = append(all, s.sources[name])
	}
	return all, s.fail
}

func (s *fakeStore) Source(_ context.Context, name string) (carillon.Source, error) {
	src, ok := s.sources[name]
	if !ok {
		return src, notFound("source", name)
	}
	return src, s.fail
}

func (s *fakeStore) CreateSource(_ context.Context, src carillon.Source, _ string) (carillon.Source, error) {
	if _, taken := s.sources[src.Name]; taken {
		return src, carillon.Errorf(carillon.CodeExists, "there is a source %s already", src.Name)
	}
	src.Version = 1
	s.sources[src.Name] = src
	return src, s.fail
}

func (s *fakeStore) UpdateSource(_ context.Context, src carillon.Source, ifVersion int64, _ string) (carillon.Source, error) {
	for name, stored := range s.sources {
		if stored.ID != src.ID {
			continue
		}
		if ifVersion != stored.Version {
			return src, carillon.Errorf(carillon.CodeStale, "the source was changed since")
		}
		delete(s.sources, name)
		src.Version = stored.Version + 1
		s.sources[src.Name] = src
		return src, s.fail
	}
	return src, notFound("source", src.Name)
}

func (s *fakeStore) DeleteSource(_ context.Context, name string, _ int64, _ string, _ time.Time) error {
	if _, ok := s.sources[name]; !ok {
		return notFound("source", name)
	}
	delete(s.sources, name)
	return s.fail
}

// fakePublisher remembers what was published, and refuses an id with another
// fingerprint as Temporal's side does.
type fakePublisher struct {
	mu           sync.Mutex
	published    []carillon.Event
	fingerprints map[string]string
	// asked are the updates: what, workflow id, subscription.
	asked [][3]string
	// key is that of the last redelivery.
	key string
	// sha256 is the payload that the last redelivery is bound to.
	sha256 string
	fail   error
	panic  any
}

func (p *fakePublisher) Publish(_ context.Context, event carillon.Event, fingerprint string) (carillon.Run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panic != nil {
		panic(p.panic)
	}
	if p.fail != nil {
		return carillon.Run{}, p.fail
	}
	run := carillon.Run{WorkflowID: "event/" + event.ID, RunID: "run-of-" + event.ID}
	known, repeated := p.fingerprints[event.ID]
	switch {
	case repeated && known != fingerprint:
		return carillon.Run{}, carillon.Errorf(carillon.CodeEventReused, "an event with this id was published with other content")
	case repeated:
		return run, nil
	}
	p.fingerprints[event.ID] = fingerprint
	p.published = append(p.published, event)
	return run, nil
}

func (p *fakePublisher) PublishAll(_ context.Context, events []carillon.Posted) ([]carillon.Run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range events {
		if known, ok := p.fingerprints[e.Event.ID]; ok && known != e.Fingerprint {
			return nil, carillon.Errorf(carillon.CodeEventReused, "an event with this id was published with other content")
		}
	}
	runs := make([]carillon.Run, len(events))
	for i, e := range events {
		if p.fail != nil {
			return nil, p.fail
		}
		runs[i] = carillon.Run{WorkflowID: "batch/1", RunID: "run"}
		if _, ok := p.fingerprints[e.Event.ID]; ok {
			runs[i] = carillon.Run{WorkflowID: "event/" + e.Event.ID, RunID: "run-of-" + e.Event.ID}
		} else {
			p.fingerprints[e.Event.ID] = e.Fingerprint
			p.published = append(p.published, e.Event)
		}
	}
	return runs, nil
}

func (p *fakePublisher) RetryNow(_ context.Context, run carillon.Run, subscription string) error {
	p.asked = append(p.asked, [3]string{"retry-now", run.WorkflowID, subscription})
	return p.fail
}

func (p *fakePublisher) Cancel(_ context.Context, run carillon.Run, subscription string) error {
	p.asked = append(p.asked, [3]string{"cancel", run.WorkflowID, subscription})
	return p.fail
}

func (p *fakePublisher) Redeliver(_ context.Context, pub *carillon.Publication, r carillon.Redelivery) (carillon.Run, error) {
	p.key, p.sha256 = r.Key, r.PayloadSHA256
	p.asked = append(p.asked, [3]string{"redeliver", pub.Event.ID, fmt.Sprint(r.SubscriptionID, " ", r.Number)})
	return carillon.Run{WorkflowID: workflows.RedeliveryWorkflowID(r.EventID, r.SubscriptionID, r.Number), RunID: "run"}, p.fail
}

func (p *fakePublisher) Recover(_ context.Context, b carillon.Backlog, rate float64) (carillon.Run, error) {
	p.asked = append(p.asked, [3]string{"recover", b.SubscriptionID, fmt.Sprint(b.States, " ", rate)})
	return carillon.Run{WorkflowID: workflows.RecoverWorkflowID(b.SubscriptionID), RunID: "run"}, p.fail
}

func (p *fakePublisher) Recovery(context.Context, string) (workflows.RecoverProgress, bool, error) {
	return workflows.RecoverProgress{Left: 3, Succeeded: 2}, true, p.fail
}

func (p *fakePublisher) CancelRecovery(_ context.Context, subscription string) error {
	p.asked = append(p.asked, [3]string{"cancel-recovery", subscription, ""})
	return p.fail
}

// fakeHistory answers what it was given, by workflow id.
type fakeHistory struct {
	publications map[string]*carillon.Publication
	attempts     map[string][]carillon.Attempt
	ends         map[string]carillon.RunEnd
	fail         error
}

func (h *fakeHistory) End(_ context.Context, workflowID string) (carillon.RunEnd, error) {
	return h.ends[workflowID], h.fail
}

func (h *fakeHistory) Publication(_ context.Context, run carillon.Run, _ string) (*carillon.Publication, error) {
	if h.fail != nil {
		return nil, h.fail
	}
	pub, ok := h.publications[run.WorkflowID]
	if !ok {
		return nil, carillon.Errorf(carillon.CodeExpired, "the history of run %s is gone", run.WorkflowID)
	}
	return pub, nil
}

func (h *fakeHistory) Attempts(_ context.Context, run carillon.Run, _, _ string) ([]carillon.Attempt, error) {
	return slices.Clone(h.attempts[run.WorkflowID]), h.fail
}

// fakeMemory remembers the digest of each tag.
type fakeMemory struct{ tags map[carillon.TagKey]string }

func (m *fakeMemory) PushTag(
	_ context.Context, tag carillon.TagKey, digest, _ string, _ time.Time,
) (carillon.Change, string, error) {
	previous, known := m.tags[tag]
	m.tags[tag] = digest
	switch {
	case !known:
		return carillon.ChangeAdded, "", nil
	case previous == digest:
		return carillon.ChangeNone, "", nil
	}
	return carillon.ChangeOverwritten, previous, nil
}

func (m *fakeMemory) SawManifests(context.Context, string, string, []string, time.Time) error {
	return nil
}

func (m *fakeMemory) SawBlobs(context.Context, string, string, []string, time.Time) error { return nil }

func (m *fakeMemory) DeleteDigest(context.Context, string, string, string, string, time.Time) ([]string, bool, error) {
	return nil, true, nil
}

func (m *fakeMemory) DeleteTag(context.Context, carillon.TagKey, string, time.Time) (string, bool, error) {
	return "", true, nil
}
