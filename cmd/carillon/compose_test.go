package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/carillon-dev/carillon/config"
)

// No container engine takes part in the tests: these read the files as Compose
// and BuildKit would, and hold what Carillon needs of them.

type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
	Configs  map[string]struct {
		Content string `yaml:"content"`
	} `yaml:"configs"`
}

type composeService struct {
	Image       string            `yaml:"image"`
	Build       map[string]any    `yaml:"build"`
	Command     []string          `yaml:"command"`
	Entrypoint  []string          `yaml:"entrypoint"`
	Environment map[string]string `yaml:"environment"`
	Profiles    []string          `yaml:"profiles"`
	Ports       []string          `yaml:"ports"`
	Restart     string            `yaml:"restart"`
	Volumes     []string          `yaml:"volumes"`
	StopGrace   string            `yaml:"stop_grace_period"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
		Required  *bool  `yaml:"required"`
	} `yaml:"depends_on"`
	Configs []struct {
		Source, Target string
	} `yaml:"configs"`
	Healthcheck *struct {
		Test                           []string
		Interval, Timeout, StartPeriod string
		Retries                        int
	} `yaml:"healthcheck"`
	// What is only looked at for being known.
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	text, err := os.ReadFile("../../docker-compose.yml")
	require.NoError(t, err)
	var file composeFile
	require.NoError(t, yaml.Unmarshal(text, &file))
	return file
}

func TestComposeServicesDependOnWhatIsThere(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	require.ElementsMatch(t, []string{
		"api", "worker", "migrate", "doctor", "postgres", "temporal", "temporal-schema", "temporal-namespace", "temporal-ui", "temporal-joined",
	}, slices.Collect(maps.Keys(file.Services)))
	for name, s := range file.Services {
		require.Regexp(t, `:[a-z0-9][a-z0-9.-]*$`, s.Image, "%s: the tag is pinned", name)
		require.NotContains(t, s.Image, "latest", name)
		for on, d := range s.DependsOn {
			require.Contains(t, file.Services, on, "%s depends on it", name)
			other := file.Services[on]
			switch d.Condition {
			case "service_healthy":
				require.NotNil(t, other.Healthcheck, "%s waits for the health of %s", name, on)
			case "service_completed_successfully":
				require.True(t, strings.HasPrefix(other.Restart, "on-failure"), "%s ends, which %s waits for", on, name)
			default:
				t.Errorf("%s depends on %s under condition %q", name, on, d.Condition)
			}
			// A required service of a profile that is not chosen stops everything.
			for _, profile := range other.Profiles {
				require.True(t, slices.Contains(s.Profiles, profile) || d.Required != nil && !*d.Required,
					"%s is in profile %s, which %s is not", on, profile, name)
			}
		}
		if s.Healthcheck != nil {
			require.NotEmpty(t, s.Healthcheck.Test, name)
			require.Equal(t, "CMD", s.Healthcheck.Test[0], name)
		}
		for _, c := range s.Configs {
			require.Contains(t, file.Configs, c.Source, name)
		}
		for _, port := range s.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s: %s is open to this machine alone", name, port)
		}
	}
	require.Contains(t, file.Configs["temporal-dynamic-config"].Content, "matching.enableFairness")
	require.Equal(t, file.Services["temporal"].Environment["DYNAMIC_CONFIG_FILE_PATH"], file.Services["temporal"].Configs[0].Target)
}

func TestComposeRunsCarillonAsItIs(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	for _, name := range []string{"api", "worker", "migrate", "doctor"} {
		s := file.Services[name]
		require.Equal(t, []string{name}, s.Command)
		require.Contains(t, names, s.Command[0])
		require.Empty(t, s.Entrypoint)

		environ, secrets := []string{}, map[string]string{
			"CARILLON_SECRET_KEY": "ZTJlLXRlc3Qta2V5LW9mLTMyLWJ5dGVzLWV4YWN0bHk=", "CARILLON_ADMIN_KEY": "k", "POSTGRES_PASSWORD": "p",
		}
		for variable, value := range s.Environment {
			environ = append(environ, variable+"="+interpolate(value, secrets))
		}
		cfg, err := config.Load(environ)
		require.NoError(t, err, name)
		_, err = check(cfg)
		require.NoError(t, err, name)
		require.NoError(t, role{name: name, api: name == "api", worker: name == "worker"}.check(cfg))
		require.Equal(t, "postgres://carillon:p@postgres:5432/carillon?sslmode=disable", cfg.DatabaseURL.Reveal())
		require.Equal(t, "temporal:7233", interpolate(s.Environment["TEMPORAL_ADDRESS"], nil))
	}
	for _, name := range []string{"api", "worker"} {
		s := file.Services[name]
		require.Equal(t, []string{"CMD", "/carillon", "health"}, s.Healthcheck.Test)
		require.Empty(t, s.Profiles, "it runs with every profile")
		grace, err := time.ParseDuration(s.StopGrace)
		require.NoError(t, err)
		require.Equal(t, 90*time.Second, grace)
		require.Greater(t, grace, drainDelay+shutdownTimeout+40*time.Second, "what stopping takes at most")
		require.Equal(t, "service_completed_successfully", s.DependsOn["migrate"].Condition)
	}
	require.Equal(t, "service_healthy", file.Services["migrate"].DependsOn["postgres"].Condition)
}

func TestComposeHoldsNoSecretAndAsksForEach(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	example, err := os.ReadFile("../../.env.example")
	require.NoError(t, err)
	given := map[string]string{}
	for line := range strings.Lines(string(example)) {
		name, value, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "#")), "=")
		if ok && variable.MatchString("${"+name+"}") {
			given[name] = value
		}
	}
	for _, name := range []string{"POSTGRES_PASSWORD", "CARILLON_SECRET_KEY", "CARILLON_ADMIN_KEY", "TEMPORAL_API_KEY"} {
		require.Contains(t, given, name)
		require.Empty(t, given[name], "the example has no real value")
	}
	require.Equal(t, "temporal", given["COMPOSE_PROFILES"])
	for name, s := range file.Services {
		for key, value := range s.Environment {
			if regexp.MustCompile(`(_KEY|_PASSWORD|_PWD)$`).MatchString(key) {
				require.True(t, strings.HasPrefix(value, "${"), "%s: %s comes from .env", name, key)
			}
			for _, match := range variable.FindAllStringSubmatch(value, -1) {
				require.Contains(t, given, match[1], "%s: %s is in .env.example", name, match[1])
			}
		}
	}
}

func TestTheImageIsOneStaticBinaryThatRunsAsNobody(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Dockerfile")
	require.NoError(t, err)
	var from []string
	last, arguments := map[string]string{}, map[string]string{}
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "ARG":
			name, value, _ := strings.Cut(rest, "=")
			arguments["${"+name+"}"] = value
		case "FROM":
			image, _, _ := strings.Cut(rest, " ")
			from = append(from, arguments[image])
		}
		last[word] = rest
	}
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	require.Len(t, from, 2)
	require.Regexp(t, `^golang:\d+\.\d+\.\d+-`, from[0])
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)[1]
	require.Contains(t, from[0], "golang:"+string(goVersion)+".")
	require.Regexp(t, `^gcr\.io/distroless/static-debian12:nonroot$`, from[1])
	require.Contains(t, string(text), "CGO_ENABLED=0")
	require.Equal(t, "65532:65532", last["USER"])
	require.Equal(t, `["/carillon"]`, last["ENTRYPOINT"])
}

// A tag that moves would be another image tomorrow.
func TestEveryImageIsOfOneVersion(t *testing.T) {
	t.Parallel()
	seen := 0
	for name, service := range readCompose(t).Services {
		if service.Image == "carillon:local" {
			continue // built here
		}
		seen++
		require.Regexp(t, `:\d+\.\d+(\.\d+)?(-[a-z]+)?$`, service.Image, name)
	}
	require.NotZero(t, seen)
}

// variable is how Compose writes one: ${NAME}, ${NAME:-default}, ${NAME:?hint}.
var variable = regexp.MustCompile(`\$\{([A-Z_]+)(?::([-?])([^}]*))?\}`)

func interpolate(text string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(match string) string {
		parts := variable.FindStringSubmatch(match)
		if value := values[parts[1]]; value != "" {
			return value
		}
		if parts[2] == "-" {
			return parts[3]
		}
		return ""
	})
}
