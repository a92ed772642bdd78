package formats

import (
	"maps"
	"regexp"
	"strings"
)

var (
	foreachTag = regexp.MustCompile(`^<%\s*foreach\s+[%$@]([A-Za-z][A-Za-z0-9_-]*)\s+in\s+[@$]([A-Za-z]+)(?:\([^)]*\))?\s*\{\s*%>`)
	ifTag      = regexp.MustCompile(`^<%\s*if\s+`)
	elseTag    = regexp.MustCompile(`^<%\s*\}\s*else\s*\{\s*%>`)
	endTag     = regexp.MustCompile(`^<%\s*\}\s*%>`)
	openTag    = regexp.MustCompile(`^\s*\{\s*%>`)
	anyTag     = regexp.MustCompile(`(?s)^<%.*?%>`)
)

// text reads a text with variables and blocks, as a template.
func (o *otter) text() string {
	var out strings.Builder
	for o.rest() != "" {
		for _, p := range o.block() {
			written := p.template()
			if p.expr != "" && o.json {
				// It stands in a string of the document.
				quoted := jsonString(written)
				written = quoted[1 : len(quoted)-1]
			}
			out.WriteString(written)
		}
		if tag := anyTag.FindString(o.rest()); tag != "" {
			o.report(o.at, tag, "there is no block that this ends")
			o.at += len(tag)
		} else if strings.HasPrefix(o.rest(), "<%") {
			o.report(o.at, o.rest(), "this tag is not closed")
			o.at = len(o.source)
		}
	}
	return out.String()
}

// block reads up to the tag that ends it.
func (o *otter) block() []fragment {
	var found []fragment
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			found = append(found, fragment{text: text.String()})
			text.Reset()
		}
	}
	add := func(expr string) {
		flush()
		if expr != "" {
			found = append(found, fragment{expr: expr})
		}
	}
	for o.rest() != "" {
		rest := o.rest()
		if foreach := foreachTag.FindStringSubmatch(rest); foreach != nil {
			add(o.foreach(foreach))
			continue
		}
		if ifTag.MatchString(rest) {
			add(o.condition())
			continue
		}
		if strings.HasPrefix(rest, "<%") {
			break
		}
		if plain, ok := o.escape(); ok {
			text.WriteString(plain)
			continue
		}
		if start := o.at; rest[0] == '$' || rest[0] == '@' || rest[0] == '%' {
			if expr, ok := o.variable(); ok {
				if expr == "" {
					text.WriteString(o.source[start:o.at])
				} else {
					add(expr)
				}
				continue
			}
		}
		text.WriteByte(rest[0])
		o.at++
	}
	flush()
	return found
}

// foreach reads a loop; its expression makes a list, of which a text has one
// element a line.
func (o *otter) foreach(tag []string) string {
	start := o.at
	o.at += len(tag[0])
	list, known := proGetLists[tag[2]]
	fields := map[string]string{}
	for _, f := range list.fields {
		fields[f.name] = f.field
	}
	outer := o.variables
	o.variables = map[string]map[string]string{}
	maps.Copy(o.variables, outer)
	o.variables[tag[1]] = fields
	body := o.block()
	o.variables = outer
	end := endTag.FindString(o.rest())
	o.at += len(end)
	switch {
	case !known:
		o.report(start, tag[0], "there is no such list in an event")
	case o.json:
		o.report(start, tag[0], "a loop cannot write pieces of JSON; build the list with data.….map(x, {…}) in a string of its own")
	case strings.Contains(strings.Trim(sum(body, ""), "'"), "<"):
		o.report(start, tag[0], "the markup in the loop would be escaped; write the list as text")
	case end == "":
		o.report(start, tag[0], "the loop is not closed")
	default:
		return list.expr + ".map(" + identifier(tag[1]) + ", " + sum(oneElement(body), " + ") + ")"
	}
	return ""
}

// oneElement leaves the line breaks around a loop's body to the list.
func oneElement(body []fragment) []fragment {
	if n := len(body); n > 0 {
		body[0].text = strings.TrimLeft(body[0].text, "\r\n")
		body[n-1].text = strings.TrimRight(body[n-1].text, "\r\n")
	}
	return body
}

func sum(body []fragment, plus string) string {
	var parts []string
	for _, f := range body {
		if f.expr != "" || f.text != "" {
			parts = append(parts, f.cel())
		}
	}
	if len(parts) == 0 {
		return "''"
	}
	return strings.Join(parts, plus)
}

// condition reads "<% if … { %> … <% } else { %> … <% } %>".
func (o *otter) condition() string {
	start := o.at
	o.at += len(ifTag.FindString(o.rest()))
	test := o.predicate()
	tag := openTag.FindString(o.rest())
	if tag == "" {
		whole := anyTag.FindString(o.source[start:])
		o.at = start + max(len(whole), 2)
		o.report(start, whole, "this predicate is not understood")
		return ""
	}
	o.at += len(tag)
	then, otherwise := sum(o.block(), " + "), "''"
	if tag := elseTag.FindString(o.rest()); tag != "" {
		o.at += len(tag)
		otherwise = sum(o.block(), " + ")
	}
	o.at += len(endTag.FindString(o.rest()))
	if test == "" {
		o.report(start, o.source[start:o.at], "the condition cannot be asked, so the block is left out")
		return ""
	}
	return "(" + test + ") ? " + then + " : " + otherwise
}

// predicate reads a condition up to its brace.
func (o *otter) predicate() string {
	var parts []string
	for o.rest() != "" {
		o.space()
		rest := o.rest()
		switch {
		case strings.HasPrefix(rest, "{") || strings.HasPrefix(rest, "%>"):
			return strings.Join(parts, " ")
		case o.operator(&parts):
		default:
			var operand []string
			before := o.at
			for _, p := range o.pieces(" \t\r\n(){}!=&|") {
				operand = append(operand, p.cel())
			}
			if o.at == before || len(operand) == 0 {
				return ""
			}
			parts = append(parts, strings.Join(operand, " + "))
		}
	}
	return ""
}

func (o *otter) operator(parts *[]string) bool {
	for _, operator := range []string{"==", "!=", "&&", "||", "!", "(", ")"} {
		if o.take(operator) {
			*parts = append(*parts, operator)
			return true
		}
	}
	return false
}
