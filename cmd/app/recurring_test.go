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
