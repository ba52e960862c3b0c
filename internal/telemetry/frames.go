package telemetry

import (
	"slices"
	"strconv"
	"strings"

	"github.com/getsentry/sentry-go"
)

// framesOf reads a stack as runtime/debug prints it, or River: each call is a
// line with the function and one with "\tfile:line +0x1f".
// Frames of the panic itself and of who recovered it are left out. Sentry wants
// the oldest call first.
func framesOf(stack string) []sentry.Frame {
	lines := strings.Split(strings.TrimSpace(stack), "\n")
	var frames []sentry.Frame
	for i := 0; i+1 < len(lines); i++ {
		place, isPlace := strings.CutPrefix(lines[i+1], "\t")
		if !isPlace {
			continue
		}
		function := strings.TrimPrefix(lines[i], "created by ")
		function, _, _ = strings.Cut(function, " in goroutine")
		if end := strings.LastIndexByte(function, '('); end > 0 && strings.HasSuffix(function, ")") {
			function = function[:end] // what is between them are addresses
		}
		if function == "panic" || function == "runtime.gopanic" {
			frames = nil
			continue
		}
		place, _, _ = strings.Cut(place, " ")
		file, line, _ := strings.Cut(place, ".go:")
		number, err := strconv.Atoi(line)
		if err != nil {
			continue
		}
		frames = append(frames, sentry.Frame{Function: function, AbsPath: file + ".go", Lineno: number, InApp: strings.HasPrefix(function, "slipway/") || strings.HasPrefix(function, "main.")})
	}
	slices.Reverse(frames)
	return frames
}
