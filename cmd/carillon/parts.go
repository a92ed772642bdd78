package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/activities"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/channels"
	"github.com/carillon-dev/carillon/conditions"
	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/internal/history"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/schema"
	"github.com/carillon-dev/carillon/store"
	"github.com/carillon-dev/carillon/workflows"
)

// parts are what a process is made of, wired together.
type parts struct {
	log        *slog.Logger
	temporal   client.Client
	namespace  string
	store      *store.Store
	catalog    *catalog.Catalog
	conditions *conditions.Environment
	channels   channels.Registry
	histories  *history.Reader
	publisher  *workflows.Publisher
	activities *activities.Activities
	metrics    *prometheus.Registry
	codec      *seal.Codec
}

// assemble wires the parts. Neither the database nor Temporal needs to be
// there yet: a process starts without them and says so in its readiness.
func assemble(ctx context.Context, cfg config.Config, log *slog.Logger, temporalAddress string) (*parts, error) {
	p := &parts{log: log, metrics: prometheus.NewRegistry()}
	var err error
	if p.catalog, err = catalog.Load(); err != nil {
		return nil, fmt.Errorf("load catalog: %w", err)
	}
	if p.conditions, err = conditions.New(); err != nil {
		return nil, fmt.Errorf("set up conditions: %w", err)
	}
	ring, err := check(cfg)
	if err != nil {
		return nil, err
	}
	if p.codec, err = newCodec(cfg); err != nil {
		return nil, err
	}
	options, err := temporalOptions(envconfig.EnvLookupOS, temporalAddress, log)
	if err != nil {
		return nil, err
	}
	encode(&options, p.codec)
	p.namespace = options.Namespace
	policy, err := outgoing(cfg, options.HostPort)
	if err != nil {
		return nil, err
	}
	if p.temporal, err = client.NewLazyClient(options); err != nil {
		return nil, usagef("set up the Temporal client: %w", err)
	}
	dataConverter := options.DataConverter
	if p.histories, err = history.NewReader(p.temporal, dataConverter); err != nil {
		return nil, err
	}
	if p.store, err = store.Open(ctx, cfg.DatabaseURL.Reveal(), ring); err != nil {
		return nil, usagef("CARILLON_DATABASE_URL: %w", err)
	}
	p.channels = channels.NewRegistry(channels.Config{
		Policy: policy, Now: time.Now, PublicURL: cfg.PublicURL, Settings: p.store, Inbox: p.store,
		Threads: p.store,
	})
	p.metrics.MustRegister(&healthMetrics{store: p.store, log: log})
	p.publisher = workflows.NewPublisher(p.temporal, dataConverter, p.namespace, p.store, time.Now, log)
	if cfg.GroupCommit {
		p.publisher.GroupCommit()
	}
	p.activities = activities.New(activities.Deps{
		Store: p.store, Histories: p.histories, Publisher: p.publisher, Channels: p.channels,
		Conditions: p.conditions, Now: time.Now, Jitter: rand.Float64, Observe: newAttemptMetrics(p.metrics), Log: log,
		Meter: newEndpointMetrics(p.metrics),
		Runs:  p.histories,
	})
	return p, nil
}

// check reads the settings that other packages know the shape of.
func check(cfg config.Config) (*seal.Ring, error) {
	ring, err := seal.NewRing(cfg.SecretKey.Reveal())
	if err != nil {
		return nil, usagef("CARILLON_SECRET_KEY: %w", err)
	}
	if _, err := outgoing(cfg, ""); err != nil {
		return nil, err
	}
	if _, err := schema.Parse(cfg.DatabaseURL.Reveal()); err != nil {
		return nil, usagef("CARILLON_DATABASE_URL: %w", err)
	}
	if _, err := newCodec(cfg); err != nil {
		return nil, err
	}
	return ring, nil
}

// newCodec reads the keys of what Temporal keeps.
func newCodec(cfg config.Config) (*seal.Codec, error) {
	codec, err := seal.NewCodec(cfg.CodecKey.Reveal())
	if err != nil {
		return nil, usagef("CARILLON_CODEC_KEY: %w", err)
	}
	return codec, nil
}

func (p *parts) close() {
	p.temporal.Close()
	if err := p.store.Close(); err != nil {
		p.log.Error("close the database", "error", err)
	}
}

// newAttemptMetrics registers what is counted of attempts. No label names a
// subscription or an address: they are many, and may be secret.
func newAttemptMetrics(registry *prometheus.Registry) func(string, carillon.Attempt) {
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "carillon_attempts_total", Help: "Attempts made, by channel and outcome.",
	}, []string{"channel", "outcome"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "carillon_attempt_duration_seconds", Help: "How long attempts took, by channel.",
		Buckets: []float64{0.01, 0.05, 0.1, 0.5, 1, 2, 5, 15, 30},
	}, []string{"channel"})
	registry.MustRegister(total, seconds)
	return func(channel string, a carillon.Attempt) {
		total.WithLabelValues(channel, string(a.Outcome)).Inc()
		seconds.WithLabelValues(channel).Observe(float64(a.DurationMS) / 1000)
	}
}

// warnings passes on what is a warning or worse, and all when debugging: the
// SDK tells of every poller at level info.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return w.Handler.Enabled(ctx, level) && (level >= slog.LevelWarn || w.Handler.Enabled(ctx, slog.LevelDebug))
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }

// newLogger writes the log as the configuration says.
func newLogger(cfg config.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
