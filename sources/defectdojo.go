package sources

import (
	"context"
	"fmt"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// defectDojo understands DefectDojo's webhooks: a header names the event, the
// body is the event's data as it is.
// https://docs.defectdojo.com/en/open_source/notification_webhooks/how_to/
type defectDojo struct{}

// eventHeader is where DefectDojo names the event.
const eventHeader = "X-DefectDojo-Event"

// Kind returns "defectdojo".
func (defectDojo) Kind() string { return catalog.DefectDojo }

// Events reads one notification. DefectDojo gives it neither an id nor a time,
// and sends it once.
func (d defectDojo) Events(_ context.Context, in Upstream, _ Memory) ([]carillon.Event, error) {
	event := in.Header.Get(eventHeader)
	return collectOne(in, func(body map[string]any) (news, string) {
		n, reason := d.read(event, body)
		n.id = toldOnce(in)
		return n, reason
	})
}

func (defectDojo) read(event string, body map[string]any) (n news, reason string) {
	eventType, ok := catalog.TypeOf(catalog.DefectDojo, event)
	switch {
	case event == "":
		return n, "there is no header " + eventHeader
	case !ok:
		return n, fmt.Sprintf("the event %q is not known", carillon.Clip(event, carillon.MaxTypeBytes))
	}
	n.eventType, n.data = eventType, body
	user, _ := body["user"].(map[string]any)
	product, _ := body["product"].(map[string]any)
	n.actor = text(user, "username")
	n.scope = map[string]string{"product": text(product, "name")}
	return n, ""
}
