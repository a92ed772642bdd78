package channels

import (
	"strings"
	"unicode/utf16"

	"github.com/carillon-dev/carillon/messages"
)

// Sizes of an SMS: what one message holds, what each of several does that are
// put together again, in septets of GSM-7 and in units of UCS-2, and how much
// Twilio takes.
// https://www.twilio.com/docs/glossary/what-sms-character-limit
const (
	gsmAlone, gsmJoined   = 160, 153
	ucsAlone, ucsJoined   = 70, 67
	maxSMSUnits           = 1600
	gsmEllipsis           = "..." // the one character would turn a text of GSM-7 into UCS-2, which has half the room
	defaultSegments       = 3
	leastSegments         = 1
	mostSegments          = 10
	gsmBasic, gsmExtended = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿" +
		"abcdefghijklmnopqrstuvwxyzäöñüà", "^{}\\[~]|€\f"
)

// toGSM writes common characters that GSM-7 lacks as those that it has.
var toGSM = strings.NewReplacer(
	"‘", "'", "’", "'", "“", `"`, "”", `"`, "«", `"`, "»", `"`, "–", "-", "—", "-", "−", "-", "·", "-", "•", "-", "…", gsmEllipsis,
	"→", "->", "×", "x", "\u00a0", " ", "\u202f", " ", "\t", " ",
)

// isGSM reports whether GSM-7 can write the text.
func isGSM(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune(gsmBasic, r) && !strings.ContainsRune(gsmExtended, r)
	})
}

// segments counts the messages that a text is sent as.
func segments(text string) int {
	if isGSM(text) {
		return packed(text, gsmAlone, gsmJoined, func(r rune) int {
			if strings.ContainsRune(gsmExtended, r) {
				return 2 // an escape before it
			}
			return 1
		})
	}
	return packed(text, ucsAlone, ucsJoined, utf16.RuneLen)
}

// packed counts the messages that a text takes, none of whose characters is
// torn apart.
func packed(text string, alone, joined int, size func(rune) int) int {
	total, count, used := 0, 1, 0
	for _, r := range text {
		n := size(r)
		total += n
		if used+n > joined {
			count, used = count+1, 0
		}
		used += n
	}
	if total <= alone {
		return 1
	}
	return count
}

// smsText is what an SMS says: the title, and the link where there is room.
func smsText(m messages.Message, maxSegments int) string {
	fits := func(text string) bool {
		return segments(text) <= maxSegments && len(utf16.Encode([]rune(text))) <= maxSMSUnits
	}
	end := ellipsis
	if title := toGSM.Replace(m.Title); isGSM(title) {
		m.Title, end = title, gsmEllipsis
	}
	return brief(m, end, fits)
}
