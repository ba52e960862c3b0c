package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// idleRoles measures the cost of the worker roles without jobs: heartbeats, scheduler,
// reaper, checks, and everything else that runs periodically.
func (b *bench) idleRoles(ctx context.Context) error {
	b.section("Whole roles with nothing to do", "CPU %", "SQL tx/s", "Redis cmd/s", "MB")
	for i, role := range []string{"worker-pg", "worker-redis"} {
		if err := b.empty(ctx); err != nil {
			return err
		}
		if err := b.idleRole(ctx, role, 19500+i); err != nil {
			return fmt.Errorf("idle %s: %w", role, err)
		}
	}
	return nil
}

// Private

func (b *bench) idleRole(ctx context.Context, role string, port int) error {
	command := exec.CommandContext(ctx, b.options.app, role)
	command.Env = append(os.Environ(), "OPS_PORT="+strconv.Itoa(port))
	command.Stderr = io.Discard
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return err
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	if err := pause(ctx, 2*time.Second); err != nil { // the role starts
		return err
	}
	before, err := b.costs(ctx, command.Process.Pid)
	if err != nil {
		return err
	}
	started := time.Now()
	if err := pause(ctx, idleTime); err != nil {
		return err
	}
	after, err := b.costs(ctx, command.Process.Pid)
	if err != nil {
		return err
	}
	seconds := time.Since(started).Seconds()
	// One transaction and one command are those of costs itself.
	transactions, commands := after.transactions-before.transactions-1, after.commands-before.commands-1
	b.row(role, (after.cpu-before.cpu)/seconds*100, transactions/seconds, commands/seconds,
		residentMB(strconv.Itoa(command.Process.Pid)))
	return nil
}

// costs are counters: CPU seconds of a process, and transactions and commands of the
// servers.
type costs struct{ cpu, transactions, commands float64 }

func (b *bench) costs(ctx context.Context, pid int) (c costs, err error) {
	// Sessions of PostgreSQL update the counter within a second.
	err = b.db.QueryRow(ctx, `
		SELECT xact_commit + xact_rollback
		  FROM pg_stat_database
		 WHERE datname = current_database()`,
	).Scan(&c.transactions)
	if err != nil {
		return c, err
	}
	stats, err := b.redis.Info(ctx, "stats").Result()
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(stats) {
		if count, is := strings.CutPrefix(strings.TrimSpace(line), "total_commands_processed:"); is {
			if c.commands, err = strconv.ParseFloat(count, 64); err != nil {
				return c, err
			}
		}
	}
	c.cpu, err = cpuOf(pid)
	return c, err
}

// cpuOf returns the CPU seconds of a process's living threads.
func cpuOf(pid int) (seconds float64, err error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return seconds, err
	}
	for _, task := range tasks {
		spent, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		if err != nil {
			continue // the thread has ended
		}
		nanoseconds, err := strconv.ParseFloat(strings.Fields(string(spent))[0], 64)
		if err != nil {
			return seconds, err
		}
		seconds += nanoseconds / 1e9
	}
	return seconds, nil
}
