package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/api"
	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/schema"
	"github.com/carillon-dev/carillon/worker"
)

const (
	// drainDelay lets a load balancer see that the process is not ready before
	// it stops to listen.
	drainDelay = 2 * time.Second
	// shutdownTimeout is for requests under way.
	shutdownTimeout = 10 * time.Second
	// startRetry is how soon a worker that found no server or no schema tries
	// again.
	startRetry = time.Second
)

// runServe runs the API and the worker in one process until ctx ends.
func runServe(ctx context.Context, cfg config.Config, out io.Writer) error {
	return serve(ctx, cfg, out, role{name: "carillon", api: true, worker: true})
}

// serve runs what the role says until ctx ends.
func serve(ctx context.Context, cfg config.Config, out io.Writer, r role) error {
	if cfg.SecretKey.Reveal() == "" {
		return usagef("CARILLON_SECRET_KEY is not set; it seals secrets in the database. Make one with: openssl rand -base64 32")
	}
	if r.api && cfg.AdminKey.Reveal() == "" {
		return usagef("CARILLON_ADMIN_KEY is not set; it is the key that the API asks for. Make one with: openssl rand -hex 24")
	}
	if _, err := check(cfg); err != nil {
		return err
	}
	if err := r.check(cfg); err != nil {
		return err
	}
	if onSQLite(cfg) { // one process, so no other can run an older program on it
		if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
			return usagef("CARILLON_DATA_DIR: %w", err)
		}
		if _, err := schema.Migrate(ctx, cfg.DatabaseURL.Reveal()); err != nil {
			return err
		}
	}
	options, err := workerOptions(os.Getenv)
	if err != nil {
		return err
	}
	tuneCollector(os.Getenv)
	listener, err := listen(ctx, cfg.HTTPAddr, "CARILLON_HTTP_ADDR")
	if err != nil {
		return err
	}
	cfg.HTTPAddr = listener.Addr().String() // the port may have been any
	p, err := assemble(ctx, cfg, newLogger(cfg, os.Stderr), "")
	if err != nil {
		return err
	}
	defer p.close()
	_, _ = fmt.Fprintf(out, "%s %s listens on http://%s\n", r.name, version, listener.Addr())
	return (&service{parts: p, cfg: cfg, role: r, options: options}).run(ctx, listener, drainDelay)
}

// collectorPercent is how much the heap grows between two garbage collections,
// in percent of what is live, unless GOGC says otherwise. Little is live here and
// much is short-lived, so this costs some tens of megabytes and saves a tenth of
// the processor under load.
const collectorPercent = 400

func tuneCollector(getenv func(string) string) {
	if getenv("GOGC") == "" && getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(collectorPercent)
	}
}

// listen opens a port, or says which setting to change.
func listen(ctx context.Context, addr, setting string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, usagef("%s is taken by another program; set %s to another", addr, setting)
	}
	if err != nil {
		return nil, usagef("%s=%s: %w", setting, addr, err)
	}
	return l, nil
}

// service is a process at work.
type service struct {
	*parts
	role
	cfg     config.Config
	options []worker.Option
	polling atomic.Bool
}

// run serves until ctx ends, and then stops in an order that loses nothing:
// readiness off, then the listener, then the worker, which waits for attempts
// under way.
func (s *service) run(ctx context.Context, listener net.Listener, drain time.Duration) error {
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	handler, err := s.handler() //nolint:contextcheck // a handler takes the context of each request
	if err != nil {
		return err
	}
	profiles, err := serveProfiles(ctx, s.cfg.PprofAddr, s.log)
	if err != nil {
		return err
	}
	defer profiles()
	server := handler.HTTP()
	failed := make(chan error, 1)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve HTTP: %w", err)
		}
	}()
	workCtx, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var working sync.WaitGroup
	if s.worker {
		working.Go(func() { s.work(workCtx) })
	}

	var cause error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
		handler.Drain()
		<-time.After(drain)
	case cause = <-failed:
	}
	stopCtx, cancel := context.WithTimeout(workCtx, shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stopCtx); err != nil {
		s.log.Warn("requests were cut off", "error", err)
	}
	stopWork()
	working.Wait()
	return cause
}

// handler answers HTTP: the API where it is this process's, else health alone.
func (s *service) handler() (*api.Server, error) {
	checks := []api.Check{
		{Name: "database", Check: s.store.Ping},
		{Name: "temporal", Check: s.checkTemporal},
	}
	if s.worker {
		checks = append(checks, api.Check{Name: "worker", Check: s.checkWorker})
	}
	metrics := promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{})
	if !s.api {
		return api.NewHealth(checks, metrics, s.log, time.Now), nil
	}
	return api.New(api.Deps{
		Codec:    s.apiCodec(),
		AdminKey: s.cfg.AdminKey.Reveal(), TemporalWebURL: s.cfg.TemporalWebURL, Namespace: s.namespace,
		Store: s.store, Publisher: s.publisher, History: s.histories, Catalog: s.catalog,
		Conditions: s.conditions, Channels: s.channels, Memory: s.store,
		RateLimit: carillon.RateLimit(s.cfg.RateLimit), Guesses: api.Guesses,
		Checks: checks, Metrics: metrics, Log: s.log, Now: time.Now,
	})
}

// apiCodec is nil without keys: there is nothing to open then.
func (s *service) apiCodec() converter.PayloadCodec {
	if len(s.codec.Keys()) == 0 {
		return nil
	}
	return s.codec
}

func (s *service) checkTemporal(ctx context.Context) error {
	if _, err := s.temporal.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return &carillon.Error{Code: carillon.CodeUnavailable, Message: "Temporal does not answer", Err: err}
	}
	return nil
}

// resume asks for the recoveries that were interrupted between enabling a
// subscription and asking for what it held, and for those that probe open
// breakers.
func (s *service) resume(ctx context.Context) {
	if err := s.activities.Resume(ctx); err != nil {
		s.log.Warn("recoveries are not resumed; enabling a subscription once more does it", "error", err)
	}
}

// rewatchEvery is how often a worker looks for probes that are overdue.
const rewatchEvery = 20 * time.Second

// keepWatching looks for probes that are overdue until ctx ends.
func (s *service) keepWatching(ctx context.Context) {
	ticker := time.NewTicker(rewatchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.activities.Rewatch(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("endpoints whose probe is overdue are not probed; it is asked for again", "error", err)
		}
	}
}

func (s *service) checkWorker(context.Context) error {
	if !s.polling.Load() {
		return carillon.Errorf(carillon.CodeUnavailable, "the worker does not poll; it waits for the database and Temporal")
	}
	return nil
}

// work runs the worker until ctx ends. Where Temporal or the schema is not
// there yet, it waits for them.
func (s *service) work(ctx context.Context) {
	for said := ""; ; {
		err := s.store.Ping(ctx)
		if err == nil {
			runs := cmp.Or(s.cfg.CachedRuns, worker.CachedRuns(os.DirFS("/")))
			w := worker.New(s.temporal, s.activities, runs, s.options...)
			if err = w.Start(); err == nil {
				s.log.Info("the worker polls", "cached_runs", runs)
				s.resume(ctx)
				s.polling.Store(true)
				keepCtx, stopKeeping := context.WithCancel(ctx)
				go s.keepSchedules(keepCtx)
				go s.keepWatching(keepCtx)
				select {
				case <-ctx.Done():
				case err = <-w.Failed():
				}
				s.polling.Store(false)
				stopKeeping()
				w.Stop()
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err.Error() != said {
			s.log.Warn("the worker waits", "reason", err)
			said = err.Error()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(startRetry):
		}
	}
}
