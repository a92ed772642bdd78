package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/internal/receiver"
)

const (
	adminKey  = "key_of_the_e2e_tests"
	secretKey = "ZTJlLXRlc3Qta2V5LW9mLTMyLWJ5dGVzLWV4YWN0bHk="

	// patience bounds every wait: far above what anything takes, on a machine
	// that is busy with other tests.
	patience = 120 * time.Second
)

// instance is one Carillon, with a Temporal server and a receiver of its own.
// It can be stopped, killed and started again; its data stay.
type instance struct {
	t   *testing.T
	dir string
	// env is what differs from the defaults.
	env    []string
	ports  ports
	client *client.Client
	hooks  *receiver.Receiver
	hook   string // the receiver's URL, without a path

	carillon *process
	temporal *process
	logs     string // of processes before the last restart
}

type ports struct{ api, temporal, web int }

// process is a program that was started.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   *logBuffer
}

// logBuffer keeps what a process printed.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start brings up an instance: a Temporal server, Carillon and a receiver, each
// on ports that are free. env holds further variables.
func start(t *testing.T, env ...string) *instance {
	t.Helper()
	i := &instance{t: t, dir: t.TempDir(), env: env, hooks: receiver.New()}
	free := freePorts(t, 3)
	i.ports = ports{free[0], free[1], free[2]}
	server := httptest.NewServer(i.hooks)
	t.Cleanup(server.Close)
	i.hook = server.URL
	i.client = client.New(i.url(), adminKey)
	t.Cleanup(func() {
		for _, p := range []*process{i.carillon, i.temporal} {
			if p != nil {
				p.kill()
			}
		}
		if t.Failed() && i.carillon != nil {
			t.Logf("log of carillon:\n%s", i.carillon.log)
		}
	})
	i.startTemporal()
	i.startCarillon()
	return i
}

func (i *instance) url() string { return fmt.Sprintf("http://127.0.0.1:%d", i.ports.api) }

func (i *instance) temporalAddress() string { return fmt.Sprintf("127.0.0.1:%d", i.ports.temporal) }

// startTemporal starts the embedded server as a process of its own, so that a
// test can stop either.
func (i *instance) startTemporal() {
	i.t.Helper()
	i.temporal = run(i.t, nil, binary(i.t, "carillon-devserver"),
		"--dir", filepath.Join(i.dir, "temporal"),
		"--port", strconv.Itoa(i.ports.temporal), "--web-port", strconv.Itoa(i.ports.web))
	i.eventually("Temporal is ready", func() bool { return strings.Contains(i.temporal.log.String(), "ready ") })
}

// startCarillon starts `carillon serve` and waits until it is ready.
func (i *instance) startCarillon() {
	i.t.Helper()
	const tries = 5
	for try := 1; ; try++ {
		i.launchCarillon()
		taken := false
		i.eventually("carillon is ready", func() bool {
			select {
			case <-i.carillon.ended:
				// A connection that somebody else makes can have the port for a moment.
				taken = strings.Contains(i.carillon.log.String(), "is taken by another program")
			default:
			}
			status, _ := i.get("/readyz")
			return taken || status == http.StatusOK
		})
		if !taken {
			return
		}
		require.Less(i.t, try, tries, "the port stays taken")
		<-time.After(time.Second)
	}
}

func (i *instance) launchCarillon() {
	i.t.Helper()
	env := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + i.dir,
		"CARILLON_HTTP_ADDR=" + fmt.Sprintf("127.0.0.1:%d", i.ports.api),
		"CARILLON_DATA_DIR=" + filepath.Join(i.dir, "carillon"),
		"CARILLON_ADMIN_KEY=" + adminKey, "CARILLON_SECRET_KEY=" + secretKey,
		"CARILLON_ALLOW_CIDRS=127.0.0.0/8", "CARILLON_LOG_LEVEL=debug",
		"TEMPORAL_ADDRESS=" + i.temporalAddress(),
	}, i.env...)
	i.carillon = run(i.t, env, binary(i.t, "carillon"), "serve")
}

func (i *instance) awaitReady() {
	i.t.Helper()
	i.eventually("carillon is ready", func() bool {
		status, _ := i.get("/readyz")
		return status == http.StatusOK
	})
}

// get asks for a public path.
func (i *instance) get(path string) (int, string) {
	i.t.Helper()
	resp, err := http.Get(i.url() + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(i.t, err)
	return resp.StatusCode, string(body)
}

// eventually polls until the condition holds.
func (i *instance) eventually(what string, holds func() bool) {
	i.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			i.t.Fatalf("not within %s: %s", patience, what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// temporalClient reaches the instance's Temporal server.
func (i *instance) temporalClient() temporal.Client {
	i.t.Helper()
	c, err := temporal.Dial(temporal.Options{
		HostPort: i.temporalAddress(), Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(i.t, err)
	i.t.Cleanup(c.Close)
	return c
}

// kill ends a process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop asks a process to end and waits for it.
func (p *process) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	<-p.ended
}

// run starts a program that ends with the test at the latest.
func run(t *testing.T, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), ended: make(chan struct{}), log: &logBuffer{}}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, p.log, p.log
	// A child that watches its input lives as long as this process.
	input, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		_ = input.Close()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

// binary returns the path of a program that make build made.
func binary(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "bin", name))
	require.NoError(t, err)
	require.FileExists(t, path, "make build makes it")
	return path
}

// freePorts returns loopback ports that nobody listens on.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	free := make([]int, 0, n)
	for len(free) < n {
		port := firstPort + int(lastPort.Add(1))%portCount
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue // somebody has it
		}
		require.NoError(t, l.Close())
		free = append(free, port)
	}
	return free
}

// Ports are taken in turn from below those that the system gives to outgoing
// connections, which could have one again before it is listened at.
const (
	firstPort = 12000
	portCount = 18000
)

var lastPort = func() *atomic.Int64 {
	var begin atomic.Int64
	begin.Store(int64(os.Getpid()) * 37)
	return &begin
}()

// subscribe saves a subscription of a path of the receiver, changed by edits,
// and returns it with its secret.
func (i *instance) subscribe(path string, edits ...func(*client.Subscription)) client.Subscription {
	i.t.Helper()
	sub := client.Subscription{
		Name: "subscription of " + path, EventTypes: []string{"package.*"}, Channel: "webhook",
		Endpoint: client.Webhook{URL: i.hook + path},
	}
	for _, edit := range edits {
		edit(&sub)
	}
	saved, err := i.client.CreateSubscription(i.t.Context(), sub)
	require.NoError(i.t, err)
	return saved
}

// schedule makes a subscription retry after the delays.
func schedule(delays ...time.Duration) func(*client.Subscription) {
	retry := &carillon.Retry{Schedule: []carillon.Duration{}, Disable: carillon.DisableExhausted}
	for _, d := range delays {
		retry.Schedule = append(retry.Schedule, carillon.Duration(d))
	}
	return func(s *client.Subscription) { s.Retry = retry }
}

// added is a package.added event that the producer calls id.
func added(id string) client.NewEvent {
	return client.NewEvent{
		ID: id, Type: "package.added", Source: "registry.example.com", Actor: "maartenba",
		Scope: map[string]string{"feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
		Data: map[string]any{"package": "MyCorp.CoolUtils", "version": "3.2.0"},
	}
}

func (i *instance) publish(event client.NewEvent) client.Accepted {
	i.t.Helper()
	accepted, err := i.client.Publish(i.t.Context(), event)
	require.NoError(i.t, err)
	return accepted
}

// awaitDelivery waits until a delivery is in the state, and returns it with its
// attempts.
func (i *instance) awaitDelivery(event, subscription string, state carillon.DeliveryState) client.Delivery {
	i.t.Helper()
	var delivery client.Delivery
	i.eventually(fmt.Sprintf("delivery of %s to %s is %s", event, subscription, state), func() bool {
		var err error
		delivery, err = i.client.Delivery(i.t.Context(), event, subscription)
		if client.CodeOf(err) == carillon.CodeNotFound {
			return false
		}
		require.NoError(i.t, err)
		return delivery.State == state
	})
	return delivery
}

// requests waits for n requests at a path of the receiver.
func (i *instance) requests(path string, n int) []receiver.Request {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	defer cancel()
	requests, err := i.hooks.Wait(ctx, path, n)
	require.NoError(i.t, err)
	return requests
}

// outcomes lists what a delivery's attempts came to.
func outcomes(d client.Delivery) []carillon.Outcome {
	var all []carillon.Outcome
	for _, a := range d.Attempts {
		all = append(all, a.Outcome)
	}
	return all
}

// payload is a standard webhook's.
type payload struct {
	ID   string          `json:"id"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

func read(t *testing.T, r receiver.Request) payload {
	t.Helper()
	var p payload
	require.NoError(t, json.Unmarshal(r.Body, &p))
	return p
}
