// Command carillon delivers what happens in a package registry to everybody
// who asked to know. It is one binary with a subcommand for each way of
// running; this package holds all the wiring and no logic of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // conditions may name time zones, also where the system has none

	"github.com/carillon-dev/carillon/config"
)

// version is set by the linker.
var version = "devel"

// Exit codes. A mistake of the operator (a flag, a variable, a port) is 2.
const (
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake that the operator can mend: what was wrong, where,
// and what is allowed.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// command is a subcommand.
type command struct {
	name, about string
	run         func(ctx context.Context, cfg config.Config, out io.Writer) error
	// with runs a command that takes arguments, in place of run.
	with func(ctx context.Context, cfg config.Config, args []string, out io.Writer) error
}

func commands() []command {
	return []command{
		{name: "dev", about: "everything in one process tree, with an embedded Temporal and a receiver, for trying it out", run: runDev},
		{name: "serve", about: "the API and the worker in one process", run: runServe},
		{name: "api", about: "the API alone, beside workers of their own (PostgreSQL)", run: runAPI},
		{name: "worker", about: "the worker alone (PostgreSQL)", run: runWorker},
		{name: "migrate", about: "brings the database's schema up to date", run: runMigrate},
		{name: "rotate-keys", about: "[--json] seals all secrets with the first of CARILLON_SECRET_KEY, while others run", with: runRotateKeys},
		{name: "doctor", about: "checks the set-up and says what to mend", run: runDoctor},
		{name: "health", about: "asks the process at CARILLON_HTTP_ADDR whether it is ready, as containers do", run: runHealth},
		{name: "publish", about: "FILE|- posts the event in a file, or in standard input", with: runPublish},
		{name: "listen", about: "[--port N] receives webhooks on this machine, and prints and verifies them", with: runListen},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run runs one subcommand and returns the exit code.
func run(ctx context.Context, args, environ []string, out, errOut io.Writer) int {
	err := dispatch(ctx, args, environ, out)
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(errOut, "carillon:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailure
}

func dispatch(ctx context.Context, args, environ []string, out io.Writer) error {
	if len(args) == 0 {
		return usagef("no command given\n\n%s", usage())
	}
	switch args[0] {
	case "help", "-h", "--help":
		_, err := io.WriteString(out, usage())
		return err
	case "version", "--version":
		_, err := fmt.Fprintln(out, version)
		return err
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		if len(args) > 1 && c.with == nil {
			return usagef("%s takes no argument, but was given %q; settings are environment variables", c.name, args[1])
		}
		cfg, err := config.Load(environ)
		if err != nil {
			return usageError{err}
		}
		if c.with != nil {
			return c.with(ctx, cfg, args[1:], out)
		}
		return c.run(ctx, cfg, out)
	}
	return usagef("unknown command %q\n\n%s", args[0], usage())
}

func usage() string {
	text := "Usage: carillon COMMAND\n\n"
	for _, c := range commands() {
		text += fmt.Sprintf("  %-11s %s\n", c.name, c.about)
	}
	return text + "  version     prints the version\n\nSettings are environment variables; docs/configuration.md lists them.\n"
}
