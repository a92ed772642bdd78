package carillon

import "time"

// Health is how a subscription's endpoint takes attempts.
type Health struct {
	// Failures counts the attempts in a row that the endpoint did not take.
	Failures int
	// FailingSince is when the first of them was recorded.
	FailingSince time.Time
	// OpenSince is when the breaker opened; zero while it is closed.
	OpenSince time.Time
	// ProbeAt is when the next probe of an open breaker is due.
	ProbeAt time.Time
	// ToldSince is since when people know of an outage; zero when they know of
	// none.
	ToldSince time.Time
}

// FailingAfter is how many attempts in a row an endpoint must fail for people to
// be told of it.
const FailingAfter = 3

// BreakerThreshold is how many attempts in a row an endpoint must fail for its
// breaker to open: more than one delivery has on the default schedule, so that
// no delivery opens it alone, and few enough to open within a second on a busy
// endpoint.
const BreakerThreshold = 20

// HealthState sums a [Health] up.
type HealthState string

// The states of health. While the breaker is open, what matches is held, and
// probes tell when the endpoint is back.
const (
	HealthOK      HealthState = "ok"
	HealthFailing HealthState = "failing"
	HealthOpen    HealthState = "open"
)

// HealthStates lists all states of health.
var HealthStates = []HealthState{HealthOK, HealthFailing, HealthOpen}

// Open reports whether the breaker is open.
func (h Health) Open() bool { return !h.OpenSince.IsZero() }

// Well reports whether there is nothing to say of it: a success is no news.
func (h Health) Well() bool { return h.State() == HealthOK && h.ToldSince.IsZero() }

// State sums the health up.
func (h Health) State() HealthState {
	switch {
	case h.Open():
		return HealthOpen
	case h.Failures > 0:
		return HealthFailing
	default:
		return HealthOK
	}
}

// Since is when the state began; zero for [HealthOK].
func (h Health) Since() time.Time {
	if h.Open() {
		return h.OpenSince
	}
	return h.FailingSince
}

// Held reports whether what matches is held now instead of delivered, and why.
func (s *Subscription) Held() (reason string, held bool) {
	switch {
	case s.State != Enabled:
		return "the subscription is " + string(s.State), true
	case s.Health.Open():
		return "its endpoint's breaker is open", true
	default:
		return "", false
	}
}

// FirstProbe is how long after the breaker opened the first probe is due.
func (r Retry) FirstProbe() time.Duration {
	if len(r.Schedule) == 0 {
		return SoleDelay
	}
	return time.Duration(r.Schedule[0])
}

// SoleDelay is between the probes of a subscription whose schedule is empty.
const SoleDelay = time.Hour

// Closing closes a breaker.
type Closing struct {
	SubscriptionID string
	// OpenSince names the opening that is meant; zero means whichever there is.
	OpenSince time.Time
	// Half leaves the next attempt to decide: a single failure opens it again.
	Half bool
}

// Recorded is what the database knew better, or learned, when deliveries were
// recorded.
type Recorded struct {
	// Reopened are subscriptions that take deliveries by now: what was to be
	// held for them is pending.
	Reopened []string
	// Health is how the endpoints stand whose failures were counted or forgotten,
	// by subscription.
	Health map[string]Health
}
