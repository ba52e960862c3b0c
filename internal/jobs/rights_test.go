package jobs

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestRights_NamesWhatIsMissingAndTheGrant(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, migrations)
	owner := openDatabase(t, address)
	role := fmt.Sprintf("worker_%d", time.Now().UnixNano())
	execute(t, owner, `CREATE ROLE `+role+` LOGIN PASSWORD 'secret'`)
	defer dropRole(t, address, role)
	execute(t, owner, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO `+role)
	execute(t, owner, `GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO `+role)
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	parsed.User = url.UserPassword(role, "secret")
	log := &journal{}
	rights := NewRights(openDatabase(t, parsed.String()), log.logger())
	require.NoError(t, rights.Check(t.Context()))
	require.Empty(t, log.String())

	for _, table := range []string{
		"river_job", "river_queue", "river_leader", "job_processes", "failed_tasks", "recurring_tasks", "recurring_runs",
	} {
		execute(t, owner, `REVOKE DELETE, UPDATE ON `+table+` FROM `+role)
		want := table + ` lacks UPDATE, DELETE; GRANT UPDATE, DELETE ON TABLE ` + table + ` TO the user in DATABASE_URL`
		require.ErrorContains(t, rights.Check(t.Context()), want)
		require.ErrorContains(t, rights.Check(t.Context()), want)
		execute(t, owner, `GRANT UPDATE, DELETE ON TABLE `+table+` TO `+role)
		require.NoError(t, rights.Check(t.Context()))
	}
	execute(t, owner, `REVOKE USAGE ON SEQUENCE river_job_id_seq FROM `+role)
	require.ErrorContains(t, rights.Check(t.Context()), "GRANT USAGE ON SEQUENCE river_job_id_seq TO")
	require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), "the same failure is logged once a minute")
}

// Private

func dropRole(t *testing.T, address, role string) {
	t.Helper()
	db := openDatabase(t, address)
	execute(t, db, `DROP OWNED BY `+role)
	execute(t, db, `DROP ROLE `+role)
}
