package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTracer_KeepsWhatFailedOrWasSlow(t *testing.T) {
	t.Parallel()

	kept, keep := keeper()
	tracer := NewTracer(TracerOptions{SlowRequest: time.Hour, SlowWork: time.Nanosecond, Keep: keep})
	for _, one := range []struct {
		kind   TraceKind
		name   string
		failed bool
	}{
		{RequestTrace, "fast", false}, {RequestTrace, "failed", true}, {JobTrace, "slow job", false}, {TaskTrace, "slow task", false},
	} {
		_, trace := tracer.Start(t.Context(), Subject{ID: one.name, Kind: one.kind, Name: one.name})
		tracer.End(trace, "done", one.failed)
	}
	require.Equal(t, []string{"failed", "slow job", "slow task"}, kept.names())
}

func TestTracer_KeepsTheSamePartOfAllTracesInEachProcess(t *testing.T) {
	t.Parallel()

	kept, keep := keeper()
	again, keepAgain := keeper()
	for i := range 2000 {
		for _, into := range [][]func(Ended){keep, keepAgain} {
			tracer := NewTracer(TracerOptions{OneIn: 10, Keep: into})
			_, trace := tracer.Start(t.Context(), Subject{Name: fmt.Sprint(i), ID: fmt.Sprintf("request-%d", i), Kind: RequestTrace})
			tracer.End(trace, "200", false)
		}
	}
	require.InDelta(t, 200, len(kept.names()), 60)
	require.Equal(t, kept.names(), again.names())
}

func TestTrace_HasACallWithItsTimesAndError(t *testing.T) {
	t.Parallel()

	kept, keep := keeper()
	tracer := NewTracer(TracerOptions{OneIn: 1, Keep: keep})
	ctx, trace := tracer.Start(t.Context(), Subject{ID: "a", Kind: RequestTrace, Name: "GET /"})
	began := time.Now()
	TraceOf(ctx).AddSpan(SQLSpan, "SELECT 1", began, 20*time.Millisecond, nil)
	TraceOf(ctx).Add(RedisSpan, "Cache.Fetch", began, context.DeadlineExceeded)
	tracer.End(trace, "200", false)
	TraceOf(ctx).Add(SQLSpan, "after the end", time.Now(), nil)
	tracer.End(trace, "500", true)

	ended := kept.only(t)
	require.Equal(t, "200", ended.Outcome)
	require.Len(t, ended.Spans, 2)
	require.Equal(t, 20*time.Millisecond, ended.Spans[0].Took)
	require.GreaterOrEqual(t, ended.Spans[0].After, time.Duration(0))
	require.Equal(t, "timeout", ended.Spans[1].Class)
}

func TestTrace_IsBoundedAndSafeForManyGoroutines(t *testing.T) {
	t.Parallel()

	kept, keep := keeper()
	tracer := NewTracer(TracerOptions{OneIn: 1, Keep: keep})
	ctx, trace := tracer.Start(t.Context(), Subject{ID: "a", Kind: JobTrace})
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			for range 50 {
				TraceOf(ctx).Add(SQLSpan, "SELECT 1", time.Now(), errors.New("no"))
			}
		})
	}
	group.Wait()
	tracer.End(trace, "done", false)
	require.Len(t, kept.only(t).Spans, mostSpans)
	require.Equal(t, 400, kept.only(t).Dropped)
}

func TestTrace_OfNoTracerDoesNothing(t *testing.T) {
	t.Parallel()

	require.Nil(t, NewTracer(TracerOptions{OneIn: 1}), "nobody keeps anything")
	var none *Tracer
	ctx, trace := none.Start(t.Context(), Subject{ID: "a"})
	require.Nil(t, TraceOf(ctx))
	TraceOf(ctx).Add(SQLSpan, "SELECT 1", time.Now(), nil)
	none.End(trace, "200", false)
}

// BenchmarkTrace is a request with three calls: about what a page does.
func BenchmarkTrace(b *testing.B) {
	tracer := NewTracer(TracerOptions{OneIn: 100, SlowRequest: time.Second, Keep: []func(Ended){func(Ended) {}}})
	b.ReportAllocs()
	for b.Loop() {
		ctx, trace := tracer.Start(b.Context(), Subject{ID: "4kydfots2bp2wugcrlz6fkqosn", Kind: RequestTrace, Name: "GET /"})
		for range 3 {
			TraceOf(ctx).Add(SQLSpan, "SELECT 1", time.Now(), nil)
		}
		tracer.End(trace, "200", false)
	}
}

// Private

// keptTraces are the traces that a tracer passed on.
type keptTraces struct {
	mutex sync.Mutex
	all   []Ended
}

func keeper() (*keptTraces, []func(Ended)) {
	kept := &keptTraces{}
	return kept, []func(Ended){func(trace Ended) {
		kept.mutex.Lock()
		defer kept.mutex.Unlock()
		kept.all = append(kept.all, trace)
	}}
}

func (k *keptTraces) names() (names []string) {
	for _, one := range k.all {
		names = append(names, one.Name)
	}
	return names
}

func (k *keptTraces) only(t *testing.T) Ended {
	t.Helper()
	require.Len(t, k.all, 1)
	return k.all[0]
}
