package strict

import (
	"fmt"
	"maps"
	"unicode/utf16"
)

// checkShape reports where a body is not of a shape.
func checkShape(s shape, body []byte) error {
	value, err := Decode(body)
	if err != nil {
		return err
	}
	return s("", value)
}

// upTo is a text of one character to the limit.
func upTo(limit int) shape {
	return func(at string, value any) error {
		text, ok := value.(string)
		if n := len(utf16.Encode([]rune(text))); !ok || n == 0 || n > limit {
			return fmt.Errorf("%s: is no text of 1 to %d characters, but of %d", at, limit, n)
		}
		return nil
	}
}

func isBoolean(at string, value any) error {
	if _, ok := value.(bool); !ok {
		return fmt.Errorf("%s: %v is neither true nor false", at, value)
	}
	return nil
}

// some is a list of one to so many.
func some(limit int, s shape) shape {
	return func(at string, value any) error {
		if list, ok := value.([]any); ok && (len(list) == 0 || len(list) > limit) {
			return fmt.Errorf("%s: has %d entries, not 1 to %d", at, len(list), limit)
		}
		return listOf(s)(at, value)
	}
}

// byType has a shape for each "type" of an object.
type byType map[string]keys

func (b byType) shape(at string, value any) error {
	object, _ := value.(map[string]any)
	kind, _ := object["type"].(string)
	k, ok := b[kind]
	if !ok {
		return fmt.Errorf("%s/type: %q is not known", at, kind)
	}
	k = maps.Clone(k)
	k["type"] = isText
	return k.shape(at, value)
}

// The shapes of messages and their blocks.
// https://docs.slack.dev/reference/block-kit/blocks
var (
	slackHooked = slackMessageKeys(keys{
		"channel?": isText, "username?": isText, "icon_emoji?": isText, "icon_url?": isText, "unfurl_links?": isBoolean, "unfurl_media?": isBoolean,
	})
	slackPosted = slackMessageKeys(keys{
		"channel": isText, "username?": isText, "icon_emoji?": isText, "icon_url?": isText, "unfurl_links?": isBoolean, "unfurl_media?": isBoolean,
		"thread_ts?": isText, "reply_broadcast?": isBoolean, "client_msg_id?": matches(uuidPattern),
	})
	slackUpdated = slackMessageKeys(keys{"channel": isText, "ts": isText})
)

func slackMessageKeys(more keys) shape {
	text := func(limit int) shape {
		return byType{
			"plain_text": {"text": upTo(limit), "emoji?": isBoolean},
			"mrkdwn":     {"text": isEscaped(upTo(limit)), "verbatim?": isBoolean},
		}.shape
	}
	blocks := some(50, byType{
		"header":  {"text": byType{"plain_text": {"text": upTo(150), "emoji?": isBoolean}}.shape},
		"section": {"text?": text(3000), "fields?": some(10, text(2000))},
		"context": {"elements": some(10, text(3000))},
	}.shape)
	attachment := keys{"color": matches("#[0-9A-F]{6}"), "fallback": upTo(4000), "blocks": blocks}
	k := keys{"text": isEscaped(upTo(4000)), "blocks": blocks, "attachments": listOf(attachment.shape)}
	maps.Copy(k, more)
	return k.shape
}

// isEscaped refuses mrkdwn in which something could be a mention: what is in
// angle brackets must be a link or a date, and "&" begins an escape.
func isEscaped(s shape) shape {
	bare := matches(`(?s)(?:[^<>&]|&(?:amp|lt|gt);|<https?://[^<>|\s]+\|[^<>|]+>|<!date\^\d+\^[^<>|]+\|[^<>|]+>)*`)
	return func(at string, value any) error {
		if err := bare(at, value); err != nil {
			return err
		}
		return s(at, value)
	}
}
