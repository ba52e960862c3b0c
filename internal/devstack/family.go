package devstack

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// family is a process and its children. The group of a process would not do:
// every child of PostgreSQL makes a group of its own.
func family(pid int) []stat {
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

// signalAll sends one signal to each, first to last. Those that ended
// meanwhile are passed over.
func signalAll(members []stat, signal syscall.Signal) {
	for _, member := range members {
		if current, err := readStat(member.pid); err == nil && current.started == member.started {
			_ = syscall.Kill(member.pid, signal)
		}
	}
}

// waitAll waits until every member that still runs is as wanted.
func waitAll(members []stat, budget time.Duration, wanted func(stat) bool) error {
	deadline := time.NewTimer(budget)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()

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
		case <-again.C:
		case <-deadline.C:
			return fmt.Errorf("process %d does not react after %s", waiting, budget)
		}
	}
}

// endFamily ends a process that is not our child, and its children: by its own
// stop signal first, which a frozen one must be woken for.
func endFamily(pid int, stop syscall.Signal) error {
	members := family(pid)
	if len(members) == 0 {
		return nil
	}
	signalAll(members, syscall.SIGCONT)
	signalAll(members[:1], stop)
	if waitAll(members, 5*time.Second, gone) == nil {
		return nil
	}
	return killFamily(pid)
}

// killFamily kills a process and its children, and waits until they are gone.
func killFamily(pid int) error {
	if err := freezeFamily(pid); err != nil {
		return err
	}
	members := family(pid)
	signalAll(members, syscall.SIGKILL)
	return waitAll(members, 10*time.Second, gone)
}

// freezeFamily stops the parent first, which then makes no more children.
func freezeFamily(pid int) error {
	members := family(pid)
	if len(members) == 0 {
		return nil
	}
	signalAll(members[:1], syscall.SIGSTOP)
	if err := waitAll(members[:1], 5*time.Second, frozen); err != nil {
		return err
	}
	members = family(pid)
	signalAll(members, syscall.SIGSTOP)
	return waitAll(members, 5*time.Second, frozen)
}

// Private

func gone(stat) bool      { return false }
func frozen(s stat) bool  { return s.state == 'T' }
func running(s stat) bool { return s.state != 'T' }
