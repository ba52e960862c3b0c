package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func newEdgeCommand() *cobra.Command {
	var options edgeOptions
	var judge string
	command := &cobra.Command{
		Use:   "edge",
		Short: "Measure cached pages, assets and rendered pages, or test the HTTP cache with a public suite",
		Long: `Compare app web, with all that it does for a request, with nginx and with net/http on
this machine: pages from the cache in each coding, assets, and rendered pages. With
--thruster, Thruster takes part. Contestants take turns in each round; only medians
and ratios count. It needs wrk and nginx. All data in DATABASE_URL and REDIS_URL is
deleted; bin/bench starts servers for that.

With --judge, run a checkout of github.com/http-tests/cache-tests against the edge
instead, with the policy of RFC 9111 and a plain reverse proxy behind it. Everything
listens on 127.0.0.1. It needs node 20 or later, takes a minute, and prints how many
required and optimal tests passed and each that did not. Four tests, of interim
responses, import the package undici and fail where it is not installed in the
checkout.

The exit code is 0 when everything was measured, even if a target was missed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if judge != "" {
				return judgeEdge(c.Context(), c.OutOrStdout(), judge)
			}
			return benchEdge(c.Context(), c.OutOrStdout(), options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&judge, "judge", "", "directory of a checkout of cache-tests")
	flags.StringSliceVar(&options.only, "only", nil, "parts of the run: speed, memory; all when empty")
	flags.StringVar(&options.thruster, "thruster", "", "path of the program thrust; without it, Thruster does not take part")
	flags.IntVar(&options.load.connections, "connections", 64, "connections that each contestant is asked on")
	flags.IntVar(&options.load.rounds, "rounds", 5, "number of rounds")
	flags.DurationVar(&options.load.each, "each", time.Second, "time of one contestant in one round, in whole seconds")
	flags.StringVar(&options.app, "app", "tmp/bench/app", "path of the program app")
	return command
}

type edgeOptions struct {
	only          []string
	load          httpLoad
	thruster, app string
}

func benchEdge(ctx context.Context, out io.Writer, options edgeOptions) error {
	stage, err := prepareStage(ctx, options.app)
	if err != nil {
		return err
	}
	defer stage.clear()
	options.load.directory = stage.directory
	b := &edgeBench{options: options, stage: stage, sheet: sheet{out: out}}
	fmt.Fprintf(out, "Load before: %s. %d connections. Only ratios count, because a busy machine slows down everything.\n",
		load(), options.load.connections)
	for _, part := range []part{{"speed", b.compareSpeed}, {"memory", b.measureMemory}} {
		if err := part.measureIf(ctx, options.only); err != nil {
			return err
		}
	}
	b.printTargets()
	return nil
}

// Private

// edgeBench is one run of `bench edge`.
type edgeBench struct {
	sheet
	*stage
	options edgeOptions
}

// assetName is an asset of 100 KB of another build.
const assetName = "bench-0123456789abcdef.css"

func (b *edgeBench) compareSpeed(ctx context.Context) error {
	defer b.stop()
	if err := b.writeAsset(); err != nil {
		return err
	}
	web, err := b.run(startWeb(ctx, b.app, "ASSETS_DIR="+filepath.Join(b.directory, "assets")))
	if err != nil {
		return err
	}
	site, err := b.explore(ctx, web)
	if err != nil {
		return err
	}
	page, err := b.run(startPage(ctx, filepath.Join(b.directory, "page.html")))
	if err != nil {
		return err
	}
	nginx, err := b.run(startNginx(ctx, b.directory, page))
	if err != nil {
		return err
	}

	ours := func(title, path string, fields ...string) *httpContestant {
		return &httpContestant{title: title, url: web.url(path), pid: web.pid(), fields: append(fields, "Host: "+host)}
	}
	theirs := func(title string, s *server, path string, fields ...string) *httpContestant {
		return &httpContestant{title: title, url: s.url(path), pid: s.pid(), fields: fields}
	}
	const inGzip, inZstd = "Accept-Encoding: gzip", "Accept-Encoding: zstd"
	cached := []*httpContestant{
		ours("app web, gzip", site.page, inGzip),
		theirs("nginx, proxy_cache, gzip", nginx, "/cached/gzip", inGzip),
		ours("app web, zstd", site.page, inZstd), ours("app web, identity", site.page),
		theirs("nginx, proxy_cache, identity", nginx, "/cached/identity"),
		theirs("net/http, the same bytes, gzip", page, "/", inGzip),
	}
	stylesheet := []*httpContestant{
		ours("app web, gzip", site.stylesheet, inGzip), theirs("nginx, gzip_static", nginx, "/style.css", inGzip),
	}
	asset := []*httpContestant{
		ours("app web, gzip", "/assets/"+assetName, inGzip), theirs("nginx, gzip_static", nginx, "/assets/"+assetName, inGzip),
	}
	rendered := []*httpContestant{
		ours("app web, identity", site.page, site.cart), ours("app web, gzip", site.page, site.cart, inGzip),
		ours("app web, zstd", site.page, site.cart, inZstd),
	}
	if b.options.thruster != "" {
		thruster, err := b.run(startThruster(ctx, b.options.thruster, filepath.Join(b.directory, "page.html"), b.directory))
		if err != nil {
			return err
		}
		cached = append(cached, theirs("Thruster, gzip", thruster, "/", inGzip), theirs("Thruster, zstd", thruster, "/", inZstd))
	}
	groups := [][]*httpContestant{cached, stylesheet, asset, rendered}
	if err := b.options.load.measure(ctx, slices.Concat(groups...)); err != nil {
		return err
	}
	b.compare("Page from the cache", cached...)
	b.compare("Stylesheet of this build", stylesheet...)
	b.compare("Asset of 100 KB, of another build", asset...)
	b.compare("Rendered page, for a visitor with a cart", rendered...)
	ratio := func(one, other *httpContestant) float64 { return one.rate.over(other.rate).median() }
	if b.options.thruster != "" {
		beside := ratio(cached[0], cached[len(cached)-2])
		b.target(beside >= 5, "a cached page in gzip is served at %.1f times Thruster's rate (5)", beside)
	}
	b.target(ratio(cached[0], cached[1]) >= 0.6, "a cached page in gzip is served at %.2f of nginx's rate (0.6)", ratio(cached[0], cached[1]))
	b.target(ratio(asset[0], asset[1]) >= 0.6, "an asset of 100 KB is served at %.2f of nginx's rate (0.6)", ratio(asset[0], asset[1]))
	for _, compressed := range rendered[1:] {
		more := compressed.cpu.median() - rendered[0].cpu.median()
		b.target(more <= 100, "%s of a rendered page takes %.0f us of CPU more than identity (100)", compressed.title, more)
	}
	return nil
}

// measureMemory fills the cache of an edge twice over, with bodies that are also kept
// compressed.
func (b *edgeBench) measureMemory(ctx context.Context) error {
	defer b.stop()
	const cacheMB, body = 64, 64 << 10
	web, err := b.run(startWeb(ctx, b.app, "APP_ENV=test", "BASE_URL=http://"+host, "CACHE_SIZE="+strconv.Itoa(cacheMB<<20)))
	if err != nil {
		return err
	}
	empty := residentMB(strconv.Itoa(web.pid()))
	fill, ctx := errgroup.WithContext(ctx)
	fill.SetLimit(8)
	for i := range 2 * cacheMB << 20 / body {
		path := fmt.Sprintf("/__probe/fill/%d?size=%d&h=Cache-Control:public,max-age%%3D600", i, body)
		fill.Go(func() error {
			for range 2 { // the second one is a hit, at which the coding is stored
				if err := read(ctx, web.url(path)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := fill.Wait(); err != nil {
		return fmt.Errorf("fill the cache: %w", err)
	}
	full := residentMB(strconv.Itoa(web.pid()))
	b.section("Memory of app web", "MB")
	b.row("with an empty cache", empty)
	b.row(fmt.Sprintf("with a full cache of %d MiB", cacheMB), full)
	b.target(full <= cacheMB+40, "app web with a full cache of %d MiB takes %.0f MB (%d)", cacheMB, full, cacheMB+40)
	return nil
}

// writeAsset writes an asset that compresses to 100 KB, and its variant in gzip.
func (b *edgeBench) writeAsset() error {
	random := rand.New(rand.NewPCG(1, 2)) // the same in each run
	var css bytes.Buffer
	for css.Len() < 220<<10 {
		fmt.Fprintf(&css, ".c%x{color:#%06x;margin:%dpx}\n", random.Uint64(), random.IntN(1<<24), random.IntN(100))
	}
	return b.write("assets/"+assetName, css.Bytes())
}

// read reads a response in gzip and forgets it.
func read(ctx context.Context, url string) error {
	_, err := get(ctx, url, "Accept-Encoding: gzip")
	return err
}
