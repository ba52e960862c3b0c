package httpcache

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseRange_ReadsOneRange(t *testing.T) {
	t.Parallel()

	for text, expected := range map[string]struct {
		wanted byteRange
		what   rangeOutcome
	}{
		"bytes=0-0":                    {byteRange{0, 0}, partOfBody},
		"BYTES = 2-5":                  {byteRange{2, 5}, partOfBody},
		"bytes=2-":                     {byteRange{2, 9}, partOfBody},
		"bytes=2-99":                   {byteRange{2, 9}, partOfBody},
		"bytes=-3":                     {byteRange{7, 9}, partOfBody},
		"bytes=-99":                    {byteRange{0, 9}, partOfBody},
		"bytes=10-":                    {byteRange{}, unsatisfiable},
		"bytes=-0":                     {byteRange{}, unsatisfiable},
		"bytes=5-2":                    {byteRange{}, wholeBody},
		"bytes=0-1,3-4":                {byteRange{}, wholeBody},
		"bytes=":                       {byteRange{}, wholeBody},
		"bytes=-":                      {byteRange{}, wholeBody},
		"bytes=a-b":                    {byteRange{}, wholeBody},
		"bytes=+1-2":                   {byteRange{}, wholeBody},
		"lines=0-1":                    {byteRange{}, wholeBody},
		"bytes=0-99999999999999999999": {byteRange{}, wholeBody},
	} {
		wanted, what := parseRange([]string{text}, 10)
		require.Equal(t, expected.what, what, text)
		require.Equal(t, expected.wanted, wanted, text)
	}
	_, what := parseRange([]string{"bytes=0-1", "bytes=2-3"}, 10)
	require.Equal(t, wholeBody, what)
	_, what = parseRange([]string{"bytes=-1"}, 0)
	require.Equal(t, unsatisfiable, what)
}

func TestParseContentRange_KnowsTheSizeOfTheWhole(t *testing.T) {
	t.Parallel()

	given, size, ok := parseContentRange("bytes 4-9/10")
	require.True(t, ok)
	require.Equal(t, byteRange{4, 9}, given)
	require.EqualValues(t, 10, size)
	require.Equal(t, "bytes 4-9/10", contentRange(given, size))

	for _, text := range []string{"", "bytes */10", "bytes 0-1/*", "bytes 4-3/10", "bytes 4-10/10", "lines 0-1/2", "bytes 0/2"} {
		_, _, ok := parseContentRange(text)
		require.False(t, ok, text)
	}
}
