package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
)

func TestRecurringWork_CanAllBeUsed(t *testing.T) {
	t.Parallel()
	for _, app := range []application{testApplication(), newApplication()} {
		work, err := app.declared()
		require.NoError(t, err)

		entries, err := app.schedules(work)

		require.NoError(t, err)
		for _, entry := range entries {
			require.Contains(t, []jobs.Backend{jobs.PG, jobs.Redis}, entry.Backend, entry.Key)
		}
	}
}

func TestJobsCheck_FindsNothingWrong(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer

	require.Equal(t, exitOK, run(t.Context(), testApplication(), []string{"jobs", "check"}, &stdout, io.Discard))

	require.Contains(t, stdout.String(), "2 recurring: all can be used")
	require.Equal(t, exitOK, run(t.Context(), newApplication(), []string{"jobs", "check"}, io.Discard, io.Discard))
}

func TestJobsRecurringNext_ShowsTheNightInWhichClocksChange(t *testing.T) {
	t.Parallel()
	app := testApplication()
	app.recurring = []byte("night: {kind: forget_old_notes, schedule: every day at 2:30am Europe/Vienna}")
	next := func(args ...string) (code int, output string) {
		var stdout, stderr bytes.Buffer
		code = run(t.Context(), app, append([]string{"jobs", "recurring", "next"}, args...), &stdout, &stderr)
		return code, stdout.String() + stderr.String()
	}

	_, autumn := next("night", "--from", "2026-10-24T12:00:00Z", "--count", "2")
	require.Regexp(t, `^NEXT +UTC\n`+
		`Sun 2026-10-25 02:30:00 CEST +2026-10-25T00:30:00Z\n`+
		`Mon 2026-10-26 02:30:00 CET +2026-10-26T01:30:00Z\n$`, autumn)
	_, spring := next("night", "--from", "2027-03-27T12:00:00Z", "--count", "1", "--json")
	require.JSONEq(t, `["2027-03-28T01:00:00Z"]`, spring)

	code, said := next("day")
	require.Equal(t, exitFailed, code)
	require.Contains(t, said, "config/recurring.yml has no such entry: day")
	code, said = next("night", "--from", "tomorrow")
	require.Equal(t, exitUsage, code)
	require.Contains(t, said, `--from "tomorrow" is no time such as 2027-03-27T12:00:00Z`)
}

func TestKinds_DeclareTheirQueueAttemptsAndTimeout(t *testing.T) {
	t.Parallel()
	for _, app := range []application{testApplication(), newApplication()} {
		work, err := app.declared()
		require.NoError(t, err)

		for _, handler := range work.kinds() {
			require.NotEmpty(t, handler.Queue, handler.Kind)
			require.NotZero(t, handler.Attempts, handler.Kind)
			require.NotZero(t, handler.Timeout, handler.Kind)
		}
	}
}
