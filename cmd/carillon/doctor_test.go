package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/internal/dbtest"
	"github.com/carillon-dev/carillon/internal/seal"
	"github.com/carillon-dev/carillon/store"
	"github.com/carillon-dev/carillon/workflows"
)

func TestDoctorJudgesClocks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ahead time.Duration
		want  verdict
		says  string
	}{
		"the same":               {20 * time.Millisecond, fine, "20ms ahead of"},
		"behind":                 {-time.Second, fine, "1s behind"},
		"seconds apart":          {6 * time.Second, warning, "6s ahead of"},
		"seconds behind":         {-time.Minute, warning, "1m0s behind"},
		"too far for signatures": {-5 * time.Minute, failed, "receivers refuse signatures"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := judgeClock(test.ahead)
			require.Equal(t, test.want, f.verdict)
			require.Contains(t, f.text, test.says)
			require.Equal(t, test.want == fine, f.remedy == "")
		})
	}

	t.Run("against PostgreSQL's own clock", func(t *testing.T) {
		t.Parallel()
		databaseURL, there := dbtest.Postgres(t)
		if !there {
			return // left out, which dbtest says
		}
		ring, err := seal.NewRing(seal.NewKey())
		require.NoError(t, err)
		s, err := store.Open(t.Context(), databaseURL, ring)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		d := &doctor{store: s, now: time.Now}
		require.Equal(t, fine, d.clock(t.Context()).verdict)
		d.now = func() time.Time { return time.Now().Add(time.Hour) }
		require.Equal(t, failed, d.clock(t.Context()).verdict)
	})
}

func TestDoctorKnowsWhenSearchAttributesHaveNoRoom(t *testing.T) {
	t.Parallel()
	full := workflows.SearchAttributes()
	delete(full, "CarillonFailing")
	for _, name := range []string{"A", "B", "C"} {
		full[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST
	}
	f := judgeSearchAttributes("n", full, true)
	require.Equal(t, warning, f.verdict)
	require.Contains(t, f.text, "no KeywordList left: 3 of 3 are taken (A, B, C)")
	require.Contains(t, f.remedy, "create --namespace n --name CarillonFailing --type KeywordList")

	f = judgeSearchAttributes("n", full, false)
	require.NotContains(t, f.text, "taken", "Elasticsearch has no such limit")
	require.Equal(t, fine, judgeSearchAttributes("n", workflows.SearchAttributes(), true).verdict)

	for name, sql := range map[string]bool{"postgres12_pgx": true, "sqlite": true, "mysql8": true, "elasticsearch": false, "": false} {
		require.Equal(t, sql, sqlVisibility(name), name)
	}
}

func TestDoctorKnowsServersWithoutFairness(t *testing.T) {
	t.Parallel()
	for version, old := range map[string]bool{"1.28.4": true, "1.29.0": false, "1.31.0-150.2": false, "2.0.0": false, "": false, "devel": false} {
		require.Equal(t, old, olderThan(version, 1, 29), version)
	}
	d := &doctor{reached: true, version: "1.28.4"}
	require.Equal(t, warning, d.fairness().verdict)
	d.version = "1.29.1"
	require.Equal(t, unknown, d.fairness().verdict)
}

func TestDoctorSaysAllThatIsWrongWithSettings(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load([]string{
		"CARILLON_SECRET_KEY=short", "CARILLON_ALLOW_CIDRS=10.0.0.0/99", "CARILLON_DATABASE_URL=mysql://u:hunter2@x/y",
	})
	require.NoError(t, err)
	var out bytes.Buffer
	d := &doctor{cfg: cfg, now: time.Now, out: &out}
	defer d.close()
	d.report("settings", d.settings(t.Context()))
	for _, want := range []string{"CARILLON_SECRET_KEY: ", "CARILLON_ADMIN_KEY is not set", "CARILLON_ALLOW_CIDRS: ", "CARILLON_DATABASE_URL: "} {
		require.Contains(t, out.String(), want)
	}
	require.Equal(t, 1, d.failures)
	require.NotContains(t, out.String(), "hunter2")
	require.Equal(t, skipped, d.database(t.Context()).verdict)
}
