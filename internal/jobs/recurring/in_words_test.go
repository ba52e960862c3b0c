package recurring

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInWords_SaysACronExpression(t *testing.T) {
	t.Parallel()

	for expression, words := range map[string]string{
		"0 3 * * *":               "every day at 3:00",
		"30 9,17 * * mon-fri":     "from Monday to Friday at 9:30 and 17:30",
		"*/5 * * * *":             "every 5 minutes",
		"* * * * *":               "every minute",
		"12 * * * *":              "every hour at minute 12",
		"0 */6 * * *":             "every 6 hours",
		"0 * * * *":               "every hour",
		"*/10 9-17 * * 1-5":       "every 10 minutes from 9:00 to 17:59 from Monday to Friday",
		"0 0 1,15 * *":            "on the 1st and 15th of the month at 0:00",
		"0 0 13 * 5":              "on the 13th of the month or on Friday at 0:00",
		"0 8 * 1,jul 0":           "on Sunday at 8:00 in January and July",
		"0 8 1-7 * *":             "on the 1st to 7th of the month at 8:00",
		"@daily":                  "every day at 0:00",
		"@weekly":                 "on Sunday at 0:00",
		"0 3 * * * Europe/Berlin": "every day at 3:00 in Europe/Berlin",
		"every monday at 9am":     "every monday at 9am",
		"30 0 3 * * *":            "30 0 3 * * *",
		"nonsense":                "nonsense",
		"":                        "",
	} {
		require.Equal(t, words, InWords(expression), expression)
	}
}
