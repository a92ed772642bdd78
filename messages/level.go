package messages

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// rule says how bad an event is. One with a level needs no data.
type rule struct {
	level Level
	of    func(data map[string]any) Level
}

func (r rule) apply(data map[string]any) Level {
	if r.of != nil {
		return r.of(data)
	}
	return r.level
}

// rules are the levels, and the rules by their names in the files.
var rules = map[string]rule{
	"":               {level: Neutral},
	string(Neutral):  {level: Neutral},
	string(Good):     {level: Good},
	string(Warning):  {level: Warning},
	string(Failed):   {level: Failed},
	string(High):     {level: High},
	string(Critical): {level: Critical},

	"by severity":   {of: bySeverity},
	"by policy":     {of: func(data map[string]any) Level { return severity(textOf(data, "level")) }},
	"by compliance": {of: byCompliance},
	"by result":     {of: byResult},
	"by count":      {of: byCount},
	"by status":     {of: byStatus},
	"by findings":   {of: byFindings},
}

// levels are in the order of how bad they are, the worst last.
var levels = []Level{Good, Neutral, Warning, Failed, High, Critical}

func (l Level) rank() int { return slices.Index(levels, l) }

func textOf(data map[string]any, key string) string {
	text, _ := data[key].(string)
	return strings.ToLower(strings.TrimSpace(text))
}

// severity is the level of a severity, or of a policy, in words.
func severity(word string) Level {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "critical", "blocker", "malicious":
		return Critical
	case "high", "severe", "important", "error":
		return High
	case "medium", "moderate", "warning", "warn":
		return Warning
	}
	return Neutral
}

// bySeverity goes by the severity that people read, or else by the score.
// https://www.first.org/cvss/v3.1/specification-document#Qualitative-Severity-Rating-Scale
func bySeverity(data map[string]any) Level {
	if word := textOf(data, "severity"); word != "" && word != "unknown" {
		return severity(word)
	}
	var text string
	switch score := data["score"].(type) {
	case json.Number:
		text = score.String()
	case string:
		text = score
	}
	score, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil:
		return Neutral
	case score >= 9:
		return Critical
	case score >= 7:
		return High
	case score >= 4:
		return Warning
	}
	return Neutral
}

func byCompliance(data map[string]any) Level {
	switch textOf(data, "result") {
	case "compliant":
		return Good
	case "warn", "warning", "inconclusive", "error", "incomplete":
		return Warning
	}
	return Failed
}

func byResult(data map[string]any) Level {
	switch textOf(data, "result") {
	case "success", "succeeded", "successful", "passed", "ok":
		return Good
	case "failed", "failure", "fail", "error", "errored", "broken":
		return Failed
	case "warning", "unstable", "partial", "partially succeeded":
		return Warning
	}
	return Neutral
}

func byCount(data map[string]any) Level {
	if n, ok := data["vulnerabilities_count"].(json.Number); ok && strings.Trim(n.String(), "0.") != "" {
		return Warning
	}
	return Good
}

func byStatus(data map[string]any) Level {
	for _, key := range []string{"action", "status"} {
		switch textOf(data, key) {
		case "deprecated", "blocked", "quarantined", "rejected", "yanked":
			return Warning
		case "undeprecated", "unblocked", "released", "approved", "allowed":
			return Good
		}
	}
	return Neutral
}

// byFindings is the worst of what a scan found new, or again, or of the one
// finding that the event is about.
func byFindings(data map[string]any) Level {
	worst := Neutral
	see := func(value any) {
		if finding, ok := value.(map[string]any); ok {
			if found := severity(textOf(finding, "severity")); found.rank() > worst.rank() {
				worst = found
			}
		}
	}
	see(data["finding"])
	if findings, ok := data["findings"].(map[string]any); ok {
		for _, key := range []string{"new", "reactivated"} {
			if list, ok := findings[key].([]any); ok {
				for _, finding := range list {
					see(finding)
				}
			}
		}
	}
	return worst
}
