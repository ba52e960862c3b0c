package jobs

import "runtime"

// Private

// stackOfRun is what a run that does nothing needs, in bytes.
const stackOfRun = 8 << 10

// growStack makes the stack of a goroutine large enough for a short run and its log line,
// at once and while there is little on it. Otherwise the stack grows three times, and
// copying it takes a fifth of a busy worker's CPU time.
//
//go:noinline
func growStack() {
	var room [stackOfRun]byte
	runtime.KeepAlive(&room)
}
