package carillon_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

// profileTable writes the profiles as docs/profiles.md has them.
func profileTable() string {
	var b strings.Builder
	b.WriteString("| `profile` | delays | disables | timeout | window | answers | given up |\n|---|---|---|---|---|---|---|\n")
	for _, p := range carillon.Profiles() {
		var delays, answers []string
		for _, d := range p.Retry.Schedule {
			delays = append(delays, d.String())
		}
		for _, a := range p.Answers {
			answers = append(answers, a.Answer+" "+string(a.Outcome))
		}
		window, end := "", carillon.Failed
		if p.Window > 0 {
			window = p.Window.String()
		}
		if p.Holds {
			end = carillon.Held
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s | %s | %s | `%s` |\n", p.Name, strings.Join(delays, " "), p.Retry.Disable,
			p.Timeout, window, strings.Join(answers, ", "), end)
	}
	return b.String()
}

func TestTheProfilesAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/profiles.md")
	require.NoError(t, err)
	require.Contains(t, string(page), profileTable())
	for _, p := range carillon.Profiles() {
		if p.Differs != "" {
			require.Contains(t, strings.Join(strings.Fields(string(page)), " "), p.Differs)
		}
	}
}

func TestProfilesCanBeASubscriptions(t *testing.T) {
	t.Parallel()
	for _, p := range carillon.Profiles() {
		require.LessOrEqual(t, len(p.Retry.Schedule), carillon.MaxRetries, p.Name)
		for _, d := range p.Retry.Schedule {
			require.True(t, time.Duration(d) >= carillon.MinDelay && time.Duration(d) <= carillon.MaxDelay, p.Name)
		}
		found, ok := carillon.LookupProfile(p.Name)
		require.True(t, ok)
		require.Equal(t, p, found)
	}
	_, ok := carillon.LookupProfile("fax")
	require.False(t, ok)
	standard, ok := carillon.LookupProfile("")
	require.True(t, ok)
	require.Equal(t, carillon.DefaultProfile, standard.Name)
}

func TestWhatAnswersMean(t *testing.T) {
	t.Parallel()
	const (
		delivered, retry = carillon.OutcomeDelivered, carillon.OutcomeRetry
		gone, refused    = carillon.OutcomeGone, carillon.OutcomeRefused
	)
	tests := map[string]map[int]carillon.Outcome{
		"carillon":          {200: delivered, 299: delivered, 301: retry, 404: retry, 410: gone, 429: retry, 503: retry},
		"codescoring":       {200: delivered, 299: delivered, 301: retry, 410: retry, 500: retry},
		"defectdojo":        {201: delivered, 302: refused, 400: refused, 410: refused, 429: retry, 500: retry, 599: retry},
		"svix":              {204: delivered, 410: retry, 301: retry},
		"standard-webhooks": {204: delivered, 410: gone, 502: retry},
		"gitlab":            {200: delivered, 404: retry, 410: retry, 500: retry},
	}
	require.Len(t, tests, len(carillon.Profiles()))
	for name, statuses := range tests {
		p, ok := carillon.LookupProfile(name)
		require.True(t, ok)
		for status, want := range statuses {
			require.Equal(t, want, p.Status(status), "%s %d", name, status)
		}
		network := retry
		if name == "defectdojo" {
			network = refused
		}
		require.Equal(t, retry, p.Silence(carillon.AnswerTimeout), name)
		require.Equal(t, network, p.Silence(carillon.AnswerNetwork), name)
	}
}

func TestDefectDojoIsOutForAMinuteAndGoneAfterADay(t *testing.T) {
	t.Parallel()
	p, _ := carillon.LookupProfile("defectdojo")
	require.Equal(t, carillon.Duration(time.Minute), p.Retry.Schedule[0])
	var sum time.Duration
	for _, d := range p.Retry.Schedule {
		sum += time.Duration(d)
	}
	require.Equal(t, 24*time.Hour, sum)
}
