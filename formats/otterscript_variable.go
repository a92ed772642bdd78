package formats

import (
	"regexp"
	"slices"
	"strings"
)

// proGetVariables has what ProGet's variables are in an event. Its values are
// texts, and empty where nothing is known.
// https://docs.inedo.com/docs/proget/feeds/notifications-webhooks/customization
var proGetVariables = map[string]string{
	"PackageId": "string(data.package)", "PackageName": "string(data.package)", "PackageVersion": "string(data.version)",
	"PackageGroup": "pkg.namespace", "PackageHash": "string(data.hash)",
	"PackageComplianceResult":  "string(data.result)",
	"PackageComplianceDetails": "default(data.details, '').join('; ')",
	"FeedName":                 "string(scope.feed)", "FeedType": "string(data.feed_type)",
	"UserName": "actor", "Date": "string(time)",
	"BuildId": "string(data.build_id)", "BuildNumber": "string(data.number)",
	"BuildReleaseNumber": "string(data.release_number)", "ReleaseNumber": "string(data.release_number)",
	"BuildProjectName": "string(default(data.project, scope.project))", "ProjectName": "string(default(data.project, scope.project))",
	"VulnerabilityId": "string(data.vulnerability_id)", "VulnerabilitySummary": "string(data.summary)",
	"VulnerabilitySeverity": "string(data.severity)", "VulnerabilityScore": "string(data.score)",
}

// proGetEventNames are the variables that name the event's type.
var proGetEventNames = []string{"PackageEvent", "WebhookEvent", "EventName"}

// proGetList is a list of ProGet's: where it is in the event, and its fields.
type proGetList struct {
	expr   string
	fields []proGetField
}

type proGetField struct{ name, field string }

var proGetLists = map[string]proGetList{
	"AffectedPackages": {"default(data.affected_packages, [])", []proGetField{{"Name", "name"}, {"AffectedVersions", "affected_versions"}}},
	"BuildIssues":      {"default(data.issues, [])", []proGetField{{"Sequence", "sequence"}, {"Detail", "detail"}}},
}

// objects is an expression for the whole list.
func (l proGetList) objects() string {
	fields := make([]string, len(l.fields))
	for i, f := range l.fields {
		fields[i] = celString(f.name) + ": string(item." + f.field + ")"
	}
	return l.expr + ".map(item, {" + strings.Join(fields, ", ") + "})"
}

// without says why a variable or function has no counterpart.
var proGetWithout = map[string]string{ //nolint:gosec // names of ProGet's, no credentials
	"WebBaseUrl":      "the event does not say where its registry is; write the address itself",
	"EncodeBasicAuth": "set basic_auth of the endpoint instead",
	"PackageProperty": "an event has no properties of that kind; data['key'] reads a key that the producer sends",
	"ApiKeys":         "no event tells of API keys that expire",
	"FeedId":          "feeds have names only; use $FeedName", "WebhookName": "a template does not know its subscription",
	"WebhookId": "a template does not know its subscription",
}

var variableName = regexp.MustCompile(`^[$@%](?:\{([A-Za-z][A-Za-z0-9_-]*)\}|([A-Za-z][A-Za-z0-9_-]*))((?:\.[A-Za-z][A-Za-z0-9_]*)?)`)

// variable reads a variable or a call. The expression is empty where it has no
// counterpart, which is reported.
func (o *otter) variable() (expr string, ok bool) {
	start := o.at
	match := variableName.FindStringSubmatch(o.rest())
	if match == nil || match[0][0] == '%' && o.variables[match[1]+match[2]] == nil {
		return "", false
	}
	name, field := match[1]+match[2], strings.TrimPrefix(match[3], ".")
	fields, loop := o.variables[name]
	if !loop && field != "" {
		o.at += len(match[0]) - len(match[3]) // the dot ends a sentence
	} else {
		o.at += len(match[0])
	}
	var arguments []string
	called := false
	if !loop && o.take("(") {
		called = true
		arguments = o.arguments()
	}
	source := func() string { return o.source[start:o.at] }
	if loop {
		return o.loopField(start, name, field, fields), true
	}
	if expr, ok := o.known(name, arguments, called, start); ok {
		return expr, true
	}
	why, known := proGetWithout[name]
	if !known {
		why = "it is none of ProGet's own variables; write its value, or take a secret from the endpoint's headers"
	}
	o.report(start, source(), "%s", why)
	return "", true
}

func (o *otter) loopField(start int, name, field string, fields map[string]string) string {
	ours, ok := fields[field]
	if !ok {
		o.report(start, o.source[start:o.at], "the list's elements have no such field")
		return ""
	}
	return "string(" + identifier(name) + "." + ours + ")"
}

// identifier is a loop's variable in an expression.
func identifier(name string) string { return "x_" + strings.ReplaceAll(name, "-", "_") }

// known is the expression of one of ProGet's variables and functions.
func (o *otter) known(name string, arguments []string, called bool, start int) (string, bool) {
	if list, ok := proGetLists[name]; ok {
		if len(arguments) > 0 {
			o.report(start, o.source[start:o.at], "the list takes no arguments here; all of it is written")
		}
		return list.objects(), true
	}
	if slices.Contains(proGetEventNames, name) {
		return eventNames(), true
	}
	if expr, ok := proGetVariables[name]; ok {
		if len(arguments) > 0 {
			o.report(start, o.source[start:o.at], "its arguments have no counterpart; the value is written as the event has it")
		}
		return expr, true
	}
	if !called {
		return "", false
	}
	switch {
	case name == "HtmlEncode" && len(arguments) == 1 && !o.json, name == "JSEncode" && len(arguments) == 1 && o.json:
		return arguments[0], true // templates escape
	case name == "ToJson" && len(arguments) == 1:
		return "json(" + arguments[0] + ")", true
	case name == "ListCount" && len(arguments) == 1:
		return "size(" + arguments[0] + ")", true
	case name == "Coalesce" && len(arguments) > 0:
		expr := arguments[len(arguments)-1]
		for _, argument := range slices.Backward(arguments[:len(arguments)-1]) {
			expr = "(" + argument + " != '' ? " + argument + " : " + expr + ")"
		}
		return expr, true
	case name == "MatchesRegex" && len(arguments) == 2:
		return arguments[0] + ".matches(" + arguments[1] + ")", true
	case name == "Compare" && len(arguments) == 3:
		return o.comparison(arguments, start)
	default:
		return "", false
	}
}

// comparison is $Compare(a, op, b): of numbers for < and >, of texts for = and !=.
func (o *otter) comparison(arguments []string, start int) (string, bool) {
	operator := strings.Trim(arguments[1], "'")
	switch operator {
	case "=", "==":
		return "(" + arguments[0] + " == " + arguments[2] + ")", true
	case "!=", "<>":
		return "(" + arguments[0] + " != " + arguments[2] + ")", true
	case "<", "<=", ">", ">=":
		return "(double(" + arguments[0] + ") " + operator + " double(" + arguments[2] + "))", true
	default:
		o.report(start, o.source[start:o.at], "there is no operator %s", operator)
		return "", true
	}
}

// arguments reads those of a call, each as an expression.
func (o *otter) arguments() []string {
	var arguments []string
	for {
		o.space()
		if o.take(")") || o.rest() == "" {
			return arguments
		}
		var parts []string
		for _, p := range o.pieces(",)") {
			parts = append(parts, p.cel())
		}
		if len(parts) == 0 {
			parts = []string{"''"}
		}
		arguments = append(arguments, strings.Join(parts, " + "))
		o.space()
		o.take(",")
	}
}
