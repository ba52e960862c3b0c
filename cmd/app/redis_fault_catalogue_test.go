package main

import (
	"context"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// redisFault is one way in which Redis fails a web process.
type redisFault struct {
	begin func(*faultyRedis) (end func())

	// away is the class of the failure that opens the breaker, or several as a|b.
	// Empty: the breaker stays closed, because Redis replies to some calls.
	away string

	// health is the reason in /health why Redis is degraded. Empty: it is not.
	health string

	// reported is the class that Sentry receives. Empty: no report, because the
	// fault is planned or short.
	reported string

	// brief: the fault may be over before a call fails.
	brief bool

	live     bool // events still arrive, if late
	durable  bool // Redis has its data on disk
	nameless bool // REDIS_URL has a name that DNS does not know
	spoilt   bool // keys have the right type again in the end
}

// redisFaults are all faults of Redis that the program survives.
func redisFaults() map[string]redisFault {
	return map[string]redisFault{
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

		// The network.
		"name gone":       {begin: func(*faultyRedis) func() { return func() {} }, away: "dns", health: "dns", nameless: true},
		"packets dropped": {begin: (*faultyRedis).dropDials, away: "timeout", health: "timeout"},
		"long packets lost": {
			begin: func(f *faultyRedis) func() {
				upstream := f.proxy.Upstream
				relay := stacktest.StartRelay(f.t, upstream)
				relay.LoseAbove(250)
				f.direct(relay.Address())
				return func() { f.direct(upstream) }
			},
			away: "timeout", health: "timeout: Redis does not reply in time", live: true,
		},
		"slow by 50 ms": {begin: func(f *faultyRedis) func() { return f.poison("latency", `"latency": 50`) }},
		"slow by 500 ms": {
			begin: func(f *faultyRedis) func() { return f.poison("latency", `"latency": 500`) },
			away:  "timeout", health: "timeout", live: true,
		},
		"slow by 5 s": {
			begin: func(f *faultyRedis) func() { return f.poison("latency", `"latency": 5000`) },
			away:  "timeout", health: "timeout",
		},
		"reset": {
			begin: func(f *faultyRedis) func() { return f.poison("reset_peer", `"timeout": 0`) },
			away:  "reset", health: "reset",
		},
		"replies cut": {
			begin: func(f *faultyRedis) func() { return f.poison("limit_data", `"bytes": 3`) },
			away:  "reset", health: "reset",
		},
		"replies swallowed": {
			begin: func(f *faultyRedis) func() { return f.poison("timeout", `"timeout": 0`) },
			away:  "timeout", health: "timeout",
		},

		// What it replies.
		"read-only": {
			begin: func(f *faultyRedis) func() {
				f.command("REPLICAOF", "127.0.0.1", "1")
				return func() { f.command("REPLICAOF", "NO", "ONE") }
			},
			health: "readonly: Redis is a replica and takes no writes",
		},
		"replica without its master": {
			begin: func(f *faultyRedis) func() {
				f.settings("replica-serve-stale-data", "no")
				f.command("REPLICAOF", "127.0.0.1", "1")
				return func() { f.command("REPLICAOF", "NO", "ONE") }
			},
			away: "masterdown", health: "readonly: Redis is a replica|masterdown: Redis is a replica",
		},
		"MASTERDOWN": {
			begin: func(f *faultyRedis) func() {
				return f.impersonate("-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n", false)
			},
			away: "masterdown", health: "masterdown: Redis is a replica that has lost its primary",
		},
		"CLUSTERDOWN": {
			begin: func(f *faultyRedis) func() { return f.impersonate("-CLUSTERDOWN The cluster is down\r\n", false) },
			away:  "cluster", health: "cluster: Redis refuses calls: it is in cluster mode", reported: "cluster",
		},
		"MOVED": {
			begin: func(f *faultyRedis) func() { return f.impersonate("-MOVED 3999 127.0.0.1:6381\r\n", false) },
			away:  "cluster", health: "cluster: Redis refuses calls: it is in cluster mode", reported: "cluster",
		},
		"LOADING": {
			begin: func(f *faultyRedis) func() {
				return f.impersonate("-LOADING Redis is loading the dataset in memory\r\n", false)
			},
			away: "loading", health: "loading: Redis loads its data",
		},
		"nonsense": {
			begin: func(f *faultyRedis) func() { return f.impersonate("HTTP/1.1 400 Bad Request\r\n\r\n", false) },
			away:  "protocol", health: "protocol: what replies at the address of Redis is no Redis",
		},
		"half replies": {
			begin: func(f *faultyRedis) func() { return f.impersonate("$1000\r\nhalf", true) },
			away:  "reset", health: "reset",
		},
		"full": {
			begin: func(f *faultyRedis) func() {
				f.settings("maxmemory", "1")
				return func() { f.settings("maxmemory", "0") }
			},
			health: "oom: Redis is full", reported: "oom",
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
			health: "misconf: Redis takes no writes because it cannot save", reported: "misconf",
		},
		"NOAUTH": {
			begin: func(f *faultyRedis) func() { return f.impersonate("-NOAUTH Authentication required.\r\n", false) },
			away:  "auth", health: "auth: Redis refuses the connection: ", reported: "auth",
		},
		"another password": {
			begin: func(f *faultyRedis) func() {
				password := f.setting("requirepass")
				f.settings("requirepass", "another")
				f.hangUp()
				return func() { f.settings("requirepass", password) }
			},
			away: "auth", health: "auth: Redis refuses the connection: ", reported: "auth",
		},
		"not permitted": {
			begin: func(f *faultyRedis) func() {
				f.command("ACL", "SETUSER", "default", "-@write", "-@scripting")
				return func() { f.command("ACL", "SETUSER", "default", "+@all") }
			},
			health: "noperm: Redis refuses commands: ", reported: "noperm",
		},
		"in cluster mode": {
			begin: func(f *faultyRedis) func() {
				cluster := stacktest.RedisCluster(f.t)
				stacktest.RedisCommand(f.t, cluster, "CONFIG", "SET", "requirepass", f.setting("requirepass"))
				address, err := url.Parse(cluster.URL())
				require.NoError(f.t, err)
				upstream := f.proxy.Upstream
				f.direct(address.Host)
				return func() { f.direct(upstream) }
			},
			away: "cluster", health: "cluster: Redis refuses calls: it is in cluster mode", reported: "cluster",
			live: true, // one node alone may serve subscriptions
		},
		"busy": {
			begin: func(f *faultyRedis) func() {
				f.settings("busy-reply-threshold", "1")
				caller := stacktest.RedisClient(f.t, f.redis)
				f.running.Go(func() { _ = caller.Eval(context.Background(), "while true do end", nil).Err() })
				return func() { f.command("SCRIPT", "KILL") }
			},
			away: "busy|timeout", health: "busy: Redis is busy with a script",
		},
		"too few replicas": {
			begin: func(f *faultyRedis) func() {
				f.settings("min-replicas-to-write", "1")
				return func() { f.settings("min-replicas-to-write", "0") }
			},
			health: "noreplicas: Redis takes no writes because it has too few replicas",
		},
		"too many clients": {
			begin: func(f *faultyRedis) func() {
				f.settings("maxclients", "1")
				f.hangUp()
				return func() { f.settings("maxclients", "1000") }
			},
			away: "reset|clients", health: "reset|clients",
		},

		// What it stores.
		"emptied": {begin: func(f *faultyRedis) func() { f.command("FLUSHALL"); return func() {} }},
		"keys of the wrong type": {
			begin:    func(f *faultyRedis) func() { f.spoil(); f.hangUp(); return func() {} },
			reported: "wrongtype", spoilt: true,
		},
	}
}
