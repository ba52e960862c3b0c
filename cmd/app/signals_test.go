package main

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWorkers_AreQuietAfterSIGTSTPAndShowGoroutinesAfterSIGQUIT(t *testing.T) {
	t.Parallel()
	for role, work := range map[string][]string{
		"worker-pg": {"forget_old_notes"}, "worker-redis": {"archive_note", `{"note_id": 1}`},
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			worker := d.start(role)
			worker.eventually(func() bool { return status(worker.ops+"/ready") == http.StatusOK }, "is ready")
			worker.eventually(func() bool { return d.query(`SELECT count(*) FROM job_processes WHERE state = 'working'`) == 1 }, "works")

			require.NoError(t, worker.cmd.Process.Signal(syscall.SIGQUIT))
			worker.eventually(func() bool { return contains(worker, "goroutine ") && contains(worker, "created by") }, "shows goroutines")
			require.NoError(t, worker.cmd.Process.Signal(syscall.SIGTSTP))
			worker.eventually(func() bool { return status(worker.ops+"/ready") == http.StatusServiceUnavailable }, "is quiet")
			require.Equal(t, http.StatusOK, status(worker.ops+"/up"))
			worker.eventually(func() bool {
				return d.query(`SELECT count(*) FROM job_processes WHERE state = 'quiet'`) == 1
			}, "reports that it is quiet")
			d.jobs(0, append([]string{"enqueue"}, work...)...)

			require.Less(t, worker.stop(), 10*time.Second)
			require.Contains(t, d.jobs(0, "list", "--state", "pending"), work[0])
			require.Zero(t, d.query(`SELECT count(*) FROM job_processes`))
		})
	}
}

func TestWorkers_ExitAfterTheyWereStoppedForTooLong(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	workers := []*appProcess{d.start("worker-pg"), d.start("worker-redis")}
	workers[0].eventually(func() bool {
		return d.query(`SELECT count(*) FROM job_processes WHERE beat_at > started_at`) == 2 // a worker that still starts may go on
	}, "and worker-redis have a heartbeat")

	for _, worker := range workers {
		require.NoError(t, worker.cmd.Process.Signal(syscall.SIGSTOP))
	}
	still := time.NewTimer(22 * time.Second) // longer than a heartbeat may be missing
	<-still.C
	for _, worker := range workers {
		require.NoError(t, worker.cmd.Process.Signal(syscall.SIGCONT))
	}

	for _, worker := range workers {
		select {
		case <-worker.done:
		case <-time.After(patience):
			require.Fail(t, worker.name+" goes on", worker.output.String())
		}
		require.Equal(t, 1, worker.cmd.ProcessState.ExitCode())
		require.Contains(t, worker.output.String(), "heartbeat was missing for too long")
	}
}
