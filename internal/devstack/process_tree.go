package devstack

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// processTree returns a process and its children, or nothing when it has ended. The
// process group is no alternative, because every child of PostgreSQL has its own.
func processTree(pid int) []stat {
	parent, err := readStat(pid)
	if err != nil || parent.ended() {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []stat{parent}
	}

	members := []stat{parent}
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(child); err == nil && s.parent == pid && !s.ended() {
			members = append(members, s)
		}
	}
	return members
}

// signalAll sends a signal to each process in order, except to those that have
// ended.
func signalAll(members []stat, signal syscall.Signal) {
	for _, member := range members {
		if current, err := readStat(member.pid); err == nil && current.started == member.started {
			_ = syscall.Kill(member.pid, signal)
		}
	}
}

// waitAll waits until every process has ended or is as wanted. It returns an error
// after timeout.
func waitAll(members []stat, timeout time.Duration, wanted func(stat) bool) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()

	for {
		waiting := 0
		for _, member := range members {
			current, err := readStat(member.pid)
			if err == nil && current.started == member.started && !current.ended() && !wanted(current) {
				waiting = member.pid
			}
		}
		if waiting == 0 {
			return nil
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			return fmt.Errorf("process %d does not react within %s", waiting, timeout)
		}
	}
}

// endTree ends a process that is not a child of this one, and its children. It
// sends the signal stop, and SIGKILL when the process does not end by itself.
func endTree(pid int, stop syscall.Signal) error {
	members := processTree(pid)
	if len(members) == 0 {
		return nil
	}
	signalAll(members, syscall.SIGCONT)
	signalAll(members[:1], stop)
	if waitAll(members, 5*time.Second, gone) == nil {
		return nil
	}
	return killTree(pid)
}

// killTree kills a process and its children, and waits until they have ended.
func killTree(pid int) error {
	if err := freezeTree(pid); err != nil {
		return err
	}
	members := processTree(pid)
	signalAll(members, syscall.SIGKILL)
	return waitAll(members, 10*time.Second, gone)
}

// freezeTree stops a process and its children with SIGSTOP. The parent is first, so
// that it starts no more children.
func freezeTree(pid int) error {
	members := processTree(pid)
	if len(members) == 0 {
		return nil
	}
	signalAll(members[:1], syscall.SIGSTOP)
	if err := waitAll(members[:1], 5*time.Second, frozen); err != nil {
		return err
	}
	members = processTree(pid)
	signalAll(members, syscall.SIGSTOP)
	return waitAll(members, 5*time.Second, frozen)
}

// Private

// Predicates for waitAll. A process that has ended satisfies each of them.
func gone(stat) bool      { return false }
func frozen(s stat) bool  { return s.state == 'T' }
func running(s stat) bool { return s.state != 'T' }
