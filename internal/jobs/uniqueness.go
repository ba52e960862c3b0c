package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs/taskqueue"
)

// Private

// uniqueKey is equal for work that counts as equal: of one kind, with equal values
// of the args that its declaration names.
func uniqueKey(declaration Declaration, payload []byte) []byte {
	args := payload
	if names := declaration.Unique.By; len(names) > 0 {
		args = selected(payload, names)
	}
	key := sha256.Sum256(append([]byte(declaration.Kind+"\n"), taskqueue.Canonical(args)...))
	return key[:]
}

// selected returns an object with the fields of a JSON object that have the names.
func selected(payload []byte, names []string) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) != nil {
		return payload
	}
	chosen := map[string]json.RawMessage{}
	for _, name := range names {
		if value, has := fields[name]; has {
			chosen[name] = value
		}
	}
	written, err := json.Marshal(chosen)
	if err != nil {
		return payload
	}
	return written
}

// insertWaiting inserts jobs that are unique while an equal one is unfinished.
func (j *Jobs) insertWaiting(ctx context.Context, tx pgx.Tx, inserts []insert) (inserted int, err error) {
	fresh := j.firstOfEach(inserts) // one statement cannot insert two equal unique jobs
	for i := range fresh {
		fresh[i].options.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: unfinished}
		if len(fresh[i].args.declaration.Unique.By) > 0 { // River's own key has all args
			fresh[i].args.unique = fresh[i].unique
		}
	}
	results, err := j.insertMany(ctx, tx, fresh)
	for _, result := range results {
		if !result.UniqueSkippedAsDuplicate {
			inserted++
		}
	}
	return inserted, err
}

// insertWithin inserts jobs that are unique within a time, except those whose key
// is claimed.
func (j *Jobs) insertWithin(ctx context.Context, tx pgx.Tx, inserts []insert) (inserted int, err error) {
	fresh := j.firstOfEach(inserts)
	claimed, err := claim(ctx, tx, fresh)
	if err != nil {
		return 0, err
	}
	var accepted []insert
	for _, one := range fresh {
		if claimed[string(one.unique)] {
			accepted = append(accepted, one)
		} else {
			j.count(one, "duplicate")
		}
	}
	results, err := j.insertMany(ctx, tx, accepted)
	if err != nil || len(results) == 0 {
		return 0, err
	}
	return len(results), holdClaims(ctx, tx, accepted, results)
}

// firstOfEach returns the first of equal unique jobs, and counts the others as
// duplicates.
func (j *Jobs) firstOfEach(inserts []insert) (first []insert) {
	seen := map[string]bool{}
	for _, one := range inserts {
		if seen[string(one.unique)] {
			j.count(one, "duplicate")
			continue
		}
		seen[string(one.unique)] = true
		first = append(first, one)
	}
	return first
}

// claim claims the keys of jobs for the time in which they are unique, and returns
// the keys that were free. A key is free again when its job failed for good or was
// cancelled. A transaction that claims the same key waits for this one to end.
func claim(ctx context.Context, tx pgx.Tx, inserts []insert) (claimed map[string]bool, err error) {
	if len(inserts) == 0 {
		return nil, nil
	}
	var keys [][]byte
	var within []time.Duration
	for _, one := range inserts {
		keys, within = append(keys, one.unique), append(within, one.args.declaration.Unique.Within)
	}
	rows, err := tx.Query(ctx, `
		INSERT INTO unique_jobs AS held (key, until)
		SELECT key, clock_timestamp() + within FROM unnest($1::bytea[], $2::interval[]) AS claims (key, within)
		ORDER BY key -- two transactions that claim the same keys must not wait for each other
		ON CONFLICT (key) DO UPDATE SET until = excluded.until, job_id = NULL
			WHERE held.until <= clock_timestamp()
			   OR EXISTS (SELECT FROM river_job WHERE id = held.job_id AND state IN ('discarded', 'cancelled'))
		RETURNING key`, keys, within)
	if err != nil {
		return nil, fmt.Errorf("claim the keys of unique jobs: %w", err)
	}
	free, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("claim the keys of unique jobs: %w", err)
	}
	claimed = map[string]bool{}
	for _, key := range free {
		claimed[string(key)] = true
	}
	return claimed, nil
}

// holdClaims notes which job holds each key.
func holdClaims(ctx context.Context, tx pgx.Tx, inserts []insert, results []*rivertype.JobInsertResult) error {
	var keys [][]byte
	var ids []int64
	for i, result := range results {
		keys, ids = append(keys, inserts[i].unique), append(ids, result.Job.ID)
	}
	_, err := tx.Exec(ctx, `
		UPDATE unique_jobs SET job_id = held.id
		FROM unnest($1::bytea[], $2::bigint[]) AS held (key, id)
		WHERE unique_jobs.key = held.key`, keys, ids)
	if err != nil {
		return fmt.Errorf("note which jobs are unique: %w", err)
	}
	return nil
}

// pruneClaims deletes claims whose time is over.
func pruneClaims(ctx context.Context, connection *pgx.Conn) error {
	if _, err := connection.Exec(ctx, `DELETE FROM unique_jobs WHERE until < now() - interval '1 minute'`); err != nil {
		return fmt.Errorf("delete old claims of unique jobs: %w", err)
	}
	return nil
}

// unfinished are the states of a job that runs or will run.
var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
	rivertype.JobStateRunning, rivertype.JobStateScheduled,
}
