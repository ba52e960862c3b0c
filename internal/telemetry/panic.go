package telemetry

import (
	"fmt"
	"runtime/debug"
)

// Panic is a panic that was caught, as an error.
type Panic struct {
	Cause any
	Stack string // as runtime/debug prints it
}

// Recovered makes an error of what recover returned. Call it within the
// deferred function: the stack still shows where the panic began.
func Recovered(cause any) *Panic {
	return &Panic{Cause: cause, Stack: string(debug.Stack())}
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Cause) }

// Class lets Class name it.
func (p *Panic) Class() string { return "panic" }
