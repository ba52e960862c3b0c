package jobs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Check returns all faults of the declarations of handlers that run on one backend,
// nil when there are none. Their queues must be among queues, unless that is nil.
func (h Handlers) Check(backend Backend, queues Queues) error {
	var problems []error
	seen := map[string]string{}
	for _, handler := range h {
		if other, twice := seen[handler.Kind]; twice {
			problems = append(problems, fmt.Errorf("%s is declared twice, by %s and by %s: give one of them another Kind",
				handler.Kind, other, handler.Args))
		}
		seen[handler.Kind] = handler.Args
		for _, problem := range handler.problems(backend, queues) {
			problems = append(problems, fmt.Errorf("%s: %s", handler.name(), problem))
		}
	}
	return errors.Join(problems...)
}

// Private

// kindName is a name that metrics, logs and both backends can show.
var kindName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,99}$`)

func (d Declaration) name() string {
	if d.Kind == "" {
		return "a kind without a name"
	}
	return d.Kind
}

// problems are the faults of one declaration.
func (d Declaration) problems(backend Backend, queues Queues) (problems []string) {
	report := func(faulty bool, format string, arguments ...any) {
		if faulty {
			problems = append(problems, fmt.Sprintf(format, arguments...))
		}
	}
	report(!kindName.MatchString(d.Kind), "Kind %q must begin with a lower-case letter and have only a-z, 0-9, _, . and -", d.Kind)
	report(queues != nil && !slices.Contains(queues, d.Queue), "there is no queue %q: it is one of %v", d.Queue, queues)
	report(!queueName.MatchString(string(d.Queue)), "the queue %q must begin with a lower-case letter and have only a-z, 0-9 and _", d.Queue)
	report(d.Priority < 1 || d.Priority > 4, "Priority is %d: it must be 1, the first, to 4", d.Priority)
	report(d.Attempts < 1, "Attempts is %d: it must be at least 1", d.Attempts)
	for name, value := range map[string]time.Duration{
		"Timeout": d.Timeout, "Delay": d.Delay, "ExpireAfter": d.ExpireAfter, "Unique.Within": d.Unique.Within,
	} {
		report(value < 0, "%s is %s: it must not be negative", name, value)
	}
	for i, rule := range d.RetryOn {
		report(len(rule.On) == 0, "RetryOn[%d] names no error", i)
		report(rule.Attempts < 0, "RetryOn[%d].Attempts is %d: it must not be negative", i, rule.Attempts)
	}
	report(d.Limit.Max < 0, "Limit.Max is %d: it must not be negative", d.Limit.Max)
	report(d.Limit.Max > 1 && d.Limit.Key == nil, "Limit.Max needs Limit.Key: runs with an equal key share the limit")
	report(d.Unique.Waiting && d.Unique.Within > 0, "Unique has both Waiting and Within: choose one")
	report(len(d.Unique.By) > 0 && !d.Unique.Waiting && d.Unique.Within == 0, "Unique.By needs Waiting or Within")
	if backend == PG {
		report(d.Durable, "Durable is for tasks: a job is never lost anyway")
	} else {
		report(d.Priority != 1, "Priority is for jobs: give an urgent task another queue")
	}
	slices.Sort(problems)
	return problems
}
