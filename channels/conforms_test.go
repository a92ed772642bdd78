package channels_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/channels"
)

// conformances are what every channel is tested with, by the ways in which it
// sends.
func conformances() map[string]map[string]conformance {
	all := map[string]map[string]conformance{
		"webhook": {"": webhookConforms()}, "email": {"": emailConforms()}, "slack": slackConforms(), "teams": teamsConforms(),
		"alert": {"": alertConforms()},
	}
	for name, c := range servicesConform() {
		all[name] = map[string]conformance{"": c}
	}
	return all
}

func TestEveryChannelConforms(t *testing.T) {
	t.Parallel()
	// The first message of a process compiles the templates, which takes a while.
	warm := emailSender(t, loopback)
	_, err := warm.(channels.Renderer).Payload(conformance{}.message(kept(t, warm, map[string]any{"to": "ann@example.com"}), 1))
	require.NoError(t, err)

	registry, all := channels.NewRegistry(channels.Config{Now: time.Now, Inbox: &inbox{}}), conformances()
	for name, sender := range registry {
		require.NotEmpty(t, all[name], "the channel %s is not tested by the suite", name)
		for kind, c := range all[name] {
			require.Equal(t, hasSecrets(sender.Describe().Fields), len(c.secrets) > 0, "the secrets of %s are looked for", name)
			t.Run(strings.TrimSpace(name+" "+kind), func(t *testing.T) {
				t.Parallel()
				tested, _ := c.setup(t, accepts)
				require.Equal(t, name, tested.Name())
				c.run(t)
			})
		}
	}
	require.Len(t, all, len(registry), "what is tested is registered")
}

func hasSecrets(fields []channels.Field) bool {
	for _, f := range fields {
		if f.Secret || hasSecrets(f.Fields) {
			return true
		}
	}
	return false
}

// alertConforms is of the channel whose other side is the database: it takes an
// alert or fails, and says nothing that is read.
func alertConforms() conformance {
	away := expected{outcome: carillon.OutcomeRetry, errorHas: "the database did not take it"}
	return conformance{
		setup: func(_ *testing.T, b behaviour) (channels.Sender, json.RawMessage) {
			i := &inbox{hangs: b == hangs}
			if b != accepts && b != hangs {
				i.err = errors.New("the database " + string(b))
			}
			return inboxSender(i), json.RawMessage(`{"owner":"anna"}`)
		},
		want: map[behaviour]expected{busy: away, busyFor: away, down: away, nasty: away},
		// Its timeout is no field; see TestAnInboxThatHangsIsGivenUp.
		never: []behaviour{forbidden, gone, hangs, untrusted, oversized, echoes},
	}
}

func TestAnInboxThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sender := inboxSender(&inbox{hangs: true})
		endpoint := kept(t, sender, map[string]any{})
		a := sender.Attempt(t.Context(), conformance{}.message(endpoint, 1))
		require.Equal(t, carillon.OutcomeRetry, a.Outcome)
		require.Equal(t, "timed out after "+sender.Timeout(endpoint).String(), a.Error)
	})
}

// A channel is read in one go.
func TestNoFileOfAChannelIsLong(t *testing.T) {
	t.Parallel()
	const longest = 300 // lines
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	require.Greater(t, len(files), 40)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.LessOrEqual(t, strings.Count(string(text), "\n"), longest, name)
	}
}
