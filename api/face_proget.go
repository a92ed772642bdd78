package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// proGetFace is the API that ProGet had for its webhooks.
var proGetFace = face{
	product: catalog.ProGet, prefix: "/api/webhooks/",
	secret: func(c echo.Context) string {
		if key := c.QueryParam("key"); key != "" {
			return key
		}
		if key := c.Request().Header.Get("X-ApiKey"); key != "" {
			return key
		}
		return authorization(c, "Bearer")
	},
	fail: failProGet, shown: showsProGet,
}

// proGetWebhook is the object of its API.
type proGetWebhook struct {
	Name string `json:"name"`
	ID   int64  `json:"id"`
	// FeedID is a feed's name; null for all feeds.
	FeedID *string `json:"feedId"`
	URL    string  `json:"url"`
	// Event has the names of several events with commas between them.
	Event string `json:"event"`
	// Condition is an expression of Carillon's, or a predicate of ProGet's, which
	// becomes one; null for none.
	Condition *string       `json:"condition"`
	Payload   proGetPayload `json:"payload"`
}

type proGetPayload struct {
	Method string `json:"method"`
	// Headers are masked.
	Headers map[string]string `json:"headers"`
	// Content is OtterScript; null for the product's default content.
	Content *string `json:"content"`
}

func (s *Server) viewProGet(sub numbered) proGetWebhook {
	v := proGetWebhook{Name: sub.Name, ID: sub.number}
	if feeds := strings.Join(sub.Scope[feedKey], ","); feeds != "" {
		v.FeedID = &feeds
	}
	if sub.Condition != "" {
		v.Condition = &sub.Condition
	}
	var events []string
	for _, t := range catalog.ProductTypes(catalog.ProGet) {
		if name := strings.ToLower(t.Name); !slices.Contains(events, name) && sub.MatchesType(t.Type) {
			events = append(events, name)
		}
	}
	v.Event = strings.Join(events, ",")
	v.URL, v.Payload = s.viewProGetPayload(sub.Subscription)
	return v
}

// readProGet reads an object of its API as a patch of a subscription, which
// current is; nil for a new one.
func (s *Server) readProGet(body json.RawMessage, current *carillon.Subscription) (map[string]any, error) {
	all := current == nil
	f := readFields("", body)
	f.raw("id") // given by Carillon
	patch, endpoint := map[string]any{}, map[string]any{}
	if all || f.has("name") {
		patch["name"] = f.required("name", maxNameBytes)
	}
	if all || f.has("url") {
		endpoint["url"] = f.required("url", maxConfigBytes)
	}
	if all || f.has("event") {
		patch["event_types"] = proGetTypes(f, f.required("event", maxNameBytes))
	}
	if raw, given := f.members["feedId"]; given {
		f.raw("feedId")
		patch["scope"] = map[string]any{feedKey: proGetFeeds(f, raw)}
	}
	if _, given := f.members["condition"]; given {
		patch["condition"] = s.readProGetCondition(f)
	}
	if raw := f.raw("payload"); raw != nil {
		// It makes no errors but about the input.
		_ = f.include("payload", s.readProGetPayload(raw, current, patch, endpoint))
	}
	patch["endpoint"] = endpoint
	return patch, f.done()
}

func proGetFeeds(f *fields, raw json.RawMessage) any {
	var value any
	_ = json.Unmarshal(raw, &value) // it was read as JSON before
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		if v == "" {
			return nil
		}
		return strings.Split(v, ",")
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	}
	f.wrong("feedId", "must be the name of a feed, or null for all")
	return nil
}

func proGetTypes(f *fields, events string) []string {
	var types, known []string
	for _, t := range catalog.ProductTypes(catalog.ProGet) {
		if name := strings.ToLower(t.Name); !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	for name := range strings.SplitSeq(strings.ToLower(events), ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(known, name) {
			f.wrong("event", "must be one or several of %s, with commas between them", strings.Join(known, ", "))
			return nil
		}
		for _, t := range catalog.ProductTypes(catalog.ProGet) {
			if strings.EqualFold(t.Name, name) && !t.OneWay && !slices.Contains(types, t.Type) {
				types = append(types, t.Type)
			}
		}
	}
	return types
}

func (s *Server) listProGet(c echo.Context) error {
	feed := c.QueryParam("feedId")
	subs, err := s.numberedSubscriptions(c.Request().Context(), &proGetFace)
	if err != nil {
		return err
	}
	views := []proGetWebhook{}
	for _, sub := range subs {
		if feed == "" || slices.Contains(sub.Scope[feedKey], feed) {
			views = append(views, s.viewProGet(sub))
		}
	}
	return answer(c, http.StatusOK, views)
}

func (s *Server) createProGet(c echo.Context) error {
	posted, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	patch, err := s.readProGet(posted, nil)
	if err != nil {
		return err
	}
	body, err := newFaceBody(catalog.ProGet, patch)
	if err != nil {
		return err
	}
	sub, err := s.createNumbered(c, &proGetFace, body)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, s.viewProGet(sub))
}

// proGetID reads the number in the query.
func proGetID(c echo.Context) (int64, error) {
	id, err := strconv.ParseInt(c.QueryParam("id"), 10, 64)
	if err != nil {
		return 0, carillon.Errorf(carillon.CodeInvalid, "the query parameter id must be the number of a webhook")
	}
	return id, nil
}

func (s *Server) editProGet(c echo.Context) error {
	id, err := proGetID(c)
	if err != nil {
		return err
	}
	posted, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	sub, err := s.updateNumbered(c, &proGetFace, id, func(current carillon.Subscription) (json.RawMessage, error) {
		changes, err := s.readProGet(posted, &current)
		if err != nil {
			return nil, err
		}
		return json.Marshal(changes)
	})
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, s.viewProGet(sub))
}

func (s *Server) removeProGet(c echo.Context) error {
	id, err := proGetID(c)
	if err != nil {
		return err
	}
	if err := s.deleteNumbered(c, &proGetFace, id); err != nil {
		return err
	}
	return plain(c, http.StatusOK, "Webhook deleted.")
}

// failProGet answers a text, with the statuses that ProGet's page has.
func failProGet(c echo.Context, p problem) error {
	status, text := p.Status, p.Detail
	switch p.Status {
	case http.StatusUnauthorized:
		status = http.StatusForbidden
	case http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge:
		status = http.StatusBadRequest
	case http.StatusNotFound:
		if strings.HasSuffix(c.Path(), "/delete") {
			status = http.StatusBadRequest
		}
	}
	for _, e := range p.Errors {
		text += "\n" + strings.TrimPrefix(e.Pointer, "/") + ": " + e.Detail
	}
	return plain(c, status, text)
}
