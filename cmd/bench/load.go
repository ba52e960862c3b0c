package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// httpContestant is a server that responds to one request over and over, with what was
// measured of it.
type httpContestant struct {
	title  string
	url    string
	fields []string // of the header, "Name: value"
	pid    int      // of the server, whose CPU time and that of its children counts
	beside []reading

	rate, cpu, p50, p99, size series            // requests a second, µs a request, ms, ms, bytes a response
	spent                     map[string]series // of each reading, a request
}

// reading is a number that grows with each request, such as the CPU time of a backend.
type reading struct {
	title string
	now   func() (float64, error)
}

// httpLoad is how contestants are measured.
type httpLoad struct {
	connections int
	rounds      int
	each        time.Duration // of one contestant in one round
	directory   string        // for a file that tells wrk what to print
}

// measure measures the contestants in turns, in each second round in the opposite
// order. A round before them warms up and does not count.
func (l httpLoad) measure(ctx context.Context, contestants []*httpContestant) error {
	for round := range l.rounds + 1 {
		for i := range contestants {
			one := contestants[i]
			if round%2 == 1 {
				one = contestants[len(contestants)-1-i]
			}
			if err := l.once(ctx, one, round > 0); err != nil {
				return fmt.Errorf("%s: %w", one.title, err)
			}
		}
	}
	return nil
}

// Private

// summary makes wrk print: requests, microseconds, bytes, errors, and two latencies in
// microseconds.
const summary = `done = function(all, latency)
  local e = all.errors
  io.write(string.format("\nsummary %d %d %d %d %d %d\n", all.requests, all.duration, all.bytes,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
`

func (l httpLoad) once(ctx context.Context, one *httpContestant, counts bool) error {
	script := filepath.Join(l.directory, "summary.lua")
	if err := os.WriteFile(script, []byte(summary), 0o600); err != nil {
		return err
	}
	arguments := []string{
		"-t", "2", "-c", strconv.Itoa(l.connections), "-d", strconv.Itoa(max(int(l.each.Seconds()), 1)) + "s", "-s", script, "--latency",
	}
	for _, field := range one.fields {
		arguments = append(arguments, "-H", field)
	}
	readings, err := readAll(one.beside)
	if err != nil {
		return err
	}
	before := cpuOfTree(one.pid)
	printed, err := output(exec.CommandContext(ctx, "wrk", append(arguments, one.url)...))
	if err != nil {
		return fmt.Errorf("run wrk: %w", err)
	}
	spent := cpuOfTree(one.pid) - before
	if err := pause(ctx, 100*time.Millisecond); err != nil { // connections end, and with them processes of PostgreSQL
		return err
	}
	after, err := readAll(one.beside)
	if err != nil {
		return err
	}
	_, line, found := strings.Cut(string(printed), "\nsummary ")
	if !found {
		return fmt.Errorf("run wrk: it printed no summary: %s", printed)
	}
	var requests, microseconds, bytes, failed, p50, p99 float64
	if _, err := fmt.Sscan(line, &requests, &microseconds, &bytes, &failed, &p50, &p99); err != nil {
		return fmt.Errorf("read the summary of wrk: %w", err)
	}
	if failed > 0 || requests == 0 {
		return fmt.Errorf("%.0f of %.0f requests failed: %s", failed, requests, printed)
	}
	if !counts {
		return nil
	}
	one.rate = append(one.rate, requests/microseconds*1e6)
	one.cpu = append(one.cpu, spent/requests*1e6)
	one.p50, one.p99 = append(one.p50, p50/1000), append(one.p99, p99/1000)
	one.size = append(one.size, bytes/requests)
	for i, reading := range one.beside {
		if one.spent == nil {
			one.spent = map[string]series{}
		}
		one.spent[reading.title] = append(one.spent[reading.title], (after[i]-readings[i])/requests)
	}
	return nil
}

func readAll(readings []reading) (numbers []float64, err error) {
	for _, one := range readings {
		number, err := one.now()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", one.title, err)
		}
		numbers = append(numbers, number)
	}
	return numbers, nil
}

// compare prints contestants under a title. The first one is ours.
func (s *sheet) compare(title string, contestants ...*httpContestant) {
	s.section(title, "req/s", "min", "max", "p50 ms", "p99 ms", "CPU us", "bytes", "ours/this", "in CPU")
	for _, one := range contestants {
		s.row(one.title, one.rate.median(), one.rate.quantile(0), one.rate.quantile(1), one.p50.median(), one.p99.median(),
			one.cpu.median(), one.size.median(), contestants[0].rate.over(one.rate).median(), contestants[0].cpu.over(one.cpu).median())
	}
}
