package httpcache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseDictionary_ReadsEveryType(t *testing.T) {
	t.Parallel()

	members, err := parseDictionary([]string{
		`max-age=3600, a;x=1;y , b=?0, c=-1.25,  d="q\"\\", e=tok/en:1`,
		`f=:aGk=:, g=@1659578233, h=%"f%c3%bc", i=("a" b;z 3);k=?1, a=2`,
	})

	require.NoError(t, err)
	require.Equal(t, []member{
		{"max-age", int64(3600)}, {"b", false}, {"c", -1.25}, {"d", `q"\`}, {"e", token("tok/en:1")},
		{"f", []byte("hi")}, {"g", date(1659578233)}, {"h", "fü"},
		{"i", []member{{value: "a"}, {value: token("b")}, {value: int64(3)}}}, {"a", int64(2)},
	}, members)
}

func TestParseDictionary_RefusesWhatIsMalformed(t *testing.T) {
	t.Parallel()

	for _, text := range []string{
		"a,", "a=", "A=1", "a =1", "a= 1", "a=1 b=2", "a=1,,b=2", "&&&", `a="x`, "a='x'", "a=1234567890123456", "a=1.", "a=1.2345",
		"a=1234567890123.1", "a=--1", "a=?2", "a=:a", "a=:*:", "a=(1", "a=(1,2)", "a=@1.5",
		`a=%"%C3"`, `a=%"%c"`, "a;B", "a;b=", "a=é", `a="é"`, `a="\n"`,
	} {
		_, err := parseDictionary([]string{text})
		require.ErrorIs(t, err, errStructured, text)
	}
}

func TestParseList_ReadsItemsOfAllLines(t *testing.T) {
	t.Parallel()

	members, err := parseList([]string{`"a", "b";x`, ` 3 `})
	require.NoError(t, err)
	require.Equal(t, []member{{value: "a"}, {value: "b"}, {value: int64(3)}}, members)

	members, err = parseList(nil)
	require.NoError(t, err)
	require.Empty(t, members)

	_, err = parseList([]string{`"a" "b"`})
	require.ErrorIs(t, err, errStructured)
}
