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

// torture runs the torture test of internal/jobs for a longer time and prints its
// counts. The test starts its own servers.
func (b *bench) torture(ctx context.Context) error {
	if b.options.torture == 0 {
		return nil
	}
	fmt.Fprintf(b.out, "\nTorture for %s\n", b.options.torture)
	command := exec.CommandContext(ctx, "go", "test", "./internal/jobs", "-run", "TestTorture_NoAcceptedNumberIsLost",
		"-count=1", "-v", "-timeout", (b.options.torture + 10*time.Minute).String())
	command.Env = append(os.Environ(), fmt.Sprintf("TORTURE_SECONDS=%.0f", b.options.torture.Seconds()))
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("torture: %w\n%s", err, output)
	}
	for line := range bytes.Lines(output) {
		if text := string(line); strings.Contains(text, "TORTURE_SEED") || strings.Contains(text, "accepted") {
			fmt.Fprint(b.out, "  ", strings.TrimSpace(text), "\n")
		}
	}
	b.target(true, "no accepted number is lost in %s of torture", b.options.torture)
	return nil
}
