package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStoreConfigCheck_SaysThatPaymentsAreNotReal(t *testing.T) {
	setNoVariables(t)
	t.Setenv("DATABASE_URL", "postgres://app:secret@db/app")
	check := func(role string) string {
		var stdout bytes.Buffer
		run(t.Context(), newApplication(), []string{"config", "check", role}, &stdout, io.Discard)
		return stdout.String()
	}
	const sandbox = "the payment gateway is the sandbox, which charges no card"

	require.Contains(t, check("web"), sandbox)
	require.Contains(t, check("worker-pg"), sandbox)
	require.NotContains(t, check("worker-redis"), sandbox)
	t.Setenv("APP_ENV", "development")
	require.NotContains(t, check("web"), sandbox)
}
