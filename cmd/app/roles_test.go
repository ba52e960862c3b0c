package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestRoles_TwoMigrationsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	d := deployOn(t, pgtest.Empty(t))

	first, second := d.launch(nil, "migrate"), d.launch(nil, "migrate")
	<-first.done
	<-second.done

	require.Zero(t, first.cmd.ProcessState.ExitCode(), first.output.String())
	require.Zero(t, second.cmd.ProcessState.ExitCode(), second.output.String())
	output := first.output.String() + second.output.String()
	require.Equal(t, 1, strings.Count(output, "Migrations applied: "), output)
	d.command("migrate", "status")
}

func TestRoles_StayDownUntilTheSchemaIsThere(t *testing.T) {
	t.Parallel()
	d := deployOn(t, pgtest.Empty(t))
	web := d.start("web")
	visitor := newVisitor(t, web.url)
	web.eventually(func() bool {
		code, body := visitor.get("/up")
		require.Equal(t, http.StatusServiceUnavailable, code)
		return strings.Contains(body, "run app migrate")
	}, "reports what is missing")

	d.command("migrate")

	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "comes up")
	require.Equal(t, http.StatusOK, status(web.url+"/"))
}

func TestRoles_StayDownWhileTheDatabaseRefusesThem(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	role := fmt.Sprintf("newcomer_%d", time.Now().UnixNano())
	d.execute(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'old' IN ROLE slipway; ALTER ROLE ` + role + ` SET role = slipway`)
	defer d.execute(`DROP ROLE ` + role)
	address, err := url.Parse(d.databaseURL)
	require.NoError(t, err)
	address.User = url.UserPassword(role, "new")
	d.environment["DATABASE_URL"] = address.String()
	all := []*appProcess{d.start("web"), d.start("worker-pg"), d.start("worker-redis")}
	for _, p := range all {
		p.eventually(func() bool {
			return strings.Contains(p.health().Checks["database"].Reason, "does not accept the password in DATABASE_URL")
		}, "says why")
		code, body := newVisitor(t, p.ops).get("/up")
		require.Equal(t, http.StatusServiceUnavailable, code)
		require.Contains(t, body, "does not accept the password")
		require.NotContains(t, body, role)
	}

	d.execute(`ALTER ROLE ` + role + ` PASSWORD 'new'`)

	for _, p := range all {
		p.eventually(func() bool { return status(p.ops+"/up") == http.StatusOK && p.health().Status == "ok" }, "comes up")
		p.stop()
	}
}

func TestRoles_ANoteGoesFromTheFormThroughJobsAndTasksToOpenPages(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	first, workerPG, workerRedis := d.startAll()
	second := d.start("web")
	second.eventually(func() bool { return second.health().Status == "ok" }, "is healthy")
	watching := openEvents(t, newVisitor(t, second.url), "/live")
	watching.await(t, "retry: ")

	status, at, _ := newVisitor(t, first.url).post("/notes", newNote())

	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "/thanks", at)
	require.Contains(t, watching.await(t, `id="note-count"`), "1 notes")
	workerPG.eventually(func() bool { return d.confirmed() == 1 }, "runs the job")
	require.Contains(t, d.mails()[0].Text, "Thank you.")
	workerRedis.eventually(func() bool { return d.archived() == 1 }, "runs the durable task")
	for _, p := range []*appProcess{first, second, workerPG, workerRedis} {
		require.Less(t, p.stop(), 8*time.Second)
		require.Contains(t, p.output.String(), "Role stopped")
		require.NotContains(t, p.output.String(), "DATA RACE")
	}
}

func TestRoles_WaitForBackendsThatAreNotThereYet(t *testing.T) {
	t.Parallel()
	d, postgres := deployAlone(t)
	web, workerPG := d.startBeforeBackends(postgres)
	code, _, _ := newVisitor(t, web.url).post("/notes", newNote())
	require.Equal(t, http.StatusOK, code)
	workerPG.eventually(func() bool { return d.confirmed() == 1 }, "runs the job")
}
