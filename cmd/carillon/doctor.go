package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/store"
)

const (
	// checkTimeout bounds one question of doctor; all of them end in a minute.
	checkTimeout = 5 * time.Second
	// runsTimeout bounds the look at runs, which asks once a run.
	runsTimeout = 30 * time.Second

	// A difference between two clocks mixes up what came first; at five minutes,
	// receivers take signatures for old or forged, and refuse them.
	// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
	clockWarning = 5 * time.Second
	clockFailure = 5 * time.Minute
)

// verdict is what a check came to.
type verdict string

const (
	fine    verdict = "ok"
	warning verdict = "warning"
	failed  verdict = "FAILED"
	// unknown is for what no client can read.
	unknown verdict = "unknown"
	// skipped is for what needs something that failed before.
	skipped verdict = "skipped"
)

// finding is a line of doctor's report.
type finding struct {
	verdict verdict
	text    string
	// remedy says what to do; empty where nothing is to be done.
	remedy string
	// details follow in lines of their own.
	details []string
}

func ok(format string, args ...any) finding {
	return finding{verdict: fine, text: fmt.Sprintf(format, args...)}
}

// doctor looks at a set-up.
type doctor struct {
	cfg config.Config
	now func() time.Time
	out io.Writer

	// store is nil when there is none to read, and temporal when its settings
	// cannot be read; reached says that it answers, and namespaced that the
	// namespace is there.
	store      *store.Store
	keyed      bool       // the endpoints can be judged
	ring       *seal.Ring // nil unless keyed
	codec      *seal.Codec
	temporal   client.Client
	options    client.Options
	version    string // of the Temporal server
	reached    bool
	namespaced bool

	failures int
}

// runDoctor checks the set-up and prints one line a check. Its error says how
// many failed.
func runDoctor(ctx context.Context, cfg config.Config, out io.Writer) error {
	d := &doctor{cfg: cfg, now: time.Now, out: out}
	defer d.close()
	return d.examine(ctx)
}

func (d *doctor) examine(ctx context.Context) error {
	d.report("settings", d.settings(ctx))
	d.report("database", d.within(ctx, checkTimeout, d.database))
	d.report("clock", d.within(ctx, checkTimeout, d.clock))
	d.report("endpoints", d.within(ctx, checkTimeout, d.endpoints))
	d.report("secret keys", d.within(ctx, checkTimeout, d.secretKeys))
	d.report("payloads", d.payloads())
	d.report("Temporal", d.within(ctx, checkTimeout, d.server))
	d.report("namespace", d.within(ctx, checkTimeout, d.namespace))
	d.report("search attributes", d.within(ctx, checkTimeout, d.searchAttributes))
	d.report("fairness", d.fairness())
	for _, queue := range queues {
		d.report("queue "+queue.name, d.within(ctx, checkTimeout, func(ctx context.Context) finding {
			return d.pollers(ctx, queue)
		}))
	}
	d.report("runs", d.within(ctx, runsTimeout, d.runs))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch d.failures {
	case 0:
		return nil
	case 1:
		return errors.New("1 check failed")
	}
	return fmt.Errorf("%d checks failed", d.failures)
}

func (d *doctor) within(ctx context.Context, limit time.Duration, check func(context.Context) finding) finding {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return check(ctx)
}

// report prints a finding.
func (d *doctor) report(name string, f finding) {
	if f.verdict == failed {
		d.failures++
	}
	line := fmt.Sprintf("%-7s  %s: %s", f.verdict, name, f.text)
	if f.remedy != "" {
		line += ". Remedy: " + f.remedy
	}
	for _, detail := range f.details {
		line += "\n           " + detail
	}
	_, _ = fmt.Fprintln(d.out, printable(line, '\n'))
}

func (d *doctor) close() {
	if d.temporal != nil {
		d.temporal.Close()
	}
	if d.store != nil {
		_ = d.store.Close() // it only read
	}
}

// settings looks at what other packages know the shape of. What can be used
// without them is still examined.
func (d *doctor) settings(ctx context.Context) finding {
	var problems []string
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	ring, err := seal.NewRing(d.cfg.SecretKey.Reveal())
	d.keyed = err == nil
	switch {
	case d.cfg.SecretKey.Reveal() == "":
		complain("CARILLON_SECRET_KEY is not set; make one with: openssl rand -base64 32")
	case err != nil:
		complain("CARILLON_SECRET_KEY: %v", err)
	}
	d.ring = ring
	if !d.keyed {
		ring, _ = seal.NewRing(seal.NewKey()) // opens nothing, and the store needs one
	}
	if d.cfg.AdminKey.Reveal() == "" {
		complain("CARILLON_ADMIN_KEY is not set; make one with: openssl rand -hex 24")
	}
	if _, err := outgoing(d.cfg, ""); err != nil {
		complain("%v", err)
	}
	if _, err := workerOptions(os.Getenv); err != nil {
		complain("%v", err)
	}
	if d.store, err = store.Open(ctx, d.cfg.DatabaseURL.Reveal(), ring); err != nil {
		complain("CARILLON_DATABASE_URL: %v", err)
	}
	if d.codec, err = newCodec(d.cfg); err != nil {
		complain("%v", err)
		d.codec, _ = seal.NewCodec("") // opens nothing
	}
	if d.options, err = temporalOptions(envconfig.EnvLookupOS, "", slog.New(slog.DiscardHandler)); err != nil {
		complain("%v", err)
	} else {
		encode(&d.options, d.codec)
		if d.temporal, err = client.NewLazyClient(d.options); err != nil {
			complain("set up the Temporal client: %v", err)
		}
	}
	if len(problems) > 0 {
		return finding{
			verdict: failed, text: "some cannot be used",
			remedy: "mend each of these; docs/configuration.md lists all", details: problems,
		}
	}
	return ok("all can be used")
}

// database says whether it answers and has its tables. It makes no SQLite file
// that is not there.
func (d *doctor) database(ctx context.Context) finding {
	if d.store == nil {
		return finding{verdict: skipped, text: "its settings cannot be used"}
	}
	if err := missingSQLite(d.cfg); err != nil {
		d.forget()
		return finding{
			verdict: failed, text: fmt.Sprintf("there is no SQLite database (%v)", err),
			remedy: "set CARILLON_DATABASE_URL or CARILLON_DATA_DIR to where it is, or make one with: carillon migrate",
		}
	}
	err := d.store.Ping(ctx)
	if err == nil {
		if onSQLite(d.cfg) {
			return ok("SQLite answers and has its tables; it is for `carillon serve` alone, not for api and worker apart")
		}
		return ok("PostgreSQL answers and has its tables")
	}
	d.forget()
	if cause := errors.Unwrap(err); cause != nil {
		return finding{
			verdict: failed, text: fmt.Sprintf("it does not answer (%v)", cause),
			remedy: "start it, or set CARILLON_DATABASE_URL to where it is, with a user that may use it",
		}
	}
	return finding{verdict: failed, text: err.Error(), remedy: "carillon migrate"}
}

// forget closes a store that nothing can be read from.
func (d *doctor) forget() {
	_ = d.store.Close()
	d.store = nil
}

var noDatabase = finding{verdict: skipped, text: "it needs the database"}

// clock compares this machine's with the database's. Temporal tells its time
// to no client.
func (d *doctor) clock(ctx context.Context) finding {
	if d.store == nil {
		return noDatabase
	}
	before := d.now()
	there, own, err := d.store.Clock(ctx)
	if err != nil {
		return finding{verdict: failed, text: err.Error(), remedy: "see the database's log"}
	}
	if !own {
		return ok("the database is on this machine")
	}
	// The answer was made somewhere in between.
	took := d.now().Sub(before)
	return judgeClock(before.Add(took / 2).Sub(there))
}

// judgeClock judges by how much this machine is ahead of the database's.
func judgeClock(ahead time.Duration) finding {
	apart, side := ahead, "ahead of"
	if ahead < 0 {
		apart, side = -ahead, "behind"
	}
	f := finding{
		text:   fmt.Sprintf("this machine is %s %s the database's", apart.Round(time.Millisecond), side),
		remedy: "keep the clocks of all machines by NTP, Temporal's too",
	}
	switch {
	case apart < clockWarning:
		f.verdict, f.remedy = fine, ""
	case apart < clockFailure:
		f.verdict = warning
	default:
		f.verdict = failed
		f.text += "; receivers refuse signatures that are 5 minutes off"
	}
	return f
}

// endpoints counts what the secret key does not open.
func (d *doctor) endpoints(ctx context.Context) finding {
	if d.store == nil {
		return noDatabase
	}
	if !d.keyed {
		return finding{verdict: skipped, text: "it needs CARILLON_SECRET_KEY"}
	}
	_, all, err := d.store.Subscriptions(ctx)
	if err != nil {
		return finding{verdict: failed, text: err.Error(), remedy: "see the database's log"}
	}
	unreadable := 0
	for _, sub := range all {
		if sub.Unreadable {
			unreadable++
		}
	}
	if unreadable > 0 {
		return finding{
			verdict: failed,
			text:    fmt.Sprintf("%d of %d subscriptions have an endpoint that CARILLON_SECRET_KEY does not open", unreadable, len(all)),
			remedy: "add the key that they were sealed with to CARILLON_SECRET_KEY, behind the first and a comma; " +
				"where it is lost, enter their endpoints anew",
		}
	}
	return ok("the endpoints of all %d subscriptions can be opened", len(all))
}

// longestSchedule is how long the deliveries of a subscription go on at most,
// over all subscriptions; at least that of the default.
func (d *doctor) longestSchedule(ctx context.Context) time.Duration {
	retries := []carillon.Retry{carillon.DefaultRetry()}
	if d.store != nil {
		if _, all, err := d.store.Subscriptions(ctx); err == nil {
			for _, sub := range all {
				retries = append(retries, sub.Retry)
			}
		}
	}
	longest := time.Duration(0)
	for _, retry := range retries {
		total := time.Duration(0)
		for _, delay := range retry.Schedule {
			total += time.Duration(delay)
		}
		longest = max(longest, total)
	}
	return longest
}

// hours is a retention as Temporal's command takes it, rounded up.
func hours(d time.Duration) string { return fmt.Sprintf("%dh", int(math.Ceil(d.Hours()))) }
