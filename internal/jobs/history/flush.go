package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"slipway/internal/postgres"
)

// Private

// flush adds what was collected to the database. What could not be added stays for
// the next time. A connection that breaks during the commit may lead to figures that
// are added twice.
func (r *Recorder) flush(ctx context.Context) error {
	taken := r.take()
	if len(taken) == 0 {
		return nil
	}
	if err := r.store(ctx, taken); err != nil {
		r.putBack(taken)
		return err
	}
	return nil
}

func (r *Recorder) store(ctx context.Context, minutes []minute) error {
	now, err := r.askTime(ctx)
	if err != nil {
		return err
	}
	rows := map[row]*tally{}
	for _, one := range minutes {
		at := one.startBy(r.clock, now)
		for of, figures := range one.kinds {
			for _, step := range storedSteps {
				key := row{step, at.Unix() - at.Unix()%int64(60*step), of}
				if rows[key] == nil {
					rows[key] = &tally{}
				}
				rows[key].merge(figures)
			}
		}
	}
	if err := r.upsert(ctx, rows); err != nil {
		return fmt.Errorf("add runs to the history of jobs: %w", err)
	}
	return nil
}

// askTime sets the clock by that of the database, and returns the local time of its
// reply.
func (r *Recorder) askTime(ctx context.Context) (time.Time, error) {
	asked := time.Now()
	database, err := postgres.Now(ctx, r.db)
	if err != nil {
		return asked, err
	}
	replied := time.Now()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.clock = clock{local: asked.Add(replied.Sub(asked) / 2), database: database}
	return replied, nil
}

// row is the key of a row of job_figures.
type row struct {
	step int
	at   int64 // Unix seconds
	kind
}

// upsert adds figures to their rows in one statement. All processes write rows in the
// same order, so that they never wait for each other in a circle.
func (r *Recorder) upsert(ctx context.Context, rows map[row]*tally) error {
	keys := slices.SortedFunc(maps.Keys(rows), func(a, b row) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.at, b.at), cmp.Compare(a.backend, b.backend),
			cmp.Compare(a.queue, b.queue), cmp.Compare(a.kind.kind, b.kind.kind))
	})
	var steps []int
	var ats []time.Time
	var backends, queues, kinds, runs, waits []string
	var counts [results][]int64
	var runMicroseconds, waitMicroseconds []int64
	for _, key := range keys {
		figures := rows[key]
		steps, ats = append(steps, key.step), append(ats, time.Unix(key.at, 0))
		backends, queues, kinds = append(backends, key.backend), append(queues, key.queue), append(kinds, key.kind.kind)
		for result, count := range figures.results {
			counts[result] = append(counts[result], count)
		}
		runMicroseconds = append(runMicroseconds, figures.run.Microseconds())
		waitMicroseconds = append(waitMicroseconds, figures.wait.Microseconds())
		runs, waits = append(runs, figures.runs.number()), append(waits, figures.waits.number())
	}
	_, err := r.db.Exec(ctx, `
		INSERT INTO job_figures AS stored (
			step, at, backend, queue, kind, done, failed, cancelled, expired, later, returned, run_us, wait_us, runs, waits
		)
		SELECT *
		FROM unnest(
			$1::integer[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::integer[], $8::integer[],
			$9::integer[], $10::integer[], $11::integer[], $12::bigint[], $13::bigint[], $14::text[]::numeric[], $15::text[]::numeric[]
		)
		ON CONFLICT (step, at, backend, queue, kind) DO UPDATE
		SET done = stored.done + excluded.done,
		    failed = stored.failed + excluded.failed,
		    cancelled = stored.cancelled + excluded.cancelled,
		    expired = stored.expired + excluded.expired,
		    later = stored.later + excluded.later,
		    returned = stored.returned + excluded.returned,
		    run_us = stored.run_us + excluded.run_us,
		    wait_us = stored.wait_us + excluded.wait_us,
		    runs = stored.runs + excluded.runs,
		    waits = stored.waits + excluded.waits`,
		steps, ats, backends, queues, kinds, counts[done], counts[failed], counts[cancelled], counts[expired], counts[later],
		counts[returned], runMicroseconds, waitMicroseconds, runs, waits)
	return err
}
