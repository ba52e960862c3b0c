package main

import (
	"net/http"
	"strings"
	"testing"

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
	require.Equal(t, 1, strings.Count(output, "Applied "), output)
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
	}, "says what is missing")

	d.command("migrate")

	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "comes up")
	require.Equal(t, http.StatusOK, status(web.url+"/"))
}
