package messages_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/strict"
	"github.com/carillon-dev/carillon/messages"
)

// storm is what comes when a feed is copied: packages, and what is wrong with
// some of them.
func storm() []carillon.Event {
	start := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	var events []carillon.Event
	for i := range 2400 {
		events = append(events, carillon.Event{
			Type: "package.added", Actor: "anna", Scope: map[string]string{"feed": fmt.Sprintf("feed-%d", i%7)},
			Subject: fmt.Sprintf("pkg:nuget/Package%d@1.0.%d", i%12, i), Time: start.Add(time.Duration(i) * 10 * time.Millisecond),
			Data: json.RawMessage(fmt.Sprintf(`{"package":"Package%d","version":"1.0.%d"}`, i%12, i)),
		})
	}
	for i := range 80 {
		severity := "Medium"
		if i >= 77 {
			severity = "Critical"
		}
		events = append(events, carillon.Event{
			Type: "sca.vulnerability_detected", Scope: map[string]string{"feed": "feed-0"}, Time: start.Add(time.Minute),
			Subject: "pkg:nuget/Package3@1.0.1",
			Data:    json.RawMessage(fmt.Sprintf(`{"vulnerability_id":"CVE-%d","severity":%q}`, i, severity)),
		})
	}
	return events
}

func TestAStormIsSummedUp(t *testing.T) {
	t.Parallel()
	m := messages.Summarize(storm())
	requireReadable(t, m)
	require.Equal(t, "2,480 more events: 2,400 packages added, 80 vulnerabilities found, 3 critical", m.Title)
	require.Equal(t, messages.Critical, m.Level)
	require.Empty(t, m.Link)
	require.Empty(t, m.Topic)
	require.Equal(t, []messages.Fact{
		{Label: "Critical", Value: "3"}, {Label: "Packages added", Value: "2,400"}, {Label: "Vulnerabilities found", Value: "80"},
		{Label: "Packages", Value: "Package0, Package1, Package10, Package11, Package2 and 7 more"},
		{Label: "Feed", Value: "feed-0, feed-1, feed-2, feed-3, feed-4 and 2 more"},
		{Label: "Time", Value: "2026-11-21 20:00 to 20:01 UTC"},
	}, m.Facts)
	lines := strings.Split(m.Text, "\n")
	require.Len(t, lines, 11)
	require.Equal(t, "Critical vulnerability CVE-77 was found in Package3 1.0.1 (feed-0)", lines[0])
	require.Equal(t, "Medium vulnerability CVE-0 was found in Package3 1.0.1 (feed-0)", lines[3], "the worst first, the oldest of them first")
	require.Equal(t, "and 2,470 more", lines[10])
}

func TestADigestSaysNothingOfOthers(t *testing.T) {
	t.Parallel()
	events := storm()[:2]
	m := messages.Digest(events)
	requireReadable(t, m)
	require.Equal(t, "2 events: 2 packages added", m.Title)
	require.Equal(t, "Package0 1.0.0 was added to feed-0 by anna\nPackage1 1.0.1 was added to feed-1 by anna", m.Text)
	require.Equal(t, messages.Neutral, m.Level)
	require.Equal(t, "1 event: 1 package added", messages.Digest(events[:1]).Title)
	require.Equal(t, "1 more event: 1 package added", messages.Summarize(events[:1]).Title)
	require.Equal(t, "No events", messages.Digest(nil).Title)
}

func TestASummaryOfManyKindsStaysSmall(t *testing.T) {
	t.Parallel()
	var events []carillon.Event
	random := rand.New(rand.NewPCG(3, 4))
	for len(events) < 5000 {
		for _, typ := range newCatalog(t).Types() {
			for range 5 {
				e, err := strict.RandomEvent(typ, random)
				require.NoError(t, err)
				events = append(events, e)
			}
		}
		for i := range 100 {
			e := carillon.Event{Type: fmt.Sprintf("acme.kind_%d", i), Scope: map[string]string{}, Data: json.RawMessage("nonsense")}
			for j := range 16 {
				e.Scope[fmt.Sprintf("key%d", j)] = strings.Repeat("x\n", 120)
			}
			events = append(events, e)
		}
	}
	m := messages.Summarize(events)
	requireReadable(t, m)
	require.NotRegexp(t, unreadable, whole(m))
	require.True(t, strings.HasPrefix(m.Title, fmt.Sprintf("%d,%03d more events: ", len(events)/1000, len(events)%1000)), m.Title)
	require.Contains(t, m.Title, "others")
	require.Less(t, len(whole(m)), 8<<10)
	require.Equal(t, m, messages.Summarize(events), "the same every time")

	// What is told by kind is all there is.
	sum := 0
	for _, f := range m.Facts {
		var n int
		text := strings.ReplaceAll(f.Value, ",", "")
		if _, err := fmt.Sscanf(text, "%d", &n); err == nil && strconv.Itoa(n) == text && f.Label != "Critical" && f.Label != "High" && f.Label != "Failed" {
			sum += n
		}
	}
	require.Equal(t, len(events), sum)
}

func TestASummaryCountsWhatIsBad(t *testing.T) {
	t.Parallel()
	events := []carillon.Event{
		{Type: "build.finished", Data: json.RawMessage(`{"name":"a","result":"failed"}`)},
		{Type: "build.finished", Data: json.RawMessage(`{"name":"b","result":"success"}`)},
		{Type: "sca.vulnerability_detected", Data: json.RawMessage(`{"vulnerability_id":"X","score":7.1}`)},
		{Type: "acme.deployed", Data: json.RawMessage(`{}`), Time: time.Date(2026, 11, 20, 23, 59, 0, 0, time.UTC)},
		{Type: "ping", Data: json.RawMessage(`{}`), Time: time.Date(2026, 11, 21, 0, 1, 0, 0, time.UTC)},
	}
	m := messages.Digest(events)
	requireReadable(t, m)
	require.Equal(t, "5 events: 2 builds finished, 1 acme.deployed event, 1 ping, 1 other, 1 high, 1 failed", m.Title)
	require.Equal(t, messages.High, m.Level)
	require.Contains(t, m.Facts, messages.Fact{Label: "Time", Value: "2026-11-20 23:59 to 2026-11-21 00:01 UTC"})
}
