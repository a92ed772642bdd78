package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	temporal "go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"google.golang.org/grpc"

	"github.com/carillon-dev/carillon/client"
)

// startTimeout bounds the start of a program.
const startTimeout = 60 * time.Second

// stack is a Temporal server, a Carillon and a receiver, all on loopback, with
// their data in a temporary folder. The two programs can be killed and started
// again on the same data and ports.
type stack struct {
	bin, dir string
	env      []string // of Carillon, beside what it needs
	ports    struct{ api, temporal, web, carillonProfiles, temporalProfiles int }
	adminKey string
	secret   string
	database *database // nil is SQLite
	// profileDir is where profiles go; empty takes none.
	profileDir string

	receiver *receiver
	carillon *process
	server   *process
	manage   *client.Client
	// client reaches the server; completed is called for each workflow task
	// whose completion the server has acknowledged to it.
	client    temporal.Client
	completed atomic.Pointer[func()]
}

// newStack starts everything. env holds settings of Carillon.
func (b *bench) newStack(ctx context.Context, env ...string) (_ *stack, err error) {
	s := &stack{bin: b.bin, env: env, adminKey: rand.Text(), profileDir: b.profiles}
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	s.secret = base64.StdEncoding.EncodeToString(key[:])
	defer func() {
		if err != nil {
			s.close(ctx)
		}
	}()
	if s.dir, err = os.MkdirTemp("", "carillon-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if b.postgres != "" {
		if s.database, err = newDatabase(ctx, b.postgres); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts(ctx, 5)
	if err != nil {
		return nil, err
	}
	s.ports.api, s.ports.temporal, s.ports.web = ports[0], ports[1], ports[2]
	if s.profileDir != "" {
		s.ports.carillonProfiles, s.ports.temporalProfiles = ports[3], ports[4]
		s.env = append(s.env, "CARILLON_PPROF_ADDR=127.0.0.1:"+strconv.Itoa(s.ports.carillonProfiles))
	}
	if s.receiver, err = openReceiver(ctx); err != nil {
		return nil, err
	}
	s.manage = client.New(s.url(), s.adminKey)
	if err := s.startServer(ctx); err != nil {
		return nil, err
	}
	s.client, err = temporal.DialContext(ctx, temporal.Options{
		HostPort: s.temporalAddress(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: temporal.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(s.watch)}},
	})
	if err != nil {
		return nil, fmt.Errorf("reach Temporal: %w", err)
	}
	return s, s.startCarillon(ctx)
}

// watch sees the completions that the server acknowledges.
func (s *stack) watch(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	err := invoke(ctx, method, req, reply, cc, opts...)
	if completed := s.completed.Load(); err == nil && completed != nil && strings.HasSuffix(method, "/RespondWorkflowTaskCompleted") {
		(*completed)()
	}
	return err
}

func (s *stack) url() string { return "http://127.0.0.1:" + strconv.Itoa(s.ports.api) }

func (s *stack) temporalAddress() string { return "127.0.0.1:" + strconv.Itoa(s.ports.temporal) }

// startServer starts the Temporal server and waits until it takes workflows.
func (s *stack) startServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	env := inherited()
	if s.database != nil {
		env = append(env, "CARILLON_DEVSERVER_POSTGRES_URL="+s.database.temporal())
	}
	var err error
	s.server, err = run(context.WithoutCancel(ctx), "carillon-devserver", filepath.Join(s.bin, "carillon-devserver"), env,
		"--dir", filepath.Join(s.dir, "temporal"),
		"--port", strconv.Itoa(s.ports.temporal), "--web-port", strconv.Itoa(s.ports.web), "--ignore-interrupt",
		"--pprof-port", strconv.Itoa(s.ports.temporalProfiles))
	if err != nil {
		return err
	}
	return s.server.await(ctx, func(context.Context) bool { return strings.Contains(s.server.said.String(), "ready address=") })
}

// startCarillon starts `carillon serve` and waits until it is ready.
func (s *stack) startCarillon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	env := append(inherited(),
		"HOME="+s.dir,
		"CARILLON_HTTP_ADDR=127.0.0.1:"+strconv.Itoa(s.ports.api),
		"CARILLON_DATA_DIR="+filepath.Join(s.dir, "carillon"),
		"CARILLON_ADMIN_KEY="+s.adminKey, "CARILLON_SECRET_KEY="+s.secret,
		"CARILLON_ALLOW_CIDRS=127.0.0.0/8", "CARILLON_LOG_LEVEL=warn",
		"TEMPORAL_ADDRESS="+s.temporalAddress())
	if s.database != nil {
		env = append(env, "CARILLON_DATABASE_URL="+s.database.carillon())
		migrate, err := run(ctx, "carillon migrate", filepath.Join(s.bin, "carillon"), env, "migrate")
		if err != nil {
			return err
		}
		<-migrate.ended // what it could not do, serve says
	}
	var err error
	s.carillon, err = run(context.WithoutCancel(ctx), "carillon", filepath.Join(s.bin, "carillon"), append(env, s.env...), "serve")
	if err != nil {
		return err
	}
	return s.carillon.await(ctx, s.ready)
}

// ready asks Carillon whether it can work.
func (s *stack) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url()+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := (&http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// close ends what was started and removes its data.
func (s *stack) close(ctx context.Context) {
	for _, p := range []*process{s.carillon, s.server} {
		if p != nil {
			p.kill()
		}
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.receiver != nil {
		s.receiver.shut()
	}
	if s.database != nil {
		s.database.drop(ctx)
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // a temporary folder
	}
}

// subscribe makes a subscription of package.added in a feed to a path of the
// receiver.
func (s *stack) subscribe(ctx context.Context, feed, path string, edits ...func(*client.Subscription)) (client.Subscription, error) {
	sub := client.Subscription{
		Name: "bench " + path, EventTypes: []string{"package.added"}, Scope: map[string][]string{"feed": {feed}},
		Channel: "webhook", Endpoint: client.Webhook{URL: s.receiver.url(path)},
	}
	for _, edit := range edits {
		edit(&sub)
	}
	saved, err := s.manage.CreateSubscription(ctx, sub)
	if err != nil {
		return saved, fmt.Errorf("subscribe %s: %w", path, err)
	}
	return saved, nil
}

// fanOut subscribes n paths to the feed, and returns what they receive.
func (s *stack) fanOut(ctx context.Context, n int) ([]*endpoint, error) {
	endpoints := make([]*endpoint, n)
	for i := range endpoints {
		path := fmt.Sprintf("/%d", i)
		if _, err := s.subscribe(ctx, feed, path); err != nil {
			return nil, err
		}
		endpoints[i] = s.receiver.at(path)
	}
	return endpoints, nil
}

// load returns a generator of this stack's events.
func (s *stack) load(connections int) *load { return newLoad(s.url(), s.adminKey, connections) }
