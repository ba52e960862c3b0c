package dashboard

import (
	"github.com/labstack/echo/v4"

	"slipway/internal/config"
)

// Private

// settingsView are the settings of this process.
type settingsView struct {
	Settings []config.Setting `json:"settings"`
}

func (d *Dashboard) showSettings(c echo.Context) error {
	view := settingsView{append([]config.Setting{}, d.settings...)}
	return d.Show(c, view, settingsPage(d.Frame(c, "Settings", "Settings"), view))
}
