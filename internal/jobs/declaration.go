package jobs

import (
	"encoding/json"
	"math"
	"math/rand/v2"
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
	Attempts int           // runs before it fails for good; default: 25
	Backoff  Backoff       // the pause before the next attempt; default: Patient
	Timeout  time.Duration // of one attempt; default: 30 s

	// Unique drops work when equal work is there already. Default: nothing is
	// dropped.
	Unique Uniqueness

	// OneAtATime returns a key that one run holds at a time. Runs with an equal key
	// snooze until it is free. Default: no limit.
	OneAtATime func(args json.RawMessage) string

	// Durable tasks are never lost: see Tasks.EnqueueTx. Other tasks are dropped
	// while Redis is unavailable. Jobs are always durable.
	Durable bool

	// Masked are the JSON names of args that operators do not see. Names such as
	// password or token are masked without being listed here.
	Masked []string
}

// Queue orders work by how urgent it is.
type Queue string

// The queues of both backends. Each queue of jobs has its own workers. The queues
// of tasks share their workers, which ask the more urgent queues more often.
const (
	Critical Queue = "critical"
	Default  Queue = "default"
	Low      Queue = "low"
)

// Queues are all queues, in order of urgency, the most urgent first.
var Queues = []Queue{Critical, Default, Low}

// Uniqueness describes when work counts as a duplicate of work with equal args.
// The zero value means never.
type Uniqueness struct {
	Waiting bool          // while the other waits, runs or waits for its next attempt
	Within  time.Duration // when the other was enqueued in the same period of that length; periods start in UTC
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
	if d.Backoff == nil {
		d.Backoff = Patient
	}
	if d.Timeout == 0 {
		d.Timeout = defaultTimeout
	}
	return d
}

// spread lengthens a pause by up to a tenth, so that work that failed at the same
// time does not run again at the same time.
func spread(pause time.Duration) time.Duration {
	return pause + rand.N(pause/10+1)
}
