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
	fail: failProGet,
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
	// Condition is an expression of Carillon's; null for none.
	Condition *string       `json:"condition"`
	Payload   proGetPayload `json:"payload"`
}

type proGetPayload struct {
	Method string `json:"method"`
	// Headers are masked.
	Headers map[string]string `json:"headers"`
	// Content is null: the product's default content is sent.
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
	var endpoint struct {
		URL     string
		Method  string
		Headers map[string]string
	}
	// What a channel redacts is an object of its own fields.
	_ = json.Unmarshal(s.viewSubscription(sub.Subscription).Endpoint, &endpoint)
	v.URL, v.Payload.Method, v.Payload.Headers = endpoint.URL, endpoint.Method, endpoint.Headers
	if v.Payload.Headers == nil {
		v.Payload.Headers = map[string]string{}
	}
	return v
}

// readProGet reads an object of its API as a patch of a subscription. all says
// that it is a new one.
func readProGet(body json.RawMessage, all bool) (map[string]any, error) {
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
		patch["condition"] = f.free("condition", maxConditionBytes)
	}
	if raw := f.raw("payload"); raw != nil {
		p := readFields("/payload", raw)
		if p.has("method") {
			endpoint["method"] = strings.ToUpper(p.text("method", maxNameBytes))
		}
		if raw := p.raw("headers"); raw != nil {
			endpoint["headers"] = proGetHeaders(p, raw, endpoint)
		}
		if content := p.free("content", maxConfigBytes); content != "" {
			p.wrong("content", "is not taken here: leave it out for the default content, or post the subscription to "+
				"/v1/subscriptions with the format custom")
		}
		p.raw("method")
		// done makes no errors but about the input.
		_ = f.include("payload", p.done())
	}
	patch["endpoint"] = endpoint
	return patch, f.done()
}

// proGetHeaders reads headers. The content type is the format's to set.
func proGetHeaders(p *fields, raw json.RawMessage, endpoint map[string]any) map[string]any {
	headers := map[string]any{}
	var given map[string]string
	if err := json.Unmarshal(raw, &given); err != nil {
		p.wrong("headers", "must be an object of strings")
		return nil
	}
	for _, name := range sortedKeys(given) {
		switch token, isBearer := strings.CutPrefix(given[name], "Bearer "); {
		case strings.EqualFold(name, "Content-Type") && strings.HasPrefix(given[name], echo.MIMEApplicationJSON):
		case strings.EqualFold(name, "Authorization") && isBearer:
			endpoint["bearer_token"] = token
		default:
			headers[name] = given[name]
		}
	}
	return headers
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
	patch, err := readProGet(posted, true)
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
	if _, err := s.numberedSubscription(c.Request().Context(), &proGetFace, id); err != nil {
		return err
	}
	posted, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	changes, err := readProGet(posted, false)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	sub, err := s.updateNumbered(c, &proGetFace, id, patch)
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
