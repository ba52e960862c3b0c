package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"slipway/internal/config"
)

// Set by the build with -ldflags "-X main.version=… -X main.commit=… -X main.built=…".
// Empty values are filled from the build information that Go embeds.
var (
	version string
	commit  string
	built   string
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, build date and, in a Kamal container, KAMAL_VERSION",
		Long: "Print version, commit, build date and Go version of this binary.\n\n" +
			"Reads KAMAL_VERSION, which Kamal sets in every container it starts.",
		Example: "  app version",
		RunE: func(c *cobra.Command, _ []string) error {
			variables, _ := config.Environ(".") // a broken .env file is no reason to hide the version
			build := currentBuild(variables["KAMAL_VERSION"])
			fmt.Fprintf(c.OutOrStdout(), "version  %s\ncommit   %s\nbuilt    %s\ngo       %s %s/%s\n",
				build.Version, build.Commit, build.Built, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			if build.KamalVersion != "" {
				fmt.Fprintf(c.OutOrStdout(), "kamal    %s\n", build.KamalVersion)
			}
			return nil
		},
	}
}

// build identifies the source that this binary was built from.
type build struct {
	Version      string
	Commit       string
	Built        string
	KamalVersion string
}

func currentBuild(kamalVersion string) build {
	b := build{Version: version, Commit: commit, Built: built, KamalVersion: kamalVersion}
	info, ok := debug.ReadBuildInfo()
	if ok {
		b.fillFrom(info)
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	if b.Commit == "" {
		b.Commit = "unknown"
	}
	if b.Built == "" {
		b.Built = "unknown"
	}
	return b
}

// name identifies the build in logs and metrics.
func (b build) name() string {
	if b.KamalVersion != "" {
		return b.KamalVersion
	}
	return b.Version
}

// metric is a gauge whose labels identify the build.
func (b build) metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "app_build_info",
		Help:        "The running build, as labels; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": b.name(), "commit": b.Commit, "go": runtime.Version()},
	}, func() float64 { return 1 })
}

// Private

func (b *build) fillFrom(info *debug.BuildInfo) {
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Commit == "" {
		b.Commit = settings["vcs.revision"]
		if settings["vcs.modified"] == "true" {
			b.Commit += "+changes"
		}
	}
	if b.Built == "" {
		b.Built = settings["vcs.time"]
	}
}
