package main

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// postgresExercise is what the visitors of an application do while PostgreSQL is
// faulty.
type postgresExercise struct {
	page  string   // a public page
	mark  string   // pattern; is on that page when it was rendered for its visitor
	reads []string // pages that are not cached
	crowd string   // the page of reads that 40 visitors open at once

	// prepare fills in a form before the fault, and returns where it goes.
	prepare func(v *visitor) (path string, form url.Values)
}

// run lives through the whole catalogue of faults with one web process.
func (e postgresExercise) run(t *testing.T, f *faultyPostgres) {
	t.Helper()
	for _, fault := range postgresFaults() {
		t.Run(fault.name, func(t *testing.T) { e.suffer(t, f, fault) })
	}
	require.NotContains(t, f.web.output.String(), "DATA RACE")
	require.NotContains(t, f.web.output.String(), "status=500")
}

// suffer lives through one fault: what visitors and operators see while it lasts,
// that a form which failed can be sent again, and that all is well after it.
func (e postgresExercise) suffer(t *testing.T, f *faultyPostgres, fault postgresFault) {
	t.Helper()
	f.t = t
	ada, eve := newVisitor(t, f.web.url), newVisitor(t, f.web.url)
	path, form := e.prepare(ada)
	written := f.d.query(`SELECT count(*) FROM ` + f.writtenTable)
	nobody := newVisitor(t, f.web.url) // whose page the cache keeps
	stacktest.Eventually(t, func() bool { return open(nobody, e.page).source == "fresh" && open(ada, e.page).source == "fresh" })

	end := fault.begin(f)
	ended := false
	defer func() {
		if !ended {
			end()
		}
	}()

	// What visitors see, all at once.
	var all sync.WaitGroup
	var first answered
	crowd := make([]int, 40)
	var write int
	reads := make([]int, len(e.reads))
	all.Go(func() { first = open(ada, e.page) })
	all.Go(func() { write, _, _ = ada.post(path, form) })
	for i, read := range e.reads {
		all.Go(func() { reads[i] = open(ada, read).status })
	}
	for i := range crowd {
		all.Go(func() { crowd[i] = open(eve, e.crowd).status })
	}
	began := time.Now()
	all.Wait()
	require.Less(t, time.Since(began), 6*time.Second, "no request lasts as long as REQUEST_TIMEOUT")
	require.Equal(t, http.StatusOK, first.status)
	for i, status := range reads {
		require.Equal(t, fault.read, status, e.reads[i])
	}
	require.Equal(t, fault.write, write)
	for _, status := range crowd {
		require.Contains(t, []int{fault.read, http.StatusServiceUnavailable}, status) // 40 at once on 4 connections
	}

	// What the operator sees.
	f.web.eventually(func() bool {
		report := f.web.health()
		if fault.check == "" {
			return report.Status == fault.health
		}
		if fault.health == "degraded" {
			all.Go(func() { open(eve, e.crowd) }) // only a page that waits shows it
		}
		return report.Status == fault.health && strings.Contains(report.Checks[fault.check].Reason, fault.reason)
	}, "reports "+fault.health+" "+fault.reason)
	all.Wait()
	require.Equal(t, http.StatusOK, status(f.web.ops+"/up"))

	// Once the fault is known.
	var took []time.Duration
	for range 10 {
		shown := open(ada, e.page)
		require.Equal(t, http.StatusOK, shown.status)
		require.Equal(t, fault.page, shown.source)
		if shown.source == "stale" {
			require.Contains(t, shown.body, "may be a few minutes old")
			require.NotContains(t, shown.body, "data-when-stale")
			require.NotRegexp(t, e.mark, shown.body)
			require.Empty(t, shown.header.Get("Set-Cookie"))
		} else {
			require.Regexp(t, e.mark, shown.body)
		}
		took = append(took, shown.took)
		if fault.health == "degraded" {
			break // every page waits for its connection
		}
	}
	slices.Sort(took)

	ended = true
	end()
	returned := time.Now()
	stacktest.Eventually(t, func() bool { return open(ada, e.crowd).status == http.StatusOK })
	recovery := time.Since(returned)
	t.Logf("first page %s, then %s (median); pages again after %s", first.took.Round(time.Millisecond),
		took[len(took)/2].Round(100*time.Microsecond), recovery.Round(time.Millisecond))
	f.web.eventually(func() bool {
		return f.web.health().Checks["database"].Status == "ok" || fault.reason == "disk_full" // remembered for a while
	}, "is healthy again")

	// A form that failed is accepted now, and one that was accepted is not written twice.
	stacktest.Eventually(t, func() bool {
		write, _, _ = ada.post(path, form)
		return write != http.StatusServiceUnavailable
	})
	require.Equal(t, http.StatusOK, write)
	require.Equal(t, written+1, f.d.query(`SELECT count(*) FROM `+f.writtenTable))
	require.Equal(t, "fresh", open(ada, e.page).source)
}

// answered is a response, and whether it is a cached page.
type answered struct {
	status int
	source string // fresh or stale; empty when it is no page
	body   string
	header http.Header
	took   time.Duration
}

// open opens a page. The zero value means that nothing answered.
func open(v *visitor, path string) answered {
	began := time.Now()
	response, err := v.http.Get(v.url + path)
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
		shown.source = "fresh"
		if response.Header.Get("X-Served-Stale") != "" {
			shown.source = "stale"
		}
	}
	return shown
}
