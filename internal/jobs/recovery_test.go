package jobs

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

// The job or task of a killed worker runs again soon, on another worker, and uses
// up no attempt. RECOVERY_RUNS is how many workers are killed.
func TestRecovery_WorkOfAKilledWorkerRunsAgain(t *testing.T) {
	t.Parallel()
	runs := int(fromEnvironment(t, "RECOVERY_RUNS", 2))
	for backend, most := range map[Backend]time.Duration{PG: 45 * time.Second, Redis: 150 * time.Second} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			url, server := pgtest.URL(t, migrations), stacktest.Redis(t)
			db := openDatabase(t, url)
			tasks, _ := newTasks(t, server.URL())
			queue := newJobs(t, db, prometheus.NewRegistry())
			began := func() int { return count(t, db, `SELECT count(*) FROM things WHERE name LIKE 'began %'`) }
			victims := make([]*victim, runs)
			for n := range victims {
				if name := strconv.Itoa(n); backend == PG {
					enqueue(t, db, queue, name)
				} else {
					require.True(t, tasks.Enqueue(t.Context(), greetArgs{Name: name}))
				}
				victims[n] = startVictim(t, "holder of "+string(backend), url, server.URL())
				stacktest.Eventually(t, func() bool { return began() == n+1 }, victims[n].output)
			}
			startVictim(t, "finisher of "+string(backend), url, server.URL())

			killed := map[int]time.Time{}
			for _, victim := range victims {
				require.NoError(t, victim.cmd.Process.Signal(syscall.SIGKILL))
				killed[victim.cmd.Process.Pid] = time.Now()
				apart := time.NewTimer(700 * time.Millisecond)
				<-apart.C
			}
			require.Eventually(t, func() bool {
				return count(t, db, `SELECT count(*) FROM things WHERE name LIKE 'finished %'`) == runs
			}, most+patience, 50*time.Millisecond, "all run again")

			rows, err := db.Query(t.Context(), `
				SELECT split_part(b.name, ' ', 3)::int, split_part(f.name, ' ', 4)::bigint
				FROM things b JOIN things f ON f.name LIKE 'finished ' || split_part(b.name, ' ', 2) || ' %'
				WHERE b.name LIKE 'began %'`)
			require.NoError(t, err)
			var pid int
			var again int64
			var times []string
			_, err = pgx.ForEachRow(rows, []any{&pid, &again}, func() error {
				took := time.UnixMilli(again).Sub(killed[pid])
				times = append(times, fmt.Sprintf("%.1f", took.Seconds()))
				require.Less(t, took, most)
				return nil
			})
			require.NoError(t, err)
			t.Logf("seconds from SIGKILL to the next run: %v", times)
			require.Len(t, times, runs)
			if backend == PG {
				require.Equal(t, runs, count(t, db, `SELECT count(*) FROM river_job WHERE attempt = 1 AND errors IS NULL`))
			}
			require.Equal(t, runs, count(t, db, `SELECT count(*) FROM things WHERE name LIKE 'finished % retries=0'`))
		})
	}
}
