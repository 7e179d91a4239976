package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker in builds that are published.
var version = "devel"

type versionOptions struct{ json bool }

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (a *app) versionCommand() *cobra.Command {
	var o versionOptions
	command := &cobra.Command{
		Use:   "version [--json]",
		Short: "Print berth's version",
		Args:  arguments(0),
		RunE:  func(*cobra.Command, []string) error { return a.version(o) },
	}
	command.Flags().BoolVar(&o.json, "json", false, "write it as JSON")
	return command
}

func (a *app) version(o versionOptions) error {
	info := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range build.Settings {
			if setting.Key == "vcs.revision" {
				info.Revision = setting.Value
			}
		}
	}
	if o.json {
		return a.console.JSON(info)
	}
	text := "berth " + info.Version
	if len(info.Revision) > 12 {
		text += " " + info.Revision[:12]
	}
	a.console.Print("%s (%s, %s)", text, info.Go, info.Platform)
	return nil
}
