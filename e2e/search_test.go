package e2e

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/carillon-dev/carillon/schema"
)

// histories returns the histories of all runs by their workflow's and their own
// id: each event as JSON, in which payloads are base64, and as a text, in which
// they are what they say.
func (i *instance) histories() map[string]string {
	i.t.Helper()
	c := i.temporalClient()
	all := map[string]string{}
	for token := []byte(nil); ; {
		page, err := c.ListWorkflow(i.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{NextPageToken: token})
		require.NoError(i.t, err)
		for _, run := range page.GetExecutions() {
			id := run.GetExecution()
			var text strings.Builder
			text.WriteString(run.String())
			events := c.GetWorkflowHistory(i.t.Context(), id.GetWorkflowId(), id.GetRunId(), false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
			for events.HasNext() {
				event, err := events.Next()
				require.NoError(i.t, err)
				asJSON, err := protojson.Marshal(event)
				require.NoError(i.t, err)
				text.Write(asJSON)
				text.WriteString(event.String())
			}
			all[id.GetWorkflowId()+" "+id.GetRunId()] = text.String()
		}
		if token = page.GetNextPageToken(); len(token) == 0 {
			return all
		}
	}
}

// joined is all texts of a map.
func joined(texts map[string]string) string {
	var all strings.Builder
	for _, text := range texts {
		all.WriteString(text)
	}
	return all.String()
}

// databaseURL is where the instance keeps its own data.
func (i *instance) databaseURL() string {
	for _, setting := range i.env {
		if url, ok := strings.CutPrefix(setting, "CARILLON_DATABASE_URL="); ok {
			return url
		}
	}
	return "sqlite:" + i.dir + "/carillon/carillon.db"
}

// dump returns every value of Carillon's database, by table and column. It
// knows no table: it reads them all.
func (i *instance) dump() map[string][]string {
	i.t.Helper()
	ctx := i.t.Context()
	database, err := schema.Parse(i.databaseURL())
	require.NoError(i.t, err)
	db, err := database.Open()
	require.NoError(i.t, err)
	defer func() { require.NoError(i.t, db.Close()) }()
	tables := `SELECT name FROM sqlite_master WHERE type = 'table'`
	if database.Driver() == schema.Postgres {
		tables = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	found, err := db.QueryContext(ctx, tables)
	if err == nil {
		defer func() { _ = found.Close() }()
	}
	require.NoError(i.t, err)
	var names []string
	for found.Next() {
		var name string
		require.NoError(i.t, found.Scan(&name))
		names = append(names, name)
	}
	require.NoError(i.t, found.Err())
	values := map[string][]string{}
	for _, name := range names {
		rows, err := db.QueryContext(ctx, `SELECT * FROM `+name)
		require.NoError(i.t, err)
		defer func() { require.NoError(i.t, rows.Close()) }()
		columns, err := rows.Columns()
		require.NoError(i.t, err)
		for rows.Next() {
			row := make([]any, len(columns))
			for k := range row {
				row[k] = new(any)
			}
			require.NoError(i.t, rows.Scan(row...))
			for k, v := range row {
				at := name + "." + columns[k]
				values[at] = append(values[at], fmt.Sprintf("%s", *v.(*any)))
			}
		}
		require.NoError(i.t, rows.Err())
	}
	return values
}

// sealedBy returns the columns of Carillon's database that hold sealed texts,
// and how many with each key.
func (i *instance) sealedBy() map[string]map[string]int {
	i.t.Helper()
	sealed := regexp.MustCompile(`^([0-9a-f]{8})\.[A-Za-z0-9+/]{32,}=*$`)
	counts := map[string]map[string]int{}
	for at, values := range i.dump() {
		for _, value := range values {
			if found := sealed.FindStringSubmatch(value); found != nil {
				if counts[at] == nil {
					counts[at] = map[string]int{}
				}
				counts[at][found[1]]++
			}
		}
	}
	return counts
}

// restart starts Carillon again with other variables.
func (i *instance) restart(env ...string) {
	i.t.Helper()
	if i.carillon != nil {
		i.carillon.stop(i.t)
		i.logs += i.carillon.log.String()
	}
	i.env = append(i.env, env...)
	i.startCarillon()
}

// logged is all that Carillon logged so far.
func (i *instance) logged() string { return i.logs + i.carillon.log.String() }
