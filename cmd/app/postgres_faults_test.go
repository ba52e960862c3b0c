package main

import (
	"net/url"
	"testing"
)

// TestWeb_PostgreSQLFaults lives through the catalogue of faults.
func TestWeb_PostgreSQLFaults(t *testing.T) {
	t.Parallel()
	d, postgres := deployAlone(t)
	f := newFaultyPostgres(t, d, postgres)
	f.readTables, f.writtenTable = []string{"boards"}, "notes"
	exercise := postgresExercise{
		page: "/", mark: `id="visitor"`, reads: []string{"/thanks"}, crowd: "/thanks",
		prepare: func(*visitor) (string, url.Values) { return "/notes", newNote() },
	}

	exercise.run(t, f)
}
