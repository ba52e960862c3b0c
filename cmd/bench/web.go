package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

func newWebCommand() *cobra.Command {
	var options webOptions
	command := &cobra.Command{
		Use:   "web",
		Short: "Measure pages that are rendered for each request, beside a page made of libraries alone",
		Long: `Compare the pages of app web, with all that it does for a request, with a page that is
made with echo, pgx and templ alone and reads the same rows, and a style sheet with
nginx. The pages are rendered for a visitor with a cart, so that none comes from the
cache. Contestants take turns in each round, on many connections and on few; only
medians and ratios count. It needs wrk and nginx, and the sample application. All data
in DATABASE_URL and REDIS_URL is deleted; bin/bench starts servers for that.

The exit code is 0 when everything was measured, even if a target was missed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return benchWeb(c.Context(), c.OutOrStdout(), options) },
	}
	flags := command.Flags()
	flags.IntSliceVar(&options.connections, "connections", []int{64, 8}, "numbers of connections that each contestant is asked on")
	flags.IntVar(&options.load.rounds, "rounds", 5, "number of rounds")
	flags.DurationVar(&options.load.each, "each", time.Second, "time of one contestant in one round, in whole seconds")
	flags.StringVar(&options.app, "app", "tmp/bench/app", "path of the program app")
	flags.StringVar(&options.profile, "profile", "", "file for a CPU profile of app web while it renders the product on the most connections")
	return command
}

type webOptions struct {
	connections  []int
	load         httpLoad
	app, profile string
}

func benchWeb(ctx context.Context, out io.Writer, options webOptions) error {
	stage, err := prepareStage(ctx, options.app)
	if err != nil {
		return err
	}
	defer stage.clear()
	options.load.directory = stage.directory
	b := &webBench{options: options, stage: stage, sheet: sheet{out: out}}
	fmt.Fprintf(out, "Load before: %s. Only ratios count, because a busy machine slows down everything.\n", load())
	if err := b.start(ctx); err != nil {
		return err
	}
	for i, connections := range options.connections {
		if err := b.compareOn(ctx, connections, i == 0); err != nil {
			return err
		}
	}
	b.printTargets()
	return nil
}

// Private

// webBench is one run of `bench web`.
type webBench struct {
	sheet
	*stage
	options webOptions

	site            site
	web, raw, nginx *server
	backends        []reading
}

func (b *webBench) start(ctx context.Context) (err error) {
	if b.web, err = b.run(startWeb(ctx, b.app)); err != nil {
		return err
	}
	if b.site, err = b.explore(ctx, b.web); err != nil {
		return err
	}
	if b.raw, err = b.run(startRawPage(ctx)); err != nil {
		return err
	}
	if b.nginx, err = b.run(startNginx(ctx, b.directory, b.raw)); err != nil {
		return err
	}
	b.backends, err = backendReadings(ctx)
	return err
}

// compareOn measures all contestants on so many connections. The figures of costs are
// printed for the first number alone: they depend on it little.
func (b *webBench) compareOn(ctx context.Context, connections int, costs bool) error {
	const cookie = "Cookie: visitor=bm90IHNpZ25lZA"
	contestant := func(title string, s *server, path string, fields ...string) *httpContestant {
		one := &httpContestant{title: title, url: s.url(path), pid: s.pid(), fields: append(fields, "Host: "+host)}
		if costs && s.opsPort != 0 {
			one.beside = slices.Concat(b.backends, processReadings(ctx, s))
		}
		return one
	}
	raw := contestant("echo, pgx and templ alone, product", b.raw, b.site.page, cookie)
	product := contestant("app web, product", b.web, b.site.page, b.site.cart)
	pages := []*httpContestant{
		product, raw,
		contestant("app web, home", b.web, "/", b.site.cart),
		contestant("app web, category", b.web, b.site.category, b.site.cart),
		contestant("app web, search", b.web, "/search?q=lantern", b.site.cart),
		contestant("app web, cart", b.web, "/cart", b.site.cart),
		contestant("app web, review of an order", b.web, "/checkout/review", b.site.cart),
		contestant("app web, product from the cache", b.web, b.site.page),
		contestant("app web, /up", b.web, "/up"),
	}
	stylesheet := []*httpContestant{
		contestant("app web, gzip", b.web, b.site.stylesheet, "Accept-Encoding: gzip"),
		contestant("nginx, gzip_static", b.nginx, "/style.css", "Accept-Encoding: gzip"),
	}
	settings := b.options.load
	settings.connections = connections
	if err := settings.measure(ctx, slices.Concat(pages, stylesheet)); err != nil {
		return err
	}

	b.section(fmt.Sprintf("Pages, %d connections", connections),
		"req/s", "min", "max", "p50 ms", "p99 ms", "CPU us", "bytes", "rate/alone", "CPU/alone")
	for _, one := range pages {
		b.row(one.title, one.rate.median(), one.rate.quantile(0), one.rate.quantile(1), one.p50.median(), one.p99.median(),
			one.cpu.median(), one.size.median(), one.rate.over(raw.rate).median(), one.cpu.over(raw.cpu).median())
	}
	b.compare(fmt.Sprintf("Stylesheet, %d connections", connections), stylesheet...)
	if !costs {
		slower := product.p99.over(raw.p99).median()
		b.target(slower <= 1.2, "the p99 of the product on %d connections is %.2f of the page made alone (1.2)", connections, slower)
		return nil
	}
	b.printCosts(pages)
	b.judge(product, raw, pages, stylesheet)
	if b.options.profile != "" {
		return b.profileProduct(ctx, settings, product)
	}
	return nil
}

func (b *webBench) printCosts(pages []*httpContestant) {
	var titles []string
	for _, one := range pages[0].beside {
		titles = append(titles, one.title)
	}
	b.section("Costs of one request", titles...)
	for _, one := range pages {
		var values []any
		for _, title := range titles {
			values = append(values, one.spent[title].median())
		}
		b.row(one.title, values...)
	}
}

func (b *webBench) judge(product, raw *httpContestant, pages, stylesheet []*httpContestant) {
	for _, one := range pages {
		if one == raw || one.title == "app web, cart" || strings.Contains(one.title, "review") || strings.Contains(one.title, "/up") {
			continue
		}
		ratio := one.rate.over(raw.rate).median()
		b.target(ratio >= 0.9, "%s has %.2f of the rate of the page made alone (0.9)", one.title, ratio)
	}
	cpu := product.cpu.over(raw.cpu).median()
	b.target(cpu <= 1.2, "app web takes %.2f of the CPU of the page made alone for the product (1.2)", cpu)
	database := product.spent[databaseCPU].over(raw.spent[databaseCPU]).median()
	b.target(database <= 1.3, "PostgreSQL takes %.2f of the CPU of the page made alone for the product (1.3)", database)
	static := stylesheet[0].rate.over(stylesheet[1].rate).median()
	b.target(static >= 0.6, "the style sheet has %.2f of the rate of nginx (0.6)", static)
	memory := residentMB(strconv.Itoa(b.web.pid()))
	b.target(memory <= 40, "app web takes %.0f MB after that (40); the page made alone %.0f MB", memory, residentMB(strconv.Itoa(b.raw.pid())))
}

// profileProduct writes a CPU profile of the server while it renders the product.
func (b *webBench) profileProduct(ctx context.Context, settings httpLoad, product *httpContestant) error {
	settings.each = 6 * time.Second
	profiled := make(chan error, 1)
	go func() {
		profile, err := get(ctx, strings.TrimSuffix(b.web.metrics(), "/metrics")+"/debug/pprof/profile?seconds=5")
		if err == nil {
			err = os.WriteFile(b.options.profile, profile, 0o600)
		}
		profiled <- err
	}()
	if err := settings.once(ctx, product, false); err != nil {
		return err
	}
	return <-profiled
}

const databaseCPU = "PG us"

// backendReadings are the CPU times of PostgreSQL and Redis.
func backendReadings(ctx context.Context) ([]reading, error) {
	db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	var backend int
	if err := db.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return nil, err
	}
	postmaster := parentOf(backend)
	if err := db.Close(ctx); err != nil {
		return nil, err
	}
	options, err := redis.ParseURL(os.Getenv("REDIS_URL"))
	if err != nil {
		return nil, err
	}
	client := redis.NewClient(options)
	info, err := client.Info(ctx, "server").Result()
	if err := errors.Join(err, client.Close()); err != nil {
		return nil, err
	}
	process, err := fieldOf(info, "process_id:")
	if err != nil {
		return nil, err
	}
	microseconds := func(pid int) func() (float64, error) {
		return func() (float64, error) { return cpuOfTree(pid) * 1e6, nil }
	}
	return []reading{
		{databaseCPU, microseconds(postmaster)},
		{"Redis us", microseconds(int(process))},
	}, nil
}

// processReadings are what a server counts by itself.
func processReadings(ctx context.Context, s *server) []reading {
	metric := func(name string, scale float64) func() (float64, error) {
		return func() (float64, error) {
			text, err := get(ctx, s.metrics())
			return sumOf(string(text), name) * scale, err
		}
	}
	return []reading{
		{"PG trips", metric("app_database_acquires_total", 1)}, {"Redis calls", metric("app_redis_calls_total", 1)},
		{"allocations", metric("go_memstats_mallocs_total", 1)}, {"allocated KB", metric("go_memstats_alloc_bytes_total", 1e-3)},
	}
}

// sumOf adds up the values of a metric, with all labels.
func sumOf(text, metric string) (sum float64) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, metric)
		if !found || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		if number, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:len(line)-1], 64); err == nil {
			sum += number
		}
	}
	return sum
}

// fieldOf finds the line that begins so, and returns the number after that.
func fieldOf(text, begin string) (float64, error) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, begin); found {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("no line begins with %q", begin)
}
