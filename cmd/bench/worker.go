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

// report is the JSON line that a contestant's process prints.
type report struct {
	Seconds   float64   `json:"seconds"`   // since the worker's start
	CPU       float64   `json:"cpu"`       // CPU seconds since the worker's start
	Done      int64     `json:"done"`      // jobs since the worker's start
	Latencies []float64 `json:"latencies"` // milliseconds from enqueue to start, of each job since the last report
	RSS       float64   `json:"rss"`       // MB
	Heap      float64   `json:"heap"`      // MB in use after a garbage collection
}

// worker is the child process that runs a contestant.
type worker struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Reader
}

// launch starts a child process that runs a contestant. When want is not zero, the
// child prints its first report after that many jobs.
func launch(ctx context.Context, name string, want int) (*worker, error) {
	w := &worker{cmd: exec.CommandContext(ctx, os.Args[0], "work", name, strconv.Itoa(want))}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	discard, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	defer discard.Close()
	w.cmd.Stderr = discard // a file, so that a log line costs as much as in production
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
		return r, fmt.Errorf("read report of %s: %w", strings.Join(w.cmd.Args[1:], " "), err)
	}
	err = json.Unmarshal(line, &r)
	if err == nil && r.Seconds == 0 {
		err = errors.New(strings.Join(w.cmd.Args[1:], " ") + ": " + string(line))
	}
	return r, err
}

// requestReport requests a report and waits for it.
func (w *worker) requestReport() (report, error) {
	if _, err := io.WriteString(w.input, "report\n"); err != nil {
		return report{}, err
	}
	return w.report()
}

// kill kills the process, because its shutdown is not measured.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// Private

// stderr receives the log of a contestant.
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

// work is the main function of a contestant's process: it prints a report after want
// jobs unless want is zero, and then one for each line on stdin.
func work(ctx context.Context, name string, want int64) error {
	one, err := find(name)
	if err != nil {
		return err
	}
	settings, err := readSettings()
	if err != nil {
		return err
	}
	tally := &tally{want: want, reached: make(chan struct{}), started: time.Now(), cpu: cpuSeconds()}
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

// exitOnError prints an error, in place of a report, and exits.
func exitOnError(err error) {
	if err != nil {
		fmt.Println(strconv.Quote(err.Error()))
		os.Exit(1)
	}
}

// tally counts the jobs of a contestant.
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
	r := report{
		Seconds: time.Since(t.started).Seconds(), CPU: cpuSeconds() - t.cpu,
		Done: t.count.Load(), Latencies: t.latencies, RSS: residentMB("self"),
	}
	t.latencies = nil
	goruntime.GC()
	var memory goruntime.MemStats
	goruntime.ReadMemStats(&memory)
	r.Heap = float64(memory.HeapAlloc) / 1e6
	exitOnError(json.NewEncoder(os.Stdout).Encode(r))
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	exitOnError(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// residentMB returns the resident memory of a process in MB, by its name in /proc.
func residentMB(id string) float64 {
	fields, err := os.ReadFile("/proc/" + id + "/statm")
	exitOnError(err)
	pages, err := strconv.ParseFloat(strings.Fields(string(fields))[1], 64)
	exitOnError(err)
	return pages * float64(os.Getpagesize()) / 1e6
}
