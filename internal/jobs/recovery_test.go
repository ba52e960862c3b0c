package jobs

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres/pgtest"
)

func TestDocs_PromiseARecoveryThatTheProgramKeeps(t *testing.T) {
	t.Parallel()
	promised := promisedRecovery(t)

	// A worker that has just started counts heartbeats before it declares another dead.
	require.GreaterOrEqual(t, promised[PG], deadAfter+deadAfter+beatEvery)
	require.GreaterOrEqual(t, promised[Redis], taskqueue.RunAgainWithin)
}

// The job or task of a killed worker runs again soon, on another worker, and uses
// up no attempt. RECOVERY_RUNS is how many workers are killed.
func TestRecovery_WorkOfAKilledWorkerRunsAgain(t *testing.T) {
	t.Parallel()
	runs := int(fromEnvironment(t, "RECOVERY_RUNS", 2))
	for backend, most := range promisedRecovery(t) {
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

// Private

// promisedRecovery returns how soon docs/jobs.md says that work of a killed worker
// runs again.
func promisedRecovery(t *testing.T) map[Backend]time.Duration {
	t.Helper()
	text, err := os.ReadFile("../../docs/jobs.md")
	require.NoError(t, err)
	within := ` runs again within (\d+ s) \|`
	row := regexp.MustCompile(`\| The worker is killed \|` + strings.Repeat(within, 3)).FindStringSubmatch(string(text))
	require.Len(t, row, 4)
	require.Equal(t, row[2], row[3], "of durable and of transient tasks")
	promised := map[Backend]time.Duration{}
	for backend, figure := range map[Backend]string{PG: row[1], Redis: row[2]} {
		promised[backend], err = time.ParseDuration(strings.ReplaceAll(figure, " ", ""))
		require.NoError(t, err)
	}
	return promised
}
