package sources

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon/catalog"
)

func TestDefectDojosPage(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/defectdojo/*.json")
	require.NoError(t, err)
	require.Len(t, paths, 7)
	scopes := map[string]string{"ping": "", "product_type_added": ""}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := page(t, "defectdojo/"+name+".json")
			events := product(t, "defectdojo").tell(body, "X-DefectDojo-Event: "+name)
			require.Len(t, events, 1)
			want := "tracker." + name
			if name == "ping" {
				want = "ping"
			}
			scope := `{"product":"notif prod"}`
			if _, none := scopes[name]; none {
				scope = "null"
			}
			requireSeen(t, `{"type":"`+want+`","actor":"admin","scope":`+scope+`,"subject":"","time":"0001-01-01T00:00:00Z","data":`+body+`}`, events[0])
		})
	}
}

func TestEveryEventOfDefectDojo(t *testing.T) {
	t.Parallel()
	names := catalog.ProductTypes(catalog.DefectDojo)
	require.Len(t, names, 39)
	for _, n := range names {
		events := product(t, "defectdojo").tell(`{"description":"d","title":null,"user":null,"url_ui":"http://dojo/"}`, "X-DefectDojo-Event: "+n.Name)
		require.Len(t, events, 1)
		requireSeen(t, `{"type":"`+n.Type+`","actor":"","scope":null,"subject":"","time":"0001-01-01T00:00:00Z",
			"data":{"description":"d","url_ui":"http://dojo/"}}`, events[0])
	}
}

func TestTheBodyOfAnOlderDefectDojoIsTaken(t *testing.T) {
	t.Parallel()
	events := product(t, "defectdojo").tell(`{"description":null,"product_type":{"id":4,"name":"notif prod type"},
		"url":"http://localhost:8080/product/type/4","user":null}`, "X-DefectDojo-Event: product_type_added")
	require.Len(t, events, 1)
	var data map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(events[0].Data, &data))
	require.Contains(t, data, "url")
	require.NotContains(t, data, "user")
}
