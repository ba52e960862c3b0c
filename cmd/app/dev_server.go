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
	stack     *devstack.Stack   // nil with --only
	variables map[string]string // the environment, with .env

	generated bool                 // the templates are generated
	bundler   bool                 // the program that builds the assets is built
	bundled   bool                 // the assets are built
	migrated  bool                 // the database has the schema of the source files
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
	d.forget(changed)
	if err := d.generate(ctx); err != nil {
		return fmt.Errorf("generate the templates: %w", err)
	}
	if err := d.bundle(ctx); err != nil {
		return fmt.Errorf("build the assets: %w", err)
	}
	next := d.options.program() + ".next"
	if err := d.build(ctx, next); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if err := d.migrate(ctx, next); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if err := d.seed(ctx, next); err != nil {
		return fmt.Errorf("seed: %w", err)
	}
	if err := os.Rename(next, d.options.program()); err != nil { // processes with --only see it, and restart
		return fmt.Errorf("replace the program: %w", err)
	}
	if d.options.builder {
		return nil
	}
	if d.roles != nil {
		d.roles.Restart()
		return nil
	}
	return d.startRoles(ctx)
}

// forget says which steps the changed files make necessary again.
func (d *devServer) forget(changed []string) {
	for _, path := range changed {
		switch {
		case filepath.Ext(path) == ".templ":
			d.generated = false
		case isAsset(path):
			d.bundled = false
		default:
			d.migrated = false
		}
		if filepath.Ext(path) == ".go" || path == "go.mod" {
			d.bundler = false
		}
	}
}

// isAsset reports whether a file is in a directory of assets.
func isAsset(path string) bool {
	return slices.Contains(strings.Split(filepath.ToSlash(filepath.Dir(path)), "/"), "assets")
}

func (d *devServer) generate(ctx context.Context) error {
	if d.generated {
		return nil
	}
	if err := d.runCommand(ctx, "templ", "go", "tool", "templ", "generate"); err != nil {
		return err
	}
	d.generated = true
	return nil
}

// assetBuild is the program that builds the assets of a checkout.
const assetBuild = "./internal/assets/build"

// bundle builds the assets when the server starts, for their source maps, and after each
// change of one.
func (d *devServer) bundle(ctx context.Context) error {
	if _, err := os.Stat(assetBuild); d.bundled || err != nil {
		return nil
	}
	bundler := filepath.Join(d.options.dir, "build-assets") // starts sooner than go run
	if !d.bundler {
		if err := d.runCommand(ctx, "assets", "go", "build", "-buildvcs=false", "-o", bundler, assetBuild); err != nil {
			return err
		}
		d.bundler = true
	}
	if err := d.runCommand(ctx, "assets", bundler, "-source-maps"); err != nil {
		return err
	}
	d.bundled = true
	return nil
}

func (d *devServer) build(ctx context.Context, program string) error {
	started := time.Now()
	if err := d.runCommand(ctx, "build", "go", "build", "-buildvcs=false", "-o", program, "./cmd/app"); err != nil {
		return err
	}
	d.say("Built in %.1f s", time.Since(started).Seconds())
	return nil
}

// migrate does nothing after changes of templates and assets alone, which appear sooner
// without it.
func (d *devServer) migrate(ctx context.Context, program string) error {
	if d.migrated {
		return nil
	}
	if err := d.runCommand(ctx, "migrate", program, "migrate"); err != nil {
		return err
	}
	d.migrated = true
	return nil
}

// seed runs once in the life of a server, because the sample data never changes.
func (d *devServer) seed(ctx context.Context, program string) error {
	if d.seeded || d.app.seed == nil {
		return nil
	}
	if err := d.runCommand(ctx, "seed", program, "seed"); err != nil {
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
	port, err := devstack.FreePort(d.wantedPort())
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
		roles = append(roles, devstack.Role{Name: name, Program: d.options.program(), Args: []string{name}, Env: env})
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
			if d.variables["JOBS_DASHBOARD_USER"] == "" {
				d.say("Jobs and tasks are at %[1]s/jobs, the pulse is at %[1]s/ops: user dev, password dev", address)
			}
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
