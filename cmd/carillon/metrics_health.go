package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carillon-dev/carillon"
)

// endpointMetrics counts what happens to endpoints in this worker. Like those
// of attempts, they name no endpoint.
type endpointMetrics struct {
	inFlight  prometheus.Gauge
	throttled prometheus.Counter
	breakers  *prometheus.CounterVec
}

func newEndpointMetrics(registry *prometheus.Registry) *endpointMetrics {
	m := &endpointMetrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "carillon_attempts_in_flight", Help: "Attempts that this worker is making.",
		}),
		throttled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "carillon_throttled_total", Help: "Attempts put off because their endpoint had all it may have in flight.",
		}),
		breakers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "carillon_breaker_transitions_total",
			Help: "Breakers that came to a state: open, failing (closed until the next failure) or ok.",
		}, []string{"to"}),
	}
	registry.MustRegister(m.inFlight, m.throttled, m.breakers)
	return m
}

func (m *endpointMetrics) InFlight(n int) { m.inFlight.Add(float64(n)) }

func (m *endpointMetrics) Throttled() { m.throttled.Inc() }

func (m *endpointMetrics) Breaker(to carillon.HealthState) {
	m.breakers.WithLabelValues(string(to)).Inc()
}

// countTimeout bounds the question that a scrape asks the database.
const countTimeout = 2 * time.Second

// healthMetrics counts the subscriptions in each state of health when it is
// asked. While the database is away, it has none.
type healthMetrics struct {
	store interface {
		CountHealth(ctx context.Context) (map[carillon.HealthState]int, error)
	}
	log *slog.Logger
}

var subscriptionsByHealth = prometheus.NewDesc("carillon_subscriptions",
	"Subscriptions by the health of their endpoint: ok, failing, or open (its breaker is).", []string{"health"}, nil)

// Describe implements [prometheus.Collector].
func (*healthMetrics) Describe(to chan<- *prometheus.Desc) { to <- subscriptionsByHealth }

// Collect implements [prometheus.Collector].
func (m *healthMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	counts, err := m.store.CountHealth(ctx)
	if err != nil {
		m.log.Warn("subscriptions are not counted for metrics", "error", err)
		return
	}
	for state, n := range counts {
		to <- prometheus.MustNewConstMetric(subscriptionsByHealth, prometheus.GaugeValue, float64(n), string(state))
	}
}
