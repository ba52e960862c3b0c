package main

import "testing"

func TestSeed_HelpSaysWhatItDoesAndReads(t *testing.T) {
	t.Parallel()

	requireHelp(t, newApplication(), "seed", "DATABASE_URL")
}

func TestSeed_NamesEveryMissingVariableBeforeItConnects(t *testing.T) {
	setNoVariables(t)

	requireMissing(t, newApplication(), "seed", []string{"DATABASE_URL"})
}
