package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func repositoryFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(inRepository(name))
	require.NoError(t, err)
	return string(content)
}

func inRepository(name string) string { return filepath.Join("../..", name) }
