package channels

import (
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
)

const (
	// masked stands for a secret.
	masked = "••••"
	// A mask ends with the last characters of a secret that is long enough to
	// stay one without them.
	shownTail, minTailed = 4, 12
	// minScrubbed is the length of the shortest text that is searched for: a
	// shorter one is found everywhere, and tells nothing when it is.
	minScrubbed = 4
)

// mask returns what people see of a secret: "•••• last4". Empty stays empty.
func mask(secret string) string {
	runes := []rune(secret)
	switch {
	case len(runes) == 0:
		return ""
	case len(runes) < minTailed:
		return masked
	default:
		return masked + " " + string(runes[len(runes)-shownTail:])
	}
}

// isMask reports whether a person posted a mask back.
func isMask(value string) bool { return strings.HasPrefix(value, masked) }

// unmask returns the first of the stored secrets that posted is the mask of.
func unmask(posted string, stored ...string) (string, bool) {
	for _, secret := range stored {
		if secret != "" && posted == mask(secret) {
			return secret, true
		}
	}
	return "", false
}

// scrub removes secrets from what a receiver answers, so that one which echoes
// its request leaks nothing into what is recorded.
type scrub struct {
	values   []string // longest first
	replacer *strings.Replacer
}

// newScrub makes a scrub for secrets as they are, and as JSON, a URL or HTML
// would repeat them.
func newScrub(secrets ...string) scrub {
	var values []string
	for _, secret := range secrets {
		if len(secret) < minScrubbed {
			continue
		}
		quoted, err := json.Marshal(secret)
		if err == nil {
			values = append(values, string(quoted[1:len(quoted)-1]))
		}
		values = append(values, secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret))
	}
	// At one place the longest must win: a replacer takes the first that fits.
	slices.SortFunc(values, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	values = slices.Compact(values)
	pairs := make([]string, 0, 2*len(values))
	for _, v := range values {
		pairs = append(pairs, v, masked)
	}
	return scrub{values: values, replacer: strings.NewReplacer(pairs...)}
}

// text replaces every secret in text by a mask.
func (s scrub) text(text string) string { return s.replacer.Replace(text) }

// cut is text for a beginning whose end was cut off, maybe within a secret.
func (s scrub) cut(text string) string {
	// What is left after a cut can end within another secret.
	for end := s.begun(text); end < len(text); end = s.begun(text) {
		text = text[:end]
	}
	return s.text(text)
}

// begun returns where in text a secret begins that text's end breaks off, or
// its length.
func (s scrub) begun(text string) int {
	end := len(text)
	for _, v := range s.values {
		for n := min(len(v)-1, len(text)); len(text)-n < end; n-- {
			if strings.HasSuffix(text, v[:n]) {
				end = len(text) - n
			}
		}
	}
	return end
}
