package telemetry

import (
	"slices"
	"strconv"
	"strings"

	"github.com/getsentry/sentry-go"
)

// parseFrames parses a stack trace as runtime/debug and River print it: each
// call is a line with the function and a line "\tfile:line +0x1f". It leaves out
// the frames above the panic, and returns the oldest call first, as Sentry
// requires. Lines that it cannot parse are skipped.
func parseFrames(stack string) []sentry.Frame {
	lines := strings.Split(strings.TrimSpace(stack), "\n")
	var frames []sentry.Frame
	for i := 0; i+1 < len(lines); i++ {
		location, isLocation := strings.CutPrefix(lines[i+1], "\t")
		if !isLocation {
			continue
		}
		function := strings.TrimPrefix(lines[i], "created by ")
		function, _, _ = strings.Cut(function, " in goroutine")
		if end := strings.LastIndexByte(function, '('); end > 0 && strings.HasSuffix(function, ")") {
			function = function[:end] // the arguments are only addresses
		}
		if function == "panic" || function == "runtime.gopanic" {
			frames = nil
			continue
		}
		location, _, _ = strings.Cut(location, " ")
		file, line, _ := strings.Cut(location, ".go:")
		number, err := strconv.Atoi(line)
		if err != nil {
			continue
		}
		frames = append(frames, sentry.Frame{
			Function: function,
			AbsPath:  file + ".go",
			Lineno:   number,
			InApp:    strings.HasPrefix(function, "slipway/") || strings.HasPrefix(function, "main."),
		})
	}
	slices.Reverse(frames)
	return frames
}
