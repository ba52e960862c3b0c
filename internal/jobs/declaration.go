package jobs

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Args are the arguments of a job or task: ids, by which it reads its data when it
// runs. They are stored as JSON, which the previous and the next release also
// read. So only add fields, and handle a field that is missing.
//
// A method Check() error, which is optional, reports args that can never work.
// `app jobs enqueue` refuses such args, and work that has them fails for good at
// its first attempt. It must not read data.
type Args interface {
	Declare() Declaration
}

// Declaration describes a kind of work to the runtime. Only Kind is required.
type Declaration struct {
	Kind     string        // names the kind in both backends; never change it
	Queue    Queue         // default: Default
	Priority int           // of jobs within their queue, from 1, the first, to 4; default: 1
	Attempts int           // runs before it fails for good; default: 25
	Backoff  Backoff       // the pause before the next attempt; default: Patient
	Timeout  time.Duration // of one attempt; default: 30 s

	// RetryOn retries errors in another way than the fields above say. The first
	// rule that names the error counts.
	RetryOn []RetryRule
	// GiveUpOn are errors that no later attempt can mend, compared by errors.Is. Work
	// that ends with one of them fails for good at once, see Permanent.
	GiveUpOn []error

	// Delay is the pause between the enqueue and the first run. Default: none.
	Delay time.Duration
	// ExpireAfter is how long after it is due for the first time work may still run.
	// Work that a worker finds later than that is not run: it counts as expired, jobs
	// and durable tasks are shown as cancelled. Default: work never expires.
	ExpireAfter time.Duration

	// Unique drops work when equal work is there already. Default: nothing is
	// dropped.
	Unique Uniqueness

	// Limit bounds how many runs with an equal key run at the same time. Default: no
	// limit.
	Limit Limit

	// Durable tasks are never lost: see Tasks.EnqueueTx. Other tasks are dropped
	// while Redis is unavailable. Jobs are always durable.
	Durable bool

	// Masked are the JSON names of args that operators do not see. Names such as
	// password or token are masked without being listed here.
	Masked []string
}

// RetryRule says how work is retried that failed with one of some errors.
type RetryRule struct {
	On       []error // compared by errors.Is
	Attempts int     // runs before such an error fails the work for good; default: the declaration's
	Backoff  Backoff // default: the declaration's
}

// Uniqueness describes when work counts as a duplicate of equal work. Work that
// failed for good or was cancelled has no duplicates: it will not run. The zero
// value means never.
type Uniqueness struct {
	Waiting bool          // while the other waits, runs or waits for its next attempt
	Within  time.Duration // when the other was enqueued at most so long ago
	By      []string      // the JSON names of the args that must be equal; default: all
}

// Limit bounds how much work of a kind runs at the same time, over all workers of
// both backends. Work beyond the limit waits without holding a worker slot, and
// starts when other work ends: by priority, then in the order in which it was
// enqueued.
type Limit struct {
	Key func(args json.RawMessage) string // work of the kind with an equal key shares the limit; nil: no limit
	Max int                               // runs at the same time; default: 1
}

// Backoff returns the pause after a failed attempt, which counts from 1.
type Backoff func(attempt int) time.Duration

// Patient waits 1 s, 16 s, 81 s and so on, by the fourth power, at most a day. 25
// attempts take eleven days, which is long enough to repair the cause.
func Patient(attempt int) time.Duration {
	seconds := math.Pow(float64(attempt), 4)
	return spread(time.Duration(min(seconds, 86400)) * time.Second)
}

// Quick waits 1 s, 2 s, 4 s and so on, at most about a minute. It suits work that
// is soon out of date.
func Quick(attempt int) time.Duration {
	return spread(time.Second << min(attempt-1, 6))
}

// Private

// The defaults of a declaration.
const (
	defaultAttempts = 25
	defaultTimeout  = 30 * time.Second
)

func (d Declaration) withDefaults() Declaration {
	if d.Queue == "" {
		d.Queue = Default
	}
	if d.Attempts == 0 {
		d.Attempts = defaultAttempts
	}
	if d.Priority == 0 {
		d.Priority = 1
	}
	if d.Backoff == nil {
		d.Backoff = Patient
	}
	if d.Timeout == 0 {
		d.Timeout = defaultTimeout
	}
	if d.Limit.Max == 0 {
		d.Limit.Max = 1
	}
	return d
}

// ruleFor returns the rule that names an error, or one that says what the
// declaration says.
func (d Declaration) ruleFor(err error) RetryRule {
	found := RetryRule{}
	for _, rule := range d.RetryOn {
		if isOneOf(err, rule.On) {
			found = rule
			break
		}
	}
	if found.Attempts == 0 {
		found.Attempts = d.Attempts
	}
	if found.Backoff == nil {
		found.Backoff = d.Backoff
	}
	return found
}

// schedule returns when work may run that is enqueued now, zero for at once, and
// when it expires, zero for never. The time at is the one that its caller asked for;
// zero means after the delay of the kind.
func (d Declaration) schedule(at time.Time) (notBefore, expiresAt time.Time) {
	now := time.Now()
	if at.IsZero() && d.Delay > 0 {
		at = now.Add(d.Delay)
	}
	if d.ExpireAfter == 0 {
		return at, time.Time{}
	}
	due := now
	if at.After(now) {
		due = at
	}
	return at, due.Add(d.ExpireAfter)
}

// mostAttempts is the most runs that any rule allows.
func (d Declaration) mostAttempts() int {
	most := d.Attempts
	for _, rule := range d.RetryOn {
		most = max(most, rule.Attempts)
	}
	return most
}

// judge returns the error of a run as Permanent when the declaration says that no
// further attempt follows.
func (d Declaration) judge(err error, attempt int) error {
	if err == nil || isPermanent(err) {
		return err
	}
	if _, snoozed := isSnooze(err); snoozed {
		return err
	}
	if isOneOf(err, d.GiveUpOn) || attempt >= d.ruleFor(err).Attempts {
		return Permanent(err)
	}
	return err
}

func isOneOf(err error, targets []error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// spread lengthens a pause by up to a tenth, so that work that failed at the same
// time does not run again at the same time.
func spread(pause time.Duration) time.Duration {
	return pause + rand.N(pause/10+1)
}
