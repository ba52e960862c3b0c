package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

func newSearchCommand() *cobra.Command {
	var options searchOptions
	command := &cobra.Command{
		Use:   "search",
		Short: "Measure searches and pages of lists with catalogues of up to a million products",
		Long: `Ask app web for searches and for pages of lists, while the catalogue grows. Each
address is asked once, so that no cache answers, one after the other, and the time of
the whole page counts. On a busy machine, compare the CPU time, of app web and PostgreSQL
together: it is what the page takes on an idle one, without reading from disk. The
database bench_search of the server of DATABASE_URL is made for that and deleted in the
end.

The exit code is 0 when everything was measured, even if a target was missed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return benchSearch(c.Context(), c.OutOrStdout(), options) },
	}
	flags := command.Flags()
	flags.IntSliceVar(&options.sizes, "products", []int{100, 10_000, 100_000, 1_000_000}, "numbers of products, in ascending order")
	flags.BoolVar(&options.keep, "keep", false, "keep the database at the end, and begin with the one that was kept")
	flags.StringVar(&options.app, "app", "tmp/bench/app", "path of the program app")
	return command
}

type searchOptions struct {
	sizes []int
	keep  bool
	app   string
}

func benchSearch(ctx context.Context, out io.Writer, options searchOptions) error {
	settings, err := readSettings()
	if err != nil {
		return err
	}
	address, err := url.Parse(settings.pg.DatabaseURL)
	if err != nil {
		return err
	}
	address.Path = "/bench_search"
	b := &searchBench{options: options, database: address.String(), sheet: sheet{out: out}}
	server, err := pgx.Connect(ctx, settings.pg.DatabaseURL)
	if err != nil {
		return err
	}
	defer server.Close(context.WithoutCancel(ctx))
	var kept bool
	if err := server.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'bench_search')`).Scan(&kept); err != nil {
		return err
	}
	if !kept {
		if _, err := server.Exec(ctx, `CREATE DATABASE bench_search`); err != nil {
			return err
		}
	}
	if !options.keep {
		defer func() {
			_, _ = server.Exec(context.WithoutCancel(ctx), `DROP DATABASE IF EXISTS bench_search WITH (FORCE)`)
		}()
	}
	return b.run(ctx)
}

// Private

// searchBench is one run of `bench search`.
type searchBench struct {
	sheet
	options  searchOptions
	database string
}

// question is one kind of page. It has many addresses that no request before has asked
// for.
type question struct {
	title  string
	within bool // it has the targets of a search
	ask    func(ctx context.Context, web *server, n int) error
}

const asked = 40 // addresses of each question

func (b *searchBench) run(ctx context.Context) error {
	for _, command := range []string{"migrate", "seed"} {
		app := exec.CommandContext(ctx, b.options.app, command)
		app.Env = append(os.Environ(), "DATABASE_URL="+b.database)
		if output, err := app.CombinedOutput(); err != nil {
			return fmt.Errorf("app %s: %w\n%s", command, err, output)
		}
	}
	db, err := pgx.Connect(ctx, b.database)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	fmt.Fprintf(b.out, "Load before: %s. Times of whole pages in ms, none of them cached, on one connection.\n", load())
	rows, err := newCatalogueRows(ctx, db)
	if err != nil {
		return err
	}
	for _, size := range b.options.sizes {
		if size < rows.products {
			continue // the database was kept, and has more
		}
		took, err := rows.growTo(ctx, size)
		if err != nil {
			return fmt.Errorf("add products: %w", err)
		}
		if err := b.measure(ctx, rows, size, took); err != nil {
			return err
		}
	}
	b.printTargets()
	fmt.Fprintf(b.out, "\nLoad after: %s.\n", load())
	return nil
}

// measure asks all questions of a catalogue of a size.
func (b *searchBench) measure(ctx context.Context, rows *catalogueRows, size int, took time.Duration) error {
	web, err := startWeb(ctx, b.options.app, "DATABASE_URL="+b.database, "LOG_LEVEL=error", "REDIS_URL=", "QUEUE_REDIS_URL=")
	if err != nil {
		return err
	}
	defer web.stop()
	b.section(fmt.Sprintf("%s products (made in %s)", format(float64(size)), took.Round(time.Second)), "median", "p99", "max", "CPU")
	near := 0.0
	for _, question := range b.questions(rows, size) {
		times, before := series{}, b.cpu(ctx, rows, web)
		for n := range asked + 3 {
			began := time.Now()
			if err := question.ask(ctx, web, n); err != nil {
				return fmt.Errorf("%s: %w", question.title, err)
			}
			if n >= 3 { // the first ones open connections and read from disk
				times = append(times, float64(time.Since(began))/float64(time.Millisecond))
			}
		}
		spent := (b.cpu(ctx, rows, web) - before) / float64(asked+3) * 1000
		b.row(question.title, times.median(), times.quantile(0.99), times.quantile(1), spent)
		limit := map[int]float64{100_000: 30, 1_000_000: 60}[size]
		switch {
		case question.within && limit > 0:
			b.target(times.quantile(0.99) <= limit, "%s of %s products: p99 %.1f ms (%.0f), median %.1f, CPU %.1f", question.title,
				format(float64(size)), times.quantile(0.99), limit, times.median(), spent)
		case question.title == nearPages:
			near = times.median()
		case !question.within:
			b.target(times.median() <= 1.5*near+1, "%s of %s products: %.1f ms, near pages %.1f ms (the same)", question.title,
				format(float64(size)), times.median(), near)
		}
	}
	return nil
}

// cpu returns the CPU seconds of app web and of PostgreSQL.
func (b *searchBench) cpu(ctx context.Context, rows *catalogueRows, web *server) float64 {
	var backend int
	if err := rows.db.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		return 0
	}
	return cpuOfTree(web.pid()) + cpuOfTree(parentOf(backend))
}

const nearPages = "list, pages 1 to 43"

func (b *searchBench) questions(rows *catalogueRows, size int) []question {
	search := func(title string, query func(n int) string) question {
		return question{"search, " + title, true, func(ctx context.Context, web *server, n int) error {
			_, err := get(ctx, web.url("/search?q="+url.QueryEscape(query(n))), "Host: "+host)
			return err
		}}
	}
	page := func(ctx context.Context, web *server, list string, number int) error {
		_, err := get(ctx, web.url(fmt.Sprintf("/categories/everything?page=%d%s", number, list)), "Host: "+host)
		return err
	}
	pages := size / 12
	next := ""
	return []question{
		search("a rare word", rows.rare), search("a word of many", rows.common), search("a word of nearly all", rows.commonest),
		search("two words", func(n int) string { return rows.common(n) + " " + rows.rare(n) }),
		search("three common words", func(n int) string { return rows.common(n) + " " + rows.common(n+7) + " " + rows.commonest(n) }),
		search("a typing error", func(n int) string { return misspelt(rows.rare(n)) }),
		search("three typing errors", func(n int) string {
			return misspelt(rows.rare(n)) + " " + misspelt(rows.common(n)) + " " + misspelt(rows.rare(n+7))
		}),
		search("without accents", func(n int) string { return "creme " + rows.rare(n) }),
		search("the beginning of a word", func(n int) string { return rows.rare(n)[:3+n%3] }),
		search("one or two letters", func(n int) string { return string(rune('a'+n%26)) + strings.Repeat("e", n/26) }),
		search("an SKU", func(n int) string { return fmt.Sprintf("BN-%07d-A", 1+n*size/50) }),
		search("the beginning of SKUs", func(n int) string { return fmt.Sprintf("bn-%05d", n) }),
		search("no match", func(n int) string { return fmt.Sprintf("zzqx%dvv", n) }),
		{nearPages, false, func(ctx context.Context, web *server, n int) error { return page(ctx, web, "", 1+n%max(pages, 1)) }},
		{"product page", false, func(ctx context.Context, web *server, n int) error {
			_, err := get(ctx, web.url(fmt.Sprintf("/products/bench-%d", 1+n*size/50)), "Host: "+host)
			return err
		}},
		{"list, pages by number, anywhere", false, func(ctx context.Context, web *server, n int) error {
			return page(ctx, web, "", 1+max(0, pages-1)*n/(asked+3))
		}},
		{"list by price, pages by number, anywhere", false, func(ctx context.Context, web *server, n int) error {
			return page(ctx, web, "&sort=price-high", 1+max(0, pages-1)*n/(asked+3))
		}},
		{"list by name, walked from the middle", false, func(ctx context.Context, web *server, n int) error {
			if n == 0 || next == "" {
				next = fmt.Sprintf("/categories/everything?page=%d&sort=name", 1+pages/2)
			}
			body, err := get(ctx, web.url(next), "Host: "+host)
			next = ""
			if link := nextLink.FindSubmatch(body); link != nil {
				next = html.UnescapeString(string(link[1]))
			} else if pages > asked && err == nil {
				err = errors.New("the page has no link to the next one")
			}
			return err
		}},
	}
}

var nextLink = regexp.MustCompile(`rel="next" href="([^"]+)"`)

// misspelt leaves out a letter.
func misspelt(word string) string {
	at := len(word)/2 + 1
	return word[:at] + word[min(at+1, len(word)):]
}
