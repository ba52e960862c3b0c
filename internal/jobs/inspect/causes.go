package inspect

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
)

// MostCauses is the most causes that Causes returns.
const MostCauses = 200

// Cause is a group of failed work of one kind whose errors differ in numbers, ids,
// quoted texts, addresses and times only.
type Cause struct {
	Fingerprint string         `json:"fingerprint"` // 16 hexadecimal digits; Filter.Cause selects the group
	Kind        string         `json:"kind"`
	Error       string         `json:"error"` // masked, with … for what differs; empty: there is none
	Backends    []jobs.Backend `json:"backends"`
	Count       int            `json:"count"`
	More        bool           `json:"more"` // there are more than Count
	FirstSeen   time.Time      `json:"first_seen"`
	LastSeen    time.Time      `json:"last_seen"`
	Example     ID             `json:"example"` // the newest
}

// Causes groups the failed work that a filter selects by its causes, the last seen
// first. A filter of the state Retrying groups work that waits for its next attempt.
// When Redis does not reply, Causes returns what is in PostgreSQL, and an error.
func (i *Inspector) Causes(ctx context.Context, filter Filter) ([]Cause, error) {
	c := &causes{Inspector: i, filter: filter, state: cmp.Or(filter.State, Failed), found: map[int64]*Cause{}}
	if c.state != Failed && c.state != Retrying {
		return []Cause{}, nil
	}
	ofTasks := filter.Backend != jobs.PG && !filter.ofJobsOnly()
	var err error
	if filter.Backend != jobs.Redis {
		err = c.add(ctx, jobs.PG, c.ofJobs())
	}
	if err == nil && ofTasks && c.state == Failed {
		err = c.add(ctx, jobs.Redis, c.ofArchive())
	}
	if err == nil && ofTasks && c.state == Retrying {
		err = c.addRetryingTasks(ctx)
	}
	if err != nil {
		err = fmt.Errorf("group failed work by cause: %w", err)
	}
	return c.sorted(), err
}

// Private

// causeOfJob is the cause of a job in SQL, a number. The index river_job_causes has
// it.
const causeOfJob = `hashtextextended(kind || E'\n' || error_pattern(errors[array_upper(errors, 1)]->>'error'), 0)`

// causeNumber reads the fingerprint of a cause, which ParseFilter has checked.
func causeNumber(fingerprint string) int64 {
	number, _ := strconv.ParseUint(fingerprint, 16, 64)
	return int64(number)
}

func fingerprintOf(number int64) string { return fmt.Sprintf("%016x", uint64(number)) }

// walkCause reads the failed and retrying jobs of one cause, the last that failed
// first.
func (i *Inspector) walkCause(ctx context.Context, walk jobWalk) (found jobsFound, err error) {
	parts := merger{args: []any{causeNumber(walk.filter.Cause)}, order: "at DESC, id DESC", tests: true}
	parts.tests = walk.filter.Queue != "" || walk.filter.Kind != ""
	parts.place = func(place jobPlace) []any { return []any{place.Job, place.At} }
	for _, state := range riverStatesOf([]State{Failed, Retrying}) {
		if walk.states == nil || slices.Contains(walk.states, state) {
			parts.parts = append(parts.parts, fmt.Sprintf(`(
				SELECT id, %[1]s AS at%%s
				FROM river_job
				WHERE `+causeOfJob+` = $3 AND state = '%[2]s' AND (%[1]s, id) < ($2, $1)
				ORDER BY %[1]s DESC, id DESC
			)`, jobTable.changed, state))
		}
	}
	if len(parts.parts) == 0 {
		return jobsFound{}, nil
	}
	err = postgres.ByIndex(ctx, i.db, func(tx pgx.Tx) error {
		found, err = i.merge(ctx, tx, walk, parts)
		return err
	})
	return found, err
}

const (
	// mostCausesRead is the most causes of jobs, and of tasks, that are looked at to
	// find those that were seen last.
	mostCausesRead = 500
	// mostOfCausesRead bounds the jobs, and the tasks, that are counted together.
	mostOfCausesRead = 200_000
	// leastCounted is how many are counted of each of many causes.
	leastCounted = 100
)

// causes collects the causes of both backends.
type causes struct {
	*Inspector
	filter Filter
	state  State // Failed or Retrying
	found  map[int64]*Cause
}

// sorted returns the causes, the last seen first.
func (c *causes) sorted() []Cause {
	all := make([]Cause, 0, len(c.found))
	for _, cause := range c.found {
		all = append(all, *cause)
	}
	slices.SortFunc(all, func(a, b Cause) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return all[:min(len(all), MostCauses)]
}

// causeTable is where failed work of one backend is.
type causeTable struct {
	columns
	name    string
	failed  string // the condition on failed work
	indexed string // the condition of the index of causes
	error   string // the text of the last error
}

func (c *causes) ofJobs() causeTable {
	return causeTable{
		columns: jobTable, name: "river_job", failed: "state = '" + riverStates[c.state][0] + "'",
		indexed: "state IN ('discarded', 'retryable')", error: "errors[array_upper(errors, 1)]->>'error'",
	}
}

func (c *causes) ofArchive() causeTable {
	return causeTable{columns: archiveTable, name: "failed_tasks", failed: "NOT cancelled", indexed: "NOT cancelled", error: "error"}
}

// add adds the causes in one table.
func (c *causes) add(ctx context.Context, backend jobs.Backend, table causeTable) error {
	var examples []example
	err := postgres.ByIndex(ctx, c.db, func(tx pgx.Tx) error {
		numbers, err := c.numbers(ctx, tx, table)
		if err != nil || len(numbers) == 0 {
			return err
		}
		examples, err = c.count(ctx, tx, backend, table, numbers)
		return err
	})
	if err != nil {
		return err
	}
	return c.describe(ctx, examples)
}

// numbers returns the causes that were seen last. It reads a row or two of each.
func (c *causes) numbers(ctx context.Context, tx pgx.Tx, table causeTable) ([]int64, error) {
	first := `SELECT ` + table.cause + ` AS number FROM ` + table.name + ` WHERE ` + table.indexed
	where := postgres.NewConditions(mostCausesRead, MostCauses)
	if c.filter.Kind != "" {
		where.Add("kind = %s", c.filter.Kind)
	}
	if c.filter.Cause != "" {
		where.Add("number = %s", causeNumber(c.filter.Cause))
	}
	return collectIDs(tx.Query(ctx, `
		WITH RECURSIVE numbers AS (
			SELECT (`+first+` ORDER BY 1 LIMIT 1) AS number, 1 AS place
			UNION ALL
			SELECT (`+first+` AND `+table.cause+` > numbers.number ORDER BY 1 LIMIT 1), place + 1
			FROM numbers
			WHERE number IS NOT NULL AND place < $1
		), newest AS (
			`+first+` AND `+table.failed+` AND (SELECT count(*) FROM numbers) >= $1
			ORDER BY `+table.changed+` DESC
			LIMIT $1
		), known AS (
			SELECT number FROM numbers WHERE number IS NOT NULL
			UNION
			SELECT number FROM newest
		)
		SELECT number
		FROM known, LATERAL (
			SELECT kind, `+table.changed+` AS at
			FROM `+table.name+`
			WHERE `+table.cause+` = number AND `+table.failed+`
			ORDER BY 2 DESC
			LIMIT 1
		) AS last
		WHERE `+where.String()+`
		ORDER BY last.at DESC, number
		LIMIT $2`, where.Args()...))
}

// example is a cause with its newest failure, with secrets.
type example struct {
	number int64
	Cause
	args  []byte
	error string
}

// count counts what the filter selects of each cause, and finds the newest.
func (c *causes) count(ctx context.Context, tx pgx.Tx, backend jobs.Backend, table causeTable, numbers []int64) ([]example, error) {
	most := mostOfCausesRead
	if len(c.filter.Args) > 0 {
		most = mostArgsWalked
	}
	most = max(leastCounted, min(jobs.MostCounted, most/len(numbers)))
	where := postgres.NewConditions(numbers, most, taskqueue.MostListedArgs)
	during, meets := where.More(), where.More()
	c.conditions(Filter{Since: c.filter.Since, Until: c.filter.Until}, table.columns, during)
	if c.filter.Queue != "" {
		meets.Add("queue = %s", c.filter.Queue)
	}
	c.conditions(Filter{Tag: c.filter.Tag, Args: c.filter.Args, Batch: c.filter.Batch}, table.columns, meets)
	ofCause := `FROM ` + table.name + ` WHERE ` + table.cause + ` = number AND ` + table.failed + ` AND ` + during.String()
	oldest := `newest.first`
	if meets.Empty() {
		oldest = `(SELECT ` + table.changed + ` ` + ofCause + ` ORDER BY 1 LIMIT 1)`
	}
	queueOfID := "''"
	if backend == jobs.Redis {
		queueOfID = "queue"
	}
	rows, err := tx.Query(ctx, `
		SELECT number, least(newest.met, $2), newest.read > $2, `+oldest+`, newest.last, example.*
		FROM unnest($1::bigint[]) AS numbers (number), LATERAL (
			SELECT count(*) AS read, count(*) FILTER (WHERE meets) AS met, min(at) FILTER (WHERE meets) AS first,
			       max(at) FILTER (WHERE meets) AS last, (array_agg(id ORDER BY at DESC, id DESC) FILTER (WHERE meets))[1] AS id
			FROM (
				SELECT `+meets.String()+` AS meets, at, id
				FROM (SELECT *, `+table.changed+` AS at `+ofCause+` ORDER BY `+table.changed+` DESC, id DESC LIMIT $2::int + 1) AS newest
			) AS tested
		) AS newest, LATERAL (
			SELECT id::text, kind, `+queueOfID+`, left(`+table.error+`, 4096), CASE WHEN pg_column_size(args) <= $3 THEN args END
			FROM `+table.name+`
			WHERE id = newest.id
		) AS example
		WHERE newest.met > 0`, where.Args()...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (example, error) {
		e := example{Cause: Cause{Backends: []jobs.Backend{backend}, Example: ID{Backend: backend}}}
		var id string
		var text *string
		err := row.Scan(&e.number, &e.Count, &e.More, &e.FirstSeen, &e.LastSeen, &id, &e.Kind, &e.Example.Queue, &text, &e.args)
		if text != nil {
			e.error = *text
		}
		if e.Example.Task = id; backend == jobs.PG {
			e.Example.Task = ""
			e.Example.Job, _ = strconv.ParseInt(id, 10, 64) // no error: it is a bigint
		}
		return e, err
	})
}

// describe adds causes with the patterns of their errors. A secret is masked before
// its text becomes a pattern, because a part of it might remain.
func (c *causes) describe(ctx context.Context, examples []example) error {
	errors := make([]string, len(examples))
	for n, e := range examples {
		errors[n] = storable(c.mask.Text(e.Kind, e.args, e.error))
	}
	rows, err := c.db.Query(ctx, `
		SELECT error_pattern(error) FROM unnest($1::text[]) WITH ORDINALITY AS t (error, number) ORDER BY number`, errors)
	if err != nil {
		return err
	}
	patterns, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for n, e := range examples {
		e.Fingerprint, e.Error = fingerprintOf(e.number), patterns[n]
		c.merge(e)
	}
	return nil
}

// merge adds a cause to those of the other backend.
func (c *causes) merge(e example) {
	known := c.found[e.number]
	if known == nil {
		c.found[e.number] = &e.Cause
		return
	}
	known.Backends = append(known.Backends, e.Backends...)
	known.Count, known.More = known.Count+e.Count, known.More || e.More
	if e.FirstSeen.Before(known.FirstSeen) {
		known.FirstSeen = e.FirstSeen
	}
	if e.LastSeen.After(known.LastSeen) {
		known.LastSeen, known.Example = e.LastSeen, e.Example
	}
}

// addRetryingTasks adds the tasks in Redis that wait for their next attempt, as far
// as they may be read.
func (c *causes) addRetryingTasks(ctx context.Context) error {
	if c.tasks == nil {
		return noRedis(c.filter)
	}
	examples := map[int64]*example{}
	budget, more := newBudget(), false
	for _, queue := range c.taskQueueNames(c.filter) {
		for place, rest := (taskqueue.Place{}), true; rest; {
			if rest = !budget.spent(); !rest {
				more = true
				break
			}
			found, err := c.tasks.List(ctx, queue, taskqueue.Retry, place, min(PageSize, budget.tasks))
			if err != nil {
				return fmt.Errorf("list tasks: %w", err)
			}
			budget.tasks -= found.Read
			place, rest = found.Next, found.More
			if err := c.addRetrying(ctx, found.Tasks, examples); err != nil {
				return err
			}
		}
	}
	all := make([]example, 0, len(examples))
	for _, e := range examples {
		e.More = more
		all = append(all, *e)
	}
	return c.describe(ctx, all)
}

func (c *causes) addRetrying(ctx context.Context, tasks []taskqueue.Task, examples map[int64]*example) error {
	meets, err := c.taskTest(ctx, c.filter, tasks)
	if err != nil {
		return err
	}
	numbers, err := c.causesOf(ctx, tasks)
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if !meets(task) {
			continue
		}
		number := numbers[failureOf(task)]
		e := examples[number]
		if e == nil {
			e = &example{number: number, Cause: Cause{Kind: task.Kind, Backends: []jobs.Backend{jobs.Redis}, FirstSeen: task.LastFailedAt}}
			examples[number] = e
		}
		e.Count++
		if task.LastFailedAt.Before(e.FirstSeen) {
			e.FirstSeen = task.LastFailedAt
		}
		if !task.LastFailedAt.Before(e.LastSeen) {
			e.LastSeen, e.args, e.error = task.LastFailedAt, task.Args, task.LastError
			e.Example = ID{Backend: jobs.Redis, Queue: task.Queue, Task: task.ID}
		}
	}
	return nil
}

// failure is a kind with an error of it.
type failure struct{ kind, error string }

// failureOf is the last failure of a task.
func failureOf(task taskqueue.Task) failure { return failure{task.Kind, storable(task.LastError)} }

// storable returns the beginning of an error, as far as it counts, as a text that
// PostgreSQL takes.
func storable(text string) string {
	const most = 4096 // characters
	text = strings.ReplaceAll(strings.ToValidUTF8(text[:min(len(text), most*utf8.UTFMax)], ""), "\x00", "")
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most])
	}
	return text
}

// causesOf returns the causes of tasks that wait for their next attempt.
func (i *Inspector) causesOf(ctx context.Context, tasks []taskqueue.Task) (map[failure]int64, error) {
	causes := map[failure]int64{}
	var kinds, errors []string
	for _, task := range tasks {
		f := failureOf(task)
		if _, known := causes[f]; !known {
			causes[f] = 0
			kinds, errors = append(kinds, f.kind), append(errors, f.error)
		}
	}
	rows, err := i.db.Query(ctx, `
		SELECT number, `+taskqueue.FailedCause+`
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS failures (kind, error, number)`, kinds, errors)
	if err != nil {
		return nil, fmt.Errorf("find the causes of failures: %w", err)
	}
	var number int
	var cause int64
	_, err = pgx.ForEachRow(rows, []any{&number, &cause}, func() error {
		causes[failure{kinds[number-1], errors[number-1]}] = cause
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the causes of failures: %w", err)
	}
	return causes, nil
}
