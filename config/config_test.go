package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

func TestLoad(t *testing.T) {
	t.Parallel()

	t.Run("an empty environment gives the defaults", func(t *testing.T) {
		t.Parallel()
		c, err := config.Load(nil)
		require.NoError(t, err)
		require.Equal(t, config.Config{
			HTTPAddr:           "127.0.0.1:8080",
			PublicURL:          "http://127.0.0.1:8080",
			DatabaseURL:        config.NewSecret("sqlite:.carillon/carillon.db"),
			DataDir:            ".carillon",
			RateLimit:          config.Rate{PerSecond: 5000, Burst: 10000},
			Retention:          90 * 24 * time.Hour,
			LogLevel:           slog.LevelInfo,
			LogFormat:          "text",
			DevTemporalPort:    7233,
			DevTemporalWebPort: 8233,
			DevReceiverPort:    8081,
		}, c)
	})

	t.Run("every variable is read", func(t *testing.T) {
		t.Parallel()
		c, err := config.Load([]string{
			"HOME=/root",
			"CARILLON_HTTP_ADDR=:9090",
			"CARILLON_PUBLIC_URL=https://bells.example.com/carillon/",
			"CARILLON_DATABASE_URL=postgres://u:p@db/carillon?sslmode=disable",
			"CARILLON_DATA_DIR=/var/lib/carillon",
			"CARILLON_ADMIN_KEY= the admin key\n",
			"CARILLON_SECRET_KEY=the=secret=key",
			"CARILLON_ALLOW_CIDRS=10.0.0.0/8,fd00::/8",
			"CARILLON_TEMPORAL_WEB_URL=http://localhost:8080",
			"CARILLON_RATE_LIMIT=0.5:3",
			"CARILLON_RETENTION=36h",
			"CARILLON_LOG_LEVEL=WARN",
			"CARILLON_LOG_FORMAT=json",
			"CARILLON_DEV_TEMPORAL_PORT=0",
			"CARILLON_DEV_TEMPORAL_WEB_PORT=1",
			"CARILLON_DEV_RECEIVER_PORT=65535",
		})
		require.NoError(t, err)
		require.Equal(t, config.Config{
			HTTPAddr:           ":9090",
			PublicURL:          "https://bells.example.com/carillon",
			DatabaseURL:        config.NewSecret("postgres://u:p@db/carillon?sslmode=disable"),
			DataDir:            "/var/lib/carillon",
			AdminKey:           config.NewSecret("the admin key"),
			SecretKey:          config.NewSecret("the=secret=key"),
			AllowCIDRs:         "10.0.0.0/8,fd00::/8",
			TemporalWebURL:     "http://localhost:8080",
			RateLimit:          config.Rate{PerSecond: 0.5, Burst: 3},
			Retention:          36 * time.Hour,
			LogLevel:           slog.LevelWarn,
			LogFormat:          "json",
			DevTemporalPort:    0,
			DevTemporalWebPort: 1,
			DevReceiverPort:    65535,
		}, c)
	})

	t.Run("a variable that is empty counts as not set", func(t *testing.T) {
		t.Parallel()
		c, err := config.Load([]string{"CARILLON_HTTP_ADDR=", "CARILLON_LOG_LEVEL= "})
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:8080", c.HTTPAddr)
		require.Equal(t, slog.LevelInfo, c.LogLevel)
	})

	for text, want := range map[string]time.Duration{
		"0": 0, "0d": 0, "0h": 0, "1d": 24 * time.Hour, "24h": 24 * time.Hour, "36500d": 36500 * 24 * time.Hour,
	} {
		t.Run("a retention of "+text, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load([]string{"CARILLON_RETENTION=" + text})
			require.NoError(t, err)
			require.Equal(t, want, c.Retention)
		})
	}

	for text, want := range map[string]config.Rate{
		"off": {}, "50": {PerSecond: 50, Burst: 100}, "0.01": {PerSecond: 0.01, Burst: 1}, "1.5:1": {PerSecond: 1.5, Burst: 1},
	} {
		t.Run("a rate limit of "+text, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load([]string{"CARILLON_RATE_LIMIT=" + text})
			require.NoError(t, err)
			require.Equal(t, want, c.RateLimit)
		})
	}
	for _, text := range []string{"0", "-1", "NaN", "many", "1000001", "5:", "5:0", "5:x", ":5", "5:10000001", "5/10"} {
		t.Run("a rate limit of "+text, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load([]string{"CARILLON_RATE_LIMIT=" + text})
			require.ErrorContains(t, err, "CARILLON_RATE_LIMIT: ")
			require.ErrorContains(t, err, "off for no limit")
		})
	}

	for listen, public := range map[string]string{
		":8080":        "http://localhost:8080",
		"0.0.0.0:80":   "http://localhost:80",
		"[::]:8080":    "http://localhost:8080",
		"[::1]:8080":   "http://[::1]:8080",
		"bells.lan:80": "http://bells.lan:80",
	} {
		t.Run("listening on "+listen+" is reached at "+public, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load([]string{"CARILLON_HTTP_ADDR=" + listen})
			require.NoError(t, err)
			require.Equal(t, public, c.PublicURL)
		})
	}

	t.Run("variables of tests and of Kubernetes are none of ours", func(t *testing.T) {
		t.Parallel()
		_, err := config.Load([]string{
			"CARILLON_TEST_POSTGRES_URL=postgres://x",
			"CARILLON_SERVICE_HOST=10.0.0.1",
			"CARILLON_SERVICE_PORT=8080",
			"CARILLON_SERVICE_PORT_HTTP=8080",
			"CARILLON_PORT=tcp://10.0.0.1:8080",
			"CARILLON_PORT_8080_TCP=tcp://10.0.0.1:8080",
			"CARILLON_API_PORT_8080_TCP_ADDR=10.0.0.1",
			"CARILLON_API_SERVICE_HOST=10.0.0.1",
		})
		require.NoError(t, err)
	})
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"an address without a port": {
			[]string{"CARILLON_HTTP_ADDR=localhost"},
			`CARILLON_HTTP_ADDR: "localhost" is not an address to listen on; allowed: host:port, such as 127.0.0.1:8080`,
		},
		"an address with a port that is none": {
			[]string{"CARILLON_HTTP_ADDR=:99999"},
			`CARILLON_HTTP_ADDR: "99999" is not a port; allowed: host:port, such as 127.0.0.1:8080`,
		},
		"profiles for other machines": {
			[]string{"CARILLON_PPROF_ADDR=0.0.0.0:6060"},
			`CARILLON_PPROF_ADDR: "0.0.0.0:6060" is not an address of this machine alone; allowed: host:port of this machine, such as 127.0.0.1:6060`,
		},
		"profiles on every address": {
			[]string{"CARILLON_PPROF_ADDR=:6060"},
			`CARILLON_PPROF_ADDR: ":6060" is not an address of this machine alone; allowed: host:port of this machine, such as 127.0.0.1:6060`,
		},
		"a port with a sign": {
			[]string{"CARILLON_DEV_TEMPORAL_PORT=-1"},
			`CARILLON_DEV_TEMPORAL_PORT: "-1" is not a port; allowed: 0 to 65535, where 0 takes a free one`,
		},
		"a URL without a scheme": {
			[]string{"CARILLON_PUBLIC_URL=bells.example.com"},
			"CARILLON_PUBLIC_URL: this is not the address of a site; allowed: an http or https URL without user, query and fragment",
		},
		"a URL with a password, which is not repeated": {
			[]string{"CARILLON_TEMPORAL_WEB_URL=https://me:hunter2@web.example.com"},
			"CARILLON_TEMPORAL_WEB_URL: this is not the address of a site; allowed: an http or https URL without user, query and fragment",
		},
		"a level that does not exist": {
			[]string{"CARILLON_LOG_LEVEL=loud"},
			`CARILLON_LOG_LEVEL: "loud" is not a level; allowed: debug, info, warn, error`,
		},
		"a format that does not exist": {
			[]string{"CARILLON_LOG_FORMAT=xml"},
			`CARILLON_LOG_FORMAT: "xml" is not a format; allowed: text, json`,
		},
		"a retention without a unit": {
			[]string{"CARILLON_RETENTION=90"},
			`CARILLON_RETENTION: "90" is not a number of days; allowed: days such as 90d, or hours such as 2160h, at least 1d; 0 is for ever`,
		},
		"a retention that would forget what is under way": {
			[]string{"CARILLON_RETENTION=1h"},
			`CARILLON_RETENTION: "1h" is less than a day; allowed: days such as 90d, or hours such as 2160h, at least 1d; 0 is for ever`,
		},
		"a retention below nothing": {
			[]string{"CARILLON_RETENTION=-1d"},
			`CARILLON_RETENTION: "-1d" is not a number of days; allowed: days such as 90d, or hours such as 2160h, at least 1d; 0 is for ever`,
		},
		"a retention that does not end": {
			[]string{"CARILLON_RETENTION=36501d"},
			`CARILLON_RETENTION: "36501d" is more than 36500 days; allowed: days such as 90d, or hours such as 2160h, at least 1d; 0 is for ever`,
		},
		"a cache of none": {
			[]string{"CARILLON_CACHED_RUNS=0"},
			`CARILLON_CACHED_RUNS: "0" is no such number; allowed: 10 to 100000`,
		},
		"a cache by memory": {
			[]string{"CARILLON_CACHED_RUNS=64MiB"},
			`CARILLON_CACHED_RUNS: "64MiB" is no such number; allowed: 10 to 100000`,
		},
		"a typing error in a name, whose value is not repeated": {
			[]string{"CARILLON_ADMIN_KEYS=hunter2"},
			"CARILLON_ADMIN_KEYS: there is no such setting; the nearest is CARILLON_ADMIN_KEY",
		},
		"a port that was meant to be a setting": {
			[]string{"CARILLON_RECEIVER_PORT=8082"},
			"CARILLON_RECEIVER_PORT: there is no such setting; the nearest is CARILLON_DEV_RECEIVER_PORT",
		},
		"several mistakes at once": {
			[]string{"CARILLON_LOG_LEVEL=loud", "CARILLON_LOG_FORMAT=xml"},
			`CARILLON_LOG_LEVEL: "loud" is not a level; allowed: debug, info, warn, error` + "\n" +
				`CARILLON_LOG_FORMAT: "xml" is not a format; allowed: text, json`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(test.environ)
			require.EqualError(t, err, test.want)
		})
	}
}

func TestSecretsShowInNothing(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{
		"CARILLON_ADMIN_KEY=hunter2", "CARILLON_SECRET_KEY=hunter2", "CARILLON_DATABASE_URL=postgres://u:hunter2@db/x",
	})
	require.NoError(t, err)

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "config", c, "key", c.AdminKey)
	slog.New(slog.NewTextHandler(&log, nil)).Info("settings", "config", c, "key", c.AdminKey)
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	seen := log.String() + string(encoded) + fmt.Sprint(c, &c, c.AdminKey) + c.AdminKey.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		seen += fmt.Sprintf(verb+verb, c, c.AdminKey)
	}
	require.NotContains(t, seen, "hunter2")
	require.NotContains(t, seen, fmt.Sprintf("%x", "hunter2"))
	require.Contains(t, seen, "[redacted]")
	require.Equal(t, "hunter2", c.AdminKey.Reveal())
}

func TestDocumentationIsCurrent(t *testing.T) {
	t.Parallel()
	const path = "../docs/configuration.md"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(config.Markdown()), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, config.Markdown(), string(got), "write it anew with: make generate")
}
