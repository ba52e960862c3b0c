package jobs

import (
	"regexp"
	"slices"
)

// Queue is where work waits. Work of one queue never waits behind that of another
// one for jobs, because each queue of jobs has slots of its own. The queues of
// tasks share the slots of a worker, which asks the more urgent queues more often.
type Queue string

// The queues that every installation has, in order of urgency.
const (
	Critical Queue = "critical"
	Default  Queue = "default"
	Low      Queue = "low"
)

// Queues are the queues of an installation, in order of urgency.
type Queues []Queue

// StandardQueues are the queues that every installation has.
var StandardQueues = Queues{Critical, Default, Low}

// And returns the queues with an application's own after them.
func (q Queues) And(own ...Queue) Queues {
	all := slices.Clone(q)
	for _, queue := range own {
		if !slices.Contains(all, queue) {
			all = append(all, queue)
		}
	}
	return all
}

// Names returns the names of the queues.
func (q Queues) Names() []string {
	names := make([]string, len(q))
	for i, queue := range q {
		names[i] = string(queue)
	}
	return names
}

// Private

// queueName is what River and asynq both accept as the name of a queue.
var queueName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
