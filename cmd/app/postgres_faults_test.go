package main

import (
	"testing"
)

// TestWeb_PostgreSQLFaults lives through the catalogue of faults.
func TestWeb_PostgreSQLFaults(t *testing.T) {
	d, postgres := deployAlone(t)
	f := newFaultyPostgres(t, d, postgres)
	f.readTables, f.writtenTable = []string{"boards"}, "notes"
	exercise := postgresExercise{
		page: "/", mark: `id="visitor"`, reads: []string{"/thanks"}, crowd: "/thanks",
		prepare: writeNote,
	}

	exercise.run(t, f)
}
