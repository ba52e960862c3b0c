package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// report is what a contestant's process says about itself.
type report struct {
	Seconds   float64   `json:"seconds"`   // since it started to work
	CPU       float64   `json:"cpu"`       // seconds of a core, since it started to work
	Done      int64     `json:"done"`      // jobs
	Latencies []float64 `json:"latencies"` // milliseconds from enqueueing to work, since the last report
	RSS       float64   `json:"rss"`       // MB
	Heap      float64   `json:"heap"`      // MB that are in use after a collection
}

// worker is the process of a contestant.
type worker struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Reader
}

// launch runs a contestant in a process of its own. When want is not zero, its
// first report comes when it has worked that many jobs.
func launch(ctx context.Context, name string, want int) (*worker, error) {
	w := &worker{cmd: exec.CommandContext(ctx, os.Args[0], "work", name, strconv.Itoa(want))}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	discard, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer discard.Close()
	w.cmd.Stderr = discard // a file: logging costs what it costs in production
	output, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.output = bufio.NewReader(output)
	if w.input, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return w, w.cmd.Start()
}

// report waits for the next report.
func (w *worker) report() (r report, err error) {
	line, err := w.output.ReadBytes('\n')
	if err != nil {
		return r, fmt.Errorf("%s gave no report: %w", strings.Join(w.cmd.Args[1:], " "), err)
	}
	err = json.Unmarshal(line, &r)
	if err == nil && r.Seconds == 0 {
		err = errors.New(strings.Join(w.cmd.Args[1:], " ") + ": " + string(line))
	}
	return r, err
}

// ask asks for a report now.
func (w *worker) ask() (report, error) {
	if _, err := io.WriteString(w.input, "report\n"); err != nil {
		return report{}, err
	}
	return w.report()
}

// end kills the process: how a worker stops is not what is measured.
func (w *worker) end() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// Private

// stderr is where a contestant logs.
var stderr io.Writer = os.Stderr

func newWorkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "work CONTESTANT WANTED", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			want, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return err
			}
			return work(c.Context(), args[0], want)
		},
	}
}

// work is the program of a contestant's process.
func work(ctx context.Context, name string, want int64) error {
	one, err := find(name)
	if err != nil {
		return err
	}
	settings, err := readSettings()
	if err != nil {
		return err
	}
	tally := &tally{want: want, reached: make(chan struct{}), started: time.Now(), cpu: cpuSeconds(syscall.RUSAGE_SELF)}
	drained, err := one.start(ctx, settings, tally.done)
	if err != nil {
		return err
	}
	if want > 0 {
		<-tally.reached
		for isDrained := false; !isDrained; {
			if isDrained, err = drained(ctx); err != nil {
				return err
			}
			if err := pause(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		tally.print()
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		tally.print()
	}
	return nil
}

// fail ends the process of a contestant that does not work.
func fail(err error) {
	if err != nil {
		fmt.Println(strconv.Quote(err.Error()))
		os.Exit(1)
	}
}

// tally counts what a contestant works.
type tally struct {
	want    int64
	count   atomic.Int64
	reached chan struct{}
	started time.Time
	cpu     float64

	mutex     sync.Mutex
	latencies []float64
}

func (t *tally) done(sent int64) {
	if t.count.Add(1) == t.want {
		close(t.reached)
	}
	if t.want == 0 && sent > 0 {
		took := time.Since(time.Unix(0, sent))
		t.mutex.Lock()
		t.latencies = append(t.latencies, float64(took.Microseconds())/1000)
		t.mutex.Unlock()
	}
}

func (t *tally) print() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	r := report{Seconds: time.Since(t.started).Seconds(), CPU: cpuSeconds(syscall.RUSAGE_SELF) - t.cpu, Done: t.count.Load(), Latencies: t.latencies, RSS: residentMB("self")}
	t.latencies = nil
	goruntime.GC()
	var memory goruntime.MemStats
	goruntime.ReadMemStats(&memory)
	r.Heap = float64(memory.HeapAlloc) / 1e6
	fail(json.NewEncoder(os.Stdout).Encode(r))
}

func cpuSeconds(who int) float64 {
	var usage syscall.Rusage
	fail(syscall.Getrusage(who, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// residentMB is the memory of a process, by its id in /proc.
func residentMB(id string) float64 {
	fields, err := os.ReadFile("/proc/" + id + "/statm")
	fail(err)
	pages, err := strconv.ParseFloat(strings.Fields(string(fields))[1], 64)
	fail(err)
	return pages * float64(os.Getpagesize()) / 1e6
}
