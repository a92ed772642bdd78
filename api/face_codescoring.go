package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
)

// codeScoringFace is CodeScoring's API for webhooks, in the manner of Django
// REST framework, with which CodeScoring is made.
var codeScoringFace = face{
	product: catalog.CodeScoring, prefix: "/api/settings/webhooks",
	secret: codeScoringSecret,
	fail:   failCodeScoring,
}

func codeScoringSecret(c echo.Context) string { return authorization(c, "Token", "Bearer") }

// testTrigger is CodeScoring's for trying a webhook out; nobody subscribes to it.
const testTrigger = "test"

// codeScoringWebhook is the object of its API.
type codeScoringWebhook struct {
	ID       int64    `json:"id"`
	Name     string   `json:"name"`
	URL      string   `json:"url"`
	Projects []int64  `json:"projects"`
	Events   []string `json:"events"`
	// Token is masked.
	Token       string `json:"token"`
	IsAvailable bool   `json:"is_available"`
}

// codeScoringRefreshed is the object after a probe; Detail says why it failed.
type codeScoringRefreshed struct {
	codeScoringWebhook
	Detail string `json:"detail,omitempty"`
}

// codeScoringTested answers a test.
type codeScoringTested struct {
	IsAvailable bool   `json:"is_available"`
	StatusCode  int    `json:"status_code,omitempty"`
	Detail      string `json:"detail,omitempty"`
}

// codeScoringTriggers lists the triggers that one can subscribe to.
func codeScoringTriggers() []string {
	var names []string
	for _, t := range catalog.ProductTypes(catalog.CodeScoring) {
		if t.Name != testTrigger && !slices.Contains(names, t.Name) {
			names = append(names, t.Name)
		}
	}
	return names
}

func (s *Server) viewCodeScoring(sub numbered) codeScoringWebhook {
	v := codeScoringWebhook{
		ID: sub.number, Name: sub.Name, Projects: sub.Match.ProjectIDs, Events: []string{},
		IsAvailable: sub.State == carillon.Enabled,
	}
	if v.Projects == nil {
		v.Projects = []int64{}
	}
	for _, t := range catalog.ProductTypes(catalog.CodeScoring) {
		if t.Name != testTrigger && !slices.Contains(v.Events, t.Name) && sub.MatchesType(t.Type) {
			v.Events = append(v.Events, t.Name)
		}
	}
	var endpoint struct{ URL, Token string }
	// What a channel redacts is an object of its own fields.
	_ = json.Unmarshal(s.viewSubscription(sub.Subscription).Endpoint, &endpoint)
	v.URL, v.Token = endpoint.URL, endpoint.Token
	return v
}

// readCodeScoring reads an object of its API as a patch of a subscription. all
// says that what is not given is not meant.
func readCodeScoring(body json.RawMessage, all bool) (patch map[string]any, id int64, err error) {
	given, ok := members(body)
	if !ok {
		return nil, 0, carillon.Invalid("", "Invalid data. Expected a dictionary.")
	}
	f := fieldErrors{}
	patch = map[string]any{}
	endpoint := map[string]any{}
	for _, name := range []string{"name", "url", "token"} {
		text, problem := readDRFText(given, name, all && name != "token", name == "token")
		switch {
		case problem != "":
			f.wrong(name, problem)
		case text == nil && all && name == "token":
			endpoint[name] = nil
		case text == nil:
		case name == "name":
			patch[name] = *text
		case *text == "": // only a token can be
			endpoint[name] = nil
		default:
			endpoint[name] = *text
		}
	}
	patch["endpoint"] = endpoint
	if events, problem := readDRFList[string](given, "events", "string", all); problem != "" {
		f.wrong("events", problem)
	} else if events != nil {
		patch["event_types"] = codeScoringTypes(f, events)
	}
	projects, problem := readDRFList[int64](given, "projects", "integer", false)
	switch {
	case problem != "":
		f.wrong("projects", problem)
	case len(projects) > 0:
		patch["match"] = map[string]any{"project_ids": projects}
	case projects != nil || all: // empty: all projects
		patch["match"] = map[string]any{"project_ids": nil}
	}
	if raw, ok := given["id"]; ok {
		_ = json.Unmarshal(raw, &id) // read-only: what is no number names none
	}
	return patch, id, f.done()
}

// codeScoringTypes are the event types of triggers.
func codeScoringTypes(f fieldErrors, events []string) []string {
	known := codeScoringTriggers()
	types := []string{}
	for _, trigger := range events {
		if !slices.Contains(known, trigger) {
			f.wrong("events", fmt.Sprintf("%q is not a valid choice.", carillon.Clip(trigger, maxNameBytes)))
			continue
		}
		for _, t := range catalog.ProductTypes(catalog.CodeScoring) {
			if t.Name == trigger && !slices.Contains(types, t.Type) {
				types = append(types, t.Type)
			}
		}
	}
	if len(events) == 0 {
		f.wrong("events", "This list may not be empty.")
	}
	return types
}

func (s *Server) listCodeScoring(c echo.Context) error {
	subs, err := s.numberedSubscriptions(c.Request().Context(), &codeScoringFace)
	if err != nil {
		return err
	}
	views := make([]codeScoringWebhook, len(subs))
	for i, sub := range subs {
		views[i] = s.viewCodeScoring(sub)
	}
	return answer(c, http.StatusOK, views)
}

func (s *Server) triggersCodeScoring(c echo.Context) error {
	return answer(c, http.StatusOK, codeScoringTriggers())
}

func (s *Server) createCodeScoring(c echo.Context) error {
	body, err := s.bodyCodeScoring(c)
	if err != nil {
		return err
	}
	sub, err := s.createNumbered(c, &codeScoringFace, body)
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, s.viewCodeScoring(sub))
}

// bodyCodeScoring reads a whole object as the body of a new subscription.
func (s *Server) bodyCodeScoring(c echo.Context) (json.RawMessage, error) {
	posted, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return nil, err
	}
	patch, _, err := readCodeScoring(posted, true)
	if err != nil {
		return nil, err
	}
	return newFaceBody(catalog.CodeScoring, patch)
}

// newFaceBody makes a patch the body of a new subscription of a product's
// format and, where there is one, its profile.
func newFaceBody(product string, patch map[string]any) (json.RawMessage, error) {
	patch["channel"] = webhookChannel
	if patch["format"] == nil {
		patch["format"] = product
	}
	if _, ok := carillon.LookupProfile(product); ok {
		patch["profile"] = product
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	return applyPatch(struct{}{}, text) // what is null is not there
}

// codeScoringID reads the number in a path.
func codeScoringID(c echo.Context) (int64, error) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return 0, carillon.Errorf(carillon.CodeNotFound, "there is no webhook with this id")
	}
	return id, nil
}

func (s *Server) getCodeScoring(c echo.Context) error {
	id, err := codeScoringID(c)
	if err != nil {
		return err
	}
	sub, err := s.numberedSubscription(c.Request().Context(), &codeScoringFace, id)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, s.viewCodeScoring(sub))
}

func (s *Server) putCodeScoring(c echo.Context) error { return s.changeCodeScoring(c, true) }

func (s *Server) patchCodeScoring(c echo.Context) error { return s.changeCodeScoring(c, false) }

func (s *Server) changeCodeScoring(c echo.Context, all bool) error {
	id, err := codeScoringID(c)
	if err != nil {
		return err
	}
	if _, err := s.numberedSubscription(c.Request().Context(), &codeScoringFace, id); err != nil {
		return err
	}
	posted, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	changes, _, err := readCodeScoring(posted, all)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	sub, err := s.updateNumbered(c, &codeScoringFace, id, func(carillon.Subscription) (json.RawMessage, error) { return patch, nil })
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, s.viewCodeScoring(sub))
}

func (s *Server) deleteCodeScoring(c echo.Context) error {
	id, err := codeScoringID(c)
	if err != nil {
		return err
	}
	if err := s.deleteNumbered(c, &codeScoringFace, id); err != nil {
		return err
	}
	return noContent(c)
}

// refreshCodeScoring probes a webhook, and enables it when the probe is taken.
func (s *Server) refreshCodeScoring(c echo.Context) error {
	id, err := codeScoringID(c)
	if err != nil {
		return err
	}
	sub, err := s.numberedSubscription(c.Request().Context(), &codeScoringFace, id)
	if err != nil {
		return err
	}
	attempt, err := s.probe(c, sub.Subscription)
	if err != nil {
		return err
	}
	if attempt.Outcome != carillon.OutcomeDelivered {
		return answer(c, http.StatusOK, codeScoringRefreshed{s.viewCodeScoring(sub), "The webhook did not take the probe: " + attempt.Error})
	}
	if sub, err = s.enableNumbered(c, &codeScoringFace, id); err != nil {
		return err
	}
	return answer(c, http.StatusOK, codeScoringRefreshed{codeScoringWebhook: s.viewCodeScoring(sub)})
}

// testCodeScoring tries an object that is not saved; with the id of one that
// is, a masked token is that one's.
func (s *Server) testCodeScoring(c echo.Context) error {
	posted, err := readBody(c, maxConfigBytes, onlyJSON)
	if err != nil {
		return err
	}
	patch, id, err := readCodeScoring(posted, false)
	if err != nil {
		return err
	}
	var current *carillon.Subscription
	if id != 0 {
		saved, err := s.numberedSubscription(c.Request().Context(), &codeScoringFace, id)
		if err != nil && carillon.CodeOf(err) != carillon.CodeNotFound {
			return err
		}
		if err == nil {
			current = &saved.Subscription
		}
	}
	if patch["name"] == nil {
		patch["name"] = testTrigger
	}
	if patch["event_types"] == nil {
		patch["event_types"] = []string{pingType}
	}
	body, err := newFaceBody(catalog.CodeScoring, patch)
	if err != nil {
		return err
	}
	sub, _, err := s.readSubscription(c.Request().Context(), body, current)
	if err != nil {
		return err
	}
	if current != nil { // which the object has no word for
		sub.Scope = current.Scope
	}
	if err := carillon.ConfinementOf(c.Request().Context()).CheckAll(sub.Scope); err != nil {
		return err
	}
	if err := s.consented(c.Request().Context(), &sub); err != nil {
		return err
	}
	attempt, err := s.probe(c, sub)
	if err != nil {
		return err
	}
	view := codeScoringTested{IsAvailable: attempt.Outcome == carillon.OutcomeDelivered, Detail: attempt.Error}
	if attempt.Response != nil {
		view.StatusCode = attempt.Response.Status
	}
	if !view.IsAvailable {
		return answer(c, http.StatusBadRequest, view)
	}
	return answer(c, http.StatusOK, view)
}

// codeScoringFields are what its API calls the places of a subscription.
var codeScoringFields = []struct{ pointer, field string }{
	{"/name", "name"}, {"/endpoint/url", "url"}, {"/endpoint/token", "token"},
	{"/match/project_ids", "projects"}, {"/event_types", "events"}, {"/endpoint", "url"},
}

// failCodeScoring answers as Django REST framework does: "detail", or what is
// wrong with each field.
// https://www.django-rest-framework.org/api-guide/exceptions/
func failCodeScoring(c echo.Context, p problem) error {
	detail := map[carillon.Code]string{
		carillon.CodeNotFound:     "Not found.",
		carillon.CodeForbidden:    "You do not have permission to perform this action.",
		carillon.CodeUnauthorized: "Invalid token.",
		codeMethod:                fmt.Sprintf("Method %q not allowed.", c.Request().Method),
		codeMediaType:             fmt.Sprintf("Unsupported media type %q in request.", c.Request().Header.Get(echo.HeaderContentType)),
	}[p.Code]
	if p.Code == carillon.CodeUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", "Token")
		if codeScoringSecret(c) == "" {
			detail = "Authentication credentials were not provided."
		}
	}
	if p.Code != carillon.CodeInvalid {
		if detail == "" {
			detail = p.Detail
		}
		return answer(c, p.Status, map[string]string{"detail": detail})
	}
	f := fieldErrors{}
	for _, e := range p.Errors {
		if e.Line > 0 && !strings.HasPrefix(e.Pointer, "/match") {
			return answer(c, http.StatusBadRequest, map[string]string{"detail": "JSON parse error - " + e.Detail})
		}
		f.wrong(codeScoringField(e.Pointer), e.Detail)
	}
	if len(f) == 0 {
		f.wrong(nonFieldErrors, p.Detail)
	}
	return answer(c, http.StatusBadRequest, f)
}

func codeScoringField(pointer string) string {
	for _, known := range codeScoringFields {
		if pointer == known.pointer || strings.HasPrefix(pointer, known.pointer+"/") {
			return known.field
		}
	}
	if name, ok := strings.CutPrefix(pointer, drfPrefix); ok {
		return name
	}
	return nonFieldErrors
}
