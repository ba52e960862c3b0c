package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"slipway/internal/assets"
)

func TestBrowser_LoadsOnlyWhatDiffersFromWhatItHas(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d := deployStore(t)
	directory, oldStyle := exportTwoBuilds(t)
	web := d.start("web", "ASSETS_DIR="+directory)
	problems := listenForProblems(tab, t)
	loaded := listenForTransfers(tab, t)

	// A visitor of the build before returns after the deploy.
	do(tab, t, chromedp.Navigate(web.url+oldStyle), chromedp.Navigate(web.url+"/"), chromedp.WaitVisible(`main h1`))
	style := loaded.eventually(t, "/assets/store-", oldStyle)
	require.Equal(t, "dcz", style.coding)
	require.Less(t, style.body(), 300)
	rules := ask(tab, t, chromedp.Evaluate[int](`document.styleSheets[0].cssRules.length`))
	require.Greater(t, rules, 50)

	// The browser gets the dictionary of pages with the first of them.
	first := loaded.eventually(t, "/", "")
	dictionary := loaded.eventually(t, "/assets/pages-", "")
	var seconds []transfer
	const soap = "/products/kelp-soap"
	for _, path := range []string{soap, "/products/harbour-enamel-mug", "/categories/galley", "/cart", soap + "?again"} {
		do(tab, t, chromedp.Navigate(web.url+path), chromedp.WaitVisible(`main h1`))
		page := loaded.eventually(t, path, "")
		require.Equal(t, "dcz", page.coding, path)
		require.Less(t, 3*page.body(), first.body(), path)
		seconds = append(seconds, page)
	}
	require.Contains(t, text(tab, t, `main h1`), "Soap")
	for line := range strings.Lines(problems()) {
		require.Contains(t, line, "/favicon.ico", "which a browser wants beside a style sheet that is opened as a page")
	}
	t.Logf("after a deploy: %+v; the first page: %+v; its dictionary: %+v; other pages: %+v", style, first, dictionary, seconds)
}

// Private

// exportTwoBuilds exports the assets of this build, and those of one before with another
// style sheet, whose path it returns.
func exportTwoBuilds(t *testing.T) (directory, oldStyle string) {
	t.Helper()
	directory = t.TempDir()
	const dist = "../../internal/storefront/dist"
	built, err := assets.Load(os.DirFS(dist))
	require.NoError(t, err)
	require.NoError(t, built.Export(directory)) // without its codings: to compress them takes long under -race

	style, err := os.ReadFile(filepath.Join(dist, strings.TrimPrefix(built.Path("store.css"), assets.Prefix)))
	require.NoError(t, err)
	older := append([]byte(".older{color:#123456;margin:0 auto 1rem}"), style[:len(style)-200]...)
	before, err := assets.Load(fstest.MapFS{"store.css": {Data: older}})
	require.NoError(t, err)
	require.NoError(t, before.Export(directory))
	return directory, before.Path("store.css")
}

// transfer is a response as it came.
type transfer struct {
	url, coding   string
	header, total int // bytes
	finished      bool
}

func (t transfer) body() int { return t.total - t.header }

// transfers are those of a tab.
type transfers struct {
	lock sync.Mutex
	byID map[network.RequestID]*transfer
}

// listenForTransfers records what a tab loads from now on.
func listenForTransfers(tab context.Context, t *testing.T) *transfers {
	t.Helper()
	l := &transfers{byID: map[network.RequestID]*transfer{}}
	do(tab, t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		return err
	}))
	require.NoError(t, chromedp.Listen(tab, func(event any) {
		l.lock.Lock()
		defer l.lock.Unlock()
		switch event := event.(type) {
		case *network.EventRequestWillBeSent:
			l.of(event.RequestID).url = event.Request.URL
		case *network.EventResponseReceivedExtraInfo:
			l.of(event.RequestID).header = len(event.HeadersText)
			for name, value := range event.Headers {
				if strings.EqualFold(name, "Content-Encoding") {
					l.of(event.RequestID).coding, _ = value.(string)
				}
			}
		case *network.EventLoadingFinished:
			one := l.of(event.RequestID)
			one.total, one.finished = int(event.EncodedDataLength), true
		}
	}))
	return l
}

func (l *transfers) of(id network.RequestID) *transfer {
	if l.byID[id] == nil {
		l.byID[id] = &transfer{}
	}
	return l.byID[id]
}

// eventually waits for a response whose path begins with a text, or is all of it, but is
// not another.
func (l *transfers) eventually(t *testing.T, path, not string) transfer {
	t.Helper()
	var found transfer
	require.Eventually(t, func() bool {
		l.lock.Lock()
		defer l.lock.Unlock()
		for _, one := range l.byID {
			_, rest, _ := strings.Cut(one.url, "://")
			_, rest, _ = strings.Cut(rest, "/")
			matches := "/"+rest == path || strings.HasSuffix(path, "-") && strings.HasPrefix("/"+rest, path)
			if one.finished && matches && "/"+rest != not {
				found = *one
				return true
			}
		}
		return false
	}, 20*time.Second, 10*time.Millisecond, path)
	return found
}
