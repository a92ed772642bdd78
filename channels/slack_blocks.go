package channels

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

// Slack's limits, in characters where they are of texts. What they count, their
// pages do not say: UTF-16 code units are the most.
// https://docs.slack.dev/reference/block-kit/blocks
const (
	maxSlackHeader      = 150
	maxSlackSection     = 3000
	maxSlackField       = 2000
	maxSlackFields      = 10
	maxSlackFieldBlocks = 4 // of one message, far below its 50 blocks: nobody reads more
	// maxSlackFallback is what Slack advises for the text of a message.
	maxSlackFallback = 4000
)

// slackMessage is what is posted, to a webhook or by a bot.
type slackMessage struct {
	Channel     string            `json:"channel,omitempty"`
	TS          string            `json:"ts,omitempty"` // of the message to be updated
	Text        string            `json:"text"`
	Blocks      []slackBlock      `json:"blocks"`
	Attachments []slackAttachment `json:"attachments"`
	Username    string            `json:"username,omitempty"`
	IconEmoji   string            `json:"icon_emoji,omitempty"`
	IconURL     string            `json:"icon_url,omitempty"`
	// ThreadTS is the message that this one follows; ReplyBroadcast shows it in
	// the channel, too.
	ThreadTS       string `json:"thread_ts,omitempty"`
	ReplyBroadcast bool   `json:"reply_broadcast,omitempty"`
	// ClientMsgID tells a repeated post from a new one.
	ClientMsgID string `json:"client_msg_id,omitempty"`
	// Links would be shown twice with what Slack finds behind them.
	UnfurlLinks *bool `json:"unfurl_links,omitempty"`
	UnfurlMedia *bool `json:"unfurl_media,omitempty"`
	// urgent messages are shown in the channel also when they follow others.
	urgent bool
}

// slackAttachment has the colour that blocks cannot have.
type slackAttachment struct {
	Color    string       `json:"color"`
	Fallback string       `json:"fallback"`
	Blocks   []slackBlock `json:"blocks"`
}

type slackBlock struct {
	Type     string      `json:"type"`
	Text     *slackText  `json:"text,omitempty"`
	Fields   []slackText `json:"fields,omitempty"`
	Elements []slackText `json:"elements,omitempty"`
}

// slackText is plain text, shown as it is, or mrkdwn. Verbatim keeps Slack from
// linking what looks like a name or an address.
type slackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`
	Verbatim bool   `json:"verbatim,omitempty"`
}

// newSlackMessage writes what people are told as blocks: the title, and beside a
// bar of the level's colour what there is to say of it. event, unless nil, is the
// one that it is about.
func newSlackMessage(told messages.Message, event *carillon.Event) slackMessage {
	told.Title = cmp.Or(slackLine(told.Title), "…") // a header must have text
	title := clipSlack(told.Title, maxSlackHeader)
	head := slackBlock{Type: "header", Text: slackPlain(title)}
	var body []slackBlock
	if title != told.Title {
		body = append(body, slackSectionOf(told.Title))
	}
	if text := strings.TrimSpace(told.Text); text != "" {
		body = append(body, slackSectionOf(text))
	}
	body = append(body, slackFacts(told.Facts)...)
	if link, ok := slackLink(told.Link); ok {
		body = append(body, slackBlock{Type: "section", Text: &slackText{Type: "mrkdwn", Text: link, Verbatim: true}})
	}
	if event != nil {
		body = append(body, slackBlock{Type: "context", Elements: []slackText{{Type: "mrkdwn", Text: slackOrigin(*event), Verbatim: true}}})
	}
	never := false
	m := slackMessage{
		Text: slackFallbackOf(told), Blocks: []slackBlock{head}, Attachments: []slackAttachment{}, UnfurlLinks: &never, UnfurlMedia: &never,
	}
	if len(body) > 0 {
		m.Attachments = append(m.Attachments, slackAttachment{
			Color: "#" + told.Level.Colour(), Fallback: clipSlack(told.Title, maxSlackFallback), Blocks: body,
		})
	}
	return m
}

// slackPlain is text that Slack shows as it is.
func slackPlain(text string) *slackText {
	never := false
	return &slackText{Type: "plain_text", Text: text, Emoji: &never}
}

func slackSectionOf(text string) slackBlock {
	return slackBlock{Type: "section", Text: slackPlain(clipSlack(text, maxSlackSection))}
}

// slackFacts writes facts in two columns, and says how many it leaves out.
func slackFacts(all []messages.Fact) []slackBlock {
	shown := all[:min(len(all), maxSlackFieldBlocks*maxSlackFields)]
	var blocks []slackBlock
	for some := range slices.Chunk(shown, maxSlackFields) {
		block := slackBlock{Type: "section"}
		for _, fact := range some {
			block.Fields = append(block.Fields, slackFieldOf(fact))
		}
		blocks = append(blocks, block)
	}
	if left := len(all) - len(shown); left > 0 {
		blocks = append(blocks, slackSectionOf(fmt.Sprintf("… and %d more", left)))
	}
	return blocks
}

// slackMarks is what Slack's mrkdwn takes for more than text: marks of style, names
// of emoji, and quotations.
var slackMarks = regexp.MustCompile("(?m)[*~`]|(^|[^A-Za-z0-9])_|_([^A-Za-z0-9]|$)|:[^\\s:]*[a-z][^\\s:]*:|^>")

// slackFieldOf writes a fact, its label bold unless that would change how its value
// looks.
func slackFieldOf(fact messages.Fact) slackText {
	label := clipSlack(fact.Label, maxSlackHeader)
	room := maxSlackField - len("**\n") - slackUnits(escapeMrkdwn(label))
	if slackMarks.MatchString(fact.Value) || slackMarks.MatchString(label) {
		return *slackPlain(label + "\n" + clipSlack(fact.Value, room))
	}
	return slackText{Type: "mrkdwn", Text: "*" + escapeMrkdwn(label) + "*\n" + clipMrkdwn(fact.Value, room), Verbatim: true}
}

// slackLink writes a link; false when there is none, or none that fits.
func slackLink(link messages.Link) (string, bool) {
	target, err := url.Parse(link.URL)
	if err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Host == "" {
		return "", false
	}
	address := escapeMrkdwn(strings.NewReplacer("|", "%7C", " ", "%20").Replace(target.String()))
	label := clipMrkdwn(slackLine(strings.ReplaceAll(link.Label, "|", "¦")), maxSlackHeader)
	if label == "" {
		label = escapeMrkdwn(target.Host)
	}
	text := "<" + address + "|" + label + ">"
	return text, slackUnits(text) <= maxSlackSection
}

// slackOrigin says in a line what the event is, whose word it is, and when it was, in
// the reader's own time.
func slackOrigin(e carillon.Event) string {
	parts := []string{clipMrkdwn(slackLine(e.Type), maxSlackHeader), clipMrkdwn(slackLine(e.Source), maxSlackHeader)}
	if !e.Time.IsZero() {
		at := e.Time.UTC()
		parts = append(parts, fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", at.Unix(), at.Format("2006-01-02 15:04 UTC")))
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), " · ")
}

// slackFallbackOf is the message for notifications, screen readers and clients without
// blocks.
func slackFallbackOf(told messages.Message) string {
	lines := []string{told.Title}
	if told.Text != "" {
		lines = append(lines, told.Text)
	}
	for _, fact := range told.Facts {
		lines = append(lines, fact.Label+": "+fact.Value)
	}
	return clipMrkdwn(strings.Join(lines, "\n"), maxSlackFallback)
}

func slackLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// mrkdwnEscapes keep text from becoming a mention, a link or a date.
// https://docs.slack.dev/messaging/formatting-message-text#escaping
var mrkdwnEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func escapeMrkdwn(text string) string { return mrkdwnEscapes.Replace(text) }

// slackUnits counts a text as Slack may.
func slackUnits(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// clipSlack returns text with at most limit units, its end replaced by "…".
func clipSlack(text string, limit int) string {
	return clipSlackBy(text, limit, func(s string) string { return s })
}

// clipMrkdwn is [escapeMrkdwn] with at most limit units, cut between escapes.
func clipMrkdwn(text string, limit int) string { return clipSlackBy(text, limit, escapeMrkdwn) }

func clipSlackBy(text string, limit int, write func(string) string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if written := write(text); slackUnits(written) <= limit {
		return written
	}
	room := limit - slackUnits("…")
	for i, r := range text {
		if room -= slackUnits(write(string(r))); room < 0 {
			return write(text[:i]) + "…"
		}
	}
	return write(text)
}
