package main

import (
	"bufio"
	"context"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/mail"
	"slipway/internal/postgres/pgtest"
)

const (
	popular = "harbour-enamel-mug" // bought all the time
	scarce  = "passage-logbook"    // of three variants, on the pages that stay open
	plenty  = 10_000

	openPages   = 3
	deployLimit = 30 * time.Second
	drainLimit  = 15 * time.Second // Kamal's is 30
	stopLimit   = 8 * time.Second  // Kamal's is 10

	silentCard = "4000000000000341"
	longForm   = 50_000 // bytes
)

func TestSwap_DropsNoRequest(t *testing.T) {
	t.Parallel()
	d := deployForSwaps(t)
	mug, _ := d.variantWith(popular, plenty)
	logbooks := d.variantsWith(scarce, 5)
	proxy := newDrainingProxy(t)
	running := d.release("v1")
	running.serve(proxy, nil)
	running.startWorkers()
	load := startLoad(t, proxy.url, mug)
	seller := load.customer()
	all := []*release{running}

	// The first two are deploys as Kamal does them. In the third nobody waits
	// for the requests of the old web before it gets its SIGTERM, so that all of
	// them are its own to finish.
	for i, version := range []string{"v2", "v1", "v2"} {
		sell := func() { seller.buy(scarce, logbooks[i], 1) }
		sell()
		old := running
		running = d.release(version)
		all = append(all, running)
		running.serve(proxy, load.busy)
		atWork, drained := old.target.atWork(time.Hour), "by itself"

		if i < 2 {
			sell() // while the open pages still listen to the old web
			took, cut := old.target.drain(drainLimit)
			require.False(t, cut, "requests outlived the drain")
			drained = "in " + took.Round(time.Millisecond).String()
		} else {
			old.web.eventually(old.hasAllRequests, "has got all requests")
			require.NotZero(t, old.target.open())
		}
		var selling sync.WaitGroup
		selling.Go(sell) // while the pages come back
		exited := old.web.stop()
		selling.Wait()
		require.Less(t, exited, stopLimit)
		_, cut := old.target.drain(time.Second)
		require.False(t, cut, "the proxy still waits for a process that has exited")

		running.startWorkers()
		pg, redis := old.workerPG.stop(), old.workerRedis.stop()
		load.pagesShow(t, logbooks[i], d.stock(logbooks[i]))
		t.Logf("%s -> %s: at work %v, drained %s; exited after SIGTERM: web %s, worker-pg %s, worker-redis %s", old.version, version,
			atWork, drained, exited.Round(time.Millisecond), pg.Round(time.Millisecond), redis.Round(time.Millisecond))
	}
	load.finish()
	for _, variant := range logbooks {
		require.Less(t, d.stock(variant), int64(5))
		require.EqualValues(t, 5-load.unitsOf[variant], d.stock(variant))
		load.pagesShow(t, variant, d.stock(variant))
	}
	load.leave()

	require.Empty(t, load.failures)
	load.report(t, all)
	d.requireOrders(load, all)
	for _, one := range all {
		require.NotZero(t, one.target.served)
		for _, p := range []*appProcess{one.web, one.workerPG, one.workerRedis} {
			require.NotContains(t, p.output.String(), "DATA RACE")
		}
	}
}

func TestSwap_AVersionThatNeverComesUpChangesNothing(t *testing.T) {
	t.Parallel()
	d := deployForSwaps(t)
	mug, _ := d.variantWith(popular, plenty)
	proxy := newDrainingProxy(t)
	running := d.release("v1")
	running.serve(proxy, nil)
	running.startWorkers()
	load := startLoad(t, proxy.url, mug)
	broken := d.release("v2", "DATABASE_URL="+pgtest.Empty(t))
	// A first probe that takes too long leaves /up open until the next.
	broken.web.eventually(func() bool {
		_, answer := broken.target.up(t.Context())
		return strings.Contains(answer, "run app migrate")
	}, "has seen the empty database")

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	_, err := proxy.swap(ctx, broken.target, load.busy)

	require.ErrorContains(t, err, "503 Service Unavailable: ")
	require.ErrorContains(t, err, "run app migrate")
	require.Less(t, broken.web.stop(), stopLimit)
	before := load.orders()
	running.web.eventually(func() bool { return load.orders() > before+3 }, "sells on")
	load.leave()
	require.Empty(t, load.failures)
	require.Zero(t, broken.target.served)
	load.report(t, []*release{running})
	d.requireOrders(load, []*release{running})
}

// release is one version of the store in all three roles.
type release struct {
	d       *deployment
	version string
	target  *target
	web     *appProcess

	workerPG, workerRedis *appProcess
}

// deployForSwaps prepares a store in which everything that takes its time takes
// less of it.
func deployForSwaps(t *testing.T) *deployment {
	t.Helper()
	d := deploy(t)
	maps.Copy(d.environment, map[string]string{
		"PAYMENT_TIMEOUT": "2s", "LIVE_STREAM_LIFETIME": "4s",
		// A busy machine is no outage of Redis.
		"REDIS_TIMEOUT": "2s", "REDIS_BUDGET": "2s",
		// The race detector sleeps for a second at every exit, which is not ours.
		"GORACE": "atexit_sleep_ms=0",
	})
	return d
}

// release starts the web of a version.
func (d *deployment) release(version string, more ...string) *release {
	d.t.Helper()
	web := d.start("web", append(more, "KAMAL_VERSION="+version)...)
	require.Contains(d.t, metricsOf(d.t, web), fmt.Sprintf(`version="%s"`, version))
	return &release{d: d, version: version, web: web, target: newTarget(d.t, web)}
}

// serve makes the release the one that gets requests.
func (r *release) serve(proxy *drainingProxy, suits func(old *target) bool) {
	r.d.t.Helper()
	ctx, cancel := context.WithTimeout(r.d.t.Context(), deployLimit)
	defer cancel()
	_, err := proxy.swap(ctx, r.target, suits)
	require.NoError(r.d.t, err)
}

func (r *release) startWorkers() {
	r.d.t.Helper()
	r.workerPG = r.d.start("worker-pg", "KAMAL_VERSION="+r.version)
	r.workerRedis = r.d.start("worker-redis", "KAMAL_VERSION="+r.version)
	for _, p := range []*appProcess{r.workerPG, r.workerRedis} {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
}

var inFlight = regexp.MustCompile(`\napp_http_requests_in_flight (\d+)\n`)

// hasAllRequests tells that what the proxy has sent to the web has arrived.
func (r *release) hasAllRequests() bool {
	sent := r.target.open() // counted first: it only falls, and the web's never lies above it
	arrived := inFlight.FindStringSubmatch(metricsOf(r.d.t, r.web))
	return len(arrived) == 2 && arrived[1] == strconv.Itoa(sent)
}

// variantsWith are all variants of a product, with their stock set.
func (d *deployment) variantsWith(slug string, stock int) (variants []int64) {
	d.t.Helper()
	for i := range d.query(`SELECT count(*) FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = $1`, slug) {
		variants = append(variants, d.query(`
			UPDATE variants SET stock = $3
			WHERE id = (SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = $1 ORDER BY v.position LIMIT 1 OFFSET $2)
			RETURNING id`, slug, i, stock))
	}
	return variants
}

func (d *deployment) stock(variant int64) int64 {
	d.t.Helper()
	return d.query(`SELECT stock FROM variants WHERE id = $1`, variant)
}

// requireOrders checks that every order that a customer was shown is there, is
// paid for and confirmed once, and that the stock lacks what was sold.
func (d *deployment) requireOrders(l *load, all []*release) {
	d.t.Helper()
	sold := len(l.sold)
	require.NotZero(d.t, sold)
	require.EqualValues(d.t, sold, d.query(`SELECT count(*) FROM orders`))
	const ofOrders = `SELECT count(*) FROM river_job WHERE kind IN ('send_order_confirmation', 'capture_payment')`
	require.Eventually(d.t, func() bool { return d.query(ofOrders+` AND state <> 'completed'`) == 0 }, patience, 50*time.Millisecond, "there are jobs left")
	require.EqualValues(d.t, 2*sold, d.query(ofOrders))
	require.Zero(d.t, d.query(`SELECT count(*) FROM orders WHERE state <> 'paid' OR confirmed_at IS NULL`))
	require.EqualValues(d.t, l.units, d.query(`SELECT sum(quantity) FROM order_lines`))
	require.EqualValues(d.t, l.unitsOf[l.variant], plenty-d.stock(l.variant))

	// A mail that was sent twice is kept once, so its jobs are counted, too.
	kept, err := mail.NewDirectory(d.mailDir, "").List(sold + 1)
	require.NoError(d.t, err)
	require.Len(d.t, kept, sold)
	confirmed, runs := map[string]bool{}, 0
	for _, one := range kept {
		confirmed[orderLink.FindString(one.Text)] = true
	}
	for path := range l.sold {
		require.True(d.t, confirmed[path], path)
	}
	for _, one := range all {
		runs += len(confirmation.FindAllString(one.workerPG.output.String(), -1))
	}
	require.Equal(d.t, sold, runs)
}

var (
	orderLink    = regexp.MustCompile(`/orders/\w+`)
	confirmation = regexp.MustCompile(`msg="Job .* kind=send_order_confirmation `)
)

// load is what goes on in the store during a swap.
type load struct {
	url       string
	variant   int64
	transport *http.Transport
	pages     []*openPage

	closing  chan struct{} // ends the work of customers after what they are at
	working  sync.WaitGroup
	ctx      context.Context // ends with the open pages
	leaving  context.CancelFunc
	watching sync.WaitGroup

	mutex                                sync.Mutex
	failures                             []string
	sold                                 map[string]bool // by the path of the order's page
	unitsOf                              map[int64]int
	units                                int
	requests, silent, uploads            int
	streams, resumed, resyncs, fragments int
}

// startLoad sends customers of every kind, who go on until finish.
func startLoad(t *testing.T, url string, variant int64) *load {
	t.Helper()
	l := &load{url: url, variant: variant, closing: make(chan struct{}), sold: map[string]bool{}, unitsOf: map[int64]int{}}
	l.transport = &http.Transport{MaxIdleConnsPerHost: 100}
	l.ctx, l.leaving = context.WithCancel(t.Context())
	t.Cleanup(func() {
		l.leave()
		if t.Failed() {
			t.Logf("%d requests failed: %s", len(l.failures), strings.Join(l.failures[:min(20, len(l.failures))], "\n"))
		}
	})
	for range openPages {
		page := &openPage{customer: l.customer(), path: "/products/" + scarce, shown: map[string]string{}}
		require.True(t, page.fetch())
		l.pages = append(l.pages, page)
		l.watching.Go(page.watch)
	}
	for i := range 3 {
		buyer := l.customer()
		l.keep(100*time.Millisecond, func() { buyer.browse(); buyer.buy(popular, variant, 1+i) })
	}
	for range 2 {
		l.keep(0, l.customer().buyAtTheSecondTry)
	}
	for i := range 2 {
		l.keep(0, func() { l.customer().upload(i == 0) })
	}
	return l
}

// finish lets every customer finish what they are at. Pages stay open.
func (l *load) finish() {
	select {
	case <-l.closing:
	default:
		close(l.closing)
	}
	l.working.Wait()
}

// leave closes the open pages, too.
func (l *load) leave() {
	l.finish()
	l.leaving()
	l.watching.Wait()
	l.transport.CloseIdleConnections()
}

// busy tells that every kind of slow request is under way, and a silent payment
// of two seconds not even half done, so that a swap has something to lose.
func (l *load) busy(old *target) bool {
	atWork := old.atWork(time.Hour)
	return old.atWork(time.Second)["POST /orders"] > 0 && atWork["POST /cart/lines"] > 0 && atWork["GET /live"] == openPages
}

// pagesShow waits until every open page shows the stock of a scarce variant.
func (l *load) pagesShow(t *testing.T, variant, stock int64) {
	t.Helper()
	for i, page := range l.pages {
		require.Eventually(t, func() bool {
			return page.stockOf(variant) == fmt.Sprintf("Only %d left", stock)
		}, patience, 10*time.Millisecond, "open page %d has missed a change of stock", i)
	}
}

func (l *load) orders() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return len(l.sold)
}

func (l *load) report(t *testing.T, all []*release) {
	t.Helper()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, one := range all {
		t.Logf("%s served %d requests", one.version, one.target.served)
	}
	t.Logf("%d swaps, %d requests, %d failed; %d orders of %d units, %d silent payments, %d slow uploads; %d streams, %d of them resumed, %d fragments, %d resyncs",
		len(all)-1, l.requests, len(l.failures), len(l.sold), l.units, l.silent, l.uploads, l.streams, l.resumed, l.fragments, l.resyncs)
}

// Private

func (l *load) keep(pause time.Duration, work func()) {
	l.working.Go(func() {
		for {
			work()
			select {
			case <-l.closing:
				return
			case <-time.After(pause):
			}
		}
	})
}

func (l *load) count(what *int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	*what++
}

// failed notes what went wrong, and is always false.
func (l *load) failed(format string, values ...any) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.failures = append(l.failures, time.Now().Format("05.000 ")+fmt.Sprintf(format, values...))
	return false
}

// customer is a browser that notes what goes wrong, and goes on.
type customer struct {
	load *load
	http *http.Client
}

func (l *load) customer() *customer {
	jar, _ := cookiejar.New(nil) // never fails
	return &customer{load: l, http: &http.Client{Jar: jar, Transport: l.transport, Timeout: patience}}
}

func (c *customer) browse() {
	for _, path := range []string{"/", "/categories/galley", "/search?q=mug", "/cart"} {
		c.send(http.MethodGet, path, nil, http.StatusOK)
	}
}

// buy goes all the way from a product's page to its order's.
func (c *customer) buy(slug string, variant int64, quantity int) {
	if _, _, ok := c.send(http.MethodGet, "/products/"+slug, nil, http.StatusOK); !ok {
		return
	}
	if form, ok := c.checkOut(variant, quantity); ok {
		c.pay(form, variant, quantity)
	}
}

// buyAtTheSecondTry pays with a card at which the gateway stays silent, and
// then, in the form that the shop shows instead of an order, with one that
// works.
func (c *customer) buyAtTheSecondTry() {
	form, ok := c.checkOut(c.load.variant, 1)
	if !ok {
		return
	}
	form.Set("card", silentCard)
	_, page, ok := c.send(http.MethodPost, "/orders", strings.NewReader(form.Encode()), http.StatusGatewayTimeout)
	if !ok {
		return
	}
	if key := input(page, "checkout_key"); key != form.Get("checkout_key") || !strings.Contains(page, "did not answer in time") {
		c.load.failed("POST /orders: not the review page but %.300q", page)
		return
	}
	c.load.count(&c.load.silent)
	c.pay(form, c.load.variant, 1)
}

// upload sends a long form slowly, of a length that it may tell or not.
func (c *customer) upload(sized bool) {
	form := url.Values{"variant_id": {itoa(c.load.variant)}, "quantity": {"2"}, "note": {strings.Repeat("x", longForm)}}.Encode()
	var body io.Reader = &slowReader{rest: form, pieces: 12}
	if sized {
		body = sizedReader{body, int64(len(form))}
	}
	_, page, ok := c.send(http.MethodPost, "/cart/lines", body, http.StatusOK)
	if ok && !strings.Contains(page, "is in your cart") {
		c.load.failed("POST /cart/lines: not the cart but %.300q", page)
	}
	c.load.count(&c.load.uploads)
}

// checkOut fills a cart and returns the form that pays for it.
func (c *customer) checkOut(variant int64, quantity int) (form url.Values, ok bool) {
	wish := url.Values{"variant_id": {itoa(variant)}, "quantity": {strconv.Itoa(quantity)}}
	if _, _, ok := c.send(http.MethodPost, "/cart/lines", strings.NewReader(wish.Encode()), http.StatusOK); !ok {
		return nil, false
	}
	contact := url.Values{"email": {"ada@example.com"}, "name": {"Ada"}, "street": {"Quay 1"}, "postal_code": {"1"}, "city": {"Vienna"}, "country": {"AT"}}
	at, page, ok := c.send(http.MethodPost, "/checkout", strings.NewReader(contact.Encode()), http.StatusOK)
	if !ok {
		return nil, false
	}
	form = url.Values{"checkout_key": {input(page, "checkout_key")}, "reviewed": {input(page, "reviewed")}}
	if at != "/checkout/review" || form.Get("checkout_key") == "" {
		return nil, c.load.failed("POST /checkout: at %s %.300q", at, page)
	}
	return form, true
}

func (c *customer) pay(form url.Values, variant int64, quantity int) {
	form.Set("card", workingCard)
	at, page, ok := c.send(http.MethodPost, "/orders", strings.NewReader(form.Encode()), http.StatusOK)
	if !ok {
		return
	}
	if !orderLink.MatchString(at) || !strings.Contains(page, `id="order-state-`) {
		c.load.failed("POST /orders: at %s %.300q", at, page)
		return
	}
	c.load.mutex.Lock()
	defer c.load.mutex.Unlock()
	c.load.sold[at] = true
	c.load.units += quantity
	c.load.unitsOf[variant] += quantity
}

// send makes a request, follows where it leads and reads the whole page.
// Anything but the expected status is a failure.
func (c *customer) send(method, path string, body io.Reader, expected int) (at, page string, ok bool) {
	c.load.count(&c.load.requests)
	request, err := http.NewRequest(method, c.load.url+path, body)
	if err != nil {
		return "", "", c.load.failed("%s %s: %v", method, path, err)
	}
	if sized, is := body.(sizedReader); is {
		request.ContentLength = sized.size
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", c.load.url)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return "", "", c.load.failed("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return "", "", c.load.failed("%s %s: %s, then %v", method, path, response.Status, err)
	}
	if response.StatusCode != expected {
		return "", "", c.load.failed("%s %s: %s at %s: %.300q", method, path, response.Status, response.Request.URL.Path, content)
	}
	return response.Request.URL.Path, string(content), true
}

// input is the value of a form's hidden field, empty when there is none.
func input(page, name string) string {
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if found == nil {
		return ""
	}
	return found[1]
}

// slowReader takes a tenth of a second for each of its pieces.
type slowReader struct {
	rest   string
	pieces int
}

func (s *slowReader) Read(buffer []byte) (int, error) {
	if s.rest == "" {
		return 0, io.EOF
	}
	time.Sleep(100 * time.Millisecond)
	n := copy(buffer, s.rest[:(len(s.rest)+s.pieces-1)/s.pieces])
	s.rest, s.pieces = s.rest[n:], max(1, s.pieces-1)
	return n, nil
}

// sizedReader tells how long it is.
type sizedReader struct {
	io.Reader
	size int64
}

// openPage is a product's page in a browser, kept up to date as live.js and an
// EventSource would.
type openPage struct {
	customer *customer
	path     string
	stream   string
	seen     string        // last event id
	retry    time.Duration // before the next stream

	mutex sync.Mutex
	shown map[string]string // words by the id of their element
}

var (
	liveAddress  = regexp.MustCompile(`data-live="([^"]*)"`)
	variantStock = regexp.MustCompile(`id="(variant-stock-\d+)"[^>]*>([^<]*)<`)
)

// fetch takes everything from the page itself.
func (p *openPage) fetch() bool {
	_, page, ok := p.customer.send(http.MethodGet, p.path, nil, http.StatusOK)
	if !ok {
		return false
	}
	address := liveAddress.FindStringSubmatch(page)
	if address == nil {
		return p.customer.load.failed("GET %s: no live updates", p.path)
	}
	if p.stream == "" {
		p.stream = html.UnescapeString(address[1])
	}
	p.show(page)
	return true
}

func (p *openPage) stockOf(variant int64) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.shown["variant-stock-"+itoa(variant)]
}

func (p *openPage) show(fragments string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, found := range variantStock.FindAllStringSubmatch(fragments, -1) {
		p.shown[found[1]] = found[2]
	}
}

func (p *openPage) watch() {
	l := p.customer.load
	for l.ctx.Err() == nil {
		p.retry = 3 * time.Second // what browsers do when they are not told
		if err := p.listen(); err != nil && l.ctx.Err() == nil {
			l.failed("GET %s after event %s: %v", p.stream, p.seen, err)
		}
		select {
		case <-l.ctx.Done():
		case <-time.After(p.retry):
		}
	}
}

// listen reads one stream to its end.
func (p *openPage) listen() error {
	l := p.customer.load
	l.count(&l.streams)
	request, err := http.NewRequestWithContext(l.ctx, http.MethodGet, l.url+p.stream, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	if p.seen != "" {
		l.count(&l.resumed)
		request.Header.Set("Last-Event-ID", p.seen)
	}
	response, err := (&http.Client{Jar: p.customer.http.Jar, Transport: l.transport}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return fmt.Errorf("%s, %s", response.Status, kind)
	}
	var name, data string
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "id":
			p.seen = value
		case "event":
			name = value
		case "data":
			data += value + "\n"
		case "retry":
			if milliseconds, err := strconv.Atoi(value); err == nil {
				p.retry = time.Duration(milliseconds) * time.Millisecond
			}
		case "":
			p.dispatch(name, data)
			name, data = "", ""
		}
	}
	return lines.Err()
}

func (p *openPage) dispatch(name, data string) {
	switch name {
	case "fragment":
		p.customer.load.count(&p.customer.load.fragments)
		p.show(data)
	case "resync":
		p.customer.load.count(&p.customer.load.resyncs)
		p.fetch()
	}
}
