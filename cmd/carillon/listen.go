package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/internal/receiver"
	"github.com/carillon-dev/carillon/internal/signature"
)

// shownBytes is how much of a body is printed.
const shownBytes = 4 << 10

// runListen receives webhooks until ctx ends, and prints and verifies them. It
// answers 200 to all: it is for looking, not for keeping.
func runListen(ctx context.Context, cfg config.Config, args []string, out io.Writer) error {
	port, err := listenPort(cfg, args)
	if err != nil {
		return err
	}
	var secrets []string
	if text := cfg.ListenSecret.Reveal(); text != "" {
		secrets = strings.Split(text, ",")
	}
	for n := range secrets {
		secrets[n] = strings.TrimSpace(secrets[n])
		if _, err := signature.ParseKey(secrets[n]); err != nil {
			return usagef("CARILLON_LISTEN_SECRET: secret %d: %w", n+1, err)
		}
	}
	listener, err := listen(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "--port")
	if err != nil {
		return err
	}
	hooks := receiver.New()
	var printing sync.Mutex
	hooks.OnRequest(func(r receiver.Request) {
		printing.Lock()
		defer printing.Unlock()
		_, _ = io.WriteString(out, describe(r, secrets))
	})
	server := &http.Server{Handler: hooks, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		_ = server.Close()
	}()
	_, _ = fmt.Fprintf(out, "listening on http://%s; Ctrl-C ends it\n", listener.Addr())
	if len(secrets) == 0 {
		_, _ = fmt.Fprintln(out, "CARILLON_LISTEN_SECRET is not set, so signatures are not verified")
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listen: %w", err)
	}
	<-stopped
	return nil
}

func listenPort(cfg config.Config, args []string) (int, error) {
	flags := flag.NewFlagSet("listen", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	port := flags.Uint("port", uint(cfg.DevReceiverPort), "")
	err := flags.Parse(args)
	switch {
	case err != nil && strings.Contains(err.Error(), "-secret"):
		return 0, usagef("listen reads its secret from CARILLON_LISTEN_SECRET: arguments are seen by everybody on the machine")
	case err != nil:
		return 0, usagef("listen: %w; allowed: --port N", err)
	case flags.NArg() > 0:
		return 0, usagef("listen was given %q; allowed: --port N", flags.Arg(0))
	case *port > 65535:
		return 0, usagef("--port %d: allowed are 0 to 65535, where 0 takes a free one", *port)
	}
	return int(*port), nil
}

// describe says what came, and whether one of the secrets made its signature.
func describe(r receiver.Request, secrets []string) string {
	judged := "signature not checked"
	if len(secrets) > 0 {
		judged = "signature verified"
		if err := client.Verify(secrets, r.Header, r.Body); err != nil {
			judged = "signature NOT verified: " + err.Error()
		}
	}
	head := fmt.Sprintf("%s %s %s %s, %s", r.At.UTC().Format(time.RFC3339), r.Method, r.Path, r.Header.Get("webhook-id"), judged)
	return printable(head) + "\n  " + printable(carillon.Clip(string(r.Body), shownBytes), '\n', '\t') + "\n"
}

// printable replaces the characters that tell a terminal what to do: whoever
// sends a request must not move the cursor of whoever looks at it.
func printable(text string, but ...rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !slices.Contains(but, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
