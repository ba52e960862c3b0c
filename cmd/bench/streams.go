package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"slipway/internal/failopen"
	"slipway/internal/live"
	"slipway/internal/telemetry"
)

func newStreamsCommand() *cobra.Command {
	var options streamsOptions
	command := &cobra.Command{
		Use:   "streams",
		Short: "Measure event streams: memory, idle cost and broadcasts",
		Long: `Open event streams of app web in HTTP/1.1, as a proxy does, and measure what an open
stream costs and how long a broadcast takes to reach all of them, also while one client
reads nothing. The clients connect again at the end of each stream, as browsers do
(LIVE_STREAM_LIFETIME), and run on the same cores. All data in DATABASE_URL and REDIS_URL
is deleted; bin/bench starts servers for that.

The exit code is 0 when everything was measured, even if a target was missed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return benchStreams(c.Context(), c.OutOrStdout(), options) },
	}
	flags := command.Flags()
	flags.IntSliceVar(&options.streams, "streams", []int{1, 1000, mostStreams}, "numbers of streams to measure with")
	flags.IntVar(&options.rounds, "rounds", 5, "number of broadcasts")
	flags.DurationVar(&options.settle, "settle", 20*time.Second,
		"time before the idle time, in which streams that began together come to end one by one")
	flags.DurationVar(&options.idle, "idle", 20*time.Second,
		"time without events during which the CPU time is measured, that of new streams included")
	flags.StringVar(&options.app, "app", "tmp/bench/app", "path of the program app")
	return command
}

type streamsOptions struct {
	streams []int
	rounds  int
	settle  time.Duration
	idle    time.Duration
	app     string
}

// mostStreams is the number of streams that the targets are about.
const mostStreams = 10_000

// installation is the name of the installation whose streams are measured.
const installation = "bench"

func benchStreams(ctx context.Context, out io.Writer, options streamsOptions) error {
	settings, err := readSettings()
	if err != nil {
		return err
	}
	if output, err := exec.CommandContext(ctx, options.app, "migrate").CombinedOutput(); err != nil {
		return fmt.Errorf("app migrate: %w\n%s", err, output)
	}
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	guard := guardOptions(settings.redis)
	guard.Namespace, guard.Timeout = "slipway:"+installation, 2*time.Second // the clients keep the cores busy
	redis, err := failopen.Open(failopen.NewGuard(guard, reporter))
	if err != nil {
		return err
	}
	defer redis.Close()
	b := &streamsBench{options: options, publisher: live.NewPublisher(redis), sheet: sheet{out: out}}
	fmt.Fprintf(out, "Load before: %s. The clients take their part of the same cores.\n", load())
	var costs []streamCosts
	for _, many := range options.streams {
		one, err := b.measure(ctx, many)
		if err != nil {
			return fmt.Errorf("%d streams: %w", many, err)
		}
		costs = append(costs, one)
	}
	b.report(costs)
	b.printTargets()
	return nil
}

// Private

// streamsBench is one run of `bench streams`.
type streamsBench struct {
	sheet
	options   streamsOptions
	publisher *live.Publisher
}

// streamCosts are the measurements with a number of streams. Times of broadcasts are
// milliseconds from the call of Publish, one value a round.
type streamCosts struct {
	many            int
	before, open    float64 // MB of app web without and with the streams
	opening         float64 // CPU us to open one
	idle, wakeUps   float64 // share of a core, and waits of its threads in a second
	alone, withSlow broadcasts
}

// broadcasts are how long the median, 99 of 100 and all streams wait for an event, and
// the CPU us of app web to send it to one.
type broadcasts struct{ p50, p99, last, cpu series }

func (b *streamsBench) measure(ctx context.Context, many int) (c streamCosts, err error) {
	web, err := startWeb(ctx, b.options.app, "INSTALLATION="+installation, "MAX_CONNECTIONS_PER_CLIENT=0",
		"LIVE_STREAM_LIMIT="+strconv.Itoa(many+1000), "MAX_CONNECTIONS="+strconv.Itoa(many+2000))
	if err != nil {
		return c, err
	}
	defer web.stop()
	if err := pause(ctx, 2*time.Second); err != nil { // the role connects to its backends
		return c, err
	}
	c = streamCosts{many: many, before: residentMB(strconv.Itoa(web.pid()))}
	spent := cpuOfTree(web.pid())
	audience, err := openAudience(ctx, web, many)
	if err != nil {
		return c, err
	}
	defer audience.leave()
	c.opening = (cpuOfTree(web.pid()) - spent) / float64(many) * 1e6

	if err := pause(ctx, b.options.settle); err != nil {
		return c, err
	}
	spent, waits := cpuOfTree(web.pid()), waitsOf(web.pid())
	if err := pause(ctx, b.options.idle); err != nil {
		return c, err
	}
	c.idle = (cpuOfTree(web.pid()) - spent) / b.options.idle.Seconds()
	c.wakeUps = (waitsOf(web.pid()) - waits) / b.options.idle.Seconds()
	c.open = residentMB(strconv.Itoa(web.pid()))

	if c.alone, err = b.broadcast(ctx, web, audience); err != nil {
		return c, err
	}
	if err := audience.addSlow(ctx); err != nil {
		return c, err
	}
	if err := b.floodSlow(ctx); err != nil {
		return c, err
	}
	c.withSlow, err = b.broadcast(ctx, web, audience)
	return c, err
}

// broadcast publishes events one after the other, each when all streams have the one
// before.
func (b *streamsBench) broadcast(ctx context.Context, web *server, audience *audience) (times broadcasts, err error) {
	for range b.options.rounds {
		audience.expect()
		started, spent := time.Now(), cpuOfTree(web.pid())
		if !b.publisher.Publish(ctx, live.Fragment{Topics: []string{everyTopic}, HTML: stockFragment}) {
			return times, errDropped
		}
		waits, err := audience.waits(ctx, started)
		if err != nil {
			return times, err
		}
		times.p50, times.p99 = append(times.p50, waits.median()), append(times.p99, waits.quantile(0.99))
		times.last = append(times.last, waits.quantile(1))
		times.cpu = append(times.cpu, (cpuOfTree(web.pid())-spent)/float64(len(waits))*1e6)
	}
	return times, nil
}

// floodSlow publishes more than the system holds for the client that reads nothing, so
// that its stream waits for it while the others get their events.
func (b *streamsBench) floodSlow(ctx context.Context) error {
	large := strings.Repeat("x", 256<<10)
	for range 40 {
		if !b.publisher.Publish(ctx, live.Fragment{Topics: []string{slowTopic}, HTML: large}) {
			return errDropped
		}
	}
	return nil
}

func (b *streamsBench) report(all []streamCosts) {
	b.section("Open event streams", "MB before", "MB", "KB/stream", "us/opening", "idle CPU %", "wake-ups/s")
	for _, c := range all {
		each := any("")
		if c.many > 1 {
			each = c.each()
		}
		b.row(format(float64(c.many)), c.before, c.open, each, c.opening, c.idle*100, c.wakeUps)
	}
	b.section(fmt.Sprintf("A broadcast, medians of %d", b.options.rounds), "p50 ms", "p99 ms", "last ms", "max last ms", "CPU us/stream")
	for _, c := range all {
		b.rowOf(c, "", c.alone)
		b.rowOf(c, ", one more reads nothing", c.withSlow)
	}
	for _, c := range all {
		if c.many != mostStreams {
			continue
		}
		b.target(c.each() <= 20, "an open stream takes %.1f KB of memory (20)", c.each())
		b.target(c.open <= 250, "app web with %d streams takes %.0f MB (250)", c.many, c.open)
		b.target(c.alone.last.median() <= 250, "a broadcast reaches the last of %d streams after %.0f ms (250)", c.many, c.alone.last.median())
		b.target(c.withSlow.last.median() <= 250, "the same takes %.0f ms while one client reads nothing (250)", c.withSlow.last.median())
	}
}

func (b *streamsBench) rowOf(c streamCosts, title string, times broadcasts) {
	b.row("to "+format(float64(c.many))+title,
		times.p50.median(), times.p99.median(), times.last.median(), times.last.quantile(1), times.cpu.median())
}

// each is the memory of one stream in KB.
func (c streamCosts) each() float64 { return (c.open - c.before) * 1000 / float64(c.many) }
