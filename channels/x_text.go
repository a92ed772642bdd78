package channels

import (
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"

	"github.com/carillon-dev/carillon/messages"
)

// What X counts of a post: characters of most alphabets are 1 and all others 2,
// and each link is as long as the short one that takes its place.
// https://docs.x.com/fundamentals/counting-characters
const (
	maxPost    = 280
	linkWeight = 23
)

// light are the ranges of the characters that count 1.
var light = [][2]rune{{0, 0x10FF}, {0x2000, 0x200D}, {0x2010, 0x201F}, {0x2032, 0x2037}}

// likeLink finds what X may take for a link: also a host's name alone. Of what
// comes behind the host it takes the characters that X takes anywhere.
var likeLink = regexp.MustCompile(`(?i)\b(?:https?://)?[\p{L}\p{N}][\p{L}\p{N}_-]*(?:\.[\p{L}\p{N}_-]+)+(?::[0-9]+)?` +
	`(?:[/?#](?:[a-z0-9;:=+,.$/%#_~@&?-]*[a-z0-9=_#/-])?)?`)

// xText is what a post says: the title, and the link where there is room.
func xText(m messages.Message) string {
	m.Title = norm.NFC.String(m.Title)
	return brief(m, ellipsis, func(text string) bool { return weight(text) <= maxPost })
}

// weight is how long a post is for X, or more: what only looks like a link, and
// the parts of an emoji, count in full.
func weight(text string) int {
	total, end := 0, 0
	for _, at := range likeLink.FindAllStringIndex(text, -1) {
		total += runes(text[end:at[0]])
		found := text[at[0]:at[1]]
		switch {
		case !isLink(found):
			total += runes(found)
		case strings.Contains(found, "://"):
			total += linkWeight
		default:
			total += max(linkWeight, runes(found))
		}
		end = at[1]
	}
	return total + runes(text[end:])
}

func runes(text string) int {
	total := 0
	for _, r := range text {
		if isLight(r) {
			total++
		} else {
			total += 2
		}
	}
	return total
}

func isLight(r rune) bool {
	for _, span := range light {
		if r >= span[0] && r <= span[1] {
			return true
		}
	}
	return false
}

// isLink reports whether the text names a host in a domain that there is.
func isLink(text string) bool {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	target, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := strings.ToLower(target.Hostname())
	_, known := publicsuffix.PublicSuffix(host[strings.LastIndex(host, ".")+1:])
	return known
}
