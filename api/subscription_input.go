package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// Limits of a subscription.
const (
	maxNameBytes = 200
	maxPatterns  = 100
	// maxConditionBytes bounds what is read; how much of it conditions take,
	// they say themselves.
	maxConditionBytes = 16 << 10
)

// readSubscription makes a subscription of what was posted; current is the
// stored one that it replaces, nil at creation. shown are secrets that were
// made on the way.
func (s *Server) readSubscription(ctx context.Context, body json.RawMessage, current *carillon.Subscription) (
	sub carillon.Subscription, shown map[string]string, err error,
) {
	f := readFields("", body)
	sub = carillon.Subscription{State: carillon.Enabled}
	if current != nil {
		sub = *current
		s.checkReadOnly(f, *current)
	} else if state := f.text("state", maxNameBytes); state != "" {
		sub.State = carillon.SubscriptionState(state)
		if sub.State != carillon.Enabled && sub.State != carillon.Paused {
			f.wrong("state", "must be enabled or paused")
		}
	}
	sub.Name = f.required("name", maxNameBytes)
	sub.EventTypes = s.readPatterns(f)
	sub.Scope = readScope(f)
	sub.IncludeCached = f.yes("include_cached")
	sub.Retry = readRetry(f, readProfile(f, &sub).Retry)
	if err := s.readCondition(f, &sub); err != nil {
		return sub, nil, err
	}
	if err := readFormat(f, &sub); err != nil {
		return sub, nil, err
	}
	if sub.Endpoint, shown, err = s.readEndpoint(ctx, f, &sub, current); err != nil {
		return sub, nil, err
	}
	s.readGathering(f, &sub)
	s.readPerMinute(f, &sub)
	if err := s.checkFormat(f, sub); err != nil {
		return sub, nil, err
	}
	return sub, shown, f.done()
}

// checkReadOnly lets a client post back what it was answered. What it cannot
// change must be as it is, where a change could be meant.
func (s *Server) checkReadOnly(f *fields, current carillon.Subscription) {
	if id := f.text("id", maxParamBytes); id != "" && id != current.ID {
		f.wrong("id", "cannot be changed")
	}
	if state := f.text("state", maxNameBytes); state != "" && state != string(current.State) {
		f.wrong("state", "cannot be changed here: the subscription is %s; use its enable, pause or disable", current.State)
	}
	for _, name := range []string{"effective_condition", "disabled_by", "disabled_reason", "health", "created_at", "updated_at", "warnings"} {
		f.raw(name)
	}
}

func (s *Server) readPatterns(f *fields) []string {
	patterns := f.texts("event_types", maxPatterns, carillon.MaxTypeBytes)
	if len(patterns) == 0 && f.members != nil && !slices.ContainsFunc(f.problems, func(p carillon.Problem) bool {
		return p.Pointer == "/event_types"
	}) {
		f.wrong("event_types", `must name at least one event type: a type, "prefix.*" or "*"`)
	}
	for i, pattern := range patterns {
		if pattern == "" {
			continue // said already
		}
		// CheckPattern makes no errors but about the input.
		_ = f.include("event_types/"+strconv.Itoa(i), s.deps.Catalog.CheckPattern(pattern))
	}
	return patterns
}

// readRetry reads the schedule and the policy; retry is what is not given.
func readRetry(f *fields, retry carillon.Retry) carillon.Retry {
	raw := f.raw("retry")
	if raw == nil {
		return retry
	}
	r := readFields(f.at+"/retry", raw)
	if r.has("schedule") {
		retry.Schedule = readSchedule(r)
	} else {
		r.raw("schedule")
	}
	if policy := carillon.DisablePolicy(r.text("disable", maxNameBytes)); policy != "" {
		policies := []carillon.DisablePolicy{carillon.DisableExhausted, carillon.DisableUnreachable, carillon.DisableNever}
		if !slices.Contains(policies, policy) {
			r.wrong("disable", "must be one of %s", join(policies))
		}
		retry.Disable = policy
	}
	// done makes no errors but about the input.
	_ = f.include("retry", r.done())
	return retry
}

func readSchedule(r *fields) []carillon.Duration {
	var texts []string
	if err := json.Unmarshal(r.raw("schedule"), &texts); err != nil {
		r.wrong("schedule", `must be an array of durations, such as ["1m","5m","30m"]`)
		return nil
	}
	if len(texts) > carillon.MaxRetries {
		r.wrong("schedule", "has %d delays, at most %d are allowed", len(texts), carillon.MaxRetries)
		return nil
	}
	schedule := make([]carillon.Duration, len(texts))
	for i, text := range texts {
		at := "schedule/" + strconv.Itoa(i)
		if err := schedule[i].UnmarshalText([]byte(text)); err != nil {
			r.wrong(at, "must be a duration such as 30s, 5m or 48h")
		} else if d := time.Duration(schedule[i]); d < carillon.MinDelay || d > carillon.MaxDelay {
			r.wrong(at, "must be %s to %s", carillon.Duration(carillon.MinDelay), carillon.Duration(carillon.MaxDelay))
		}
	}
	return schedule
}

// readEndpoint has the channel read its endpoint, which may leave to the
// installation only what is set there.
func (s *Server) readEndpoint(ctx context.Context, f *fields, sub, current *carillon.Subscription) (
	kept carillon.Endpoint, shown map[string]string, err error,
) {
	sub.Channel = f.required("channel", maxNameBytes)
	posted := f.raw("endpoint")
	sender, ok := s.deps.Channels[sub.Channel]
	switch {
	case sub.Channel == "":
		return nil, nil, nil
	case !ok:
		f.wrong("channel", "must be one of %s", join(sortedKeys(s.deps.Channels)))
		return nil, nil, nil
	case posted == nil:
		f.wrong("endpoint", "is required")
		return nil, nil, nil
	}
	var stored carillon.Endpoint
	if current != nil && current.Channel == sub.Channel {
		stored = current.Endpoint
	}
	if kept, shown, err = sender.Prepare(withTimeout(f, sub, posted), stored); err != nil {
		return kept, shown, f.include("endpoint", err)
	}
	if completer, ok := sender.(channels.Completer); ok {
		if err := f.include("endpoint", completer.Complete(ctx, kept)); err != nil {
			return nil, nil, err
		}
	}
	if templated, ok := sender.(channels.Templated); ok {
		err = templated.CheckTemplates(kept, sub.EventTypes)
	}
	return kept, shown, f.include("endpoint", err)
}

// warnings says what is allowed but can hardly be meant: a pattern none of
// whose types the format carries, or carries a scope key that the subscription
// asks for, and what the channel knows of its endpoint.
func (s *Server) warnings(sub carillon.Subscription) []carillon.Problem {
	var found []carillon.Problem
	found = append(found, s.neverCarried(sub)...)
	if warner, ok := s.deps.Channels[sub.Channel].(channels.Warner); ok {
		found = append(found, warner.Warnings(sub.Endpoint)...)
	}
	for _, key := range sortedKeys(sub.Scope) {
		for i, pattern := range sub.EventTypes {
			if s.canCarry(pattern, key) {
				continue
			}
			found = append(found, carillon.Problem{
				Pointer: "/event_types/" + strconv.Itoa(i),
				Detail:  fmt.Sprintf("no event of %s carries %s, which the scope asks for: this never matches", pattern, key),
			})
		}
	}
	return found
}

func (s *Server) canCarry(pattern, scopeKey string) bool {
	for _, t := range s.deps.Catalog.Types() {
		if carillon.MatchesType(pattern, t.Name) && t.CanCarry(scopeKey) {
			return true
		}
	}
	return false
}
