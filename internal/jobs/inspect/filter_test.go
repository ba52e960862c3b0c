package inspect

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
)

func TestParseFilter_ReadsEveryWord(t *testing.T) {
	t.Parallel()

	filter, err := ParseFilter(` backend:pg queue:critical  kind:send_mail state:failed tag:x args.order_id:5 args.user.name:"Ann Lee"` +
		` since:2h until:2026-11-30T10:00Z cause:00ff00ff00ff00ff batch:17 id:pg:7 `)

	require.NoError(t, err)
	require.Equal(t, Filter{
		Backend: jobs.PG, Queue: "critical", Kind: "send_mail", State: Failed, Tag: "x", ID: "pg:7",
		Args:  []ArgsTerm{{[]string{"order_id"}, "5"}, {[]string{"user", "name"}, "Ann Lee"}},
		Since: Moment{Ago: 2 * time.Hour}, Until: Moment{At: time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)},
		Cause: "00ff00ff00ff00ff", Batch: "17",
	}, filter)
	require.False(t, filter.IsEmpty())
	require.True(t, Filter{Limit: 3, After: "x"}.IsEmpty())
}

func TestParseFilter_TakesAWordAloneAsAnIDOrAKind(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]Filter{
		"pg:7": {ID: "pg:7"}, "7": {ID: "7"}, "redis:low:a:b": {ID: "redis:low:a:b"},
		"0191f0d2-3b5a-7000-8000-0123456789ab": {ID: "0191f0d2-3b5a-7000-8000-0123456789ab"},
		"send_mail":                            {Kind: "send_mail"}, `"a \"b\\ :c"`: {Kind: `a "b\ :c`}, `kind:a/b?c%d#e`: {Kind: "a/b?c%d#e"},
		`args."a.b:c"."d \" e":":"`: {Args: []ArgsTerm{{[]string{"a.b:c", `d " e`}, ":"}}}, "since:1d12h": {Since: Moment{Ago: 36 * time.Hour}},
		"until:2026-11-30":             {Until: Moment{At: time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)}},
		"until:2026-11-30T12:00+02:00": {Until: Moment{At: time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)}}, "": {}, " \n\t": {},
	} {
		filter, err := ParseFilter(text)
		require.NoError(t, err, text)
		require.Equal(t, want, filter, text)
	}
}

func TestParseFilter_NamesEachWordWithItsFix(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]string{
		"stat:failed":              `"stat:failed": there is no word "stat:": write one of backend:, queue:, kind:`,
		"state:dead":               `there is no state "dead": it is one of [pending scheduled running`,
		"backend:mysql":            `there is no backend "mysql": it is pg or redis`,
		"kind:":                    `"kind:" has no value: write one after the colon`,
		`kind:""`:                  `has no value`,
		`kind:"a`:                  `has a quote that does not end`,
		`kind:a"b"`:                `has a quote within its value: quote the whole value`,
		"args:5":                   `is no condition on args: write args.NAME:VALUE, such as args.order_id:5`,
		"args.a":                   `is no condition on args`,
		"args..a:5":                `has an empty name`,
		"since:soon":               `since:"soon" is no time: write how long ago, such as 30m, 2h or 7d`,
		"since:0m":                 `is too long ago or no time at all`,
		"since:99999d":             `is too long ago`,
		"until:2026-13-01":         `is no time`,
		"since:1h until:2h":        `since:1h is not before until:2h`,
		"cause:xyz":                `is no fingerprint: it has 16 of the digits 0-9 and a-f`,
		"queue:a queue:b":          `queue is there twice`,
		"send_mail kind:b":         `kind is there twice`,
		"a b":                      `kind is there twice`,
		"a\xff":                    `bytes that are no text`,
		"a\x00":                    `bytes that are no text`,
		strings.Repeat("x", 1e6):   `longer than 1000 characters`,
		strings.Repeat("é ", 1001): `longer than 1000 characters`,
	} {
		_, err := ParseFilter(text)
		require.ErrorIs(t, err, ErrFilter)
		require.ErrorContains(t, err, want)
		require.Less(t, len(err.Error()), 1000)
	}
	_, err := ParseFilter("state:dead backend:mysql")
	require.ErrorContains(t, err, "dead")
	require.ErrorContains(t, err, "mysql")
}

func FuzzParseFilter(f *testing.F) {
	for _, text := range []string{
		`state:failed args.a."b c":"x y" since:1h30m`, `"a b"`, `pg:7 queue:"\\"`,
		`args."":x`, `id:"redis:a b:c"`, `kind:\`, `args.a:"\"`, `tag:"x"y`,
		"until:2026-11-30T10:00:00.5Z", `args.a\ b:1`, "a b:c", `kind:"a`, `args.":":x`, "kind:a since:2026-01-01",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := ParseFilter(text)
		if err != nil {
			require.ErrorIs(t, err, ErrFilter)
			return
		}
		written := filter.String()
		again, err := ParseFilter(written)
		if len([]rune(written)) > MaxFilter { // names of words and quotes may be added
			return
		}
		require.NoError(t, err, fmt.Sprintf("%q became %q", text, written))
		require.Equal(t, filter, again)
		require.Equal(t, written, again.String())
	})
}
