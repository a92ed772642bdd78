package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/schema"
)

const (
	// loopback is what dev allows receivers to be on.
	loopback = "127.0.0.0/8,::1/128"
	// temporalReady bounds the wait for the embedded server.
	temporalReady = 60 * time.Second
	// temporalStop bounds the wait for its end.
	temporalStop = 10 * time.Second
	// firstDelivery bounds the wait for the first event.
	firstDelivery = 60 * time.Second

	receiverPath = "/hook"
	firstEventID = "the-first-event"
)

// runDev runs everything that is needed to try Carillon out.
func runDev(ctx context.Context, cfg config.Config, out io.Writer) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return usagef("CARILLON_DATA_DIR: %w", err)
	}
	if err := devDefaults(&cfg); err != nil {
		return err
	}
	if _, err := check(cfg); err != nil {
		return err
	}
	d := &dev{cfg: cfg, out: out}
	var err error
	if d.api, err = listen(ctx, cfg.HTTPAddr, "CARILLON_HTTP_ADDR"); err != nil {
		return err
	}
	defer func() { _ = d.api.Close() }()
	d.cfg.HTTPAddr = d.api.Addr().String() // the port may have been any
	receiverAddr := net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.DevReceiverPort))
	if d.hooks, err = listen(ctx, receiverAddr, "CARILLON_DEV_RECEIVER_PORT"); err != nil {
		return err
	}
	defer func() { _ = d.hooks.Close() }()
	return d.run(ctx)
}

// devDefaults fills what dev, and only dev, makes up by itself. Keys are made
// once and kept in the data folder.
func devDefaults(cfg *config.Config) error {
	for _, key := range []struct {
		secret *config.Secret
		file   string
		create func() string
	}{
		{&cfg.SecretKey, "secret.key", seal.NewKey},
		{&cfg.AdminKey, "admin.key", newAdminKey},
	} {
		if key.secret.Reveal() != "" {
			continue
		}
		value, err := keptSecret(filepath.Join(cfg.DataDir, key.file), key.create)
		if err != nil {
			return err
		}
		*key.secret = config.NewSecret(value)
	}
	if cfg.AllowCIDRs == "" {
		cfg.AllowCIDRs = loopback
	}
	return nil
}

func newAdminKey() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return "key_" + hex.EncodeToString(b[:])
}

// keptSecret reads a secret from its file, or makes it and writes the file.
func keptSecret(file string, newSecret func() string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		value := newSecret()
		if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("keep key: %w", err)
		}
		return value, nil
	}
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// dev is a running `carillon dev`.
type dev struct {
	cfg    config.Config
	out    io.Writer
	api    net.Listener
	hooks  net.Listener
	client *client.Client
}

func (d *dev) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	temporalAddress := ""
	if os.Getenv("TEMPORAL_ADDRESS") == "" {
		stop, address, err := d.startTemporal(ctx, cancel)
		if err != nil {
			return err
		}
		defer stop()
		temporalAddress = address
	}
	if _, err := schema.Migrate(ctx, d.cfg.DatabaseURL.Reveal()); err != nil {
		return err
	}
	p, err := assemble(ctx, d.cfg, newLogger(d.cfg, os.Stderr), temporalAddress)
	if err != nil {
		return err
	}
	defer p.close()

	hooks := receiver.New()
	hooks.OnRequest(d.show)
	hookServer := &http.Server{Handler: hooks, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = hookServer.Serve(d.hooks) }()
	defer func() { _ = hookServer.Close() }()

	d.client = client.New("http://"+d.api.Addr().String(), d.cfg.AdminKey.Reveal())
	served := make(chan error, 1)
	go func() {
		served <- (&service{parts: p, cfg: d.cfg, role: role{api: true, worker: true}}).run(ctx, d.api, 0)
	}()

	if err := d.welcome(ctx); err != nil && ctx.Err() == nil {
		cancel(nil)
		return errors.Join(err, <-served)
	}
	err = <-served
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// startTemporal starts the embedded server as a child; when it ends by itself,
// so does everything.
func (d *dev) startTemporal(ctx context.Context, cancel context.CancelCauseFunc) (stop func(), address string, err error) {
	_, _ = fmt.Fprintln(d.out, "starting the embedded Temporal server …")
	startCtx, done := context.WithTimeout(ctx, temporalReady)
	defer done()
	server, err := startTemporal(startCtx, d.cfg)
	if err != nil {
		return nil, "", err
	}
	if d.cfg.TemporalWebURL == "" {
		d.cfg.TemporalWebURL = server.WebURL
	}
	stopping := make(chan struct{})
	go func() {
		select {
		case <-stopping:
		case <-server.Done():
			cancel(fmt.Errorf("the embedded Temporal server ended; its log is %s", server.LogFile))
		}
	}()
	return func() {
		close(stopping)
		stopCtx, done := context.WithTimeout(context.WithoutCancel(ctx), temporalStop)
		defer done()
		_ = server.Stop(stopCtx)
	}, server.Address, nil
}

// welcome makes the first subscription and delivers the first event, once for
// a data folder, and says where everything is.
func (d *dev) welcome(ctx context.Context) error {
	if err := d.awaitReady(ctx); err != nil {
		return err
	}
	secretFile := filepath.Join(d.cfg.DataDir, "receiver.secret")
	if _, err := os.Stat(secretFile); errors.Is(err, os.ErrNotExist) {
		if err := d.first(ctx, secretFile); err != nil {
			return fmt.Errorf("deliver the first event: %w", err)
		}
	}
	base := d.cfg.PublicURL
	_, err := fmt.Fprintf(d.out, `
Carillon is up; Ctrl-C ends it. Its data is in %[1]s.

  API           %[2]s   (description: %[2]s/openapi.json)
  Temporal Web  %[3]s
  receiver      http://%[4]s%[5]s prints what arrives
  key           %[6]s

Post an event:

  curl -s %[2]s/v1/events -H 'Authorization: Bearer %[6]s' -H 'Content-Type: application/json' -d '{
    "type": "package.added", "source": "registry.example.com",
    "subject": "pkg:nuget/MyCorp.CoolUtils@3.2.0", "scope": {"feed": "internal-utils"},
    "data": {"package": "MyCorp.CoolUtils", "version": "3.2.0"}}'

`, d.cfg.DataDir, base, webOr(d.cfg.TemporalWebURL), d.hooks.Addr(), receiverPath, d.cfg.AdminKey.Reveal())
	return err
}

func webOr(url string) string {
	if url == "" {
		return "(set CARILLON_TEMPORAL_WEB_URL for links)"
	}
	return url
}

// awaitReady waits until an event would be taken.
func (d *dev) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, temporalReady)
	defer cancel()
	local := &http.Client{Timeout: 5 * time.Second}
	return poll(ctx, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.api.Addr().String()+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		resp, err := local.Do(req)
		if err != nil {
			return false, nil //nolint:nilerr // it is not up yet
		}
		return resp.StatusCode == http.StatusOK, resp.Body.Close()
	})
}

// first subscribes the built-in receiver, publishes one event, and prints what
// became of it.
func (d *dev) first(ctx context.Context, secretFile string) error {
	ctx, cancel := context.WithTimeout(ctx, firstDelivery)
	defer cancel()
	sub, err := d.client.CreateSubscription(ctx, client.Subscription{
		Name: "built-in receiver", EventTypes: []string{"*"}, Channel: "webhook",
		Endpoint: client.Webhook{URL: "http://" + d.hooks.Addr().String() + receiverPath},
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(secretFile, []byte(sub.Secret()+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the receiver's secret: %w", err)
	}
	_, _ = fmt.Fprintf(d.out, "subscribed the built-in receiver to everything (%s)\n", sub.ID)
	accepted, err := d.client.Publish(ctx, client.NewEvent{
		ID: firstEventID, Type: "package.added", Source: "registry.example.com", Actor: "you",
		Scope: map[string]string{"feed": "internal-utils"}, Subject: "pkg:nuget/MyCorp.CoolUtils@3.2.0",
		Data: map[string]any{"package": "MyCorp.CoolUtils", "version": "3.2.0"},
	})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(d.out, "published package.added MyCorp.CoolUtils 3.2.0 (%s)\n", accepted.ID)
	var delivery client.Delivery
	err = poll(ctx, func() (bool, error) {
		delivery, err = d.client.Delivery(ctx, accepted.ID, sub.ID)
		if client.CodeOf(err) == carillon.CodeNotFound { // not routed yet
			return false, nil
		}
		return err == nil && delivery.State == carillon.Succeeded, err
	})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(d.out, "delivered with HTTP %d at the first attempt\n", delivery.Status)
	if accepted.Run.URL != "" {
		_, _ = fmt.Fprintf(d.out, "its run: %s\n", accepted.Run.URL)
	}
	return nil
}

// show prints what the built-in receiver got, and whether its signature holds.
func (d *dev) show(r receiver.Request) {
	verdict := "signature not checked: this is not the first subscription's"
	secret, err := os.ReadFile(filepath.Join(d.cfg.DataDir, "receiver.secret"))
	if err == nil {
		verdict = "signature verified"
		if err := client.Verify([]string{strings.TrimSpace(string(secret))}, r.Header, r.Body); err != nil {
			verdict = "signature NOT verified: " + err.Error()
		}
	}
	_, _ = fmt.Fprintf(d.out, "receiver: %s %s %s, %s\n  %s\n",
		r.Method, r.Path, r.Header.Get("webhook-id"), verdict, carillon.Clip(string(r.Body), 500))
}

// pollInterval is how often something local is asked for.
const pollInterval = 50 * time.Millisecond

// poll asks until the answer is yes, an error, or the end of ctx.
func poll(ctx context.Context, ask func() (bool, error)) error {
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}
