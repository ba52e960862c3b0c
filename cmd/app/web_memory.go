package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Private

// leastGarbage is the garbage in bytes that may gather before a collection, however
// small the rest of the heap is: with its 8 MB after a start, a page costs an eighth less
// CPU time than with the collector's default (bin/bench web, GOGC=100), for 4 MB.
const leastGarbage = 12 << 20

// boundGarbage lets as much garbage gather as the heap has of data other than cached
// responses, and not less than leastGarbage. The collector's default is as much as the whole heap has, so that a full
// cache would take its size twice. More collections cost little: cached bodies have no
// pointers that a collection follows.
//
// It does nothing when the operator has set GOGC.
func boundGarbage(cached func() int64) service {
	return func(ctx context.Context) error {
		if os.Getenv("GOGC") == "" {
			current := 100
			afterCollections(ctx, func() {
				if percent := garbagePercent(liveHeap(), cached()); percent != current {
					debug.SetGCPercent(percent)
					current = percent
				}
			})
		}
		<-ctx.Done()
		return nil
	}
}

// afterCollections calls do after each garbage collection until ctx ends, in turns.
func afterCollections(ctx context.Context, do func()) {
	// The finalizer of an object that nothing refers to runs after the next collection,
	// and can set itself again.
	type unreferenced struct{ _ *int }
	var finalize func(*unreferenced)
	finalize = func(object *unreferenced) {
		if ctx.Err() == nil {
			do()
			runtime.SetFinalizer(object, finalize)
		}
	}
	runtime.SetFinalizer(&unreferenced{}, finalize)
}

// garbagePercent is the value of GOGC for a heap with so many bytes, of which so many
// are cached responses.
func garbagePercent(live, cached int64) int {
	if live <= 0 {
		return 100
	}
	return int(min(200, max(5, max(live-cached, leastGarbage)*100/live))) // at 0, the collector never rests
}

// liveHeap returns the bytes that the last collection left.
func liveHeap() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
