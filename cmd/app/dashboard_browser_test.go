package main

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// openDashboard starts all roles and opens the dashboard of jobs as an operator.
func openDashboard(tab context.Context, t *testing.T) (d *deployment, web *appProcess) {
	t.Helper()
	d = deploy(t)
	d.environment["JOBS_DASHBOARD_USER"], d.environment["JOBS_DASHBOARD_PASSWORD"] = "ada", "lovelace-1815"
	web, _, _ = d.startAll()
	do(tab, t, chromedp.Navigate(strings.Replace(web.url, "http://", "http://ada:lovelace-1815@", 1)+"/jobs"), chromedp.WaitVisible(`#now`))
	return d, web
}

// failNotes leaves jobs that failed for good.
func (d *deployment) failNotes(count string) {
	d.execute(`
		INSERT INTO river_job (state, kind, queue, args, attempt, max_attempts, finalized_at, errors)
		SELECT 'discarded', 'confirm_note', 'critical', '{"note_id": 1}', 3, 3, now(), ARRAY['{"attempt": 3, "error": "no paper"}'::jsonb]
		FROM generate_series(1, ` + count + `)`)
}

func TestDashboard_InABrowserRefreshesUntilItIsPaused(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d, web := openDashboard(tab, t)
	// In one step: a refresh may replace the element between two.
	shown := func(selector string) string {
		return ask(tab, t, chromedp.Evaluate[string](`document.querySelector("`+selector+`")?.textContent.trim() ?? ""`))
	}
	require.Equal(t, "0", shown("#now .card .is-failed dd"))

	d.failNotes("7")
	web.eventually(func() bool { return shown("#now .card .is-failed dd") == "7" }, "shows new failures without a reload")
	require.Contains(t, shown("#wrong"), "7 failed for good")

	do(tab, t, chromedp.KeyEvent("l"))
	require.Equal(t, "false", ask(tab, t, chromedp.Evaluate[string](`document.querySelector("[data-live-switch]").ariaPressed`)))
	do(tab, t, chromedp.KeyEvent("gf"), chromedp.WaitVisible(`.cause`))
	require.Contains(t, text(tab, t, `.cause`), "7 × confirm_note")
	require.Equal(t, "Paused", text(tab, t, `[data-live-switch]`), "the choice holds on the next screen")
}

func TestDashboard_InABrowserActsByKeyboard(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d, web := openDashboard(tab, t)
	d.failNotes("3")
	problems := listenForProblems(tab, t)

	do(tab, t, chromedp.KeyEvent("gw"), chromedp.WaitVisible(`[data-filter]`))
	do(tab, t, chromedp.KeyEvent("/"))
	require.True(t, ask(tab, t, chromedp.Evaluate[bool](`document.activeElement.matches("[data-filter]")`)))
	do(tab, t, chromedp.Evaluate[chromedp.Void](`document.activeElement.value = ""`),
		chromedp.SendKeys(`[data-filter]`, "state:failed"+kb.Enter),
		chromedp.WaitVisible(`a.is-failed[aria-current]`))
	require.Equal(t, 3, ask(tab, t, chromedp.Evaluate[int](`document.querySelectorAll("[data-row]").length`)))
	require.True(t, ask(tab, t, chromedp.Evaluate[bool](`document.querySelector("button.do-discard").disabled`)), "nothing is chosen")

	do(tab, t, chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`), chromedp.KeyEvent("jjx"))
	require.False(t, ask(tab, t, chromedp.Evaluate[bool](`document.querySelector("button.do-discard").disabled`)))
	do(tab, t, chromedp.Click(`button.do-discard`), chromedp.WaitVisible(`.decide`))
	require.Contains(t, text(tab, t, `main`), "Discard 1")
	do(tab, t, chromedp.Click(`.decide button`), chromedp.WaitVisible(`.notice.good`))
	require.Contains(t, text(tab, t, `.notice.good`), "It is deleted.")
	web.eventually(func() bool { return d.query(`SELECT count(*) FROM river_job WHERE kind = 'confirm_note'`) == 2 }, "deletes one")
	require.Empty(t, problems())
}

func TestDashboard_InABrowserFitsAPhoneInTheDark(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d, web := openDashboard(tab, t)
	d.failNotes("3")
	requireFitsAPhone(tab, t, web, map[string]string{
		"jobs-overview": "/jobs", "jobs-work": "/jobs/work?q=state:failed", "jobs-failures": "/jobs/failures", "jobs-queues": "/jobs/queues",
		"jobs-workers": "/jobs/workers", "jobs-recurring": "/jobs/recurring", "jobs-batches": "/jobs/batches",
		"jobs-actions": "/jobs/actions", "jobs-enqueue": "/jobs/enqueue", "jobs-confirm": "/jobs/confirm?action=retry&q=state:failed",
	})
}

// requireFitsAPhone opens pages on a small screen, bright and dark, and draws them.
func requireFitsAPhone(tab context.Context, t *testing.T, web *appProcess, paths map[string]string) {
	t.Helper()
	problems := listenForProblems(tab, t)
	do(tab, t, chromedp.EmulateViewport(360, 740, chromedp.EmulateScale(2), chromedp.EmulateMobile))

	for _, scheme := range []string{"light", "dark"} {
		do(tab, t, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return err
		}))
		for name, path := range paths {
			do(tab, t, chromedp.Navigate(web.url+path), chromedp.WaitVisible(`main h1`))
			overflow := ask(tab, t, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
			require.Zero(t, overflow, "%s is wider than a phone", path)
			picture(tab, t, "phone-"+name+"-"+scheme)
		}
	}
	require.Empty(t, problems(), "the content security policy blocks nothing")
}
