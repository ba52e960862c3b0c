package main

import "slipway/internal/jobs"

// workedQueues are the queues that this worker works, in order of urgency.
func (p *process) workedQueues() jobs.Queues {
	slots := p.config.Slots()
	var worked jobs.Queues
	for _, queue := range p.queues {
		if _, works := slots[string(queue)]; works {
			worked = append(worked, queue)
		}
	}
	return worked
}

// slots are the queues that this worker-pg works, with the jobs of each that run at
// the same time.
func (p *process) slots() map[jobs.Queue]int {
	slots := map[jobs.Queue]int{}
	for queue, jobsAtOnce := range p.config.Slots() {
		slots[jobs.Queue(queue)] = jobsAtOnce
	}
	return slots
}
