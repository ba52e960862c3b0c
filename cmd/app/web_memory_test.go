package main

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGarbagePercent_AllowsAsMuchAsTheHeapHasWithoutTheCache(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		live, cached int64 // MB
		percent      int
	}{
		"before the first collection": {0, 0, 100},
		"an empty cache":              {20, 0, 100},
		"after a start":               {8, 0, 150},
		"half of the heap":            {40, 20, 50},
		"a full cache":                {100, 75, 25},
		"little but the cache":        {80, 79, 15},
		"a cache of gigabytes":        {3000, 2990, 5},
		"a small heap":                {4, 3, 200},
		"a cache newer than the heap": {50, 60, 24},
	} {
		require.Equal(t, row.percent, garbagePercent(row.live<<20, row.cached<<20), name)
	}
}

func TestAfterCollections_CallsAfterEachUntilTheEnd(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	calls := make(chan struct{}, 100)
	afterCollections(ctx, func() { calls <- struct{}{} })

	for range 3 {
		runtime.GC()
		<-calls
	}
	end()
	awaitFinalizers(t)
	for len(calls) > 0 {
		<-calls
	}
	awaitFinalizers(t)
	require.Empty(t, calls)
}

// awaitFinalizers makes a collection and waits for its finalizers, which run in turns.
func awaitFinalizers(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	runtime.SetFinalizer(&struct{ _ *int }{}, func(any) { close(done) })
	runtime.GC()
	<-done
}
