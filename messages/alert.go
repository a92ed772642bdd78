package messages

import (
	"strings"
	"time"

	"github.com/carillon-dev/carillon"
)

// Alert is the message as an alert about an event: its facts are lines below the
// text.
func (m Message) Alert(e carillon.Event, at time.Time) carillon.Alert {
	lines := make([]string, 0, 1+len(m.Facts))
	if m.Text != "" {
		lines = append(lines, m.Text)
	}
	for _, fact := range m.Facts {
		lines = append(lines, fact.Label+": "+fact.Value)
	}
	link := m.Link.URL
	if len(link) > carillon.MaxAlertLinkBytes {
		link = "" // a part of it would lead elsewhere
	}
	return carillon.Alert{
		EventID: e.ID, EventType: e.Type, Level: string(m.Level), Title: m.Title, Text: strings.Join(lines, "\n"), Link: link, At: at,
	}
}
