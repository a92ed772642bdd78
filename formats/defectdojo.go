package formats

import (
	"encoding/json"

	"github.com/carillon-dev/carillon/catalog"
)

// defectDojo writes what DefectDojo's webhooks send: what every event has, and
// for some what it is about, from the inside out.
// https://docs.defectdojo.com/open_source/notification_webhooks/how_to/
type defectDojo struct{ product }

func newDefectDojo() defectDojo { return defectDojo{catalog.DefectDojo} }

// Describe tells of DefectDojo's headers.
func (defectDojo) Describe() Description {
	return Description{
		Title: "DefectDojo", Text: "What DefectDojo's webhooks send. Its one static header is a header of the endpoint.",
		Headers: []HeaderField{
			{"User-Agent", `Begins with "DefectDojo-".`},
			{"X-DefectDojo-Event", "DefectDojo's name of the event."},
			{"X-DefectDojo-Instance", "The address of this Carillon, CARILLON_PUBLIC_URL."},
			{"Accept", "application/json"},
		},
	}
}

// Prepare takes no options.
func (defectDojo) Prepare(posted json.RawMessage, _ []string) (json.RawMessage, error) {
	return prepare(nil, posted)
}

// Render writes the body of the event's type.
func (f defectDojo) Render(r Request) (Payload, error) {
	name, err := f.nameOf(r.Event.Type)
	if err != nil {
		return Payload{}, err
	}
	data, err := readData(r.Event.Data)
	if err != nil {
		return Payload{}, err
	}
	payload, err := writeJSON(defectDojoBody(r.Event.Type, data))
	payload.Headers = []Header{
		// 2 is DefectDojo's version whose bodies these are.
		{"User-Agent", "DefectDojo-2 (" + r.Instance.Agent + ")"},
		{"X-DefectDojo-Event", name},
		{"X-DefectDojo-Instance", r.Instance.PublicURL},
		{"Accept", jsonType},
	}
	return payload, err
}

// The parts of DefectDojo's bodies.
type (
	defectDojoBase struct {
		Description string          `json:"description"`
		Title       string          `json:"title"`
		User        *defectDojoUser `json:"user"`
		URLUI       *string         `json:"url_ui,omitempty"`
		URLAPI      *string         `json:"url_api,omitempty"`
		Disclaimer  *string         `json:"disclaimer,omitempty"`
	}

	defectDojoUser struct {
		ID        *json.Number `json:"id"`
		Email     *string      `json:"email"`
		Username  *string      `json:"username"`
		FirstName *string      `json:"first_name"`
		LastName  *string      `json:"last_name"`
		defectDojoURLs
	}

	defectDojoURLs struct {
		URLUI  *string `json:"url_ui"`
		URLAPI *string `json:"url_api"`
	}

	defectDojoNamed struct {
		ID   *json.Number `json:"id"`
		Name *string      `json:"name"`
		defectDojoURLs
	}

	defectDojoTest struct {
		ID    *json.Number `json:"id"`
		Title *string      `json:"title"`
		defectDojoURLs
	}

	defectDojoFinding struct {
		ID       *json.Number `json:"id"`
		Title    *string      `json:"title"`
		Severity *string      `json:"severity"`
		defectDojoURLs
	}

	defectDojoFindings struct {
		New         []defectDojoFinding `json:"new"`
		Reactivated []defectDojoFinding `json:"reactivated"`
		Mitigated   []defectDojoFinding `json:"mitigated"`
		Untouched   []defectDojoFinding `json:"untouched"`
	}

	inProductType struct {
		ProductType *defectDojoNamed `json:"product_type"`
	}

	inProduct struct {
		Product *defectDojoNamed `json:"product"`
		inProductType
	}

	inEngagement struct {
		Engagement *defectDojoNamed `json:"engagement"`
		inProduct
	}

	inTest struct {
		Test *defectDojoTest `json:"test"`
		inEngagement
	}
)

func defectDojoBody(eventType string, data fields) any {
	base := readBase(data)
	productType := inProductType{readNamed(data.object("product_type"))}
	product := inProduct{readNamed(data.object("product")), productType}
	engagement := inEngagement{readNamed(data.object("engagement")), product}
	test := inTest{readTest(data.object("test")), engagement}
	switch eventType {
	case "tracker.product_type_added":
		return struct {
			defectDojoBase
			inProductType
		}{base, productType}
	case "tracker.product_added":
		return struct {
			defectDojoBase
			inProduct
		}{base, product}
	case "tracker.engagement_added":
		return struct {
			defectDojoBase
			inEngagement
		}{base, engagement}
	case "tracker.test_added":
		return struct {
			defectDojoBase
			inTest
		}{base, test}
	case "tracker.scan_added", "tracker.scan_added_empty":
		return struct {
			defectDojoBase
			inTest
			FindingCount *json.Number       `json:"finding_count"`
			Findings     defectDojoFindings `json:"findings"`
		}{base, test, data.integer("finding_count"), readFindings(data.object("findings"))}
	case "tracker.review_requested":
		return struct {
			defectDojoBase
			inTest
			Finding     *defectDojoFinding `json:"finding"`
			RequestedBy *defectDojoUser    `json:"requested_by"`
			Reviewers   []defectDojoUser   `json:"reviewers"`
		}{base, test, readOneFinding(data.object("finding")), readUser(data, "requested_by"), readReviewers(data)}
	default:
		return base
	}
}

// readBase leaves texts that are not known empty, of which DefectDojo has none
// that is null; it takes a ping's message for its description.
func readBase(data fields) defectDojoBase {
	base := defectDojoBase{
		Description: data.filled("description"), Title: data.filled("title"), User: readUser(data, "user"),
		URLUI: data.text("url_ui"), URLAPI: data.text("url_api"), Disclaimer: data.text("disclaimer"),
	}
	if base.Description == "" {
		base.Description = data.filled("message")
	}
	return base
}

// readUser reads a user, also one of whom only the name is known.
func readUser(data fields, name string) *defectDojoUser {
	user := data.object(name)
	if user == nil {
		if username := data.text(name); username != nil {
			return &defectDojoUser{Username: username}
		}
		return nil
	}
	written := writeUser(user)
	return &written
}

func writeUser(user fields) defectDojoUser {
	return defectDojoUser{
		ID: user.integer("id"), Email: user.text("email"), Username: user.text("username"),
		FirstName: user.text("first_name"), LastName: user.text("last_name"), defectDojoURLs: readURLs(user),
	}
}

func readReviewers(data fields) []defectDojoUser {
	return listed(data.objects("reviewers"), writeUser)
}

func readURLs(object fields) defectDojoURLs {
	return defectDojoURLs{object.text("url_ui"), object.text("url_api")}
}

func readNamed(object fields) *defectDojoNamed {
	if object == nil {
		return nil
	}
	return &defectDojoNamed{object.integer("id"), object.text("name"), readURLs(object)}
}

func readTest(object fields) *defectDojoTest {
	if object == nil {
		return nil
	}
	return &defectDojoTest{object.integer("id"), object.text("title"), readURLs(object)}
}

func readOneFinding(object fields) *defectDojoFinding {
	if object == nil {
		return nil
	}
	finding := writeFinding(object)
	return &finding
}

func writeFinding(object fields) defectDojoFinding {
	return defectDojoFinding{object.integer("id"), object.text("title"), object.text("severity"), readURLs(object)}
}

func readFindings(all fields) defectDojoFindings {
	list := func(name string) []defectDojoFinding { return listed(all.objects(name), writeFinding) }
	return defectDojoFindings{list("new"), list("reactivated"), list("mitigated"), list("untouched")}
}
