package devstack

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// stat is the part of /proc/PID/stat that this package needs, see proc(5). Every
// user may read it for every process.
type stat struct {
	pid     int
	parent  int
	state   byte   // R running, S sleeping, T stopped, Z zombie, …
	started uint64 // clock ticks since boot
}

func readStat(pid int) (stat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}

	// The second field is the name in parentheses, which may contain spaces and
	// parentheses.
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("read /proc/%d/stat: %d fields", pid, len(fields))
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, fmt.Errorf("read the parent of process %d: %w", pid, err)
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("read the start time of process %d: %w", pid, err)
	}
	return stat{pid: pid, parent: parent, state: fields[0][0], started: started}, nil
}

// ended reports whether the process has ended, as a zombie has.
func (s stat) ended() bool {
	return s.state == 'Z' || s.state == 'X'
}
