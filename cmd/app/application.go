package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/config"
	"slipway/internal/jobs"
	"slipway/internal/live"
	"slipway/internal/operators"
	"slipway/internal/throttle"
	"slipway/internal/web"
)

// application is what the roles serve and work: everything that is not runtime.
// newApplication (store.go) returns the one of this repository; the runtime's
// tests have a small one of their own.
type application struct {
	announcement string          // printed by `app dev` when web is up; %[1]s is its address
	settings     config.Settings // its environment variables; nil: none
	migrations   fs.FS           // its numbered SQL files; nil: none
	recurring    []byte          // its schedules, see config/recurring.yml

	// queues are its own queues beside the standard ones, with the jobs of each that
	// one worker-pg runs at the same time.
	queues map[jobs.Queue]int

	// work returns the handlers of its jobs and tasks.
	work func(b *backends) (work, error)

	// pages returns its pages. Only web calls it.
	pages func(b *backends, hub *live.Hub) (pages, error)

	// operators says who may see and use the pages of operators, by the application's own
	// login. Nil: whoever has JOBS_DASHBOARD_USER and JOBS_DASHBOARD_PASSWORD.
	operators func(b *backends) operators.Authorize

	// seed stores sample data and returns a report of one line or more. Nil: there
	// is no sample data, and `app dev` skips that step.
	seed func(ctx context.Context, db *pgxpool.Pool, log *slog.Logger) (report string, err error)
	// seedHelp is what `app seed --help` says about the sample data: what a second
	// run changes.
	seedHelp string
}

// work is what an application does behind its pages.
type work struct {
	jobs       jobs.Handlers // run by worker-pg
	tasks      jobs.Handlers // run by worker-redis
	background []service     // runs in worker-pg beside its jobs
}

// kinds are the handlers of both backends.
func (w work) kinds() jobs.Handlers { return append(append(jobs.Handlers{}, w.jobs...), w.tasks...) }

// pages are the pages of an application, with its limits on requests.
type pages interface {
	web.Pages
	// Limits are its rules. The operator decides the numbers in settings.
	Limits(settings throttle.Settings) []throttle.Rule
	// CrossOriginRoutes are the routes to which other sites may post.
	CrossOriginRoutes() []string
}

// check returns all faults of the declarations, nil when there are none. Queues are
// all queues of the installation.
func (w work) check(queues jobs.Queues) error {
	problems := []error{w.jobs.Check(jobs.PG, queues), w.tasks.Check(jobs.Redis, queues)}
	for _, kind := range w.tasks.Kinds() {
		if _, both := w.jobs.Find(kind); both {
			problems = append(problems, fmt.Errorf("%s is declared as a job and as a task: give one of them another Kind", kind))
		}
	}
	return errors.Join(problems...)
}

// declared is the work of an application without any backend: its declarations
// can be read, and its handlers cannot run. It returns an error when a declaration
// cannot be used.
func (a application) declared() (work, error) {
	declared, err := a.work(&backends{process: &process{registry: prometheus.NewRegistry()}})
	if err != nil {
		return work{}, err
	}
	if err := declared.check(a.allQueues()); err != nil {
		return work{}, fmt.Errorf("the declarations of jobs and tasks cannot be used:\n%w", err)
	}
	return declared, nil
}

// allQueues are the standard queues and those of the application.
func (a application) allQueues() jobs.Queues {
	return jobs.StandardQueues.And(slices.Sorted(maps.Keys(a.queues))...)
}

// schema is every environment variable that the program reads.
func (a application) schema() *config.Schema {
	schema := config.NewSchema(a.settings)
	schema.Queues = map[string]int{}
	for queue, slots := range a.queues {
		schema.Queues[string(queue)] = slots
	}
	return schema
}

// help lists the variables of a role, for the help of its command.
func (a application) help(role config.Role) string { return a.schema().Help(role) }
