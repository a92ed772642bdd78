package conditions

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

func checkGlob(pattern string) error {
	if len(pattern) > MaxPatternBytes {
		return fmt.Errorf("the pattern has %d bytes; at most %d are allowed", len(pattern), MaxPatternBytes)
	}
	return nil
}

// matchGlob reports whether the whole text fits the pattern: * stands for any
// characters, ? for one, everything else for itself, in either case.
//
// A star that was passed is never opened again, so the steps are at most text
// × the longest part between two stars: linear in the text, as [checkGlob]
// bounds the pattern.
func matchGlob(pattern, text string) bool {
	var p, t int
	// Where to go on when the part after the last star does not fit here.
	afterStar, retry := -1, 0
	for t < len(text) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			afterStar, retry = p, t
			continue
		}
		if p < len(pattern) {
			want, wantSize := utf8.DecodeRuneInString(pattern[p:])
			got, gotSize := utf8.DecodeRuneInString(text[t:])
			if want == '?' || want == got || fold(want) == fold(got) {
				p += wantSize
				t += gotSize
				continue
			}
		}
		if afterStar < 0 {
			return false
		}
		_, size := utf8.DecodeRuneInString(text[retry:])
		retry += size
		p, t = afterStar, retry
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// fold maps the forms of a letter that differ in case alone to one of them.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}
