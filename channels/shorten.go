package channels

import (
	"slices"
	"sort"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"

	"github.com/carillon-dev/carillon/messages"
)

// Sizes in bytes from which parts of a message that is too long are cut. What
// is left of a message with all of them cut fits into every service that takes
// more than a short text; none takes more than the longest text.
const (
	leastText    = 500
	longText     = 32 << 10
	longTitle    = 500
	longFact     = 250
	longLink     = 2000
	leastOfTitle = 20
)

const ellipsis = "…"

// shorten returns text when it fits, or else its longest beginning that fits
// with an end behind it, cut between the characters that people see; empty
// when not one does.
func shorten(text, end string, fits func(string) bool) string {
	if fits(text) {
		return text
	}
	var cuts []int
	for rest, state, at := text, -1, 0; rest != ""; {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		at += len(cluster)
		cuts = append(cuts, at)
	}
	cut := func(i int) string { return strings.TrimRightFunc(text[:cuts[i]], unicode.IsSpace) + end }
	n := sort.Search(len(cuts), func(i int) bool { return !fits(cut(i)) })
	if n == 0 {
		return ""
	}
	return cut(n - 1)
}

func shortenTo(text string, size int) string {
	return shorten(text, ellipsis, func(s string) bool { return len(s) <= size })
}

// fitted returns the message when it fits, or else what is left of it when its
// longest parts are cut: first each by itself, then the end of the text, then
// facts, the least important first, and at last the text and the title.
func fitted(m messages.Message, fits func(messages.Message) bool) messages.Message {
	if fits(m) {
		return m
	}
	m.Facts = slices.Clone(m.Facts)
	for i, fact := range m.Facts {
		m.Facts[i] = messages.Fact{Label: shortenTo(fact.Label, longFact), Value: shortenTo(fact.Value, longFact)}
	}
	m.Title, m.Link.Label = shortenTo(m.Title, longTitle), shortenTo(m.Link.Label, longFact)
	if len(m.Link.URL) > longLink {
		m.Link = messages.Link{} // cut, it would lead elsewhere
	}
	with := func(text string) messages.Message {
		one := m
		one.Text = text
		return one
	}
	m.Text = shorten(clip(m.Text, longText), ellipsis, func(text string) bool { return len(text) <= leastText || fits(with(text)) })
	facts := m.Facts
	m.Facts = facts[:max(0, sort.Search(len(facts)+1, func(n int) bool {
		m.Facts = facts[:n]
		return !fits(m)
	})-1)]
	if !fits(m) {
		m.Text = ""
	}
	return m
}

// brief is a message where there is room for little: its title and, when enough
// of that has a place beside it, its link.
func brief(m messages.Message, end string, fits func(string) bool) string {
	if m.Link.URL != "" {
		link := "\n" + m.Link.URL
		title := shorten(m.Title, end, func(title string) bool { return fits(title + link) })
		if title != "" && (title == m.Title || len(title) >= leastOfTitle) {
			return title + link
		}
	}
	return shorten(m.Title, end, fits)
}

// plain is a message as lines of text.
func plain(m messages.Message) string {
	lines := []string{m.Title}
	if m.Text != "" {
		lines = append(lines, m.Text)
	}
	for _, fact := range m.Facts {
		lines = append(lines, fact.Label+": "+fact.Value)
	}
	if m.Link.URL != "" {
		lines = append(lines, m.Link.URL)
	}
	return strings.Join(lines, "\n")
}

// oneLine puts all words of a text on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
