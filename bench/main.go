// Command bench measures a Carillon that was built: what it accepts and
// delivers, how fast, and at what cost, beside what its engine can do at most.
//
// It starts the programs of bin/ on loopback, on ports that are free, with
// their data in a temporary folder, and posts events to them as producers do.
// A receiver notes when each event arrives, and how often. In the same run it
// measures the engine's floor: an empty run, started in the same way on the
// same server. Ratios to the floor can be compared between machines; numbers a
// second cannot.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Exit codes. What the operator can mend is 2.
const (
	exitFailure = 1
	exitUsage   = 2
)

// databases that a stack can keep its data in.
const (
	onSQLite   = "sqlite"
	onPostgres = "postgres"
)

// settings are the flags.
type settings struct {
	scenarios []scenario
	full      bool
	check     bool
	repeat    int
	out, docs string
	bin       string
	postgres  string
	profiles  string
	databases []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func command(ctx context.Context, args []string, out, errOut io.Writer) int {
	s, err := parse(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(errOut, "bench:", err)
		return exitUsage
	}
	met, err := s.measure(ctx, out)
	if err != nil {
		fmt.Fprintln(errOut, "bench:", err)
		return exitFailure
	}
	if s.check && !met {
		return exitFailure
	}
	return 0
}

func parse(args []string, errOut io.Writer) (settings, error) {
	var s settings
	var names string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&names, "scenario", "all", "what to measure, separated by commas: all, "+strings.Join(scenarioNames(), ", "))
	flags.BoolVar(&s.full, "full", false, "the counts that the thresholds are meant for, instead of short ones")
	flags.BoolVar(&s.check, "check", false, "end with status 1 where a threshold is not met, or repetitions differ")
	flags.IntVar(&s.repeat, "repeat", 1, "how often to measure everything; ratios are then compared")
	flags.StringVar(&s.out, "out", filepath.Join("bench", "results", "report.json"), "file of the report; empty writes none")
	flags.StringVar(&s.docs, "docs", "", "folder to write the pictures of fanout and load to")
	flags.StringVar(&s.bin, "bin", "bin", "folder of carillon and carillon-devserver")
	flags.StringVar(&s.postgres, "postgres", os.Getenv("CARILLON_TEST_POSTGRES_URL"),
		"URL of a PostgreSQL server on which databases may be made; measures there as well")
	flags.StringVar(&s.profiles, "profiles", "", "folder to write profiles of both programs to; measuring is slower then")
	var database string
	flags.StringVar(&database, "database", "", "sqlite or postgres alone")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q; there are flags only", flags.Arg(0))
	}
	if s.repeat < 1 {
		return s, fmt.Errorf("-repeat %d: at least 1", s.repeat)
	}
	var err error
	if s.scenarios, err = choose(names); err != nil {
		return s, err
	}
	s.databases = []string{onSQLite}
	if s.postgres != "" {
		s.databases = append(s.databases, onPostgres)
	}
	if database != "" {
		if !slices.Contains(s.databases, database) {
			return s, fmt.Errorf("-database %s: allowed here are %s; postgres needs -postgres", database, strings.Join(s.databases, ", "))
		}
		s.databases = []string{database}
	}
	return s, nil
}

// measure runs the scenarios, and reports whether all thresholds were met.
func (s settings) measure(ctx context.Context, out io.Writer) (bool, error) {
	r := &report{At: time.Now().UTC(), Profile: "short", CPUs: runtime.NumCPU()}
	if s.full {
		r.Profile = "full"
	}
	met := true
	for range s.repeat {
		for _, database := range s.databases {
			for _, sc := range s.scenarios {
				b := &bench{bin: s.bin, profiles: s.profiles, full: s.full, log: out}
				if database == onPostgres {
					b.postgres = s.postgres
				}
				begin := time.Now()
				fmt.Fprintf(out, "\n%s: %s\n", sc.name, sc.about)
				one, err := sc.run(ctx, b)
				if left, ok := errors.AsType[*leftOutError](err); ok {
					one, err = &result{LeftOut: left.why}, nil
				}
				if err != nil {
					return false, fmt.Errorf("%s on %s: %w", sc.name, database, err)
				}
				one.Scenario, one.Database = sc.name, database
				one.Took = time.Since(begin).Round(time.Second).String()
				one.show(out)
				met = met && one.met()
				r.Results = append(r.Results, one)
			}
		}
	}
	fmt.Fprintf(out, "\nAll results (%s profile, %d CPUs, generator and receiver included)\n", r.Profile, r.CPUs)
	writeTable(out, results(r.Results))
	repetitions := repeated(r.Results)
	writeTable(out, repetitions)
	if s.out != "" {
		if err := r.write(s.out); err != nil {
			return false, err
		}
		fmt.Fprintf(out, "\nthe report is in %s\n", s.out)
	}
	if s.docs != "" {
		if err := drawAll(s.docs, r.Results); err != nil {
			return false, err
		}
	}
	return met && agree(repetitions), nil
}
