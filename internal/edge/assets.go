package edge

import (
	"maps"
	"net/http"
	"strings"
	"time"

	"slipway/internal/assets"
	"slipway/internal/edge/httpcache"
)

// Private

// assetRoute names the assets in metrics and logs.
const assetRoute = assets.Prefix + "*"

// serveAssets answers the requests for assets, which are stored ready compressed, so that
// they need neither an encoder nor the cache. A client that the application refuses goes
// on to the application, which tells it why.
func serveAssets(options Options, next http.Handler) http.Handler {
	if options.Assets == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, assets.Prefix) || options.Refuses != nil && options.Refuses(r) {
			next.ServeHTTP(w, r)
			return
		}
		started := time.Now()
		maps.Copy(w.Header(), options.AssetHeader)
		status, sent := options.Assets.Serve(w, r)
		if options.Served != nil {
			options.Served(httpcache.Served{Request: r, Label: assetRoute, Status: status, Bytes: sent, Took: time.Since(started)})
		}
	})
}
