package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Slots returns the queues that this worker works, with the jobs of each that
// worker-pg runs at the same time.
func (c Config) Slots() map[string]int {
	all := c.slotsOfAllQueues()
	if len(c.WorkerQueues) == 0 {
		return all
	}
	worked := map[string]int{}
	for _, named := range c.WorkerQueues {
		worked[named.Queue] = cmp.Or(named.Slots, all[named.Queue])
	}
	return worked
}

// JobSlots returns the number of jobs that worker-pg runs at the same time.
func (c Config) JobSlots() int {
	sum := 0
	for _, slots := range c.Slots() {
		sum += slots
	}
	return sum
}

// CriticalReserve returns how many connections of the pool of worker-pg only jobs
// of the queue critical and the worker itself use: the share of that queue in all
// jobs that run at the same time, and at least 1.
func (c Config) CriticalReserve() int {
	return max(1, c.DatabasePoolSize*c.Slots()["critical"]/max(1, c.JobSlots()))
}

// Private

const (
	// webPool is the size of the pool of web, whose pages wait for a connection for a
	// bounded time.
	webPool = 10
	// workersOwn are the connections of a worker's pool for the worker itself: its
	// schedules, its checks, and jobs that use two connections.
	workersOwn = 4
)

// slotsOfAllQueues returns all queues, with the jobs of each that a worker-pg runs at
// the same time unless WORKER_QUEUES says otherwise.
func (c Config) slotsOfAllQueues() map[string]int {
	all := map[string]int{
		"critical": c.JobsCriticalConcurrency, "default": c.JobsDefaultConcurrency, "low": c.JobsLowConcurrency,
	}
	maps.Copy(all, c.ownQueues)
	return all
}

// checkQueues reports queues in WORKER_QUEUES that do not exist.
func (c *Config) checkQueues(checks *Checker) {
	all := c.slotsOfAllQueues()
	for _, named := range c.WorkerQueues {
		_, exists := all[named.Queue]
		checks.That("WORKER_QUEUES", exists, fmt.Sprintf("names %q, and there is no such queue: it is one of %s",
			named.Queue, strings.Join(slices.Sorted(maps.Keys(all)), ", ")))
	}
}

// wantedPool returns the size of the pool in which each page, job or task of a role
// finds a connection.
func (c Config) wantedPool(role Role) int {
	switch role {
	case WorkerPG:
		return c.JobSlots() + workersOwn
	case WorkerRedis:
		return c.TasksConcurrency + workersOwn
	default:
		return webPool
	}
}

// checkPool warns of a pool in which work waits for connections.
func (c *Config) checkPool(checks *Checker) {
	wanted := c.wantedPool(checks.role)
	tooSmall := c.DatabasePoolSize < wanted
	var slots string
	switch checks.role {
	case WorkerPG:
		slots = fmt.Sprintf("%d jobs run at the same time (JOBS_CRITICAL_CONCURRENCY %d + JOBS_DEFAULT_CONCURRENCY %d + JOBS_LOW_CONCURRENCY %d)",
			c.JobSlots(), c.JobsCriticalConcurrency, c.JobsDefaultConcurrency, c.JobsLowConcurrency)
	case WorkerRedis:
		slots = fmt.Sprintf("%d tasks run at the same time (TASKS_CONCURRENCY)", c.TasksConcurrency)
	default:
		return
	}
	checks.Warn("DATABASE_POOL_SIZE", !tooSmall, fmt.Sprintf("is %d for %s, and %s, so some wait for a connection; set %d or more, "+
		"leave the variable out, or lower these numbers", c.DatabasePoolSize, checks.role, slots, wanted))
}
