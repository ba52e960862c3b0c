package jobs

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
)

// Private

// mostStack bounds the stacks of one run, in bytes.
const mostStack = 64 << 10

// The labels of the goroutines of a run. Goroutines that its handler starts have them
// too.
const (
	kindLabel = "kind"
	idLabel   = "id"
)

// labelled calls work on a goroutine with the labels of a run, by which profiles and
// stackOf find it.
func labelled(ctx context.Context, run Run, work func(context.Context) error) (err error) {
	pprof.Do(ctx, pprof.Labels(kindLabel, run.Kind, idLabel, run.name()), func(ctx context.Context) { err = work(ctx) })
	return err
}

// stackOf returns the stacks of the goroutines of a run, by its name, and nothing when it does not
// run in this process. They hold functions and lines, and no values, so there are no
// secrets in them. Other labels may hold secrets, so labels are left out.
func stackOf(name string) string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return ""
	}
	wanted := strconv.Quote(idLabel) + ":" + strconv.Quote(name)
	var stacks strings.Builder
	for part := range strings.SplitSeq(profile.String(), "\n\n") {
		head, frames, found := strings.Cut(part, "\n# labels: ")
		if !found {
			continue
		}
		labels, frames, _ := strings.Cut(frames, "\n")
		if !strings.Contains(labels, wanted+",") && !strings.Contains(labels, wanted+"}") {
			continue
		}
		number, _, _ := strings.Cut(head[strings.LastIndexByte(head, '\n')+1:], " ")
		fmt.Fprintf(&stacks, "goroutines: %s\n", number)
		for frame := range strings.Lines(frames) {
			if columns := strings.Split(strings.TrimSpace(frame), "\t"); len(columns) > 2 {
				stacks.WriteString("    " + strings.Join(columns[2:], " ") + "\n")
			}
		}
		if stacks.Len() > mostStack {
			return stacks.String()[:mostStack]
		}
	}
	return stacks.String()
}
