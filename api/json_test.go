package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestCheckJSONAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`, `[]`, `""`, `0`, `-0`, `-1.5e+10`, `true`, `false`, `null`,
		" {\"a\" : [1, 2.5,\t-3e-7] ,\r\n \"b\":{\"c\":null}} ",
		`"a\"\\\/\b\f\n\r\té"`, `"😀"`, `"😀 é"`, `"\\u0000"`,
		`{"a":1,"A":2}`, `{"":{"":""}}`,
		strings.Repeat("[", carillon.MaxJSONDepth) + strings.Repeat("]", carillon.MaxJSONDepth),
		manyKeys(maxKeys),
		`1e308`, `123456789012345678901234567890`, `1e-400`,
	} {
		require.NoError(t, checkJSON([]byte(text)), text)
	}
}

// manyKeys is a body with n keys, in two objects.
func manyKeys(n int) string {
	var b strings.Builder
	b.WriteString(`[{"a":0},{`)
	for i := 1; i < n; i++ {
		if i > 1 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + strconv.Itoa(i+1) + `":0`)
	}
	b.WriteString(`}]`)
	return b.String()
}

func TestCheckJSONRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		text   string
		at     string // pointer
		line   int
		column int
		detail string
	}{
		{"nothing", ``, "", 1, 1, "missing"},
		{"white space only", " \n ", "", 2, 2, "missing"},
		{"not JSON at all", `hello`, "", 1, 1, "not JSON"},
		{"a misspelled word", `{"a":nul}`, "/a", 1, 6, "did you mean null"},
		{"a second value", `{} {}`, "", 1, 4, "after the end"},
		{"an object that does not end", `{"a":1`, "", 1, 7, "comma or }"},
		{"a comma too many", `{"a":1,}`, "", 1, 8, "key in double quotes"},
		{"an array that does not end", `[1,`, "/1", 1, 4, "missing"},
		{"a comma missing in an array", `[1 2]`, "", 1, 4, "comma or ]"},
		{"a string that does not end", `{"a":"b`, "/a", 1, 8, "does not end"},
		{"a key without a colon", `{"a" 1}`, "/a", 1, 6, "colon"},
		{"a key twice", "{\"a\":1,\n \"a\":2}", "/a", 2, 2, "twice"},
		{"a key twice, once in escapes", `{"a":{"b":1,"\u0062":2}}`, "/a/b", 1, 13, "twice"},
		{"U+0000 in an escape", `{"a":["\u0000"]}`, "/a/0", 1, 8, "U+0000"},
		{"U+0000 in a key", `{"a\u0000":1}`, "", 1, 4, "U+0000"},
		{"U+0000 as it is", "{\"a\":\"\x00\"}", "/a", 1, 7, "control character"},
		{"a line break in a string", "\"a\nb\"", "", 1, 3, "control character"},
		{"bytes that are no UTF-8", "{\"a\":\"\xff\"}", "/a", 1, 7, "UTF-8"},
		{"an overlong encoding", "\"\xc0\x80\"", "", 1, 2, "UTF-8"},
		{"half of a surrogate pair", `"\ud83d x"`, "", 1, 2, "surrogate"},
		{"a surrogate pair the wrong way round", `"\ude00\ud83d"`, "", 1, 2, "surrogate"},
		{"an unknown escape", `"\x"`, "", 1, 2, "must be followed"},
		{"an escape cut off", `"\u12`, "", 1, 2, "must be followed"},
		{"a number beyond a double", `{"n":1e999}`, "/n", 1, 6, "too large"},
		{"a number that would fill the memory", `[0, -1E999999]`, "/1", 1, 5, "too large"},
		{"a number too close to zero", `1e-999999`, "", 1, 1, "too small"},
		{"an exponent beyond integers", `0e99999999999999999999`, "", 1, 1, "too large"},
		{"a number of a thousand digits", strings.Repeat("1", 1000), "", 1, 1, "too long"},
		{"a number with a needless zero", `01`, "", 1, 2, "needless 0"},
		{"a number without digits", `-`, "", 1, 2, "digit"},
		{"a number that ends with its dot", `1.`, "", 1, 3, "digit"},
		{"a number that ends with its e", `1e`, "", 1, 3, "digit"},
		{"a number as JavaScript has it", `{"a":NaN}`, "/a", 1, 6, "not JSON"},
		{"a level too many", strings.Repeat("[", 33), strings.Repeat("/0", 32), 1, 33, "32 levels"},
		{"ten thousand levels", strings.Repeat(`{"a":`, 10_000), strings.Repeat("/a", 32), 1, 161, "32 levels"},
		{"a key too many", manyKeys(maxKeys + 1), "/1/" + strconv.Itoa(maxKeys+1), 1, len(manyKeys(maxKeys)), "at most 20000 keys"},
		{"a place after characters of several bytes", `{"ключ":"é", x}`, "", 1, 14, "key in double quotes"},
		{"a key that pointers escape", `{"a/b~c":x}`, "/a~1b~0c", 1, 10, "not JSON"},
		{"a byte order mark", "\ufeff{}", "", 1, 1, "not JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e, ok := errors.AsType[*carillon.Error](checkJSON([]byte(test.text)))
			require.True(t, ok)
			require.Equal(t, carillon.CodeInvalid, e.Code)
			require.Len(t, e.Problems, 1)
			p := e.Problems[0]
			require.Contains(t, p.Detail, test.detail)
			require.Equal(t, test.at, p.Pointer)
			require.Equal(t, [2]int{test.line, test.column}, [2]int{p.Line, p.Column})
		})
	}
}

func TestAPointerToALongKeyIsCut(t *testing.T) {
	t.Parallel()
	err := checkJSON([]byte(`{"` + strings.Repeat("k", 100_000) + `":x}`))
	e, ok := errors.AsType[*carillon.Error](err)
	require.True(t, ok)
	require.LessOrEqual(t, len(e.Problems[0].Pointer), maxPointerBytes)
}

func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e3,"b\u00e9",true,null]}`, `{"a":1,"a":2}`, `"\ud83d\ude00"`, `[[[[]]]]`, `1e999`, "\"\xff\"", `{"a":}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := checkJSON(text)
		if err == nil {
			require.True(t, json.Valid(text), "encoding/json refuses what was accepted")
			return
		}
		e, ok := errors.AsType[*carillon.Error](err)
		require.True(t, ok)
		require.Equal(t, carillon.CodeInvalid, e.Code)
		require.Positive(t, e.Problems[0].Line)
		require.Positive(t, e.Problems[0].Column)
	})
}
