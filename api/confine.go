package api

import (
	"context"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
)

// confinedRoutes are what a key with a scope may use, if its role may: routes
// that show and change what is in the database under the request's context,
// which is confined, or that show nothing of it. A route that is not here is
// refused such keys, so that a new one is safe until somebody thought of it.
// What each does is in the matrix of rights_test.go.
var confinedRoutes = routeSet(`
	POST /v1/events
	POST /v1/events/batch
	GET /v1/events
	GET /v1/events/:id
	GET /v1/events/:id/deliveries/:subscription
	POST /v1/events/:id/deliveries/:subscription/retry-now
	POST /v1/events/:id/deliveries/:subscription/cancel
	POST /v1/events/:id/deliveries/:subscription/redeliver
	GET /v1/deliveries

	GET /v1/event-types
	GET /v1/event-types/:type
	GET /v1/formats
	GET /v1/channels
	POST /v1/messages/preview
	GET /v1/profiles
	POST /v1/conditions/evaluate
	POST /v1/templates/preview
	POST /v1/templates/import/proget

	GET /v1/subscriptions
	POST /v1/subscriptions
	POST /v1/subscriptions/test
	GET /v1/subscriptions/:id
	PUT /v1/subscriptions/:id
	PATCH /v1/subscriptions/:id
	DELETE /v1/subscriptions/:id
	GET /v1/subscriptions/:id/deliveries
	POST /v1/subscriptions/:id/test
	POST /v1/subscriptions/:id/enable
	POST /v1/subscriptions/:id/pause
	POST /v1/subscriptions/:id/disable
	POST /v1/subscriptions/:id/recover
	GET /v1/subscriptions/:id/recover
	DELETE /v1/subscriptions/:id/recover
	POST /v1/subscriptions/:id/rotate-secret

	GET /v1/sources
	POST /v1/sources
	GET /v1/sources/:name
	PUT /v1/sources/:name
	PATCH /v1/sources/:name
	DELETE /v1/sources/:name
	POST /v1/sources/:name/events

	GET /api/settings/webhooks/
	POST /api/settings/webhooks/
	POST /api/settings/webhooks/test/
	GET /api/settings/webhooks/triggers/
	GET /api/settings/webhooks/:id/
	PUT /api/settings/webhooks/:id/
	PATCH /api/settings/webhooks/:id/
	DELETE /api/settings/webhooks/:id/
	POST /api/settings/webhooks/:id/refresh_availability_status/

	GET /api/webhooks/list
	PUT /api/webhooks/create
	POST /api/webhooks/create
	PUT /api/webhooks/edit
	PATCH /api/webhooks/edit
	POST /api/webhooks/edit
	POST /api/webhooks/delete
	DELETE /api/webhooks/delete
`)

// routeSet reads a list of routes, one a line.
func routeSet(lines string) map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			set[line] = true
		}
	}
	return set
}

// confine limits the request to the scope of its key, or refuses the key.
func confine(c echo.Context, key carillon.Key) (context.Context, error) {
	ctx := context.WithValue(c.Request().Context(), callerKey{}, key)
	if len(key.Scope) == 0 {
		return ctx, nil
	}
	if !confinedRoutes[c.Request().Method+" "+c.Path()] {
		return nil, carillon.Errorf(carillon.CodeForbidden, "a key that is limited to a scope may not do that, whatever its role")
	}
	return carillon.Confine(ctx, key.Scope), nil
}

// mayName refuses a publisher's key that is not for the source, whether or not
// there is one of that name.
func mayName(ctx context.Context, source string) error {
	key, ok := callerOf(ctx)
	if !ok || key.Role != carillon.RolePublisher && len(key.Sources) == 0 ||
		slices.ContainsFunc(key.Sources, func(s string) bool { return strings.EqualFold(s, source) }) {
		return nil
	}
	// A source that is none of the key's: its refusal says which are.
	return key.MayPublish("", nil)
}

// past returns the error for an event that is not there, unless the event,
// which was read from the history of its run, is within what the request is
// confined to.
func past(ctx context.Context, pub *carillon.Publication, notFound error) error {
	if !carillon.ConfinementOf(ctx).Holds(pub.Event.Scope) {
		return notFound
	}
	return nil
}
