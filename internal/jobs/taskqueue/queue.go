// Package taskqueue stores tasks in Redis. It holds everything that depends on how
// asynq works inside: its keys, its scripts and its replies.
package taskqueue

// Queue is one queue of tasks.
type Queue struct {
	Name   string
	Weight int // how often servers ask this queue first, in proportion to the weights of the other queues
}

// Private

func namesOf(queues []Queue) []string {
	names := make([]string, len(queues))
	for i, queue := range queues {
		names[i] = queue.Name
	}
	return names
}

// in returns queues with their names in Redis.
func in(n namespace, queues []Queue) []Queue {
	named := make([]Queue, len(queues))
	for i, queue := range queues {
		named[i] = Queue{Name: n.queue(queue.Name), Weight: queue.Weight}
	}
	return named
}

func weightsOf(queues []Queue) map[string]int {
	weights := map[string]int{}
	for _, queue := range queues {
		weights[queue.Name] = queue.Weight
	}
	return weights
}
