package channels

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/carillon-dev/carillon/conditions"
)

// What of a URL is secret. The query always is: tokens and signatures stand
// there. Of the path, a piece is that looks made rather than plainWord, as those
// of the incoming webhooks of chat services are: 16 characters or more, of
// which one is anything but a small letter, a dot, a dash or an underscore. In a
// template the same holds for what is plainWord out; an expression that only
// names fields says nothing.
const minOpaque = 16

var (
	plainWord = regexp.MustCompile(`^[a-z._-]*$`)
	naming    = regexp.MustCompile(`^\$\{[A-Za-z0-9_.(), ]*\}$`)
)

// opaque reports whether a piece of a path is secret.
func opaque(segment string) bool { return len(segment) >= minOpaque && !plainWord.MatchString(segment) }

// urlPart is a segment of a path, or a name and value of a query, in the pieces
// of its template.
type urlPart []conditions.Piece

func (p urlPart) String() string {
	var text strings.Builder
	for _, piece := range p {
		text.WriteString(piece.Text)
	}
	return text.String()
}

// literal is what is plainWord out.
func (p urlPart) literal() string {
	var text strings.Builder
	for _, piece := range p {
		if !named(piece) {
			text.WriteString(piece.Text)
		}
	}
	return text.String()
}

// named reports whether a piece only names fields.
func named(p conditions.Piece) bool { return p.Expression && naming.MatchString(p.Text) }

// masked is the part with a mask for what is plainWord out.
func (p urlPart) masked() string {
	var text strings.Builder
	open := true
	for _, piece := range p {
		switch {
		case named(piece):
			text.WriteString(piece.Text)
			open = true
		case open && piece.Text != "":
			text.WriteString(masked)
			open = false
		}
	}
	return text.String()
}

// splitURL is a URL in its parts: what comes before the path, the path's
// segments, and the query's names and values.
type splitURL struct {
	front       string
	path, query []urlPart
	asked       bool // there is a query, which may be empty
}

// cutURL cuts a URL, which may be a template; false for what is none.
func cutURL(text string) (splitURL, bool) {
	scheme := strings.Index(text, "://")
	if scheme < 0 {
		return splitURL{}, false
	}
	front := len(text)
	if n := strings.IndexAny(text[scheme+len("://"):], "/?"); n >= 0 {
		front = scheme + len("://") + n
	}
	pieces, ok := conditions.Pieces(text[front:])
	if !ok || strings.Contains(text[:front], "${") {
		return splitURL{}, false
	}
	u := splitURL{front: text[:front], path: []urlPart{nil}}
	at := &u.path
	add := func(p conditions.Piece) {
		if p.Text != "" {
			(*at)[len(*at)-1] = append((*at)[len(*at)-1], p)
		}
	}
	for _, p := range pieces {
		if p.Expression {
			add(p)
			continue
		}
		begin := 0
		for i, c := range []byte(p.Text) {
			asks := c == '?' && !u.asked
			if !asks && (u.asked && c != '&' || !u.asked && c != '/') {
				continue
			}
			add(conditions.Piece{Text: p.Text[begin:i]})
			begin = i + 1
			if asks {
				u.asked, at = true, &u.query
			}
			*at = append(*at, nil)
		}
		add(conditions.Piece{Text: p.Text[begin:]})
	}
	return u, true
}

// join puts the URL together again, each part as show has it.
func (u splitURL) join(segment, pair func(i int, p urlPart) string) string {
	texts := func(parts []urlPart, show func(int, urlPart) string) []string {
		shown := make([]string, len(parts))
		for i, p := range parts {
			shown[i] = show(i, p)
		}
		return shown
	}
	text := u.front + strings.Join(texts(u.path, segment), "/")
	if u.asked {
		text += "?" + strings.Join(texts(u.query, pair), "&")
	}
	return text
}

// shownSegment is a segment as people see it.
func shownSegment(p urlPart) string {
	if opaque(p.literal()) {
		return p.masked()
	}
	return p.String()
}

// shownPair is a name and a value as people see them; without a name, all of it
// is the value.
func shownPair(p urlPart) string {
	for i, piece := range p {
		if piece.Expression {
			continue
		}
		before, after, ok := strings.Cut(piece.Text, "=")
		if !ok {
			continue
		}
		name := append(slices.Clone(p[:i]), conditions.Piece{Text: before})
		value := append(urlPart{{Text: after}}, p[i+1:]...)
		return shownSegment(name) + "=" + value.masked()
	}
	return p.masked()
}

// maskURL returns what people see of a URL.
func maskURL(text string) string {
	u, ok := cutURL(text)
	if !ok {
		return masked
	}
	return u.join(func(_ int, p urlPart) string { return shownSegment(p) }, func(_ int, p urlPart) string { return shownPair(p) })
}

// dot is what masks are made of, and encodedDot how a browser writes it into a
// URL.
const dot = "•"

var encodedDot = regexp.MustCompile(`(?i)%E2%80%A2`)

// Why a posted URL with masks is not taken.
const (
	maskedElsewhere = "must be given again, because the masked one leads to another host"
	maskedOtherwise = "holds a mask where the stored one has none; give what it stands for"
)

// unmaskURL puts the stored secrets in the place of their masks in a posted
// URL: of the path by their place, of the query by their name. It says what is
// wrong where it cannot.
func unmaskURL(posted, stored string) (text, wrong string) {
	posted = encodedDot.ReplaceAllString(posted, dot)
	if !strings.Contains(posted, dot) {
		return posted, ""
	}
	if posted == maskURL(stored) {
		return stored, ""
	}
	to, ok := cutURL(posted)
	from, known := cutURL(stored)
	if !ok || !known {
		return "", maskedOtherwise
	}
	if !strings.EqualFold(to.front, from.front) {
		return "", maskedElsewhere
	}
	fits := true
	text = to.join(func(i int, p urlPart) string {
		if !strings.Contains(p.String(), dot) {
			return p.String()
		}
		fits = fits && i < len(from.path) && shownSegment(from.path[i]) == p.String()
		if !fits {
			return ""
		}
		return from.path[i].String()
	}, func(_ int, p urlPart) string {
		if !strings.Contains(p.String(), dot) {
			return p.String()
		}
		i := slices.IndexFunc(from.query, func(q urlPart) bool { return q != nil && shownPair(q) == p.String() })
		if i < 0 {
			fits = false
			return ""
		}
		kept := from.query[i].String()
		from.query[i] = nil
		return kept
	})
	if !fits || ambiguous(to.query, from.query) {
		return "", maskedOtherwise
	}
	return text, ""
}

// ambiguous reports whether of several values of one name some were masked and
// some are gone: which of them, nobody can tell.
func ambiguous(posted, left []urlPart) bool {
	return slices.ContainsFunc(posted, func(p urlPart) bool {
		return strings.Contains(p.String(), dot) &&
			slices.ContainsFunc(left, func(q urlPart) bool { return q != nil && shownPair(q) == p.String() })
	})
}

// keptURL is the posted URL of a field with the stored secrets in the place of
// their masks.
func keptURL(f form, field, posted, stored string) (text string, ok bool) {
	text, wrong := unmaskURL(posted, stored)
	if wrong != "" {
		f.wrong(field, "%s", wrong)
		return "", false
	}
	return text, true
}

// restored is a posted value, of a URL with the stored secrets in the place of
// their masks.
func restored(field Field, posted, stored json.RawMessage) json.RawMessage {
	var to, from string
	if field.Type != URL || json.Unmarshal(posted, &to) != nil || json.Unmarshal(stored, &from) != nil {
		return posted
	}
	text, wrong := unmaskURL(to, from)
	if wrong != "" {
		return posted
	}
	if whole, err := json.Marshal(text); err == nil {
		return whole
	}
	return posted
}

// maskedURL is [maskURL] of a stored field.
func maskedURL(raw json.RawMessage) json.RawMessage {
	var text string
	_ = json.Unmarshal(raw, &text) // what is no text has nothing to show
	if text == "" {
		return json.RawMessage(`""`)
	}
	shown, err := json.Marshal(maskURL(text))
	if err != nil {
		return json.RawMessage(`""`)
	}
	return shown
}

// opaqueSegments are the secret pieces of a URL's path, as they are plainWord and
// as they are meant.
func opaqueSegments(u *url.URL) []string {
	var found []string
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		if !opaque(segment) {
			continue
		}
		found = append(found, segment)
		if meant, err := url.PathUnescape(segment); err == nil && meant != segment {
			found = append(found, meant)
		}
	}
	return found
}
