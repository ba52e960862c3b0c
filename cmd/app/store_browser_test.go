package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

func TestBrowser_AShopperBuys(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d := deployStore(t)
	d.environment["APP_ENV"] = "development" // shows the mail
	web, workerPG, _ := d.startAll()

	do(tab, t, chromedp.Navigate(web.url+"/"), chromedp.WaitVisible(`main h1`))
	picture(tab, t, "store")
	do(tab, t, chromedp.Click(`nav.shelves a[href="/categories/galley"]`), chromedp.WaitVisible(`a[href="/products/harbour-enamel-mug"]`))
	picture(tab, t, "category")
	do(tab, t, chromedp.Click(`a[href="/products/harbour-enamel-mug"]`), chromedp.WaitVisible(`form[action="/cart/lines"]`))
	picture(tab, t, "product")

	// From here on with the keyboard alone.
	do(tab, t, chromedp.Focus(`input[name="quantity"]`), chromedp.KeyEvent(kb.End+kb.Backspace+"2"+kb.Enter),
		chromedp.WaitVisible(`form[action^="/cart/lines/"]`))
	require.Contains(t, text(tab, t, `#cart-badge`), "2")
	require.Contains(t, text(tab, t, `.notice`), "is in your cart")
	picture(tab, t, "cart")
	do(tab, t, chromedp.Focus(`a[href="/checkout"]`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`input[name="email"]`))

	do(tab, t, chromedp.SendKeys(`input[name="email"]`, "ada@example"+kb.Enter), chromedp.WaitVisible(`[role="alert"]`))
	require.Contains(t, text(tab, t, `main`), "not a complete email address")
	picture(tab, t, "checkout-problems")
	for name, typed := range map[string]string{"name": "Ada Lovelace", "street": "Quay 1", "postal_code": "1010", "city": "Wien"} {
		do(tab, t, chromedp.SendKeys(fmt.Sprintf(`input[name="%s"]`, name), typed))
	}
	do(tab, t, chromedp.SendKeys(`select[name="country"]`, "Austria"),
		chromedp.SendKeys(`input[name="email"]`, kb.End+".com"+kb.Enter), chromedp.WaitVisible(`form[action="/orders"]`))
	picture(tab, t, "review")

	do(tab, t, chromedp.Focus(`form[action="/orders"] button`), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(`[id^="order-state-"]`))
	require.Contains(t, text(tab, t, `main`), "LW-100001")
	picture(tab, t, "order")

	workerPG.eventually(func() bool { return len(d.mails()) == 1 }, "sends the mail")
	do(tab, t, chromedp.Navigate(web.url+"/dev/mail"), chromedp.Click(`main a[href^="/dev/mail/"]`), chromedp.WaitVisible(`main iframe`))
	require.Contains(t, text(tab, t, `main`), "Your Leeward order LW-100001")
	picture(tab, t, "mail")
}

func TestBrowser_TwoBrowsersShowTheSameStock(t *testing.T) {
	t.Parallel()
	watching := browser(t)
	d := deployStore(t)
	web, _, _ := d.startAll()
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	ada := newVisitor(t, web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	form := ada.fillIn(workingCard)
	badge := fmt.Sprintf(`#variant-stock-%d`, variant)
	do(watching, t, chromedp.Navigate(web.url+"/products/harbour-enamel-mug"), chromedp.WaitVisible(badge))
	web.eventually(func() bool { return openStreams(t, web) == 1 }, "has the page's stream")

	// What the shopper is about to do must not be lost with the change.
	do(watching, t, chromedp.SetValue(`input[name="quantity"]`, "3"))
	sold := time.Now()
	code, _, _ := ada.post("/orders", form)

	require.Equal(t, http.StatusOK, code)
	do(watching, t, chromedp.WaitVisible(fmt.Sprintf(`//*[@id="variant-stock-%d" and contains(., "4")]`, variant)))
	t.Logf("the other browser showed it %s after the click on pay", time.Since(sold).Round(time.Millisecond))
	require.Equal(t, "3", ask(watching, t, chromedp.Value(`input[name="quantity"]`)))
}

func TestBrowser_AnOpenPageFollowsTheStockWithoutRedis(t *testing.T) {
	t.Parallel()
	watching := browser(t)
	d := deployStore(t)
	web, _, _ := d.startAll()
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	shows := func(units int) chromedp.Action[chromedp.Void] {
		return chromedp.WaitVisible(fmt.Sprintf(`//*[@id="variant-stock-%d" and contains(., "Only %d left")]`, variant, units))
	}
	do(watching, t, chromedp.Navigate(web.url+"/products/harbour-enamel-mug"), shows(5))
	web.eventually(func() bool { return openStreams(t, web) == 1 }, "has the page's stream")

	require.NoError(t, d.redis.Kill())
	d.variantWith("harbour-enamel-mug", 4)
	do(watching, t, shows(4))
	d.variantWith("harbour-enamel-mug", 3)
	do(watching, t, shows(3))
	require.Contains(t, metricsOf(t, web), "\napp_live_degraded 1\n")

	// A change after the return arrives as an event, because only its task sends it.
	require.NoError(t, d.redis.Restart(t.Context()))
	web.eventually(func() bool { return strings.Contains(metricsOf(t, web), "\napp_live_degraded 0\n") }, "receives from Redis again")
	web.eventually(func() bool { return pageStopsPolling(t, web) }, "receives no more polls")
	ada := newVisitor(t, web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	code, _, _ := ada.post("/orders", ada.fillIn(workingCard))
	require.Equal(t, http.StatusOK, code)
	do(watching, t, shows(2))
}

func TestBrowser_APageWithoutAStreamPolls(t *testing.T) {
	t.Parallel()
	watching := browser(t)
	d := deployStore(t)
	web := d.start("web", "LIVE_STREAM_LIMIT=1", "LIVE_STREAM_LIFETIME=25s")
	openEvents(t, newVisitor(t, web.url), "/live").await(t, "retry: ") // the only one that there is room for
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	badge := fmt.Sprintf(`#variant-stock-%d`, variant)
	do(watching, t, chromedp.Navigate(web.url+"/products/harbour-enamel-mug"), chromedp.WaitVisible(badge))

	d.variantWith("harbour-enamel-mug", 4)

	do(watching, t, chromedp.WaitVisible(fmt.Sprintf(`//*[@id="variant-stock-%d" and contains(., "Only 4 left")]`, variant)))
}

// pageStopsPolling reports whether no request for fragments comes for longer than a
// page that polls would wait.
func pageStopsPolling(t *testing.T, web *appProcess) bool {
	t.Helper()
	asked := fragmentRequests(t, web)
	select {
	case <-t.Context().Done():
	case <-time.After(11 * time.Second):
	}
	return fragmentRequests(t, web) == asked
}

// fragmentRequests is the number of requests for fragments.
func fragmentRequests(t *testing.T, web *appProcess) int {
	t.Helper()
	total := 0
	requests := regexp.MustCompile(`(?m)^app_http_request_duration_seconds_count\{.*route="/live/fragments".*\} (\d+)$`)
	for _, found := range requests.FindAllStringSubmatch(metricsOf(t, web), -1) {
		count, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		total += count
	}
	return total
}

// openStreams is how many pages of a web process follow their events.
func openStreams(t *testing.T, web *appProcess) int {
	t.Helper()
	found := regexp.MustCompile(`(?m)^app_live_streams (\d+)$`).FindStringSubmatch(metricsOf(t, web))
	require.Len(t, found, 2)
	count, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	return count
}

func TestBrowser_PagesFitAPhoneAndDarkMode(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d := deployStore(t)
	web := d.start("web")
	do(tab, t, chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2), chromedp.EmulateMobile))

	for _, scheme := range []string{"light", "dark"} {
		do(tab, t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return err
		}))
		for name, path := range map[string]string{
			"home": "/", "category": "/categories/locker", "product": "/products/fisherman-jumper",
			"search": "/search?q=lantrn", "cart": "/cart", "missing": "/nope",
		} {
			do(tab, t, chromedp.Navigate(web.url+path), chromedp.WaitVisible(`main h1`))
			overflow := ask(tab, t, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
			require.Zero(t, overflow, "%s is wider than a phone", path)
			picture(tab, t, "phone-"+name+"-"+scheme)
		}
	}
}

func TestBrowser_TheContentSecurityPolicyBlocksNothing(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d := deployStore(t)
	web := d.start("web")

	for _, path := range []string{"/", "/categories/galley", "/products/harbour-enamel-mug", "/cart", "/nope"} {
		do(tab, t, chromedp.Navigate(web.url+path), chromedp.WaitVisible(`main h1`))
		broken := ask(tab, t, chromedp.Evaluate[int](`
			[...document.images].forEach(i => i.loading = "eager");
			Promise.all([...document.images].map(i => i.decode().then(() => 0, () => 1))).then(all => all.reduce((a, b) => a + b, 0))`,
			chromedp.EvalAwaitPromise))
		require.Zero(t, broken, "%s has pictures that do not show", path)
		styled := ask(tab, t, chromedp.Evaluate[bool](`document.styleSheets.length > 0 && document.styleSheets[0].cssRules.length > 50`))
		require.True(t, styled, path)
	}
}

func TestBrowser_ScriptsAndStylesHaveTheirDigests(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d := deployStore(t)
	web := d.start("web")
	problems := listenForProblems(tab, t)

	for _, path := range []string{"/", "/products/harbour-enamel-mug", "/cart", "/checkout"} {
		do(tab, t, chromedp.Navigate(web.url+path), chromedp.WaitVisible(`main h1`))
		unchecked := ask(tab, t, chromedp.Evaluate[int](
			`document.querySelectorAll("script:not([integrity^='sha384-']), link[rel=stylesheet]:not([integrity^='sha384-'])").length`))
		require.Zero(t, unchecked, path)
		styled := ask(tab, t, chromedp.Evaluate[bool](`document.styleSheets.length === 1 && document.styleSheets[0].cssRules.length > 50`))
		require.True(t, styled, path)
	}
	require.Empty(t, problems())

	// The browser would notice another file.
	refused := ask(tab, t, chromedp.Evaluate[bool](`new Promise((resolve) => {
		const script = document.createElement("script");
		script.src = document.querySelector("script").src;
		script.integrity = "sha384-" + btoa("x".repeat(48));
		script.onload = () => resolve(false);
		script.onerror = () => resolve(true);
		document.head.append(script);
	})`, chromedp.EvalAwaitPromise))
	require.True(t, refused)
	require.Eventually(t, func() bool { return strings.Contains(problems(), "integrity") }, 5*time.Second, 10*time.Millisecond)
}
