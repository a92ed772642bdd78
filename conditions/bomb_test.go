package conditions_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/conditions"
)

// bombsVariable makes the test binary run the bombs instead of the tests: a
// bomb that goes off takes that process only.
const bombsVariable = "CONDITIONS_TEST_BOMBS"

const (
	// What one expression may allocate in all, compiling included.
	maxBombBytes = 50 << 20
	// What one may take. The time limits allow a quarter of a second; the rest
	// is for a busy machine and the race detector.
	maxBombTime = 5 * time.Second
	// All bombs one after the other: a hang must fail the test, not the run.
	maxAllBombs = 2 * time.Minute
)

type bomb struct {
	Name       string `yaml:"name"`
	Expression string `yaml:"expression"`
	Want       string `yaml:"want"`
}

// report is what the process says of one bomb, a line of JSON each.
type report struct {
	Name  string        `json:"name"`
	Got   string        `json:"got"`
	Why   string        `json:"why"`
	Bytes uint64        `json:"bytes"`
	Took  time.Duration `json:"took"`
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

func TestBombsAreRefusedOrStopped(t *testing.T) {
	t.Parallel()
	var bombs []bomb
	readYAML(t, "testdata/bombs.yaml", &bombs)
	require.Greater(t, len(bombs), 30)
	for _, part := range []string{"(", "[", "{", "!", "-", "?", ")", "1+", "a.", "a[", "a(", "true?", "[1,", "!(", "'", "\"\"\"", "a b ", "@", "||", "\n"} {
		bombs = append(bombs, bomb{
			Name: "nothing but " + part, Want: "refused",
			Expression: "1" + strings.Repeat(part, (conditions.MaxExpressionChars-1)/len(part)),
		})
	}

	ctx, cancel := context.WithTimeout(t.Context(), maxAllBombs)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0])
	command.Env = append(os.Environ(), bombsVariable+"=1")
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	input, err := json.Marshal(bombs)
	require.NoError(t, err)
	command.Stdin = strings.NewReader(string(input))
	failed := command.Run()

	reports := map[string]report{}
	lines := bufio.NewScanner(strings.NewReader(stdout.String()))
	for lines.Scan() {
		var r report
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r), lines.Text())
		reports[r.Name] = r
	}
	for _, b := range bombs {
		r, ok := reports[b.Name]
		require.True(t, ok, "%s: the process died or hung: %v\n%.2000s", b.Name, failed, stderr.String())
		if b.Want != "bounded" || r.Got != "stopped" {
			require.Equal(t, b.Want, r.Got, "%s: %s", b.Name, r.Why)
		}
		require.Less(t, r.Bytes, uint64(maxBombBytes), "%s: bytes allocated", b.Name)
		require.Less(t, r.Took, maxBombTime, "%s: time", b.Name)
		t.Logf("%-50s %-8s %8d KB %6d ms  %s", b.Name, r.Got, r.Bytes>>10, r.Took.Milliseconds(), r.Why)
	}
	require.NoError(t, failed, stderr.String())
}

// runBombs reads bombs from the standard input and reports on each.
func runBombs() error {
	var bombs []bomb
	if err := json.NewDecoder(os.Stdin).Decode(&bombs); err != nil {
		return fmt.Errorf("read bombs: %w", err)
	}
	env, err := conditions.New()
	if err != nil {
		return err
	}
	input, err := conditions.NewInput(bombEvent())
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, b := range bombs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		started := time.Now()
		r := report{Name: b.Name}
		r.Got, r.Why = explode(env, input, b.Expression)
		r.Took = time.Since(started)
		runtime.ReadMemStats(&after)
		r.Bytes = after.TotalAlloc - before.TotalAlloc
		if err := out.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func explode(env *conditions.Environment, input *conditions.Input, expression string) (got, why string) {
	condition, err := env.Compile(expression)
	if err != nil {
		return "refused", err.Error()
	}
	matched, err := condition.Match(context.Background(), input)
	var stopped *conditions.EvaluationError
	switch {
	case err == nil:
		return "bounded", strconv.FormatBool(matched)
	case errors.As(err, &stopped):
		return "stopped", err.Error()
	default:
		return "failed", err.Error()
	}
}

// bombEvent has nearly the largest data that an event can have, in the shapes
// that cost most.
func bombEvent() carillon.Event {
	endless := make([]int, 12_000)
	for i := range endless {
		endless[i] = i
	}
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprintf("%s.Name%d", strings.Repeat("x", 50), i)
	}
	data, err := json.Marshal(map[string]any{
		"big":     strings.Repeat("a", 110<<10),
		"text":    strings.Repeat("a", conditions.MaxStringBytes),
		"pattern": strings.Repeat("(a?)", 100) + strings.Repeat("a", 100),
		"huge":    int64(1) << 62,
		"numbers": endless[:conditions.MaxElements],
		"endless": endless,
		"names":   names,
	})
	if err != nil {
		panic(err)
	}
	return carillon.Event{Type: "package.added", Source: "registry.example.com", Actor: "mallory", Time: time.Unix(1e9, 0), Data: data}
}
