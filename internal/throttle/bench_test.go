package throttle

import (
	"fmt"
	"testing"
	"time"

	"slipway/internal/failopen"

	"slipway/internal/devstack/stacktest"
)

// BenchmarkCheck is what one page costs under rules like the store's.
func BenchmarkCheck(b *testing.B) {
	redis, _ := open(b, stacktest.Redis(b))
	for name, store := range map[string]*failopen.Redis{"with Redis": redis, "without Redis": withoutRedis(b)} {
		for name, limit := range map[string]int{name + ", passed": 1_000_000_000, name + ", refused": 1} {
			b.Run(name, func(b *testing.B) {
				w := newWorld(b, store, []Rule{
					Throttle("ip", limit, time.Hour, PerIP),
					Throttle("login", 10, time.Minute, func(*Request) string { return "" }),
					Fail2Ban("scanners", scanners, PerIP, scans),
				})
				r := request(fmt.Sprintf("192.0.2.%d", limit%200), "/products/harbour-enamel-mug")
				w.Check(r)
				b.ReportAllocs()
				for b.Loop() {
					w.Check(r)
				}
			})
		}
	}
}
