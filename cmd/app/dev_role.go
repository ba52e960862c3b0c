package main

import (
	"context"
	"os"

	"slipway/internal/devstack"
)

// Private

// runRole runs the role of --only until stopping ends, and restarts it whenever the
// builder has replaced the program. When killing ends too, the role is killed.
func (d *devServer) runRole(stopping, killing context.Context) error {
	defer d.group.Wait()
	defer d.stopRoles(killing)
	builds := devstack.WatchFile(d.options.program())
	d.say("Waiting for the first build")
	for builds.Next(stopping) {
		if d.roles != nil {
			d.say("The program was replaced")
			d.roles.Restart()
			continue
		}
		name := d.options.only
		environment := append(os.Environ(), "APP_ENV=development")
		role := devstack.Role{Name: name, Program: d.options.program(), Args: []string{name}, Env: environment}
		d.roles = devstack.Supervise(d.output, []devstack.Role{role})
		if name == "web" {
			port := d.wantedPort()
			d.group.Go(func() { d.announce(stopping, port, d.address(port)) })
		}
	}
	return nil
}
