package messages

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/catalog"
	"github.com/carillon-dev/carillon/conditions"
)

func TestEveryTypeHasAWordingAndEveryWordingAType(t *testing.T) {
	t.Parallel()
	known, err := load()
	require.NoError(t, err)
	types, err := catalog.Load()
	require.NoError(t, err)
	for _, typ := range types.Types() {
		found := known.of(typ.Name)
		require.NotEmpty(t, found, typ.Name)
		require.NotEmpty(t, found[0].title, typ.Name)
		require.NotEmpty(t, found[0].counts.one, typ.Name)
		require.NotEqual(t, found[0].counts.one, found[0].counts.many, typ.Name)
		require.Contains(t, known.groups, groupOf(typ.Name))
	}
	for name := range known.types {
		require.NoError(t, types.CheckType(name))
	}
}

// The templates are checked as those of people are when they are saved: what a
// title or a text says is there in every type that says it, and each fact, link
// and topic is there in one at least.
func TestWordingsNameFieldsThatTheirTypesHave(t *testing.T) {
	t.Parallel()
	known, err := load()
	require.NoError(t, err)
	templates, err := conditions.LoadTemplates()
	require.NoError(t, err)
	types, err := catalog.Load()
	require.NoError(t, err)
	check := func(text string, by ...string) error {
		_, err := templates.Compile(conditions.Source{Text: text, Mode: conditions.Text}, by)
		// Who subscribes to the one gets the other two as well, which have wordings of
		// their own.
		if err != nil && slices.Contains(by, "package.status_changed") && strings.Contains(err.Error(), "package.listed, package.unlisted have no field") {
			return nil
		}
		return err
	}
	said, used := map[string][]string{}, map[string][]string{}
	for _, typ := range types.Types() {
		w := known.of(typ.Name)[0]
		for _, p := range slices.Concat(w.title, w.text) {
			said[p.text] = append(said[p.text], typ.Name)
		}
		used[w.topic.text] = append(used[w.topic.text], typ.Name)
		for _, l := range slices.Concat(w.about, w.facts, w.links) {
			for _, p := range l.values {
				used[p.text] = append(used[p.text], typ.Name)
			}
		}
	}
	for text, by := range said {
		require.NoError(t, check(text, by...), "%v: %s", by, text)
	}
	for text, by := range used {
		var last error
		require.True(t, slices.ContainsFunc(by, func(name string) bool {
			last = check(text, name)
			return last == nil
		}), "%s: %v", text, last)
	}
}

func TestSeveralAreCounted(t *testing.T) {
	t.Parallel()
	require.Equal(t, counted{"package added", "packages added"}, readCounted("package(s) added"))
	require.Equal(t, counted{"vulnerability found", "vulnerabilities found"}, readCounted("vulnerabilit(y/ies) found"))
	require.Equal(t, "1 package added", readCounted("package(s) added").write(1))
	require.Equal(t, "2,480 packages added", readCounted("package(s) added").write(2480))
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		require.Equal(t, want, number(n))
	}
}

func TestWordingsThatAreWrongAreNotLoaded(t *testing.T) {
	t.Parallel()
	templates, err := conditions.LoadTemplates()
	require.NoError(t, err)
	for text, w := range map[string]written{
		"there is no name <nobody>":       {Title: []string{"by <nobody>"}},
		`there is no level or rule "red"`: {Level: "red"},
		"compile":                         {Text: []string{"${1 +}"}},
	} {
		l := &loader{compile: templates.Compile, compiled: map[string]piece{}}
		_, err := l.wording(w, wording{})
		require.ErrorContains(t, err, text)
	}
}
