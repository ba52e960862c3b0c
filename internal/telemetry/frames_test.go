package telemetry

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseFrames_ParsesStacksOfTheRuntimeAndOfRiver(t *testing.T) {
	t.Parallel()

	frames := parseFrames(strings.Join([]string{
		"goroutine 7 [running]:",
		"runtime/debug.Stack()", "\t/go/debug/stack.go:26 +0x5e",
		"slipway/internal/web.recoverPanics.func1.1()", "\t/src/middleware.go:155 +0x5e",
		"panic({0x12?, 0x34?})", "\t/go/runtime/panic.go:792 +0x132",
		"slipway/internal/app.(*Archive).Letter(0xc000, {0x1, 0x2})", "\t/src/archive.go:40 +0x1d",
		"net/http.(*conn).serve(0xc0)", "\t/go/http/server.go:2102 +0x625",
		"created by net/http.(*Server).Serve in goroutine 1", "\t/go/http/server.go:3464 +0x485", "",
	}, "\n"))

	require.Len(t, frames, 3)
	require.Equal(t, "net/http.(*Server).Serve", frames[0].Function)
	require.Equal(t, "slipway/internal/app.(*Archive).Letter", frames[2].Function)
	require.Equal(t, "/src/archive.go", frames[2].AbsPath)
	require.Equal(t, 40, frames[2].Lineno)
	riverStack := "slipway/internal/app.work\n\t/src/jobs.go:7\nslipway/internal/jobs.run\n\t/src/pg_worker.go:127\n"
	require.Len(t, parseFrames(riverStack), 2)
	require.Empty(t, parseFrames(""))
	require.Empty(t, parseFrames("nonsense\n\n\t\n\t:\n"))
}
