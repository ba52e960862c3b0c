package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"slipway/internal/devstack"
)

// The first ports to try.
const (
	firstPort    = 3000
	firstOpsPort = 9090
)

// devServer builds the program of this checkout and keeps its roles running.
type devServer struct {
	app       application
	options   devOptions
	output    *devstack.Output
	stack     *devstack.Stack
	variables map[string]string // the environment, with .env

	templates bool                 // a template has changed and must be generated
	seeded    bool                 // the sample data is stored
	roles     *devstack.Supervisor // nil until the first build succeeds
	group     sync.WaitGroup
}

// run builds and serves, and repeats that after every change, until stopping
// ends. When killing ends too, the roles are killed.
func (d *devServer) run(stopping, killing context.Context) error {
	watcher, err := devstack.Watch(".")
	if err != nil {
		return fmt.Errorf("watch the source files: %w", err)
	}
	defer d.group.Wait()
	defer d.stopRoles(killing)

	var changed []string
	for {
		if err := d.update(stopping, changed); err != nil && stopping.Err() == nil {
			d.say("Cannot %v. Waiting for the next change", err)
		}
		changed, err = watcher.Next(stopping)
		if stopping.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch for changes: %w", err)
		}
		d.say("Changed: %s", strings.Join(changed, " "))
	}
}

// Private

// update builds the source files as they are now and restarts the roles.
func (d *devServer) update(ctx context.Context, changed []string) error {
	if err := d.generate(ctx, changed); err != nil {
		return fmt.Errorf("generate the templates: %w", err)
	}
	if err := d.build(ctx); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := d.runCommand(ctx, "migrate", d.program(), "migrate"); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := d.seed(ctx); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if d.roles != nil {
		d.roles.Restart()
		return nil
	}
	return d.startRoles(ctx)
}

func (d *devServer) generate(ctx context.Context, changed []string) error {
	if slices.ContainsFunc(changed, func(path string) bool { return filepath.Ext(path) == ".templ" }) {
		d.templates = true
	}
	if !d.templates {
		return nil
	}
	if err := d.runCommand(ctx, "templ", "go", "tool", "templ", "generate"); err != nil {
		return err
	}
	d.templates = false
	return nil
}

func (d *devServer) build(ctx context.Context) error {
	started := time.Now()
	next := d.program() + ".next"
	if err := d.runCommand(ctx, "build", "go", "build", "-buildvcs=false", "-o", next, "./cmd/app"); err != nil {
		return err
	}
	if err := os.Rename(next, d.program()); err != nil {
		return err
	}
	d.say("Built in %.1f s", time.Since(started).Seconds())
	return nil
}

// seed runs once in the life of a server, because the sample data never changes.
func (d *devServer) seed(ctx context.Context) error {
	if d.seeded || d.options.only != "" || d.app.seed == nil {
		return nil
	}
	if err := d.runCommand(ctx, "seed", d.program(), "seed"); err != nil {
		return err
	}
	d.seeded = true
	return nil
}

func (d *devServer) runCommand(ctx context.Context, name, program string, args ...string) error {
	lines := d.output.Lines(name)
	defer lines.Close()
	command := exec.Command(program, args...)
	command.Env = d.environment()
	command.Stdout, command.Stderr = lines, lines
	return devstack.Run(ctx, command)
}

func (d *devServer) startRoles(ctx context.Context) error {
	port := d.wantedPort()
	if name := d.options.only; name != "" {
		d.roles = devstack.Supervise(d.output, []devstack.Role{{Name: name, Program: d.program(), Args: []string{name}, Env: d.environment()}})
		if name == "web" {
			d.group.Go(func() { d.announce(ctx, port, d.address(port)) })
		}
		return nil
	}
	port, err := devstack.FreePort(port)
	if err != nil {
		return err
	}
	address := d.address(port)

	var roles []devstack.Role
	ops := firstOpsPort - 1
	for _, name := range []string{"web", "worker-pg", "worker-redis"} {
		if ops, err = devstack.FreePort(ops+1, port); err != nil {
			return err
		}
		env := d.environment("BASE_URL="+address, "OPS_PORT="+strconv.Itoa(ops))
		if name == "web" {
			env = append(env, "PORT="+strconv.Itoa(port))
		}
		roles = append(roles, devstack.Role{Name: name, Program: d.program(), Args: []string{name}, Env: env})
	}
	d.roles = devstack.Supervise(d.output, roles)
	d.group.Go(func() { d.announce(ctx, port, address) })
	return nil
}

// announce prints the address of web as soon as web is up.
func (d *devServer) announce(ctx context.Context, port int, address string) {
	client := http.Client{Timeout: time.Second}
	up := fmt.Sprintf("http://127.0.0.1:%d/up", port)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		response, err := client.Get(up)
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			d.output.Announce(d.app.announcement, address)
			return
		}
	}
}

func (d *devServer) stopRoles(killing context.Context) {
	if d.roles == nil {
		return
	}
	d.say("Stopping the roles")
	budget, cancel := context.WithTimeout(killing, devstack.RoleStopTimeout)
	defer cancel()
	d.roles.Stop(budget)
}

// wantedPort is PORT, which runDev has checked, or the first port to try.
func (d *devServer) wantedPort() int {
	if port, err := strconv.Atoi(d.variables["PORT"]); err == nil {
		return port
	}
	return firstPort
}

// address is the address of web on a port, as a developer types it.
func (d *devServer) address(port int) string {
	if given := d.variables["BASE_URL"]; given != "" {
		return given
	}
	return fmt.Sprintf("http://localhost:%d", port)
}

// environment returns the environment of every command: that of this process,
// overridden by the addresses of the servers and by more.
func (d *devServer) environment(more ...string) []string {
	return append(append(os.Environ(),
		"APP_ENV=development",
		"DATABASE_URL="+d.stack.DatabaseURL(),
		"REDIS_URL="+d.stack.RedisURL(),
	), more...)
}

func (d *devServer) say(format string, args ...any) {
	d.output.Printf("dev", format, args...)
}

func (d *devServer) program() string { return filepath.Join(d.options.dir(), "app") }
