package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestWebMigrate_MigratesAnEmptyDatabaseBeforeItServes(t *testing.T) {
	t.Parallel()
	d := deployOn(t, pgtest.Empty(t))

	web := d.startMigrating()
	web.eventually(func() bool { return status(web.ops+"/up") == http.StatusOK }, "is up")

	require.Zero(t, d.query(`SELECT count(*) FROM notes`))
	require.Contains(t, d.exits(exitOK, "migrate"), "The schema is up to date.")
	web.stop()
}

func TestWebMigrate_WaitsForADatabaseThatStartsLater(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	d := deployOn(t, server.URL())
	require.NoError(t, server.Kill())

	web := d.startMigrating()
	web.eventually(func() bool { return strings.Contains(web.output.String(), "Migration waits for PostgreSQL") }, "waits")
	require.Zero(t, status(web.ops+"/up"), "not up before it is migrated")
	require.NoError(t, server.Restart(t.Context()))

	web.eventually(func() bool { return status(web.ops+"/up") == http.StatusOK }, "is up")
	web.stop()
}

func TestWebMigrate_StopsWhileItWaits(t *testing.T) {
	t.Parallel()
	d := deployOn(t, "postgres://app@"+stacktest.ClosedAddress(t)+"/app")

	web := d.startMigrating()
	web.eventually(func() bool { return strings.Contains(web.output.String(), "Migration waits for PostgreSQL") }, "waits")

	web.stop()
	require.Contains(t, web.output.String(), "Role stopped")
}

func TestWebMigrate_EndsWhenTheDatabaseRefusesIt(t *testing.T) {
	t.Parallel()
	d := deployOn(t, pgtest.Empty(t))
	address, err := url.Parse(d.databaseURL)
	require.NoError(t, err)
	address.Path = "/mistyped"
	d.environment["DATABASE_URL"] = address.String()

	said := d.exits(exitFailed, "web", "--migrate")

	require.Contains(t, said, "app: migrate before serving: ")
	require.Contains(t, said, "app: the database does not exist on its server: correct its name in DATABASE_URL")
}

// Private

// startMigrating runs web with --migrate, and does not wait for it.
func (d *deployment) startMigrating() *appProcess {
	d.t.Helper()
	port, ops := stacktest.Port(d.t), stacktest.Port(d.t)
	web := d.launch([]string{fmt.Sprintf("OPS_PORT=%d", ops), fmt.Sprintf("PORT=%d", port)}, "web", "--migrate")
	web.ops = fmt.Sprintf("http://127.0.0.1:%d", ops)
	return web
}
