package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWeb_RedisFaults is section 1 of the table of faults. Whatever becomes of
// Redis, shoppers browse, fill carts, order and take part in flash sales, and
// limits hold: each of those is tried in each fault. The cases share a
// PostgreSQL; each has a Redis and a web process of its own, because what is
// logged and reported depends on what went wrong before.
func TestWeb_RedisFaults(t *testing.T) {
	t.Parallel()
	faults := map[string]redisFault{
		// The process.
		"refused": {
			begin: func(f *faultyRedis) func() {
				f.proxy.Stop()
				return func() { require.NoError(f.t, f.proxy.Start()) }
			},
			away: "refused", health: "refused",
		},
		"frozen": {
			begin: func(f *faultyRedis) func() {
				require.NoError(f.t, f.redis.Freeze())
				return func() { require.NoError(f.t, f.redis.Thaw()) }
			},
			away: "timeout", health: "timeout",
		},
		"restarted as planned": {
			begin: func(f *faultyRedis) func() {
				_ = f.client.Shutdown(context.Background()).Err() // it hangs up
				return f.restart(300*time.Millisecond, 1)
			},
			durable: true, brief: true,
		},
		"restarted empty": {
			begin: func(f *faultyRedis) func() {
				require.NoError(f.t, f.redis.Kill())
				require.NoError(f.t, f.redis.Restart(f.t.Context()))
				return func() {}
			},
			brief: true,
		},
		"restarted ten times in ten seconds": {
			begin: func(f *faultyRedis) func() {
				return f.restart(time.Second, 10)
			},
			brief: true,
		},

		// The way to it.
		"name gone":         {begin: func(*faultyRedis) func() { return func() {} }, away: "dns", health: "dns", nameless: true},
		"packets dropped":   {begin: (*faultyRedis).dropDials, away: "timeout", health: "timeout"},
		"slow by 50 ms":     {begin: func(f *faultyRedis) func() { return f.poison("latency", "downstream", `"latency": 50`) }},
		"slow by 500 ms":    {begin: func(f *faultyRedis) func() { return f.poison("latency", "downstream", `"latency": 500`) }, away: "timeout", health: "timeout", live: true},
		"slow by 5 s":       {begin: func(f *faultyRedis) func() { return f.poison("latency", "downstream", `"latency": 5000`) }, away: "timeout", health: "timeout"},
		"reset":             {begin: func(f *faultyRedis) func() { return f.poison("reset_peer", "downstream", `"timeout": 0`) }, away: "reset", health: "reset"},
		"replies cut":       {begin: func(f *faultyRedis) func() { return f.poison("limit_data", "downstream", `"bytes": 3`) }, away: "reset", health: "reset"},
		"replies swallowed": {begin: func(f *faultyRedis) func() { return f.poison("timeout", "downstream", `"timeout": 0`) }, away: "timeout", health: "timeout"},

		// What it says of itself.
		"read-only": {
			begin: func(f *faultyRedis) func() {
				f.command("REPLICAOF", "127.0.0.1", "1")
				return func() { f.command("REPLICAOF", "NO", "ONE") }
			},
			health: "readonly",
		},
		"replica without its master": {
			begin: func(f *faultyRedis) func() {
				f.settings("replica-serve-stale-data", "no")
				f.command("REPLICAOF", "127.0.0.1", "1")
				return func() { f.command("REPLICAOF", "NO", "ONE") }
			},
			away: "masterdown", health: "readonly",
		},
		"MASTERDOWN": {
			begin: func(f *faultyRedis) func() {
				return f.impersonate("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n", false)
			},
			away: "masterdown", health: "masterdown",
		},
		"CLUSTERDOWN": {
			begin: func(f *faultyRedis) func() { return f.impersonate("-CLUSTERDOWN The cluster is down\r\n", false) },
			away:  "cluster", health: "cluster", told: "cluster",
		},
		"MOVED": {
			begin: func(f *faultyRedis) func() { return f.impersonate("-MOVED 3999 127.0.0.1:6381\r\n", false) },
			away:  "cluster", health: "cluster", told: "cluster",
		},
		"LOADING": {
			begin: func(f *faultyRedis) func() {
				return f.impersonate("-LOADING Redis is loading the dataset in memory\r\n", false)
			},
			away: "loading", health: "loading",
		},
		"nonsense":     {begin: func(f *faultyRedis) func() { return f.impersonate("HTTP/1.1 400 Bad Request\r\n\r\n", false) }, away: "other", health: "write to Redis: "},
		"half replies": {begin: func(f *faultyRedis) func() { return f.impersonate("$1000\r\nhalf", true) }, away: "reset", health: "reset"},
		"full": {
			begin: func(f *faultyRedis) func() {
				f.settings("maxmemory", "1")
				return func() { f.settings("maxmemory", "0") }
			},
			health: "oom", told: "oom",
		},
		"cannot save": {
			begin: func(f *faultyRedis) func() {
				directory := f.setting("dir")
				require.NoError(f.t, os.Remove(directory))
				f.settings("save", "3600 1")
				f.command("BGSAVE")
				require.Eventually(f.t, func() bool {
					return strings.Contains(f.command("INFO", "persistence").(string), "rdb_last_bgsave_status:err")
				}, patience, 10*time.Millisecond)
				return func() {
					f.settings("save", "")
					require.NoError(f.t, os.Mkdir(directory, 0o700))
				}
			},
			health: "misconf", told: "misconf",
		},
		"NOAUTH": {
			begin: func(f *faultyRedis) func() { return f.impersonate("-NOAUTH Authentication required.\r\n", false) },
			away:  "auth", health: "auth", told: "auth",
		},
		"another password": {
			begin: func(f *faultyRedis) func() {
				password := f.setting("requirepass")
				f.settings("requirepass", "another")
				f.hangUp()
				return func() { f.settings("requirepass", password) }
			},
			away: "auth", health: "auth", told: "auth",
		},
		"not permitted": {
			begin: func(f *faultyRedis) func() {
				f.command("ACL", "SETUSER", "default", "-@write", "-@scripting")
				return func() { f.command("ACL", "SETUSER", "default", "+@all") }
			},
			health: "auth", told: "auth",
		},
		"too many clients": {
			begin: func(f *faultyRedis) func() {
				f.settings("maxclients", "1")
				f.hangUp()
				return func() { f.settings("maxclients", "1000") }
			},
			away: "reset|clients", health: "reset|clients",
		},

		// What it knows.
		"emptied": {begin: func(f *faultyRedis) func() { f.command("FLUSHALL"); return func() {} }},
		"keys of the wrong type": {
			begin: func(f *faultyRedis) func() { f.spoil(); f.hangUp(); return func() {} },
			told:  "wrongtype", spoilt: true,
		},
	}
	d := deploy(t)
	d.variantWith("kelp-soap", 10_000)
	d.query(`UPDATE flash_sales SET units = 1000 RETURNING 1`)
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sufferRedis(t, *d, faults[name])
		})
	}
}

// Private

// requestLimit is how many pages an address may see in the store with a faulty
// Redis.
const requestLimit = 20

func sufferRedis(t *testing.T, d deployment, fault redisFault) {
	f := startFaultyRedis(t, fault.durable)
	sentry := startSentry(t)
	d.t = t
	address := f.url
	if fault.nameless {
		address = "redis://redis.invalid:6379/0"
	}
	start := func() *appProcess {
		return d.start("web", "REDIS_URL="+address, "SENTRY_DSN="+sentry.address,
			"APP_ENV=production", "SECRET_KEY_BASE="+strings.Repeat("k", 64), "BIND_ADDRESS=127.0.0.1", "LIVE_STREAM_LIFETIME=25s",
			"RACK_ATTACK_ENABLED=true", fmt.Sprintf("RACK_ATTACK_REQ_IP_LIMIT=%d", requestLimit), "RACK_ATTACK_REQ_IP_PERIOD=86400", "RACK_ATTACK_TRUSTED_PROXIES=127.0.0.1")
	}
	web := start()
	if !fault.nameless {
		web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy")
	}
	variant := d.query(`SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = 'kelp-soap' ORDER BY v.position LIMIT 1`)
	greedy, watcher, ada := newShopperAt(t, web.url), newShopperAt(t, web.url), newShopperAt(t, web.url)
	for range requestLimit {
		status, _ := greedy.get("/")
		require.Equal(t, http.StatusOK, status)
	}
	for range requestLimit / 2 {
		status, _ := watcher.get("/products/kelp-soap")
		require.Equal(t, http.StatusOK, status)
	}
	require.Equal(t, http.StatusOK, ada.add(variant))
	form := ada.fillIn(workingCard)
	goShopping(t, web, variant, nil)
	stream := openEvents(t, ada, "/live")
	stream.await(t, "retry: ")

	// What shoppers see. A whole order, from the front page to the thanks, and a
	// unit of the flash sale.
	end := sync.OnceFunc(fault.begin(f))
	defer end()
	var took []time.Duration
	look := func() {
		began := time.Now()
		status, body := watcher.get("/products/kelp-soap")
		took = append(took, time.Since(began))
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, `id="cart-badge"`)
	}
	look()
	first := took[0]
	require.Less(t, first, 2*time.Second)
	var all sync.WaitGroup
	all.Go(func() { goShopping(t, web, variant, f.until) })
	all.Go(func() {
		status, at, _ := ada.post("/orders", form)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, at, "/orders/")
	})
	all.Wait()

	// What the operator sees.
	if !fault.brief {
		web.eventually(func() bool {
			report := web.health()
			if fault.health == "" {
				return report.Status == "ok"
			}
			return report.Status == "degraded" && regexp.MustCompile(fault.health).MatchString(report.Checks["redis"].Reason)
		}, "says "+fault.health)
	}
	require.Equal(t, http.StatusOK, status(web.ops+"/up"))
	if fault.away != "" {
		require.Regexp(t, `"name":"shared","reason":"(`+fault.away+`)"`, web.output.String())
		require.Contains(t, metricsOf(t, web), `app_redis_breaker_state{redis="shared"} 1`)
		if !fault.live {
			stream.await(t, "event: degraded")
		}
	}

	// Once the fault is known. Limits are where they would be without it.
	for len(took) < requestLimit/2 {
		look()
	}
	median := slices.Sorted(slices.Values(took[1:]))[(len(took)-1)/2]
	for _, refused := range []*shopper{watcher, greedy} {
		status, _ := refused.get("/products/kelp-soap")
		require.Equal(t, http.StatusTooManyRequests, status)
	}

	end()
	returned := time.Now()
	recovery := "n/a"
	if !fault.nameless {
		require.Eventually(t, func() bool { return strings.Contains(metricsOf(t, web), `app_redis_breaker_state{redis="shared"} 0`) }, 5*time.Second, 5*time.Millisecond)
		recovery = time.Since(returned).Round(time.Millisecond).String()
		web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy again")
		web.eventually(func() bool { return strings.Contains(metricsOf(t, web), "\napp_live_degraded 0\n") }, "hears live events again")
	}
	goShopping(t, web, variant, nil)
	status, _ := greedy.get("/")
	require.Equal(t, http.StatusTooManyRequests, status, "a limit stays closed when Redis is back")
	if fault.spoilt {
		second := start() // knows nothing, and has to ask Redis
		second.eventually(func() bool { return second.health().Status == "ok" }, "is healthy")
		goShopping(t, second, variant, nil)
		f.requireNoneSpoilt()
		second.stop()
	}

	// What is left to read.
	web.stop()
	said := web.output.String()
	failures, opened, closed := strings.Count(said, " Redis error: "), strings.Count(said, "Redis is away: "), strings.Count(said, "Redis is back")
	require.LessOrEqual(t, failures, 20, "a fault must not flood the log")
	if fault.brief {
		require.LessOrEqual(t, opened, 11)
	} else {
		require.Equal(t, fault.away != "", opened == 1, opened)
	}
	if !fault.nameless {
		require.Equal(t, opened, closed)
	}
	told := sentry.all()
	switch {
	case fault.told == "":
		require.Empty(t, told)
	case fault.spoilt:
		require.Len(t, told, 2, "each process tells")
	default:
		require.Len(t, told, 1)
	}
	for _, event := range told {
		require.Contains(t, event, `"fingerprint":["redis/`+fault.told+`"]`)
	}
	require.NotContains(t, said, "DATA RACE")
	require.NotRegexp(t, `"status":5\d\d`, said)
	_, name, _ := strings.Cut(t.Name(), "/")
	t.Logf("| %s | %s | %s | %s | %d | %d |", name, first.Round(time.Millisecond), median.Round(100*time.Microsecond), recovery, failures+opened+closed, len(told))
}

// goShopping does whatever there is to do in the store, as new shoppers, and again
// until the end of that: nil for once.
func goShopping(t *testing.T, web *appProcess, variant int64, until <-chan struct{}) {
	t.Helper()
	for {
		eve, ben := newShopperAt(t, web.url), newShopperAt(t, web.url)
		for _, path := range []string{"/", "/categories/shore", "/products/kelp-soap", "/search?q=soap", "/cart", "/live/fragments"} {
			status, _ := eve.get(path)
			require.Equal(t, http.StatusOK, status, path)
		}
		openEvents(t, eve, "/live").await(t, "retry: ")

		path, form, open := ben.claim()
		require.True(t, open)
		status, at, _ := ben.post(path, form)
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "/cart", at)
		require.Equal(t, http.StatusOK, ben.add(variant))
		status, at, body := ben.post("/orders", ben.fillIn(workingCard))
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, at, "/orders/")
		require.Contains(t, body, "LW-")

		if until == nil {
			return
		}
		select {
		case <-until:
			return
		default:
		}
	}
}

// saleForm finds where the front page's form asks for a unit.
var saleForm = regexp.MustCompile(`action="(/sales/\d+/holds)"`)
