package channels

import (
	"html"
	"maps"
	"strings"

	"github.com/carillon-dev/carillon/messages"
)

// object is an object of JSON, which writes its keys in their order.
type object map[string]any

// adaptiveMessage is a message with one Adaptive Card.
//
// All texts are in text runs, which know no Markdown: a package called
// "__init__" stays as it is, and none brings a link of its own. That is why the
// facts are columns and no FactSet.
// https://adaptivecards.io/explorer/TextRun.html
func adaptiveMessage(m messages.Message) any {
	body := []object{{
		"type": "Container", "style": cardStyle(m.Level), "bleed": true,
		"items": []object{textRun(m.Title, object{"weight": "Bolder", "size": "Medium"})},
	}}
	for line := range strings.Lines(m.Text) {
		if line = strings.TrimSpace(line); line != "" {
			body = append(body, textRun(line, nil))
		}
	}
	for i, fact := range m.Facts {
		spacing := "Small"
		if i == 0 {
			spacing = "Medium"
		}
		body = append(body, object{"type": "ColumnSet", "spacing": spacing, "columns": []object{
			{"type": "Column", "width": 1, "items": []object{textRun(fact.Label, object{"isSubtle": true})}},
			{"type": "Column", "width": 3, "items": []object{textRun(fact.Value, nil)}},
		}})
	}
	card := object{
		"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
		"fallbackText": m.Title, "body": body,
	}
	if m.Link.URL != "" {
		card["actions"] = []object{{"type": "Action.OpenUrl", "title": linkLabel(m.Link), "url": m.Link.URL}}
	}
	return object{
		"type": "message",
		"attachments": []object{{
			"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": card,
		}},
	}
}

// textRun is a block of text that looks as look says.
func textRun(text string, look object) object {
	run := object{"type": "TextRun", "text": text}
	maps.Copy(run, look)
	return object{"type": "RichTextBlock", "inlines": []object{run}}
}

func linkLabel(l messages.Link) string {
	if l.Label == "" {
		return "Open"
	}
	return l.Label
}

// cardStyle is the colour of a card's head, of the few that Adaptive Cards have.
func cardStyle(l messages.Level) string {
	switch l {
	case messages.Good:
		return "good"
	case messages.Warning, messages.High:
		return "warning"
	case messages.Failed, messages.Critical:
		return "attention"
	case messages.Neutral:
	}
	return "emphasis"
}

// messageCard is the card of connectors.
// https://learn.microsoft.com/outlook/actionable-messages/message-card-reference
func messageCard(m messages.Message) any {
	facts := make([]object, len(m.Facts))
	for i, fact := range m.Facts {
		facts[i] = object{"name": asHTML(fact.Label), "value": asHTML(fact.Value)}
	}
	// Without Markdown a section's texts are HTML.
	section := object{"markdown": false, "facts": facts}
	if m.Text != "" {
		section["text"] = strings.ReplaceAll(asHTML(m.Text), "\n", "<br>")
	}
	card := object{
		"@type": "MessageCard", "@context": "https://schema.org/extensions", "themeColor": m.Level.Colour(),
		"summary": m.Title, "title": m.Title, "sections": []object{section},
	}
	if m.Link.URL != "" {
		card["potentialAction"] = []object{{
			"@type": "OpenUri", "name": linkLabel(m.Link), "targets": []object{{"os": "default", "uri": m.Link.URL}},
		}}
	}
	return card
}

func asHTML(text string) string { return html.EscapeString(text) }
