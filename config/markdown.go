package config

import (
	"fmt"
	"regexp"
	"strings"
)

//go:generate go test . -run TestDocumentationIsCurrent -update

const head = "<!-- Generated from config/config.go; `make generate` writes it anew. -->\n" + `
# Configuration

Carillon is configured by environment variables; every command reads the same ones. A variable that is empty counts as
not set. One that starts with ` + "`CARILLON_`" + ` and is not listed here is a mistake, as is a value that is not allowed: the
command says which and what is allowed, and ends with exit code 2.

| Variable | Default | Allowed | Meaning |
|---|---|---|---|
`

const tail = `
Secrets (the keys, and the database's URL, which can hold a password) are shown in no log and no error.

## Temporal

The connection to Temporal is configured as in every Temporal client, by variables and profiles of
[environment configuration](https://docs.temporal.io/references/client-environment-configuration): TEMPORAL_ADDRESS,
TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS and those that start with it, TEMPORAL_PROFILE, and
TEMPORAL_CONFIG_FILE for the path of a temporal.toml.

With TEMPORAL_DEPLOYMENT_NAME and TEMPORAL_WORKER_BUILD_ID, both set, the worker takes part in
[worker versioning](https://docs.temporal.io/production-deployment/worker-deployments/worker-versioning) as that version
of that deployment; runs move on to a newer version by themselves. Without them it is not versioned.

While TEMPORAL_ADDRESS is not set, carillon dev starts a Temporal server of its own.
`

// code finds what is set in type: a struct tag cannot contain backquotes.
var code = regexp.MustCompile(`(CARILLON|TEMPORAL)_[A-Z_]*|whsec_|carillon (?:dev|listen)|temporal\.toml|openssl rand -[a-z0-9]+ [0-9]+|` +
	`https?://\B|postgres://[^\s,|]*|sqlite:[A-Z]*|127\.0\.0\.1:[0-9]+|[0-9a-f:.]+/[0-9]+,\S+/[0-9]+|Authorization: Bearer`)

// Markdown returns docs/configuration.md.
func Markdown() string {
	var rows strings.Builder
	for _, s := range settings() {
		fallback := "none"
		switch {
		case s.fallback != "":
			fallback = "`" + s.fallback + "`"
		case s.derived != "":
			fallback = typeset(s.derived)
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", s.name, fallback, typeset(units[s.unit].allowed), typeset(s.doc))
	}
	return head + rows.String() + typeset(tail)
}

func typeset(text string) string { return code.ReplaceAllString(text, "`$0`") }
