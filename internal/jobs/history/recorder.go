package history

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Run is one run of a job or task that ended.
type Run struct {
	Backend telemetry.Backend
	Queue   string
	Kind    string
	Result  string // done, failed, cancelled, expired, later or returned
	Ended   time.Time
	Took    time.Duration
	Waited  time.Duration // from due to start; negative: unknown
}

// Recorder collects the runs of this process in memory, and adds them to the
// database in the background.
type Recorder struct {
	db      *pgxpool.Pool
	version string
	every   time.Duration // flushEvery
	writes  *telemetry.LoopLog
	dropped prometheus.Counter

	versionStored bool
	sampledMinute int64 // in which depths were last stored
	prunedAt      time.Time

	mutex   sync.Mutex
	clock   clock
	current minute
	pending []minute // complete ones that are not in the database yet, the oldest first
}

// RecorderOptions configure a recorder. All fields are required.
type RecorderOptions struct {
	DB       *pgxpool.Pool
	Version  string // of this build
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// NewRecorder returns a recorder. Call its Run to write what it collects.
func NewRecorder(options RecorderOptions) *Recorder {
	r := &Recorder{
		db: options.DB, version: options.Version, every: flushEvery,
		writes: telemetry.NewLoopLog(options.Log, "History of jobs was not written", "History of jobs is written again"),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "app_jobs_history_dropped_total",
			Help: "Runs of jobs and tasks that are missing in the history, because the database was unavailable for too long.",
		}),
		clock: newClock(),
	}
	options.Registry.MustRegister(r.dropped)
	return r
}

// Observe adds a run to the figures. It takes less than a microsecond.
func (r *Recorder) Observe(run Run) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if number := r.clock.minute(run.Ended); number != r.current.number {
		r.rotate(number, run.Ended)
	}
	of := kind{string(run.Backend), run.Queue, run.Kind}
	into := r.current.kinds[of]
	if into == nil {
		if len(r.current.kinds) == mostKinds {
			r.dropped.Inc()
			return
		}
		into = &tally{}
		r.current.kinds[of] = into
	}
	into.add(run)
}

// Run adds what was collected to the database every few seconds, and what depths
// returns once a minute, until ctx ends; then it adds the rest. Depths may be nil.
func (r *Recorder) Run(ctx context.Context, depths func() []Depth) error {
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	for {
		r.round(ctx, depths)
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			if err := r.flush(last); err != nil {
				r.writes.Failed(last, err)
			}
			return nil
		case <-ticker.C:
		}
	}
}

// Private

const (
	flushEvery   = 10 * time.Second
	flushTimeout = 3 * time.Second
	// lastFlush bounds the last flush of a process that stops.
	lastFlush = time.Second
	// mostKinds bounds the kinds of one minute. Handlers declare kinds, so there are
	// never so many.
	mostKinds = 2000
	// mostPending bounds the kinds of all minutes that wait for the database, at less
	// than a kilobyte each.
	mostPending = 4000
)

// round does everything that is due. The failure of one part does not keep the
// others from their turn.
func (r *Recorder) round(ctx context.Context, depths func() []Depth) {
	ctx, cancel := context.WithTimeout(postgres.Yield(ctx), flushTimeout)
	defer cancel()
	failed := false
	for _, part := range []func(context.Context) error{
		r.flush, r.storeVersion, func(ctx context.Context) error { return r.storeDepths(ctx, depths) }, r.prune,
	} {
		if err := part(ctx); err != nil && ctx.Err() != context.Canceled {
			failed = true
			r.writes.Failed(ctx, err)
		}
	}
	if !failed && ctx.Err() == nil {
		r.writes.Worked(ctx)
	}
}

// rotate begins the minute in which a run ended. The mutex must be held.
func (r *Recorder) rotate(number int64, ended time.Time) {
	if len(r.current.kinds) > 0 {
		r.pending = append(r.pending, r.current)
	}
	r.current = minute{number: number, middle: r.clock.middle(ended), kinds: map[kind]*tally{}}
}

func (r *Recorder) presentMinute() int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.clock.minute(time.Now())
}

// take returns everything that was collected, and forgets it.
func (r *Recorder) take() []minute {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	taken := r.pending
	if len(r.current.kinds) > 0 {
		taken = append(taken, r.current)
	}
	r.pending, r.current = nil, minute{}
	return taken
}

// putBack collects again what was taken and is not in the database. It drops the
// oldest minutes beyond the bound.
func (r *Recorder) putBack(taken []minute) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.pending = merge(append(taken, r.pending...))
	kinds := 0
	for i := len(r.pending) - 1; i >= 0; i-- {
		if kinds += len(r.pending[i].kinds); kinds > mostPending {
			for _, dropped := range r.pending[:i+1] {
				r.dropped.Add(float64(dropped.runs()))
			}
			r.pending = r.pending[i+1:]
			return
		}
	}
}
