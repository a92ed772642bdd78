package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/store"
)

// tenant is whose an object is, and stands in everything that it is called by.
type tenant string

const (
	zzOwn     tenant = "zzown"
	zzForeign tenant = "zzforeign"
	zzGlobal  tenant = "zzglobal" // nobody's: without a scope
	zzMissing tenant = "zzmissing"
)

// scope is that of the tenant's events and sources, as JSON.
func (of tenant) scope() string {
	if of == zzGlobal {
		return `{}`
	}
	return `{"feed":"` + string(of) + `"}`
}

// scopes is that of its subscriptions.
func (of tenant) scopes() string {
	return strings.NewReplacer(`:"`, `:["`, `"}`, `"]}`).Replace(of.scope())
}

// objects are one of each kind, of one tenant.
type objects struct {
	tenant
	event, unclaimed, subscription, source string
	codeScoring, proGet                    int64
	// number makes what is created from this one of its own.
	number int64
	// receiver is where webhooks go.
	receiver string
}

// absent are none.
var absent = objects{
	tenant: zzMissing, event: "evt_zzmissing", unclaimed: "evt_zzmissing_too", subscription: "sub_zzmissing", source: "zzmissing",
	codeScoring: 999_999, proGet: 999_998,
}

// text is the body of a line about the objects.
func (r *realm) text(l right, o objects) string {
	if l.body == nil {
		return ""
	}
	o.receiver = r.receiver
	return l.body(o)
}

func newEvent(o objects) string {
	return `{"type":"package.added","source":"zz-registry","scope":` + o.scope() + `,"data":{"package":"p"}}`
}

func newEvents(o objects) string {
	return `{"events":[` + newEvent(objects{tenant: zzOwn}) + `,` + newEvent(o) + `]}`
}

func newQuestion(o objects) string {
	return `{"subscription":"` + o.subscription + `","event_id":"` + o.event + `"}`
}

func newMessagePreview(o objects) string {
	return `{"channel":"alert","event_id":"` + o.event + `"}`
}

func newPreview(o objects) string {
	return `{"content":{"text":"${data.package}"},"event_id":"` + o.event + `"}`
}

func newWebhook(o objects) string {
	return `{"name":"of ` + string(o.tenant) + `","event_types":["package.*"],"scope":` + o.scopes() + `,"channel":"webhook","endpoint":{"url":"` + o.receiver + `"}}`
}

func sameWebhook(o objects) string {
	return `{"name":"again of ` + string(o.tenant) + `","event_types":["package.*"],"scope":` + o.scopes() + `,"channel":"webhook","endpoint":{"url":"` + o.receiver + `"}}`
}

func renamed(o objects) string { return `{"name":"renamed ` + string(o.tenant) + `"}` }

func newSource(o objects) string {
	return fmt.Sprintf(`{"name":"%s-new-%d","kind":"distribution","scope":%s}`, o.tenant, o.number, o.scope())
}

func sameSource(o objects) string {
	return `{"name":"` + o.source + `","kind":"distribution","scope":` + o.scope() + `}`
}

func notification(objects) string {
	return pushed("upstream-1", "v1", "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b")
}

func newCodeScoring(o objects) string {
	return `{"name":"of ` + string(o.tenant) + `","url":"` + o.receiver + `","events":["osa_policy_has_been_triggered"]}`
}

func testCodeScoring(o objects) string {
	return fmt.Sprintf(`{"id":%d,"url":%q}`, o.codeScoring, o.receiver)
}

func newProGet(o objects) string {
	feed := `"` + string(o.tenant) + `"`
	if o.tenant == zzGlobal {
		feed = "null"
	}
	return `{"name":"of ` + string(o.tenant) + `","url":"` + o.receiver + `","event":"added","feedId":` + feed + `}`
}

// principal is a key.
type principal struct {
	name   string
	role   carillon.Role
	scoped bool
	secret string
}

func (p principal) String() string { return p.name }

// realm is a server on a real database, with objects of every tenant and keys of
// every role.
type realm struct {
	*bundle
	db         *store.Store
	principals []principal // the first is the admin key
	receiver   string
	shared     map[tenant]objects
	n          int
}

func newRealm(t *testing.T, databaseURL string) *realm {
	t.Helper()
	b := withStore(t, databaseURL)
	db, ok := b.deps.Store.(*store.Store)
	require.True(t, ok)
	b.deps.Memory = db
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	r := &realm{bundle: b, db: db, shared: map[tenant]objects{}, receiver: receiver.URL}
	for _, of := range []tenant{zzOwn, zzForeign, zzGlobal} {
		r.shared[of] = r.fresh(t, of)
	}
	own := r.shared[zzOwn]
	// What others get of one's events, and one's own of others'.
	for of, o := range r.shared {
		r.event(t, fmt.Sprintf("evt_%s_shared", of), of, r.shared[zzOwn].subscription, r.shared[zzForeign].subscription, r.shared[zzGlobal].subscription)
		o.event = fmt.Sprintf("evt_%s_shared", of)
		r.shared[of] = o
	}
	r.principals = []principal{{name: admin, role: carillon.RoleAdmin, secret: key}}
	for _, role := range carillon.Roles {
		for _, scoped := range []bool{false, true} {
			p := principal{name: string(role), role: role, scoped: scoped}
			made := carillon.Key{ID: carillon.NewID(carillon.KeyPrefix, now), Name: "zz", Role: role, CreatedAt: now}
			if role == carillon.RolePublisher {
				made.Sources = []string{"zz-registry", own.source, r.shared[zzForeign].source, r.shared[zzGlobal].source, absent.source}
			}
			if scoped {
				p.name += " with a scope"
				made.Scope = map[string][]string{"feed": {string(zzOwn)}}
			}
			p.secret = carillon.NewKeySecret(made.ID)
			made.Hash = carillon.HashKey(p.secret)
			_, err := db.CreateKey(t.Context(), made, admin)
			require.NoError(t, err)
			r.principals = append(r.principals, p)
		}
	}
	return r
}

// fresh makes one object of each kind.
func (r *realm) fresh(t *testing.T, of tenant) objects {
	t.Helper()
	r.n++
	name := fmt.Sprintf("%s_%d", of, r.n)
	o := objects{tenant: of, event: "evt_" + name, unclaimed: "evt_" + name + "_unclaimed", source: name}
	o.subscription = r.subscription(t, "sub_"+name, of, "standard", "package.*")
	scoring := r.subscription(t, "sub_"+name+"_codescoring", of, catalog.CodeScoring, "osa.*")
	proGet := r.subscription(t, "sub_"+name+"_proget", of, catalog.ProGet, "package.*")
	o.codeScoring, o.proGet = r.numberOf(t, &codeScoringFace, scoring), r.numberOf(t, &proGetFace, proGet)
	src := carillon.Source{ID: "src_" + name, Name: name, Kind: "distribution", CreatedAt: now}
	require.NoError(t, json.Unmarshal([]byte(of.scope()), &src.Scope))
	_, err := r.db.CreateSource(t.Context(), src, admin)
	require.NoError(t, err)
	r.event(t, o.event, of, o.subscription)
	pub := r.publication(t, o.unclaimed, of)
	r.history.publications[carillon.EventWorkflowID(o.unclaimed)] = &pub
	return o
}

func (r *realm) subscription(t *testing.T, id string, of tenant, format, eventTypes string) string {
	t.Helper()
	kept, _, err := r.deps.Channels[webhookChannel].Prepare(json.RawMessage(`{"url":"`+r.receiver+"/"+string(of)+`"}`), nil)
	require.NoError(t, err)
	sub := carillon.Subscription{
		ID: id, Name: "of " + string(of), EventTypes: []string{eventTypes}, Channel: webhookChannel, Endpoint: kept, Format: format,
		Profile: carillon.DefaultProfile, Retry: carillon.DefaultRetry(), State: carillon.Enabled, CreatedAt: now,
	}
	require.NoError(t, json.Unmarshal([]byte(of.scopes()), &sub.Scope))
	_, err = r.db.CreateSubscription(t.Context(), sub, admin)
	require.NoError(t, err)
	return id
}

func (r *realm) numberOf(t *testing.T, f *face, subscription string) int64 {
	t.Helper()
	numbers, err := r.db.FaceNumbers(t.Context(), f.product, []string{subscription})
	require.NoError(t, err)
	return numbers[subscription]
}

func (r *realm) publication(t *testing.T, id string, of tenant) carillon.Publication {
	t.Helper()
	pub := carillon.Publication{Event: carillon.Event{
		ID: id, Type: "package.added", Source: string(of) + "-registry", Actor: string(of), Subject: "pkg:npm/" + string(of),
		Time: now, Data: json.RawMessage(`{"package":"` + string(of) + `"}`),
	}, ReceivedAt: now}
	require.NoError(t, json.Unmarshal([]byte(of.scope()), &pub.Event.Scope))
	return pub
}

// event makes an event with failed deliveries, and with conditions that could
// not be evaluated.
func (r *realm) event(t *testing.T, id string, of tenant, subscriptions ...string) {
	t.Helper()
	pub := r.publication(t, id, of)
	run := carillon.Run{WorkflowID: carillon.EventWorkflowID(id), RunID: "run"}
	c := carillon.Claim{Publication: pub, Run: run}
	for _, sub := range subscriptions {
		c.Deliveries = append(c.Deliveries, carillon.Delivery{
			SubscriptionID: sub, State: carillon.Failed, Run: run, Channel: webhookChannel, Host: strings.Split(sub, "_")[1] + ".example",
		})
		c.ConditionErrors = append(c.ConditionErrors, carillon.ConditionError{SubscriptionID: sub, Error: "no such key"})
	}
	_, err := r.db.Claim(t.Context(), c)
	require.NoError(t, err)
	r.history.publications[run.WorkflowID] = &pub
}

// outside is what the admin key sees of the shared objects that are not within.
func (r *realm) outside(t *testing.T) []string {
	t.Helper()
	var seen []string
	for _, of := range []tenant{zzForeign, zzGlobal} {
		o := r.shared[of]
		for _, path := range []string{
			"/v1/events/" + o.event, "/v1/subscriptions/" + o.subscription, "/v1/sources/" + o.source,
			"/v1/subscriptions/" + o.subscription + "_codescoring", "/v1/subscriptions/" + o.subscription + "_proget",
			"/v1/audit?object=" + o.subscription, "/v1/deliveries?subscription=" + o.subscription,
		} {
			seen = append(seen, string(r.ok(t, http.StatusOK, call{method: http.MethodGet, path: path})))
		}
	}
	return seen
}

// send makes a request about the objects; what a key with a scope is answered
// may name nothing outside but what the request itself names.
func (r *realm) send(t *testing.T, op operation, p principal, o objects, body string) reply {
	t.Helper()
	request := call{method: op.method, path: op.fill(o), body: body, header: bearer(p.secret)}
	if p.secret == "" {
		request.header = map[string]string{"Authorization": ""}
	}
	reply := r.do(t, request)
	if p.scoped {
		text := string(reply.body) + reply.header.Get("Location")
		for _, asked := range []string{o.event, o.subscription, o.source} {
			if asked != "" {
				text = strings.ReplaceAll(text, asked, "")
			}
		}
		require.NotContains(t, text, zzForeign, "%s %s for %s", op.method, request.path, p)
		require.NotContains(t, text, zzGlobal, "%s %s for %s", op.method, request.path, p)
	}
	return reply
}

// operation is one of the description.
type operation struct {
	method, path string
	// params are what the path, or the query parameter id, names.
	params []opParam
	// query are the names of the query parameters, with what they are in all.
	query []string
	// with is added to the query.
	with string
	// bodyIDs are the members of the body that look like ids.
	bodyIDs []string
}

// opParam is a parameter that names something.
type opParam struct {
	name, pattern string
	inQuery       bool
}

func (op *operation) name() string { return op.method + " " + op.path }

var pathPart = regexp.MustCompile(`\{([a-z]+)\}`)

// route is the path as the server has it.
func (op *operation) route() string { return pathPart.ReplaceAllString(op.path, ":$1") }

// fill names the objects.
func (op *operation) fill(o objects) string {
	path, query := op.path, op.with
	for _, p := range op.params {
		var value string
		switch {
		case p.pattern == "^evt_":
			value = o.event
		case p.pattern == "^sub_":
			value = o.subscription
		case p.pattern == "^key_":
			value = "key_x"
		case strings.HasPrefix(path, "/v1/sources/"):
			value = o.source
		case strings.HasPrefix(path, "/api/settings/webhooks/"):
			value = strconv.FormatInt(o.codeScoring, 10)
		case strings.HasPrefix(path, "/api/webhooks/"):
			value = strconv.FormatInt(o.proGet, 10)
		case strings.HasPrefix(path, "/v1/event-types/"):
			value = "package.added"
		default:
			value = "zz" // of a route that is global
		}
		if p.inQuery {
			query = "&" + p.name + "=" + value + query
		} else {
			path = strings.ReplaceAll(path, "{"+p.name+"}", value)
		}
	}
	if query != "" {
		path += "?" + query[1:]
	}
	return path
}

// operations reads the description.
func operations(t *testing.T) []operation {
	t.Helper()
	var all []operation
	for _, path := range sortedKeys(resolve(t, []string{"paths"}).value.(map[string]any)) {
		item := resolve(t, []string{"paths", path}).value.(map[string]any)
		for _, method := range sortedKeys(item) {
			if method == "parameters" {
				continue
			}
			op := operation{method: strings.ToUpper(method), path: path}
			op.readParams(t, item)
			operation, _ := item[method].(map[string]any)
			op.readParams(t, operation)
			if body, ok := operation["requestBody"].(map[string]any); ok {
				op.readBodyIDs(t, body)
			}
			all = append(all, op)
		}
	}
	return all
}

func (op *operation) readParams(t *testing.T, of map[string]any) {
	t.Helper()
	params, _ := of["parameters"].([]any)
	for _, p := range params {
		param, _ := follow(t, p).(map[string]any)
		name, _ := param["name"].(string)
		schema, _ := follow(t, param["schema"]).(map[string]any)
		pattern, _ := schema["pattern"].(string)
		switch {
		case param["in"] == "path":
			op.params = append(op.params, opParam{name: name, pattern: pattern})
		case param["in"] == "query" && name == "id":
			op.params = append(op.params, opParam{name: name, pattern: pattern, inQuery: true})
		case param["in"] == "query":
			op.query = append(op.query, name)
		}
	}
}

// follow returns what a value refers to, or the value.
func follow(t *testing.T, value any) any {
	t.Helper()
	object, _ := value.(map[string]any)
	if ref, ok := object["$ref"].(string); ok {
		return resolve(t, strings.Split(strings.TrimPrefix(ref, "#/"), "/")).value
	}
	return value
}

// looksLikeID finds members that may name an object.
var looksLikeID = regexp.MustCompile(`^(id|ids|event|subscription|subscriptions|delivery|deliveries|alert|.*_ids?|.*Ids?)$`)

func (op *operation) readBodyIDs(t *testing.T, body map[string]any) {
	t.Helper()
	content, _ := body["content"].(map[string]any)
	media, _ := content["application/json"].(map[string]any)
	var walk func(at string, schema any, depth int)
	walk = func(at string, value any, depth int) {
		schema, ok := follow(t, value).(map[string]any)
		if !ok || depth > 6 { // below, nothing is named any more
			return
		}
		for _, several := range []string{"allOf", "anyOf", "oneOf"} {
			parts, _ := schema[several].([]any)
			for _, part := range parts {
				walk(at, part, depth+1)
			}
		}
		walk(at, schema["items"], depth+1)
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range sortedKeys(properties) {
			below := strings.TrimPrefix(at+"."+name, ".")
			member, _ := follow(t, properties[name]).(map[string]any)
			if looksLikeID.MatchString(name) && member["readOnly"] != true && cmp.Or(member["type"], any("")) != "object" && member["properties"] == nil {
				op.bodyIDs = append(op.bodyIDs, below)
			}
			walk(below, properties[name], depth+1)
		}
	}
	walk("", media["schema"], 0)
	slices.Sort(op.bodyIDs)
	op.bodyIDs = slices.Compact(op.bodyIDs)
}
