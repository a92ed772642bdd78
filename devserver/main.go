// Command carillon-devserver is a whole Temporal in one process, for
// development and for tests: the server with its four services, Temporal Web,
// and a SQLite database in a folder, with the namespace and the search
// attributes that Carillon uses.
//
// It is a module of its own, so that the Temporal server and its hundreds of
// dependencies stay out of Carillon's. It knows nothing of events or
// deliveries, listens on 127.0.0.1 only, asks nobody for a key, and sends
// nothing anywhere: it is no server for production.
//
// For measuring, CARILLON_DEVSERVER_POSTGRES_URL names a PostgreSQL database to
// keep everything in instead, and, with _visibility at the end of its name, a
// second one; both must exist. The folder then holds the lock alone.
//
// It lives as long as its standard input is open. A parent holds the other end
// of a pipe, and whatever becomes of the parent, kill -9 included, the system
// closes it, and the server ends. When it is ready for the first workflow it
// writes one line to standard output:
//
//	ready address=127.0.0.1:7233 web=http://127.0.0.1:8233
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.temporal.io/server/common/log"
)

// Exit codes. What the operator can mend, a flag or a port, is told apart from
// a fault.
const (
	exitFault = 1
	exitUsage = 2
)

// Limits of starting and stopping. A server that takes over a folder waits
// longer than the one before it may take to end.
const (
	startTimeout    = 60 * time.Second
	stopTimeout     = 5 * time.Second
	takeOverTimeout = 2 * stopTimeout
)

func main() {
	stdout := os.Stdout
	os.Stdout = os.Stderr // nothing that a library prints may get between the parent and the ready line
	os.Exit(run(os.Args[1:], os.Stdin, stdout, os.Stderr))
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		ctx, cancel := lifetime(stdin, opts.ignoreInterrupt)
		defer cancel()
		err = serve(ctx, opts, stdout)
		if ctx.Err() != nil {
			return 0 // it was told to end: what was cut short is no fault
		}
	}
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(stderr, "carillon-devserver: %v\n", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFault
}

// lifetime returns a context that ends with the standard input, and on SIGTERM
// or SIGINT. A parent that stops in an orderly way, its workers before their
// server, leaves interrupts out: a terminal sends them to both at once.
func lifetime(stdin io.Reader, ignoreInterrupt bool) (context.Context, context.CancelFunc) {
	signals := []os.Signal{syscall.SIGTERM}
	if ignoreInterrupt {
		signal.Ignore(os.Interrupt)
	} else {
		signals = append(signals, os.Interrupt)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), signals...)
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // an error ends the input like its end does
		cancel()
	}()
	return ctx, cancel
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, opts options, stdout io.Writer) error {
	if err := os.MkdirAll(opts.dir, 0o700); err != nil {
		return usagef("--dir: %v", err)
	}
	lockCtx, cancel := context.WithTimeout(ctx, takeOverTimeout)
	defer cancel()
	// Never let go: what of the server outlasts stopTimeout ends with the process.
	if _, err := lockFolder(lockCtx, opts.dir); err != nil {
		return err
	}
	ports, err := choosePorts(ctx, opts)
	if err != nil {
		return err
	}
	logger := log.NewZapLogger(log.BuildZapLogger(log.Config{Level: opts.logLevel, Format: "console"}))
	server, err := newServer(ctx, opts.dir, ports, logger)
	if err != nil {
		return err
	}
	web := newWeb(ports)

	running := make(chan error, 1)
	go func() {
		startCtx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		running <- start(startCtx, server, web, ports)
	}()
	select {
	case err := <-running:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		// Starting cannot be called off; the databases take the end of the
		// process at any moment.
		return nil
	}

	_, err = fmt.Fprintf(stdout, "ready address=%s web=http://%s\n", address(ports.frontend), address(ports.web))
	if err != nil {
		return fmt.Errorf("tell that the server is ready: %w", err)
	}
	<-ctx.Done()
	stop(server, web)
	return nil
}
