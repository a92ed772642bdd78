package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.temporal.io/server/common/testing/freeport"
)

const host = "127.0.0.1"

// usageError is a mistake that the operator can mend; it names the flag.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// options are the flags.
type options struct {
	dir             string
	port, webPort   int
	pprofPort       int
	logLevel        string
	ignoreInterrupt bool
}

var logLevels = []string{"debug", "info", "warn", "error"}

func parseOptions(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("carillon-devserver", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.dir, "dir", "", "folder of the databases, made when missing (required)")
	flags.IntVar(&o.port, "port", 7233, "port of Temporal; 0 takes a free one")
	flags.IntVar(&o.webPort, "web-port", 8233, "port of Temporal Web; 0 takes a free one")
	flags.IntVar(&o.pprofPort, "pprof-port", 0, "port of the server's own profiles, /debug/pprof/; 0 is none")
	flags.StringVar(&o.logLevel, "log-level", "warn", "least level logged to standard error: "+strings.Join(logLevels, ", "))
	flags.BoolVar(&o.ignoreInterrupt, "ignore-interrupt", false, "leave SIGINT to the parent process")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return options{}, err
		}
		return options{}, usagef("%v", err)
	}
	if flags.NArg() > 0 {
		return options{}, usagef("unexpected argument %q; there are flags only", flags.Arg(0))
	}
	if o.dir == "" {
		return options{}, usagef("--dir is required")
	}
	for name, port := range map[string]int{"--port": o.port, "--web-port": o.webPort, "--pprof-port": o.pprofPort} {
		if port < 0 || port > 65535 {
			return options{}, usagef("%s %d: allowed are 0 to 65535", name, port)
		}
	}
	if o.port == o.webPort && o.port != 0 {
		return options{}, usagef("--web-port %d: this is --port already; choose another", o.webPort)
	}
	if !slices.Contains(logLevels, o.logLevel) {
		return options{}, usagef("--log-level %q: allowed are %s", o.logLevel, strings.Join(logLevels, ", "))
	}
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return options{}, usagef("--dir: %v", err)
	}
	o.dir = dir
	return o, nil
}

// ports are where the parts listen, all on 127.0.0.1.
type ports struct {
	frontend, web             int
	pprof                     int // 0 is none
	history, matching, worker int
}

// choosePorts checks that the two ports people choose are free and takes free
// ones for the rest, so that several servers run side by side.
func choosePorts(ctx context.Context, o options) (ports, error) {
	p := ports{
		frontend: o.port,
		web:      o.webPort,
		pprof:    o.pprofPort,
		history:  freeport.MustGetFreePort(),
		matching: freeport.MustGetFreePort(),
		worker:   freeport.MustGetFreePort(),
	}
	for _, chosen := range []struct {
		flag string
		port *int
	}{{"--port", &p.frontend}, {"--web-port", &p.web}} {
		if *chosen.port == 0 {
			*chosen.port = freeport.MustGetFreePort()
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address(*chosen.port))
		if err != nil {
			return ports{}, usagef("%s %d: cannot listen there (%v); end what does, or choose another port", chosen.flag, *chosen.port, err)
		}
		_ = listener.Close()
	}
	return p, nil
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
