// Package operators holds what all pages of operators share: the door, the frame with its
// navigation, the answers as HTML and as JSON, charts, and the style sheet.
package operators

import (
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/assets"
	"slipway/internal/throttle"
	"slipway/internal/web"
)

// Desk is what the areas of a process share.
type Desk struct {
	authorize Authorize
	login     Login
	clients   *throttle.Clients
	attempts  *attempts
	assets    *assets.Assets
	areas     []Area
	host      string
	version   string
	timeout   time.Duration
	log       *slog.Logger
}

// Options are the settings of a desk.
type Options struct {
	Login     Login             // of an operator; empty: nobody may enter
	Authorize Authorize         // in place of Login; nil: Login
	Clients   *throttle.Clients // tells the clients apart whose wrong passwords are counted

	BaseURL     string        // names the installation in the foot of each page
	Version     string        // of this build
	AssetsDir   string        // has the assets of other builds; empty: only its own
	PageTimeout time.Duration // of one page
	Log         *slog.Logger
}

// Pages serves the pages of one area.
type Pages struct {
	desk *Desk
	area Area
}

// NewDesk makes a desk without areas. The error says that its assets cannot be read.
func NewDesk(options Options) (*Desk, error) {
	files, err := fs.Sub(assetFiles, "dist")
	if err != nil {
		return nil, fmt.Errorf("open the assets of the pages of operators: %w", err)
	}
	loaded, err := assets.Load(files)
	if err != nil {
		return nil, err
	}
	if options.AssetsDir != "" {
		if err := loaded.Bridge(options.AssetsDir); err != nil {
			return nil, err
		}
	}
	host := ""
	if base, err := url.Parse(options.BaseURL); err == nil {
		host = base.Host
	}
	return &Desk{
		authorize: options.Authorize, login: options.Login, clients: options.Clients, attempts: newAttempts(),
		assets: loaded, host: host, version: options.Version, timeout: options.PageTimeout, log: options.Log,
	}, nil
}

// Open adds an area. The header of every page links to all areas, in the order in which
// they were added. Call it before the first request.
func (d *Desk) Open(area Area) *Pages {
	d.areas = append(d.areas, area)
	return &Pages{desk: d, area: area}
}

// Assets are the style sheet, the script and the icon of all pages.
func (p *Pages) Assets() *assets.Assets { return p.desk.assets }

// For is the middleware of a page or an action. It bounds the time of a request, answers
// errors, and lets in those alone who have a level.
func (p *Pages) For(least Level) []echo.MiddlewareFunc {
	return []echo.MiddlewareFunc{web.Deadline(p.desk.timeout), p.answerErrors, p.door(least)}
}

// Private

// The build tool makes dist from assets: go run ./internal/assets/build.
//
//go:embed dist
var assetFiles embed.FS
