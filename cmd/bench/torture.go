package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// torture runs the long form of the torture test, which starts servers of its
// own, and prints what it counted.
func (b *bench) torture(ctx context.Context) error {
	if b.options.torture == 0 {
		return nil
	}
	fmt.Fprintf(b.out, "\nTorture for %s\n", b.options.torture)
	command := exec.CommandContext(ctx, "go", "test", "./internal/jobs", "-run", "TestTorture_NoAcceptedNumberIsLost", "-count=1", "-v", "-timeout", (b.options.torture + 10*time.Minute).String())
	command.Env = append(os.Environ(), fmt.Sprintf("TORTURE_SECONDS=%.0f", b.options.torture.Seconds()))
	said, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("torture: %w\n%s", err, said)
	}
	for line := range bytes.Lines(said) {
		if text := string(line); strings.Contains(text, "TORTURE_SEED") || strings.Contains(text, "accepted") {
			fmt.Fprint(b.out, "  ", strings.TrimSpace(text), "\n")
		}
	}
	b.target(true, "no accepted number is lost in %s of torture", b.options.torture)
	return nil
}
