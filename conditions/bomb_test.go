package conditions_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// bombsVariable makes the test binary run the bombs instead of the tests: a
// bomb that goes off takes that process only.
const bombsVariable = "CONDITIONS_TEST_BOMBS"

const (
	// What one bomb may take of the processor, reading the event and compiling
	// included. It is the time of the process, which another one's work does
	// not lengthen.
	maxBombTime = 100 * time.Millisecond
	// The race detector makes code 2 to 20 times slower.
	// https://go.dev/doc/articles/race_detector#Runtime_Overheads
	raceFactor = 20
	// By how much the process may grow, garbage included.
	maxBombBytes = 50 << 20
	// All bombs one after the other: a hang must fail the test, not the run.
	maxAllBombs = 8 * time.Minute
)

// bombRuns is how often each bomb is tried; the best time counts. What the race
// detector slows down is allowed so much that once is enough.
func bombRuns() int {
	if raceEnabled {
		return 1
	}
	return 3
}

// bombCorpus is testdata/bombs/corpus.yaml.
type bombCorpus struct {
	Events map[string]string `yaml:"events"`
	Bombs  []bomb            `yaml:"bombs"`
}

type bomb struct {
	Attacks     string         `yaml:"attacks"`
	Expression  string         `yaml:"expression"`
	Template    string         `yaml:"template"`
	Mode        string         `yaml:"mode"`
	URL         string         `yaml:"url"`
	Match       map[string]any `yaml:"match"`
	OtterScript string         `yaml:"otterscript"`
	Predicate   string         `yaml:"predicate"`
	Event       string         `yaml:"event"`
	Want        string         `yaml:"want"`
}

// bombReport is what the process says of one bomb, a line of JSON each.
type bombReport struct {
	Attacks string        `json:"attacks"`
	Got     string        `json:"got"`
	Why     string        `json:"why"`
	Bytes   int           `json:"bytes"`
	Took    time.Duration `json:"took"`
}

func TestMain(m *testing.M) {
	if os.Getenv(bombsVariable) != "" {
		if err := runBombs(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func readBombs(t testing.TB) bombCorpus {
	t.Helper()
	var corpus bombCorpus
	readYAML(t, "testdata/bombs/corpus.yaml", &corpus)
	return corpus
}

func TestBombsAreRefusedOrStopped(t *testing.T) {
	t.Parallel()
	corpus := readBombs(t)
	require.Greater(t, len(corpus.Bombs), 100)

	ctx, cancel := context.WithTimeout(t.Context(), maxAllBombs)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0])
	// With one processor: the collector would use others that are idle.
	command.Env = append(os.Environ(), bombsVariable+"=1", "GOMAXPROCS=1")
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	input, err := json.Marshal(corpus)
	require.NoError(t, err)
	command.Stdin = strings.NewReader(string(input))
	failed := command.Run()

	reports := map[string]bombReport{}
	lines := bufio.NewScanner(strings.NewReader(stdout.String()))
	for lines.Scan() {
		var r bombReport
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r), lines.Text())
		reports[r.Attacks] = r
	}
	limit := maxBombTime
	if raceEnabled {
		limit *= raceFactor
	}
	var wrong []string
	for _, b := range corpus.Bombs {
		r, ok := reports[b.Attacks]
		require.True(t, ok, "%s: the process died or hung: %v\n%.2000s", b.Attacks, failed, stderr.String())
		t.Logf("%-70s %-8s %6d KB %6.1f ms  %s", b.Attacks, r.Got, r.Bytes>>10, r.Took.Seconds()*1e3, r.Why)
		if b.Want != r.Got || r.Bytes > maxBombBytes || r.Took > limit {
			wrong = append(wrong, fmt.Sprintf("%s: wanted %s, got %s after %s with %d KB: %.300s", b.Attacks, b.Want, r.Got, r.Took, r.Bytes>>10, r.Why))
		}
		delete(reports, b.Attacks)
	}
	require.Empty(t, strings.Join(wrong, "\n"))
	require.Empty(t, reports)
	require.NoError(t, failed, stderr.String())
}

// runBombs reads the corpus from the standard input and reports on each bomb.
func runBombs() error {
	var corpus bombCorpus
	if err := json.NewDecoder(os.Stdin).Decode(&corpus); err != nil {
		return fmt.Errorf("read bombs: %w", err)
	}
	events := map[string]carillon.Event{}
	for name, data := range corpus.Events {
		events[name] = bombEvent(unfold(data))
	}
	ground, err := newBombGround()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, b := range corpus.Bombs {
		for _, text := range []*string{&b.Expression, &b.Template, &b.URL, &b.OtterScript, &b.Predicate} {
			*text = unfold(*text)
		}
		for field, value := range b.Match {
			if text, ok := value.(string); ok {
				b.Match[field] = unfold(text)
			}
		}
		event, ok := events[eventOf(b)]
		if !ok {
			return fmt.Errorf("%s: there is no event %s", b.Attacks, b.Event)
		}
		r := bombReport{Attacks: b.Attacks}
		for _, step := range []func(){
			func() { ground.save(b) },
			func() { r.Got, r.Why = ground.explode(b, event) },
		} {
			bytes, took, err := measure(step)
			if err != nil {
				return err
			}
			r.Bytes, r.Took = max(r.Bytes, bytes), max(r.Took, took)
		}
		r.Why = carillon.Clip(r.Why, 300)
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func eventOf(b bomb) string {
	if b.Event == "" {
		return "large"
	}
	return b.Event
}

// Repetitions as the corpus writes them, the inner ones first. A text can end
// with the character that closes.
var repetitions = []*regexp.Regexp{regexp.MustCompile(`«(\d+)\|([^»]*)»`), regexp.MustCompile(`(?s)<<(\d+)\|(.*?)>>(?:[^>]|$)`)}

// unfold writes the repetitions out.
func unfold(text string) string {
	for _, form := range repetitions {
		var out strings.Builder
		for {
			at := form.FindStringSubmatchIndex(text)
			if at == nil {
				break
			}
			out.WriteString(text[:at[0]])
			times, err := strconv.Atoi(text[at[2]:at[3]])
			if err != nil {
				panic(err) // the pattern has digits only
			}
			repeated := text[at[4]:at[5]]
			for i := range times {
				out.WriteString(strings.ReplaceAll(repeated, "#", strconv.Itoa(i)))
			}
			text = text[at[5]+len(text[at[5]:][:2]):]
		}
		out.WriteString(text)
		text = out.String()
	}
	return text
}

func TestUnfold(t *testing.T) {
	t.Parallel()
	for folded, want := range map[string]string{
		"plain":                   "plain",
		"a<<3|b>>c":               "abbbc",
		"<<2|k#,>>":               "k0,k1,",
		"<<2|<b>>>x":              "<b><b>x",
		"1<<2|||>>":               "1||||",
		"<<2|[«2|1»]>>«3|x»":      "[11][11]xxx",
		"<<2|a>> && <<2|\n>>b>=1": "aa && \n\nb>=1",
	} {
		require.Equal(t, want, unfold(folded))
	}
}
