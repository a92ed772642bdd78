package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
)

// class says what a route is about, and so what a key with a scope gets of it.
type class int

const (
	// public: it asks for no key.
	public class = iota + 1
	// global: it is about what belongs to nobody alone, such as keys and
	// settings. Keys with a scope are refused, whatever their role.
	global
	// static: it is the same for all, and shows nothing of the database.
	static
	// list: it shows many; what is outside the scope is in none of its pages.
	list
	// object: its path, or a query parameter id, names one. What is outside the
	// scope is answered as if it were not there.
	object
	// creates: its body says what it makes, with a scope. One that is wider than
	// the key's is refused.
	creates
	// asks: its body names objects that are there.
	asks
)

// right is a line of the matrix.
type right struct {
	class class
	// body is a valid one, about the objects; nil where there is none.
	body func(o objects) string
	// wider is a body that gives the object a scope outside the key's.
	wider string
	// references are the members of the body that name objects: event,
	// subscription or number. Others that look like ids are in noReferences.
	references, noReferences []string
	// mute: the body has no word for a scope, so that keys with one make nothing.
	mute bool
	// keeps: the same object can be used again and again.
	keeps bool
	// stream: the answer does not end, so that only those ask who are refused.
	stream bool
}

const noLine = `the matrix of rights has no line for %[1]q.
Add it to rights in api/rights_test.go:
	%[1]q: {class: …},
with the class that it is of (see class); global is right for configuration. Where its class is another, keys with a
scope may use it: then add the route to confinedRoutes in api/confine.go, and read and change the database under the
request's context, so that the store keeps to the key's scope.`

// rights is the matrix: what each operation of the description is about. Who
// may use it by role is in the table of auth_test.go.
var rights = map[string]right{
	"GET /livez":        {class: public},
	"GET /readyz":       {class: public},
	"GET /metrics":      {class: public},
	"GET /openapi.json": {class: public},

	"POST /v1/events":                               {class: creates, body: newEvent, noReferences: []string{"id"}},
	"POST /v1/events/batch":                         {class: creates, body: newEvents, noReferences: []string{"events.id"}},
	"GET /v1/events":                                {class: list},
	"GET /v1/events/{id}":                           {class: object},
	"GET /v1/deliveries":                            {class: list},
	"GET /v1/events/{id}/deliveries/{subscription}": {class: object},
	"POST /v1/events/{id}/deliveries/{subscription}/retry-now": {class: object},
	"POST /v1/events/{id}/deliveries/{subscription}/cancel":    {class: object},
	"POST /v1/events/{id}/deliveries/{subscription}/redeliver": {class: object},

	"GET /v1/event-types":              {class: static},
	"GET /v1/event-types/{type}":       {class: static},
	"GET /v1/formats":                  {class: static},
	"GET /v1/channels":                 {class: static},
	"POST /v1/messages/preview":        {class: asks, body: newMessagePreview, references: []string{"event_id"}, noReferences: []string{"event.id"}},
	"GET /v1/profiles":                 {class: static},
	"POST /v1/templates/import/proget": {class: static, body: func(objects) string { return `{"content":"{\"a\":\"$b\"}"}` }},
	"POST /v1/conditions/evaluate":     {class: asks, body: newQuestion, references: []string{"event_id", "subscription"}, noReferences: []string{"event.id"}},
	"POST /v1/templates/preview":       {class: asks, body: newPreview, references: []string{"event_id"}, noReferences: []string{"event.id"}},
	"POST /v1/subscriptions/test":      {class: creates, body: newWebhook, noReferences: webhookIDs},
	"POST /v1/subscriptions/{id}/test": {class: object, keeps: true},

	"GET /v1/subscriptions":                     {class: list},
	"POST /v1/subscriptions":                    {class: creates, body: newWebhook, noReferences: webhookIDs},
	"GET /v1/subscriptions/{id}":                {class: object},
	"PUT /v1/subscriptions/{id}":                {class: object, body: sameWebhook, wider: newWebhook(objects{tenant: zzForeign, receiver: "https://example.com"}), noReferences: webhookIDs},
	"PATCH /v1/subscriptions/{id}":              {class: object, body: renamed, wider: `{"scope":{"feed":["zzown","zzforeign"]}}`, noReferences: webhookIDs},
	"DELETE /v1/subscriptions/{id}":             {class: object},
	"GET /v1/subscriptions/{id}/deliveries":     {class: list},
	"POST /v1/subscriptions/{id}/enable":        {class: object},
	"POST /v1/subscriptions/{id}/pause":         {class: object},
	"POST /v1/subscriptions/{id}/disable":       {class: object},
	"POST /v1/subscriptions/{id}/recover":       {class: object, body: func(objects) string { return `{"states":["failed"]}` }},
	"GET /v1/subscriptions/{id}/recover":        {class: object},
	"DELETE /v1/subscriptions/{id}/recover":     {class: object},
	"POST /v1/subscriptions/{id}/rotate-secret": {class: object},

	"GET /v1/sources":                {class: list},
	"POST /v1/sources":               {class: creates, body: newSource},
	"GET /v1/sources/{name}":         {class: object},
	"PUT /v1/sources/{name}":         {class: object, body: sameSource, wider: `{"name":"zzown","kind":"distribution"}`},
	"PATCH /v1/sources/{name}":       {class: object, body: func(objects) string { return `{"scope":{"product":"p"}}` }, wider: `{"scope":{"feed":null}}`},
	"DELETE /v1/sources/{name}":      {class: object},
	"POST /v1/sources/{name}/events": {class: object, body: notification, keeps: true},

	"GET /v1/keys":         {class: global},
	"POST /v1/keys":        {class: global, body: func(objects) string { return `{"name":"n","role":"reader"}` }},
	"GET /v1/keys/{id}":    {class: global},
	"DELETE /v1/keys/{id}": {class: global},
	"GET /v1/audit":        {class: global},

	"GET /v1/alerts":                {class: global},
	"GET /v1/alerts/count":          {class: global},
	"GET /v1/alerts/stream":         {class: global, stream: true},
	"POST /v1/alerts/read":          {class: global, body: func(objects) string { return `{"all":true}` }, noReferences: []string{"ids"}},
	"POST /v1/alerts/delete":        {class: global, body: func(objects) string { return `{"all":true}` }, noReferences: []string{"ids"}},
	"GET /v1/codec":                 {class: global},
	"POST /v1/codec/decode":         {class: global, body: func(objects) string { return `{"payloads":[]}` }},
	"POST /v1/codec/encode":         {class: global, body: func(objects) string { return `{"payloads":[]}` }},
	"GET /v1/settings":              {class: global},
	"GET /v1/settings/{channel}":    {class: global},
	"PUT /v1/settings/{channel}":    {class: global, body: func(objects) string { return `{}` }},
	"DELETE /v1/settings/{channel}": {class: global},

	"GET /api/settings/webhooks/":                                   {class: list},
	"POST /api/settings/webhooks/":                                  {class: creates, body: newCodeScoring, mute: true},
	"POST /api/settings/webhooks/test/":                             {class: asks, body: testCodeScoring, references: []string{"number"}},
	"GET /api/settings/webhooks/triggers/":                          {class: static},
	"GET /api/settings/webhooks/{id}/":                              {class: object},
	"PUT /api/settings/webhooks/{id}/":                              {class: object, body: newCodeScoring},
	"PATCH /api/settings/webhooks/{id}/":                            {class: object, body: renamed},
	"DELETE /api/settings/webhooks/{id}/":                           {class: object},
	"POST /api/settings/webhooks/{id}/refresh_availability_status/": {class: object},

	"GET /api/webhooks/list":      {class: list},
	"PUT /api/webhooks/create":    {class: creates, body: newProGet, noReferences: proGetIDs},
	"POST /api/webhooks/create":   {class: creates, body: newProGet, noReferences: proGetIDs},
	"PUT /api/webhooks/edit":      {class: object, body: renamed, wider: `{"feedId":"zzforeign"}`, noReferences: proGetIDs},
	"PATCH /api/webhooks/edit":    {class: object, body: renamed, wider: `{"feedId":null}`, noReferences: proGetIDs},
	"POST /api/webhooks/edit":     {class: object, body: renamed, wider: `{"feedId":"zzown,zzforeign"}`, noReferences: proGetIDs},
	"POST /api/webhooks/delete":   {class: object},
	"DELETE /api/webhooks/delete": {class: object},
}

// webhookIDs look like ids in a subscription's body and name no object of
// Carillon's; its own id is checked to be that of the path.
var webhookIDs = []string{"id", "match.project_ids"}

// proGetIDs are those of ProGet's: event is a type, and feedId a scope.
var proGetIDs = []string{"event", "feedId", "id"}

// foreignParams are what the parameters of lists are given to find what is
// outside the scope; those of [anyParams] choose by other things.
var (
	foreignParams = map[string]func(o objects) string{
		"subscription": func(o objects) string { return o.subscription },
		"event":        func(o objects) string { return o.event },
		"source":       func(o objects) string { return o.source },
		"subject":      func(o objects) string { return "pkg:npm/" + string(o.tenant) },
		"scope":        func(objects) string { return "feed:" + string(zzForeign) },
		"feedId":       func(objects) string { return string(zzForeign) },
	}
	anyParams = []string{"limit", "cursor", "since", "until", "state", "expand", "type", "key"}
)

// Every route, for every role, with and without a scope, on objects within it,
// outside it and without any: by path, by query, and in bodies; and in the pages
// of lists. The routes come from the description, whose routes are the server's.
func TestTheMatrixOfRights(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, databaseURL string) {
		r := newRealm(t, databaseURL)
		before := r.outside(t)
		var seen []string
		all := operations(t)
		// Lists are walked while there is little in them.
		slices.SortStableFunc(all, func(a, b operation) int {
			return cmp.Compare(max(rights[a.name()].class, list), max(rights[b.name()].class, list))
		})
		for _, op := range all {
			seen = append(seen, op.name())
			line, ok := rights[op.name()]
			require.True(t, ok, noLine, op.name())
			t.Run(strings.NewReplacer("/", "_", " ", "").Replace(op.name()), func(t *testing.T) { r.check(t, op, line) })
		}
		for name := range rights {
			require.Contains(t, seen, name, "the matrix of rights has a line for a route that there is not")
		}
		require.Equal(t, before, r.outside(t), "nothing outside was changed by keys with a scope")
	})
}

// check is one route for every key.
func (r *realm) check(t *testing.T, op operation, line right) {
	t.Helper()
	require.Equal(t, line.class != public && line.class != global, confinedRoutes[op.method+" "+op.route()],
		"confinedRoutes in api/confine.go has the routes that keys with a scope may use: all but those of the classes public and global")
	for _, name := range op.bodyIDs {
		require.Contains(t, slices.Concat(line.references, line.noReferences), name,
			"the body of %s has a member that looks like an id: name it among the references, or the noReferences, of its line in the matrix", op.name())
	}
	if line.class == public {
		require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, r.send(t, op, principal{}, r.shared[zzOwn], "").status)
		return
	}
	for _, p := range r.principals {
		if !may(p.role, op.method, op.route()) || line.class == global && p.scoped {
			reply := r.send(t, op, p, r.shared[zzOwn], r.text(line, r.shared[zzOwn]))
			require.Equal(t, http.StatusForbidden, reply.status, "%s: %s", p, reply.body)
			continue
		}
		switch line.class {
		case global, static:
			if !line.stream {
				r.allowed(t, p, r.send(t, op, p, r.shared[zzOwn], r.text(line, r.shared[zzOwn])), line.class == global)
			}
		case object:
			r.checkObject(t, op, line, p)
		case list:
			r.checkList(t, op, p)
		case creates:
			r.checkCreation(t, op, line, p)
		case asks:
			r.checkReferences(t, op, line, p)
		case public:
		}
	}
}

// allowed fails the test when the key was refused, or the object not found.
func (r *realm) allowed(t *testing.T, p principal, reply reply, mayMiss bool) {
	t.Helper()
	require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, reply.status, "%s: %s", p, reply.body)
	require.Less(t, reply.status, http.StatusInternalServerError, "%s: %s", p, reply.body)
	if !mayMiss {
		require.NotEqual(t, http.StatusNotFound, reply.status, "%s: %s", p, reply.body)
	}
}

func (r *realm) checkObject(t *testing.T, op operation, line right, p principal) {
	t.Helper()
	take := func(of tenant) objects {
		if line.keeps || op.method == http.MethodGet {
			return r.shared[of]
		}
		return r.fresh(t, of)
	}
	tenants := []tenant{zzOwn}
	if p.name == admin { // to show that what is foreign to others is there
		tenants = append(tenants, zzForeign, zzGlobal)
	}
	for _, of := range tenants {
		o := take(of)
		r.allowed(t, p, r.send(t, op, p, o, r.text(line, o)), false)
	}
	if !p.scoped {
		return
	}
	missing := r.send(t, op, p, absent, r.text(line, absent))
	require.GreaterOrEqual(t, missing.status, http.StatusBadRequest)
	for _, o := range r.outsiders(op) {
		r.sameAsMissing(t, op, p, o, missing, r.text(line, o))
	}
	if line.wider != "" {
		refused := r.send(t, op, p, take(zzOwn), line.wider)
		r.refusedByScope(t, op, p, refused)
	}
}

// outsiders are what the path can name that is not all within.
func (r *realm) outsiders(op operation) []objects {
	out := []objects{r.shared[zzForeign], r.shared[zzGlobal]}
	switch op.path {
	case "/v1/events/{id}":
		for _, of := range []tenant{zzForeign, zzGlobal} {
			o := r.shared[of]
			o.event = o.unclaimed
			out = append(out, o)
		}
	default:
		if !strings.HasPrefix(op.path, "/v1/events/{id}/deliveries/") {
			break
		}
		for _, of := range []tenant{zzForeign, zzGlobal} {
			event, subscription := r.shared[zzOwn], r.shared[zzOwn]
			event.event, subscription.subscription = r.shared[of].event, r.shared[of].subscription
			out = append(out, event, subscription)
		}
	}
	return out
}

// different is what may differ between two answers that say that nothing is
// there: the name that was asked for, and the request.
var different = regexp.MustCompile(`(evt|sub)_zz\w+|zz\w+|webhook \d+|req_[0-9A-Z]{26}`)

func (r *realm) sameAsMissing(t *testing.T, op operation, p principal, o objects, missing reply, body string) {
	t.Helper()
	got := r.send(t, op, p, o, body)
	text := func(r reply) string { return different.ReplaceAllString(string(r.body), "NAME") }
	require.Equal(t, missing.status, got.status, "%s on %s: %s", p, o.tenant, got.body)
	require.Equal(t, text(missing), text(got), "%s on %s", p, o.tenant)
	for _, name := range []string{"Content-Type", "ETag", "Location", "Allow"} {
		require.Equal(t, missing.header[name], got.header[name])
	}
}

// refusedByScope is a refusal that says what is allowed.
func (r *realm) refusedByScope(t *testing.T, op operation, p principal, reply reply) {
	t.Helper()
	require.Equal(t, http.StatusForbidden, reply.status, "%s: %s", p, reply.body)
	if !strings.HasPrefix(op.path, "/v1/") {
		return // another product's way of saying so
	}
	refused := decode[problem](t, reply.body)
	require.NotEmpty(t, refused.Errors)
	require.True(t, strings.HasSuffix(refused.Errors[0].Pointer, "/scope"), refused.Errors[0].Pointer)
	require.Contains(t, refused.Errors[0].Detail, string(zzOwn))
}

func (r *realm) checkCreation(t *testing.T, op operation, line right, p principal) {
	t.Helper()
	made := func(of tenant) reply {
		r.n++
		o := objects{tenant: of, number: int64(r.n)}
		return r.send(t, op, p, o, r.text(line, o))
	}
	if !p.scoped {
		r.allowed(t, p, made(zzGlobal), false)
		return
	}
	if line.mute {
		r.refusedByScope(t, op, p, made(zzOwn))
	} else {
		r.allowed(t, p, made(zzOwn), false)
	}
	for _, of := range []tenant{zzForeign, zzGlobal} {
		r.refusedByScope(t, op, p, made(of))
	}
}

func (r *realm) checkReferences(t *testing.T, op operation, line right, p principal) {
	t.Helper()
	reply := r.send(t, op, p, r.shared[zzOwn], r.text(line, r.shared[zzOwn]))
	r.allowed(t, p, reply, false)
	require.Less(t, reply.status, http.StatusBadRequest, "%s", reply.body)
	for _, reference := range line.references {
		name := func(o objects, unclaimed bool) objects {
			asked := r.shared[zzOwn]
			switch reference {
			case "event_id":
				if asked.event = o.event; unclaimed {
					asked.event = o.unclaimed
				}
			case "subscription":
				asked.subscription = o.subscription
			case "number":
				asked.codeScoring = o.codeScoring
			default:
				t.Fatalf("nobody knows what %s is a reference to: add it to checkReferences", reference)
			}
			return asked
		}
		if p.name == admin {
			for _, of := range []tenant{zzForeign, zzGlobal} {
				o := name(r.shared[of], false)
				r.allowed(t, p, r.send(t, op, p, o, r.text(line, o)), false)
			}
		}
		if !p.scoped {
			continue
		}
		nothing := name(absent, false)
		missing := r.send(t, op, p, nothing, r.text(line, nothing))
		require.GreaterOrEqual(t, missing.status, http.StatusBadRequest)
		for _, of := range []tenant{zzForeign, zzGlobal} {
			for _, unclaimed := range []bool{false, true} {
				o := name(r.shared[of], unclaimed)
				r.sameAsMissing(t, op, p, o, missing, r.text(line, o))
			}
		}
	}
}

// checkList walks a list a row at a time: what is within is all there, nothing
// else is, and no page is short or left over.
func (r *realm) checkList(t *testing.T, op operation, p principal) {
	t.Helper()
	if len(op.params) > 0 {
		if r.checkObject(t, op, right{class: object}, p); !p.scoped {
			return
		}
	}
	all, _ := r.walk(t, op, r.principals[0], "")
	got, pages := r.walk(t, op, p, "")
	if !p.scoped {
		require.Equal(t, all, got)
		return
	}
	var own []string
	for _, item := range all {
		if !strings.Contains(item, string(zzForeign)) && !strings.Contains(item, string(zzGlobal)) {
			own = append(own, item)
		}
	}
	require.NotEmpty(t, own)
	require.Less(t, len(own), len(all), "the list has something that is outside")
	require.Equal(t, own, got)
	if slices.Contains(op.query, "limit") {
		require.Len(t, own, pages, "a page for each row that is within, and none for others")
	}
	for _, name := range op.query {
		if slices.Contains(anyParams, name) {
			continue
		}
		value, ok := foreignParams[name]
		require.True(t, ok, "foreignParams in api/rights_test.go has nothing for the query parameter %s of %s", name, op.name())
		for _, of := range []tenant{zzForeign, zzGlobal} {
			found, _ := r.walk(t, op, p, "&"+name+"="+value(r.shared[of]))
			require.Empty(t, found, "%s of %s", name, of)
		}
	}
}

// walk returns what the items of a list are called, and how many pages it took.
func (r *realm) walk(t *testing.T, op operation, p principal, query string) (items []string, pages int) {
	t.Helper()
	if slices.Contains(op.query, "limit") {
		query += "&limit=1"
	}
	for cursor := ""; ; {
		op := op
		op.with = query + cursor
		reply := r.send(t, op, p, r.shared[zzOwn], "")
		require.Equal(t, http.StatusOK, reply.status, "%s: %s", p, reply.body)
		pages++
		page := struct {
			Items      []map[string]any `json:"items"`
			NextCursor string           `json:"next_cursor"`
		}{}
		if reply.body[0] == '[' {
			require.NoError(t, json.Unmarshal(reply.body, &page.Items))
		} else {
			require.NoError(t, json.Unmarshal(reply.body, &page))
		}
		for _, item := range page.Items {
			items = append(items, fmt.Sprint(item["id"], item["event"], item["subscription"], item["name"]))
		}
		if page.NextCursor == "" {
			return items, pages
		}
		cursor = "&cursor=" + page.NextCursor
	}
}

// The name of a source is told apart from the rest: whoever may not use it does
// not learn whether there is one.
func TestAPublisherDoesNotLearnWhichSourcesThereAre(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.sources["theirs"] = carillon.Source{ID: "src_1", Name: "theirs", Kind: "distribution"}
	secret, _ := b.store.newKey(t, carillon.RolePublisher)
	var answers []string
	for _, name := range []string{"theirs", "nobodys"} {
		body := b.ok(t, http.StatusForbidden, call{method: http.MethodPost, path: "/v1/sources/" + name + "/events", body: `{}`, header: bearer(secret)})
		answers = append(answers, different.ReplaceAllString(string(body), ""))
	}
	require.Equal(t, answers[0], answers[1])
}

func TestEveryEventOfABatchIsCheckedAgainstTheKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	secret, _ := b.store.newKey(t, carillon.RoleAdmin, func(k *carillon.Key) {
		k.Scope, k.Sources = map[string][]string{"feed": {"a"}}, []string{"s"}
	})
	event := func(source, feed string) string {
		return `{"type":"package.added","source":"` + source + `","scope":{"feed":"` + feed + `"},"data":{"package":"p"}}`
	}
	p := b.problem(t, http.StatusForbidden, call{
		method: http.MethodPost, path: "/v1/events/batch", header: bearer(secret),
		body: `{"events":[` + event("s", "a") + `,` + event("s", "b") + `,` + event("t", "a") + `]}`,
	})
	require.Equal(t, []carillon.Problem{
		{Pointer: "/events/1/scope", Detail: "this key is for events whose feed is one of a"},
		{Pointer: "/events/2/source", Detail: "this key is for events of s"},
	}, p.Errors)
	require.Empty(t, b.publisher.published)
	b.ok(t, http.StatusAccepted, call{
		method: http.MethodPost, path: "/v1/events/batch", header: bearer(secret), body: `{"events":[` + event("s", "a") + `]}`,
	})
	cloud := `{"specversion":"1.0","id":"1","type":"package.added","source":"s","carillonscope":"feed:b","data":{"package":"p"}}`
	for contentType, body := range map[string]string{
		"application/cloudevents+json": cloud, "application/cloudevents-batch+json": "[" + cloud + "]",
	} {
		b.problem(t, http.StatusForbidden, call{method: http.MethodPost, path: "/v1/events", body: body, header: map[string]string{
			"Authorization": "Bearer " + secret, "Content-Type": contentType,
		}})
	}
}
