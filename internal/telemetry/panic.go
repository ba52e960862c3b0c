package telemetry

import (
	"fmt"
	"runtime/debug"
)

// Panic is the error that stands for a recovered panic.
type Panic struct {
	Cause any    // the value passed to panic
	Stack string // in the format of runtime/debug.Stack
}

// Recovered returns the error for cause, the result of recover. Call it within
// the deferred function, because the stack there still shows the panic's origin.
func Recovered(cause any) *Panic {
	return &Panic{Cause: cause, Stack: string(debug.Stack())}
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Cause) }

// Class returns "panic". The function Class uses it.
func (p *Panic) Class() string { return "panic" }
