package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/store"
)

// sealedWith keeps a source whose secret is sealed with a key, and returns the
// key's id.
func sealedWith(t *testing.T, databaseURL, key, name string) string {
	t.Helper()
	ring, err := seal.NewRing(key)
	require.NoError(t, err)
	s, err := store.Open(t.Context(), databaseURL, ring)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.CreateSource(t.Context(), carillon.Source{
		ID: "src_" + name, Name: name, Kind: "cloudevents", CreatedAt: time.Now(),
		Authentication: carillon.SourceAuthentication{Scheme: "bearer", Secret: "s3cret"},
	}, admin)
	require.NoError(t, err)
	return ring.Newest()
}

const admin = "admin"

func TestRotateKeysSaysWhatItDid(t *testing.T) {
	t.Parallel()
	databaseURL := dbtest.SQLite(t)
	older, newer := seal.NewKey(), seal.NewKey()
	oldID := sealedWith(t, databaseURL, older, "one")
	newID := sealedWith(t, databaseURL, newer, "two")
	rotate := func(keys string, args ...string) (out, errOut string, code int) {
		var o, e bytes.Buffer
		code = run(t.Context(), append([]string{"rotate-keys"}, args...),
			[]string{"CARILLON_DATABASE_URL=" + databaseURL, "CARILLON_SECRET_KEY=" + keys}, &o, &e)
		require.NotContains(t, o.String()+e.String(), older)
		require.NotContains(t, o.String()+e.String(), newer)
		return o.String(), e.String(), code
	}

	out, errOut, code := rotate(newer)
	require.Equal(t, exitFailure, code)
	require.Contains(t, out, "cannot be opened: src_one\n")
	require.Contains(t, errOut, "1 of 2 secrets cannot be opened: add the key that they were sealed with to CARILLON_SECRET_KEY")

	out, errOut, code = rotate(newer + "," + older)
	require.Zero(t, code, errOut)
	require.Equal(t, "sources.authentication: 2 looked at, 1 sealed anew\n"+
		"2 secrets, 1 of them sealed anew with the key "+newID+"\n"+
		"nothing is sealed any more with "+oldID+": once no process seals with it, take it out of CARILLON_SECRET_KEY\n", out)

	out, _, code = rotate(newer+","+older, "--json")
	require.Zero(t, code, "once more does nothing")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 2)
	require.JSONEq(t, `{"column":"sources.authentication","seen":2,"resealed":0}`, lines[0])
	var summary map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &summary))
	require.Equal(t, map[string]any{
		"key": newID, "rows": 2.0, "resealed": 0.0, "unreadable": []any{}, "left": []any{}, "removable": []any{oldID},
	}, summary)

	_, _, code = rotate(newer)
	require.Zero(t, code)
	for _, wrong := range [][]string{{"now"}, {"--fast"}} {
		_, errOut, code = rotate(newer, wrong...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errOut, "rotate-keys takes --json")
	}
	_, errOut, code = rotate("")
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "CARILLON_SECRET_KEY: secret key 1 has 0 bytes")
	databaseURL += ".not"
	_, errOut, code = rotate(newer)
	require.Equal(t, exitUsage, code)
	require.Contains(t, errOut, "there is no SQLite database to rotate the keys of")
	require.NoFileExists(t, strings.TrimPrefix(databaseURL, "sqlite:"))
}

func TestDoctorSaysWhichKeysAreInUse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		have   []string
		counts map[string]int
		want   verdict
		says   string
		remedy string
	}{
		"one key":            {[]string{"aa"}, map[string]int{"aa": 3}, fine, "3 of 3 secrets are sealed with the newest, aa", ""},
		"nothing sealed yet": {[]string{"aa"}, nil, fine, "0 of 0", ""},
		"not rotated":        {[]string{"bb", "aa"}, map[string]int{"aa": 2, "bb": 1}, warning, "1 of 3 secrets are sealed with the newest, bb, 2 with aa", "carillon rotate-keys"},
		"rotated":            {[]string{"bb", "aa"}, map[string]int{"bb": 3}, warning, "none with aa", "take the others out"},
		"lost":               {[]string{"bb"}, map[string]int{"aa": 2, "bb": 1}, failed, "of keys that are not configured: 2 with aa", "behind the first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := judgeKeys(test.have, test.counts)
			require.Equal(t, test.want, f.verdict)
			require.Contains(t, f.text, test.says)
			require.Contains(t, f.remedy, test.remedy)
		})
	}
}
