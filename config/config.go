// Package config reads Carillon's settings from the environment.
//
// A setting is declared once, as a field of [Config] with its tags: the
// variable's name, its unit, its default and its documentation. Reading,
// checking and docs/configuration.md are made of that. The package knows what
// a value looks like, not what it is for: keys, networks and database URLs are
// read by the packages that use them.
//
// Its one invariant: a [Config] that [Load] returns without an error holds for
// every setting a value of its unit, and no variable that starts with CARILLON_
// was passed over in silence.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// Config holds the settings.
type Config struct {
	HTTPAddr       string     `env:"CARILLON_HTTP_ADDR" unit:"host:port" default:"127.0.0.1:8080" doc:"Where the API listens. An empty host means all addresses of the machine; port 0 takes a free one."`
	PublicURL      string     `env:"CARILLON_PUBLIC_URL" unit:"URL" derived:"http:// and CARILLON_HTTP_ADDR" doc:"Under which address people reach Carillon, for links: behind a proxy, the proxy's."`
	DatabaseURL    Secret     `env:"CARILLON_DATABASE_URL" unit:"database" derived:"sqlite: and carillon.db in CARILLON_DATA_DIR" doc:"The database: postgres://user:password@host/name for PostgreSQL, or sqlite:PATH. SQLite is for one process; an API and a worker that run apart need PostgreSQL."`
	DataDir        string     `env:"CARILLON_DATA_DIR" unit:"folder" default:".carillon" doc:"What Carillon itself keeps on disk: the SQLite database and, of carillon dev, its keys and the embedded Temporal. It is made when missing."`
	AdminKey       Secret     `env:"CARILLON_ADMIN_KEY" unit:"secret" doc:"The key that the API asks for, as Authorization: Bearer. Required; carillon dev makes one at its first start. Make one with: openssl rand -hex 24"`
	SecretKey      Secret     `env:"CARILLON_SECRET_KEY" unit:"secret" doc:"Keys that seal secrets in the database: 32 bytes in base64 each, separated by commas. The first seals, all open: to change keys, put the new one in front, keep the old, and run carillon rotate-keys. Required; carillon dev makes one at its first start. Without it, sealed secrets are lost. Make one with: openssl rand -base64 32"`
	CodecKey       Secret     `env:"CARILLON_CODEC_KEY" unit:"secret" doc:"Keys that seal what Temporal keeps of runs, as of CARILLON_SECRET_KEY: the first seals, all open. The word plain in place of the first leaves new runs readable, and opens the sealed ones. Without it, whoever may read Temporal's namespace reads events. Every process needs all keys in use before one of them seals with them; docs/security.md says in which order to add them."`
	AllowCIDRs     string     `env:"CARILLON_ALLOW_CIDRS" unit:"networks" doc:"Private networks that receivers may be on, such as 10.0.0.0/8,fd00::/8. Without it only public addresses are called, and with carillon dev also this machine. Metadata services of clouds are never called."`
	EgressProxy    Secret     `env:"CARILLON_EGRESS_PROXY" unit:"proxy" doc:"The proxy that webhooks go out through; without it they go out directly, whatever HTTP_PROXY says. Carillon looks names up and checks addresses itself and asks the proxy for a tunnel (CONNECT) to the address, of http receivers, too. A failure of the proxy costs a delivery no attempt. Mail does not go through it."`
	DNSServer      string     `env:"CARILLON_DNS_SERVER" unit:"DNS" doc:"The DNS server that looks up receivers' names, such as one that knows public names only. Without it, the machine's."`
	TemporalWebURL string     `env:"CARILLON_TEMPORAL_WEB_URL" unit:"URL" doc:"Where Temporal Web is, for links to runs. Without it there are none; carillon dev knows its own."`
	GroupCommit    bool       `env:"CARILLON_GROUP_COMMIT" unit:"switch" default:"off" doc:"Lets single posts share runs under load: while two starts are under way, the posts that come wait and the next start takes up to 100 of them. Many times the events a second, at the price of runs that are about several events."`
	ListenSecret   Secret     `env:"CARILLON_LISTEN_SECRET" unit:"secret" doc:"What carillon listen verifies with: the whsec_ secret of a subscription, or several, separated by commas. No other command reads it."`
	LogLevel       slog.Level `env:"CARILLON_LOG_LEVEL" unit:"level" default:"info" doc:"The least level that is logged, to standard error."`
	LogFormat      string     `env:"CARILLON_LOG_FORMAT" unit:"format" default:"text" doc:"How the log is written."`
	PprofAddr      string     `env:"CARILLON_PPROF_ADDR" unit:"loopback" doc:"Where Go's profiles of this process can be read, under /debug/pprof/, by anybody on this machine. Without it nowhere. They tell what the process spends its time and memory on, and nothing of events."`

	RateLimit Rate `env:"CARILLON_RATE_LIMIT" unit:"rate" default:"5000:10000" doc:"How many requests a second a key may make, and after the colon how many at once after a pause (twice as many when left out). Each event of a batch counts as one. A key can have a limit of its own; those with more requests are answered 429."`

	Retention time.Duration `env:"CARILLON_RETENTION" unit:"days" default:"90d" doc:"For how long the index keeps events and deliveries, from when the event was received. Deliveries under way or held, and the last 50 of each subscription, stay whatever their age. A repeated post of an event is known as such for as long as its row is kept."`

	CachedRuns int `env:"CARILLON_CACHED_RUNS" unit:"runs" derived:"one for each 4 MiB of memory, from 50 to 2000" doc:"How many runs a worker keeps in memory between their tasks. One that was dropped is read again from its history when it goes on. A run holds what it was started with and what it read of it, together up to 1 MiB for the largest events: with the default, those take a quarter of the memory. Memory is the least of GOMEMLIMIT, the limits of the control group and what the machine has."`

	DevTemporalPort    int `env:"CARILLON_DEV_TEMPORAL_PORT" unit:"port" default:"7233" doc:"Port of the Temporal server that carillon dev starts."`
	DevTemporalWebPort int `env:"CARILLON_DEV_TEMPORAL_WEB_PORT" unit:"port" default:"8233" doc:"Port of the Temporal Web that carillon dev starts."`
	DevReceiverPort    int `env:"CARILLON_DEV_RECEIVER_PORT" unit:"port" default:"8081" doc:"Port of the receiver that carillon dev starts."`
}

// setting is a field of Config.
type setting struct {
	name string // of the variable
	unit string
	// fallback is the value of a variable that is not set; derived says, where
	// it depends on other settings, what it is made of.
	fallback, derived string
	doc               string
	index             int
}

// settings are all settings, in the order of the struct.
func settings() []setting {
	var all []setting
	for field := range reflect.TypeFor[Config]().Fields() {
		all = append(all, setting{
			name:     field.Tag.Get("env"),
			unit:     field.Tag.Get("unit"),
			fallback: field.Tag.Get("default"),
			derived:  field.Tag.Get("derived"),
			doc:      field.Tag.Get("doc"),
			index:    field.Index[0],
		})
	}
	return all
}

// Load reads the settings out of an environment as [os.Environ] returns it. A
// variable that is empty counts as not set. The error names every variable
// that is wrong, with what is allowed, and never a secret's value.
func Load(environ []string) (Config, error) {
	values := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, prefix) {
			values[name] = strings.TrimSpace(value)
		}
	}
	problems := unknown(values)
	var c Config
	fields := reflect.ValueOf(&c).Elem()
	for _, s := range settings() {
		text := values[s.name]
		if text == "" {
			text = s.fallback
		}
		if text == "" {
			continue
		}
		value, err := units[s.unit].read(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w; allowed: %s", s.name, err, units[s.unit].allowed))
			continue
		}
		fields.Field(s.index).Set(reflect.ValueOf(value))
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	if c.DatabaseURL == (Secret{}) {
		c.DatabaseURL = NewSecret("sqlite:" + filepath.Join(c.DataDir, "carillon.db"))
	}
	if c.PublicURL == "" {
		c.PublicURL = "http://" + reachable(c.HTTPAddr)
	}
	return c, nil
}

// reachable turns an address to listen on into one to call.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
