package messages_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/messages"
)

func TestOverrides(t *testing.T) {
	t.Parallel()
	example, ok := newCatalog(t).Type("package.added")
	require.True(t, ok)
	plain := write(t, example.Example)

	m, err := messages.Write(example.Example, messages.Overrides{Title: "${data.package}\n is there, ${actor}!", Text: "One ${data.version}\r\n\r\n\r\n two  \n"})
	require.NoError(t, err)
	requireReadable(t, m)
	require.Equal(t, "GoogleAnalyticsTracker.WP8 is there, maartenba!", m.Title)
	require.Equal(t, "One 1.0.0-CI00002\n\ntwo", m.Text)
	require.Equal(t, plain.Facts, m.Facts)
	require.Equal(t, plain.Topic, m.Topic)

	// What cannot be written for an event leaves the default, and is told.
	m, problems, err := messages.Try(example.Example, messages.Overrides{Title: "${int(data.package)}", Text: "${data.version}"})
	require.NoError(t, err)
	require.Equal(t, plain.Title, m.Title)
	require.Equal(t, "1.0.0-CI00002", m.Text)
	require.Len(t, problems, 1)
	require.Equal(t, carillon.Problem{Pointer: "/title", Detail: problems[0].Detail, Line: 1, Column: 6}, problems[0])
	require.NotEmpty(t, problems[0].Detail)
	m, problems, err = messages.Try(example.Example, messages.Overrides{Text: "${data.nothing"})
	require.NoError(t, err)
	require.Equal(t, plain.Text, m.Text)
	require.Equal(t, "/text", problems[0].Pointer)

	// A title that comes out empty is none; a text may be.
	m, err = messages.Write(example.Example, messages.Overrides{Title: "${data.hash}", Text: "${data.hash}"})
	require.NoError(t, err)
	require.Equal(t, plain.Title, m.Title)
	require.Empty(t, m.Text)
}

func TestOverridesAreCheckedAgainstTheSubscribedTypes(t *testing.T) {
	t.Parallel()
	require.NoError(t, messages.Overrides{}.Check([]string{"*"}))
	require.NoError(t, messages.Overrides{Title: "${data.package} ${data.version}", Text: "by ${actor}"}.Check([]string{"package.*"}))
	err := messages.Overrides{Title: "a\n${data.pakage}", Text: "${"}.Check([]string{"package.added"})
	var invalid *carillon.Error
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, carillon.CodeInvalid, invalid.Code)
	require.Equal(t, []carillon.Problem{
		{Pointer: "/title", Detail: "package.added has no field data.pakage; did you mean package?", Line: 2, Column: 7},
		{Pointer: "/text", Detail: invalid.Problems[1].Detail, Line: 1, Column: 1},
	}, invalid.Problems)
	require.Error(t, messages.Overrides{Title: "${data.package}"}.Check([]string{"package.*", "build.*"}))
}
