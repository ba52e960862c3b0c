package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/health"
	"slipway/internal/mail"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/shop"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

// deployment is the store as real processes on a database and a Redis of its
// own.
type deployment struct {
	t           *testing.T
	databaseURL string
	redis       *devstack.Redis
	mailDir     string
	environment map[string]string
}

// deploy prepares a migrated and seeded store. Its PostgreSQL is shared with
// other tests.
func deploy(t *testing.T) *deployment {
	t.Helper()
	d := deployOn(t, pgtest.URL(t, shop.Migrations()))
	d.command("seed")
	return d
}

// deployOn prepares a store on a database that may be empty.
func deployOn(t *testing.T, databaseURL string) *deployment {
	t.Helper()
	redis, err := devstack.StartRedis(t.Context(), devstack.RedisOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, redis.Stop(context.Background())) })
	d := &deployment{t: t, databaseURL: databaseURL, redis: redis, mailDir: t.TempDir()}
	d.environment = map[string]string{
		"APP_ENV": "test", "DATABASE_URL": databaseURL, "REDIS_URL": redis.URL(), "QUEUE_REDIS_URL": "",
		"MAIL_DIR": d.mailDir, "SMTP_URL": "", "PORT": "", "OPS_PORT": "", "BASE_URL": "http://leeward.example", "KAMAL_VERSION": "",
		"ORDER_LIMIT":         "0",     // tests order often, and from one address
		"RACK_ATTACK_ENABLED": "false", // everything comes from one address
	}
	return d
}

// process is one running command.
type appProcess struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	url    string // of the store; empty for workers
	ops    string
	output *lockedBuffer
	done   chan struct{}
}

// start runs a role. More are variables as NAME=value.
func (d *deployment) start(role string, more ...string) *appProcess {
	d.t.Helper()
	port, ops := nextPort.Add(1), nextPort.Add(1)
	more = append([]string{fmt.Sprintf("OPS_PORT=%d", ops), fmt.Sprintf("PORT=%d", port)}, more...)

	p := d.launch(more, role)
	p.ops = fmt.Sprintf("http://127.0.0.1:%d", ops)
	if role == "web" {
		p.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	}
	p.eventually(func() bool { return status(p.ops+"/up") != 0 }, "answers /up")
	return p
}

// nextPort hands out ports below those that the kernel hands out.
var nextPort atomic.Int32

func init() { nextPort.Store(6000 + int32(os.Getpid()%4000)) }

// startAll runs all three roles and waits until they are up and well.
func (d *deployment) startAll() (web, workerPG, workerRedis *appProcess) {
	d.t.Helper()
	web, workerPG, workerRedis = d.start("web"), d.start("worker-pg"), d.start("worker-redis", "LOG_LEVEL=debug")
	for _, p := range []*appProcess{web, workerPG, workerRedis} {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
	return web, workerPG, workerRedis
}

// command runs a command to its end.
func (d *deployment) command(args ...string) {
	d.t.Helper()
	p := d.launch(nil, args...)
	<-p.done
	require.Zero(d.t, p.cmd.ProcessState.ExitCode(), p.output.String())
}

func (d *deployment) launch(more []string, args ...string) *appProcess {
	d.t.Helper()
	p := &appProcess{t: d.t, name: strings.Join(args, " "), cmd: exec.Command(os.Args[0], args...), output: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Dir = d.t.TempDir()
	p.cmd.Env = append(os.Environ(), "TEST_BINARY_IS_APP=1")
	for name, value := range d.environment {
		p.cmd.Env = append(p.cmd.Env, name+"="+value)
	}
	p.cmd.Env = append(p.cmd.Env, more...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(d.t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // its exit code is looked at where it matters
		close(p.done)
	}()
	d.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if d.t.Failed() {
			d.t.Logf("%s:\n%s", p.name, p.output.String())
		}
	})
	return p
}

// stop sends SIGTERM and returns how long the process took to exit with 0.
func (p *appProcess) stop() time.Duration {
	p.t.Helper()
	started := time.Now()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(patience):
		require.Fail(p.t, p.name+" did not stop")
	}
	require.Zero(p.t, p.cmd.ProcessState.ExitCode(), p.output.String())
	return time.Since(started)
}

func (p *appProcess) eventually(condition func() bool, what string) {
	p.t.Helper()
	require.Eventually(p.t, condition, patience, 20*time.Millisecond, "%s never %s:\n%s", p.name, what, p.output.String())
}

// report is the body of /health.
type report struct {
	Status string
	Checks map[string]struct{ Status, Reason string }
}

func (p *appProcess) health() report {
	p.t.Helper()
	response, err := http.Get(p.ops + "/health")
	require.NoError(p.t, err)
	defer response.Body.Close()
	var r report
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(&r))
	require.Equal(p.t, r.Status == "error", response.StatusCode == http.StatusServiceUnavailable)
	return r
}

// status is 0 when nothing answers.
func status(address string) int {
	response, err := http.Get(address)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// shopper is one browser.
type shopper struct {
	t    *testing.T
	url  string
	http *http.Client
}

func newShopper(t *testing.T, url string) *shopper {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &shopper{t: t, url: url, http: &http.Client{Jar: jar, Timeout: patience}}
}

func (s *shopper) get(path string) (status int, body string) {
	s.t.Helper()
	response, err := s.http.Get(s.url + path)
	require.NoError(s.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, string(content)
}

func (s *shopper) post(path string, fields url.Values) (status int, at, body string) {
	s.t.Helper()
	response, err := s.http.PostForm(s.url+path, fields)
	require.NoError(s.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, response.Request.URL.Path, string(content)
}

func (s *shopper) add(variant int64) (status int) {
	s.t.Helper()
	status, _, _ = s.post("/cart/lines", url.Values{"variant_id": {itoa(variant)}, "quantity": {"1"}})
	return status
}

// fillIn completes the checkout of a cart and returns the form that pays.
func (s *shopper) fillIn(card string) url.Values {
	s.t.Helper()
	_, at, body := s.post("/checkout", url.Values{
		"email": {"ada@example.com"}, "name": {"Ada"}, "street": {"Quay 1"}, "postal_code": {"1"}, "city": {"Vienna"}, "country": {"AT"},
	})
	require.Equal(s.t, "/checkout/review", at, body)
	return url.Values{"checkout_key": {field(s.t, body, "checkout_key")}, "reviewed": {field(s.t, body, "reviewed")}, "card": {card}}
}

const workingCard = "4242424242424242"

func field(t *testing.T, body, name string) string {
	t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	require.Len(t, found, 2)
	return found[1]
}

// query reads one number from the database.
func (d *deployment) query(sql string, arguments ...any) int64 {
	d.t.Helper()
	connection, err := pgx.Connect(d.t.Context(), d.databaseURL)
	require.NoError(d.t, err)
	defer connection.Close(context.Background())
	var number int64
	require.NoError(d.t, connection.QueryRow(d.t.Context(), sql, arguments...).Scan(&number))
	return number
}

// variantWith is the first variant of a product, with its stock set.
func (d *deployment) variantWith(slug string, stock int) (variant, product int64) {
	d.t.Helper()
	variant = d.query(`
		UPDATE variants SET stock = $2
		WHERE id = (SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = $1 ORDER BY v.position LIMIT 1)
		RETURNING id`, slug, stock)
	return variant, d.query(`SELECT product_id FROM variants WHERE id = $1`, variant)
}

func (d *deployment) mails() []mail.Stored {
	d.t.Helper()
	kept, err := mail.NewDirectory(d.mailDir, "").List(100)
	require.NoError(d.t, err)
	return kept
}

// events reads the event stream of a page until it ends.
type events struct {
	lines chan string // closed at the end of the stream
}

func openEvents(t *testing.T, s *shopper, path string) *events {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	require.NoError(t, err)
	response, err := (&http.Client{Jar: s.http.Jar, Transport: s.http.Transport}).Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	stream := &events{lines: make(chan string, 1000)}
	go func() {
		defer close(stream.lines)
		defer response.Body.Close()
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			stream.lines <- scanner.Text()
		}
	}()
	t.Cleanup(cancel)
	return stream
}

// await returns the first line that holds text.
func (e *events) await(t *testing.T, text string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, open := <-e.lines:
			require.True(t, open, "the stream ended before %q", text)
			if strings.Contains(line, text) {
				return line
			}
		case <-deadline:
			require.Fail(t, "no event", "%q", text)
		}
	}
}

// drain returns the lines that have come so far.
func drain(e *events) (lines []string) {
	for len(e.lines) > 0 {
		lines = append(lines, <-e.lines)
	}
	return lines
}

func itoa(number int64) string { return strconv.FormatInt(number, 10) }

// lockedBuffer collects the output of a process.
type lockedBuffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

func TestRoles_AnOrderGoesFromTheBrowserToTheMailAndIsPaid(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web, workerPG, workerRedis := d.startAll()
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	ada := newShopper(t, web.url)

	require.Equal(t, http.StatusOK, ada.add(variant))
	status, at, _ := ada.post("/orders", ada.fillIn(workingCard))

	require.Equal(t, http.StatusOK, status)
	require.Regexp(t, "^/orders/", at)
	workerPG.eventually(func() bool { return len(d.mails()) == 1 }, "sends the mail")
	require.Contains(t, d.mails()[0].Text, "http://leeward.example"+at)
	workerPG.eventually(func() bool { return d.query(`SELECT count(*) FROM orders WHERE state = 'paid'`) == 1 }, "captures the payment")
	workerRedis.eventually(func() bool { return strings.Contains(workerRedis.output.String(), "broadcast_order") }, "shows the payment")
	for _, p := range []*appProcess{web, workerPG, workerRedis} {
		require.Less(t, p.stop(), 8*time.Second)
		require.Contains(t, p.output.String(), "Stopped")
		require.NotContains(t, p.output.String(), "DATA RACE")
	}
}

func TestRoles_TwentyBuyersOfTheLastThreeGetThreeOrdersAndThreeMails(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web, workerPG, _ := d.startAll()
	variant, _ := d.variantWith("harbour-enamel-mug", 3)
	buyers := make([]*shopper, 20)
	forms := make([]url.Values, len(buyers))
	for i := range buyers {
		buyers[i] = newShopper(t, web.url)
		require.Equal(t, http.StatusOK, buyers[i].add(variant))
		forms[i] = buyers[i].fillIn(workingCard)
	}

	statuses := make([]int, len(buyers))
	var all sync.WaitGroup
	for i, buyer := range buyers {
		all.Go(func() { statuses[i], _, _ = buyer.post("/orders", forms[i]) })
	}
	all.Wait()

	sold := 0
	for _, status := range statuses {
		if status == http.StatusOK {
			sold++
		} else {
			require.Equal(t, http.StatusConflict, status)
		}
	}
	require.Equal(t, 3, sold)
	require.EqualValues(t, 3, d.query(`SELECT count(*) FROM orders`))
	require.Zero(t, d.query(`SELECT stock FROM variants WHERE id = $1`, variant))
	workerPG.eventually(func() bool {
		return d.query(`SELECT count(*) FROM river_job WHERE kind = 'send_order_confirmation' AND state = 'completed'`) == 3
	}, "sends all mails")
	require.Len(t, d.mails(), 3)
}

func TestRoles_OpenPagesShowNewStockAndTheCartOfTheirShopper(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	first, _, _ := d.startAll()
	second := d.start("web")
	second.eventually(func() bool { return second.health().Status == "ok" }, "is healthy")
	variant, product := d.variantWith("harbour-enamel-mug", 5)
	ada, eve := newShopper(t, first.url), newShopper(t, second.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	form := ada.fillIn(workingCard)
	watching := openEvents(t, eve, fmt.Sprintf("/live?products=%d", product))
	ownTab := openEvents(t, ada, "/live?products=")
	watching.await(t, "retry: ")
	ownTab.await(t, "retry: ")

	status, _, _ := ada.post("/orders", form)

	require.Equal(t, http.StatusOK, status)
	require.Contains(t, watching.await(t, fmt.Sprintf(`id="variant-stock-%d"`, variant)), "4 left")
	ownTab.await(t, `badge-empty`)
	for len(watching.lines) > 0 {
		require.NotContains(t, <-watching.lines, "cart-badge", "a cart is shown to its shopper alone")
	}
}

func TestWeb_SIGTERMFinishesRequestsAndEndsStreamsAtOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web", "PAYMENT_TIMEOUT=3s")
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	ada := newShopper(t, web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	form := ada.fillIn("4000000000000341") // the gateway stays silent for three seconds
	stream := openEvents(t, ada, "/live?products=")
	stream.await(t, "retry: ")
	answered := make(chan int, 1)
	go func() {
		response, err := ada.http.PostForm(web.url+"/orders", form)
		if err != nil {
			answered <- 0
			return
		}
		defer response.Body.Close()
		_, err = io.ReadAll(response.Body)
		if err != nil {
			answered <- 0
			return
		}
		answered <- response.StatusCode
	}()
	web.eventually(func() bool {
		return strings.Contains(metricsOf(t, web), `app_http_requests_in_flight 2`)
	}, "works on the slow request")

	took := web.stop()

	require.Equal(t, http.StatusGatewayTimeout, <-answered)
	require.Less(t, took, 8*time.Second)
	stream.await(t, "retry: ")
	for range stream.lines {
	}
}

func metricsOf(t *testing.T, p *appProcess) string {
	t.Helper()
	return metricsAt(t, p.ops)
}

func metricsAt(t *testing.T, ops string) string {
	t.Helper()
	response, err := http.Get(ops + "/metrics")
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

func TestWeb_MetricsAreNotPublic(t *testing.T) {
	t.Parallel()
	web := deploy(t).start("web")

	require.Equal(t, http.StatusNotFound, status(web.url+"/metrics"))
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	web.eventually(func() bool { return status(web.url+"/health") == http.StatusOK }, "is healthy")
	require.Contains(t, metricsOf(t, web), "app_build_info")
	require.Contains(t, metricsOf(t, web), "go_goroutines")
}

func TestWeb_LimitsRequestsAndTheOperatorMayEndIt(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web", "RACK_ATTACK_ENABLED=true", "RACK_ATTACK_REQ_IP_LIMIT=5", "RACK_ATTACK_REQ_IP_PERIOD=86400", "RACK_ATTACK_LOGIN_LIMIT=lots",
		"RACK_ATTACK_GEOIP_DATABASE=/nowhere/country.mmdb", "RACK_ATTACK_BLOCKED_COUNTRIES=XX")
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	web.eventually(func() bool {
		return web.health().Checks["geoip"].Status == "degraded" && web.health().Checks["database"].Status == "ok"
	}, "misses its country database")
	require.Equal(t, http.StatusOK, status(web.url+"/health"))
	require.Contains(t, web.output.String(), "RACK_ATTACK_LOGIN_LIMIT")
	throttle := func(args ...string) string {
		p := d.launch(nil, append([]string{"throttle"}, args...)...)
		<-p.done
		return p.output.String()
	}

	for range 5 {
		require.Equal(t, http.StatusOK, status(web.url+"/"))
	}
	require.Equal(t, http.StatusTooManyRequests, status(web.url+"/"))
	require.Equal(t, http.StatusOK, status(web.url+"/up"))
	require.Equal(t, http.StatusNotFound, status(web.url+"/pictures/none"), "not counted")
	require.Contains(t, metricsOf(t, web), `app_throttle_decisions_total{result="throttled",rule="req-ip"`)
	require.Regexp(t, `over +req-ip +127\.0\.0\.1 +\d+h`, throttle("list"))

	require.NoError(t, d.redis.Freeze())
	require.Equal(t, http.StatusTooManyRequests, status(web.url+"/"))
	require.Contains(t, throttle("list"), "no answer from Redis")
	require.NoError(t, d.redis.Thaw())

	require.Contains(t, throttle("reset", "127.0.0.1"), "Ended ")
	web.eventually(func() bool { return status(web.url+"/") == http.StatusOK }, "serves again")
	require.Contains(t, throttle("list"), "Nobody is banned or over a limit.")
}

func TestWorkerPG_SIGTERMHandsBackWhatIsNotFinished(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web")
	silent := silentMailServer(t)
	worker := d.start("worker-pg", "SMTP_URL=smtp://"+silent.address, "JOBS_SHUTDOWN_TIMEOUT=1s")
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	ada := newShopper(t, web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	status, _, _ := ada.post("/orders", ada.fillIn(workingCard))
	require.Equal(t, http.StatusOK, status)
	<-silent.called

	took := worker.stop()

	require.Less(t, took, 5*time.Second)
	require.EqualValues(t, 1, d.query(`SELECT count(*) FROM river_job WHERE kind = 'send_order_confirmation' AND state = 'available' AND attempt = 0`))
	d.start("worker-pg").eventually(func() bool { return len(d.mails()) == 1 }, "sends the mail in the other's place")
}

func TestRoles_TwoMigrationsAtOnceAreOne(t *testing.T) {
	t.Parallel()
	d := deployOn(t, pgtest.Empty(t))

	first, second := d.launch(nil, "migrate"), d.launch(nil, "migrate")
	<-first.done
	<-second.done

	require.Zero(t, first.cmd.ProcessState.ExitCode(), first.output.String())
	require.Zero(t, second.cmd.ProcessState.ExitCode(), second.output.String())
	output := first.output.String() + second.output.String()
	require.Equal(t, 1, strings.Count(output, "Applied "), output)
	d.command("migrate", "status")
}

func TestRoles_StayDownUntilTheSchemaIsThere(t *testing.T) {
	t.Parallel()
	d := deployOn(t, pgtest.Empty(t))
	web := d.start("web")
	visitor := newShopper(t, web.url)
	web.eventually(func() bool {
		code, body := visitor.get("/up")
		require.Equal(t, http.StatusServiceUnavailable, code)
		return strings.Contains(body, "run app migrate")
	}, "says what is missing")

	d.command("migrate")
	d.command("seed")

	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "comes up")
	require.Equal(t, http.StatusOK, status(web.url+"/"))
}

func TestWorkers_WorkNothingOnASchemaThatIsTooOld(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.execute(`ALTER TABLE goose_db_version RENAME TO not_migrated`)
	pg, redis := d.start("worker-pg"), d.start("worker-redis", "LOG_LEVEL=debug")
	for _, worker := range []*appProcess{pg, redis} {
		worker.eventually(func() bool {
			response, err := http.Get(worker.ops + "/up")
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return strings.Contains(string(body), "run app migrate")
		}, "says what is missing")
	}
	d.jobs(0, "enqueue", "forget_holds")
	d.jobs(0, "enqueue", "warm_cache")
	require.Zero(t, d.query(`SELECT count(*) FROM river_job WHERE kind = 'forget_holds' AND attempt > 0`))
	require.NotContains(t, pg.output.String(), "Worker takes jobs")
	require.NotContains(t, redis.output.String(), "Worker takes tasks")

	d.execute(`ALTER TABLE not_migrated RENAME TO goose_db_version`)

	pg.eventually(func() bool {
		return strings.Contains(pg.output.String(), `"Job finished" result=done kind=forget_holds`)
	}, "works the job")
	redis.eventually(func() bool {
		return strings.Contains(redis.output.String(), `"Task finished" result=done kind=warm_cache`)
	}, "works the task")
}

func TestWorkers_NeverBeginWhenTheyWereMadeQuietBefore(t *testing.T) {
	t.Parallel()
	checks := health.New(prometheus.NewRegistry())
	checks.Booted()
	checks.Retire()
	ctx, stop := context.WithCancel(t.Context())
	stop()

	began := false
	require.NoError(t, whenSchemaFits(checks, func(context.Context) error { began = true; return nil })(ctx))

	require.False(t, began)
}

func TestHealthCommand_SaysWhetherTheRoleIsUp(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web")
	web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy")
	port := strings.TrimPrefix(web.ops, "http://127.0.0.1:")

	up := d.launch([]string{"OPS_PORT=" + port}, "health")
	deep := d.launch([]string{"OPS_PORT=" + port}, "health", "--deep")
	<-up.done
	<-deep.done
	require.Zero(t, up.cmd.ProcessState.ExitCode(), up.output.String())
	require.Zero(t, deep.cmd.ProcessState.ExitCode(), deep.output.String())
	for _, check := range []string{"database", "pool", "redis", "queues"} {
		require.Regexp(t, `(?m)^  `+check+` +ok +since 20\S+ \S+ +\S+s`, deep.output.String())
	}

	web.stop()
	down := d.launch([]string{"OPS_PORT=" + port}, "health")
	<-down.done
	require.Equal(t, exitFailed, down.cmd.ProcessState.ExitCode())
	require.Contains(t, down.output.String(), port)
}

func TestWeb_SaysWhenItsPortIsTaken(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web")

	second := d.launch([]string{"PORT=" + strings.TrimPrefix(web.url, "http://127.0.0.1:"), "OPS_PORT=1"}, "web")
	<-second.done

	require.Equal(t, exitFailed, second.cmd.ProcessState.ExitCode())
	require.Contains(t, second.output.String(), "is another program using this port?")
}

// mailServer takes connections and never says a word.
type mailServer struct {
	address string
	called  chan struct{}
}

func silentMailServer(t *testing.T) mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := mailServer{address: listener.Addr().String(), called: make(chan struct{}, 1)}
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
			select {
			case server.called <- struct{}{}:
			default:
			}
		}
	}()
	return server
}
