package main

import "testing"

func TestStoreSeed_NamesEveryMissingVariableBeforeItConnects(t *testing.T) {
	setNoVariables(t)

	requireMissing(t, newApplication(), "seed", []string{"DATABASE_URL"})
}
