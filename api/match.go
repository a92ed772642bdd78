package api

import (
	"encoding/json"
	"slices"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// feedKey is the key of a scope that feeds is short for.
const feedKey = "feed"

// readMatch reads a condition in fields.
func readMatch(f *fields) carillon.Match {
	raw := f.raw("match")
	if raw == nil {
		return carillon.Match{}
	}
	m := readFields(f.at+"/match", raw)
	match := carillon.Match{
		Mode:    carillon.MatchMode(m.text("mode", maxNameBytes)),
		Package: m.text("package", maxConditionBytes), Version: m.text("version", maxConditionBytes),
	}
	if raw := m.raw("min_score"); raw != nil && json.Unmarshal(raw, &match.MinScore) != nil {
		m.wrong("min_score", "must be a number from 0 to %d", carillon.MaxScore)
	}
	if raw := m.raw("project_ids"); raw != nil && json.Unmarshal(raw, &match.ProjectIDs) != nil {
		m.wrong("project_ids", "must be an array of numbers")
	}
	switch {
	case match.Mode == "" && match.Asks():
		match.Mode = carillon.MatchConditionally
	case match.Mode == "":
		match.Mode = carillon.MatchAlways
	}
	problems := len(m.problems)
	// done and CheckMatch make no errors but about the input.
	_ = f.include("match", m.done())
	if problems > 0 {
		return match
	}
	_ = f.include("match", conditions.CheckMatch(match))
	if match.Mode != carillon.MatchNever {
		match.Mode = "" // it follows from the fields, so that a patch can change them
	}
	return match
}

// readCondition reads the fields and the expression, which must compile alone
// and together.
func (s *Server) readCondition(f *fields, sub *carillon.Subscription) error {
	before := len(f.problems)
	sub.Match = readMatch(f)
	if sub.Condition = f.free("condition", maxConditionBytes); sub.Condition != "" {
		_, err := s.deps.Conditions.Compile(sub.Condition)
		if err := f.include("condition", err); err != nil {
			return err
		}
	}
	if sub.Match.IsZero() || len(f.problems) > before {
		return nil
	}
	_, err := s.deps.Conditions.Compile(conditions.Effective(sub.Match, sub.Condition))
	problems, ok := problemsOf(err)
	if err != nil && !ok {
		return err
	}
	for _, p := range problems {
		f.wrong("match", "does not compile together with the condition: %s", p.Detail)
	}
	return nil
}

// readScope reads the scope, and feeds, which is short for one of its keys.
func readScope(f *fields) map[string][]string {
	const maxFeeds = 100
	scope := f.scopes("scope")
	if !f.has("feeds") {
		f.raw("feeds")
		return scope
	}
	before := len(f.problems)
	feeds := f.texts("feeds", maxFeeds, carillon.MaxScopeBytes)
	switch {
	case len(f.problems) > before:
	case len(feeds) == 0:
		f.wrong("feeds", "must have at least one feed: leave it out for all")
	case scope[feedKey] != nil && !slices.Equal(scope[feedKey], feeds):
		f.wrong("feeds", "is short for scope.feed, which says otherwise: give one of them")
	default:
		if scope == nil {
			scope = map[string][]string{}
		}
		scope[feedKey] = feeds
	}
	return scope
}

// feedsToScope writes a patch's feeds as the patch of the scope that they are
// short for.
func feedsToScope(patch json.RawMessage) (json.RawMessage, error) {
	changes, ok := members(patch)
	feeds, given := changes["feeds"]
	if !ok || !given {
		return patch, nil
	}
	scope := map[string]json.RawMessage{}
	if raw, ok := changes["scope"]; ok {
		if scope, ok = members(raw); !ok {
			return patch, nil // said when it is read
		}
	}
	if _, twice := scope[feedKey]; twice {
		return patch, nil
	}
	scope[feedKey] = feeds
	delete(changes, "feeds")
	var err error
	if changes["scope"], err = json.Marshal(scope); err != nil {
		return nil, err
	}
	return json.Marshal(changes)
}
