package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// answered is a page with what tells where it came from.
type answered struct {
	status int
	kept   string // fresh or stale; empty when it is no page
	body   string
	header http.Header
	took   time.Duration
}

func (f *faultyStore) get(s *shopper, path string) answered {
	began := time.Now()
	response, err := s.http.Get(s.url + path)
	if err != nil {
		return answered{}
	}
	defer response.Body.Close()
	var body strings.Builder
	if _, err := io.Copy(&body, response.Body); err != nil {
		return answered{}
	}
	shown := answered{status: response.StatusCode, body: body.String(), header: response.Header, took: time.Since(began)}
	if shown.status == http.StatusOK {
		shown.kept = "fresh"
		if response.Header.Get("X-Served-Stale") != "" {
			shown.kept = "stale"
		}
	}
	return shown
}

// admin runs statements as the superuser, over one connection.
func (f *faultyStore) admin(statements ...string) {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	defer connection.Close(context.Background())
	for _, statement := range statements {
		_, err := connection.Exec(f.t.Context(), statement)
		require.NoError(f.t, err, statement)
	}
}

// terminate ends every connection of the store.
func (f *faultyStore) terminate() {
	f.t.Helper()
	f.admin(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'shop'`)
}

// lock makes every statement on tables wait.
func (f *faultyStore) lock(tables ...string) (release func()) {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	_, err = connection.Exec(f.t.Context(), `BEGIN; LOCK TABLE `+strings.Join(tables, ", "))
	require.NoError(f.t, err)
	return func() { require.NoError(f.t, connection.Close(context.Background())) }
}

// shutDown ends PostgreSQL as an operator would: those who are connected are
// told so.
func (f *faultyStore) shutDown() {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	var pid string
	require.NoError(f.t, connection.QueryRow(f.t.Context(), `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)`).Scan(&pid))
	require.NoError(f.t, connection.Close(context.Background()))
	number, err := strconv.Atoi(pid)
	require.NoError(f.t, err)
	require.NoError(f.t, syscall.Kill(number, syscall.SIGINT))
	require.Eventually(f.t, func() bool {
		_, err := pgx.Connect(f.t.Context(), f.adminURL)
		return errors.Is(err, syscall.ECONNREFUSED)
	}, patience, 5*time.Millisecond)
}
