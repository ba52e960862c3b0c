package httpcache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseDate_ReadsTheThreeForms(t *testing.T) {
	t.Parallel()
	expected := time.Date(2050, time.August, 18, 2, 1, 18, 0, time.UTC)

	for _, text := range []string{
		"Thu, 18 Aug 2050 02:01:18 GMT", "THU, 18 AUG 2050 02:01:18 gmt", "Mon, 18 Aug 2050 02:01:18 GMT",
		"Thursday, 18-Aug-50 02:01:18 GMT", "Thu Aug 18 02:01:18 2050",
	} {
		parsed, ok := parseDate(text)
		require.True(t, ok, text)
		require.Equal(t, expected, parsed, text)
	}
}

func TestParseDate_IsStrict(t *testing.T) {
	t.Parallel()

	for _, text := range []string{
		"", "0", "-1", "now", "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 2050 02:01:18 AEST", "Thu, 18 Aug 50 02:01:18 GMT",
		"Thu 18 Aug 2050 02:01:18 GMT", "Thu, 18  Aug  2050 02:01:18 GMT", "Thu, 18-Aug-2050 02:01:18 GMT",
		"Thu, 18 Aug 2050 02.01.18 GMT", "Thu, 18 Aug 2050 2:01:18 GMT", "Thu, 8 Aug 2050 02:01:18 GMT", "Thu, 32 Aug 2050 02:01:18 GMT",
		"Thu, 18 Aug 2050 02:01:18 GMT ", " Thu, 18 Aug 2050 02:01:18 GMT", "Thu Aug 08 02:01:18 2050",
	} {
		_, ok := parseDate(text)
		require.False(t, ok, text)
	}
}
