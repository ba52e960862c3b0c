package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"slipway/internal/devstack"
)

// server is a process that listens on a port of 127.0.0.1.
type server struct {
	command *exec.Cmd
	port    int
	opsPort int // where /metrics is
}

func (s *server) url(path string) string { return "http://127.0.0.1:" + strconv.Itoa(s.port) + path }
func (s *server) metrics() string        { return "http://127.0.0.1:" + strconv.Itoa(s.opsPort) + "/metrics" }
func (s *server) pid() int               { return s.command.Process.Pid }

func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	force := time.AfterFunc(10*time.Second, func() { _ = s.command.Process.Kill() })
	defer force.Stop()
	_ = s.command.Wait()
}

// startWeb starts `app web` for production, without limits on one client, and with
// more variables.
func startWeb(ctx context.Context, app string, variables ...string) (*server, error) {
	port, opsPort, err := freePorts()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, app, "web")
	command.Env = append(os.Environ(),
		"PORT="+strconv.Itoa(port), "OPS_PORT="+strconv.Itoa(opsPort), "APP_ENV=production", "BASE_URL=https://"+host,
		"SECRET_KEY_BASE="+rand.Text()+rand.Text()+rand.Text(), "PAYMENT_GATEWAY=sandbox", "MAIL_DIR="+os.TempDir(),
		"RACK_ATTACK_REQ_IP_LIMIT=1000000000",
	)
	command.Env = append(command.Env, variables...)
	web, err := start(ctx, command, port, "/up")
	if err != nil {
		return nil, err
	}
	web.opsPort = opsPort
	return web, nil
}

// startRawPage starts a server of pages that are made with libraries alone (see
// rawpage).
func startRawPage(ctx context.Context) (*server, error) {
	port, _, err := freePorts()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, os.Args[0], "rawpage")
	command.Env = append(os.Environ(), "PORT="+strconv.Itoa(port))
	raw, err := start(ctx, command, port, "/metrics")
	if err != nil {
		return nil, err
	}
	raw.opsPort = port
	return raw, nil
}

// startPage starts a server of net/http that responds with one page (see servePage).
func startPage(ctx context.Context, file string) (*server, error) {
	port, _, err := freePorts()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, os.Args[0], "page", file)
	command.Env = append(os.Environ(), "PORT="+strconv.Itoa(port))
	return start(ctx, command, port, "/")
}

// startThruster starts Thruster in front of a server of one page.
func startThruster(ctx context.Context, program, file, directory string) (*server, error) {
	port, inner, err := freePorts()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, program, self, "page", file, "--identity")
	command.Dir = directory
	command.Env = append(os.Environ(),
		"HTTP_PORT="+strconv.Itoa(port), "TARGET_PORT="+strconv.Itoa(inner), "LOG_REQUESTS=false", "STORAGE_PATH="+directory)
	return start(ctx, command, port, "/")
}

// startNginx starts nginx, which serves the files in directory and their ready .gz, and
// below /cached/ keeps the responses of a server of one page.
func startNginx(ctx context.Context, directory string, page *server) (*server, error) {
	port, _, err := freePorts()
	if err != nil {
		return nil, err
	}
	configuration := filepath.Join(directory, "nginx.conf")
	var text bytes.Buffer
	err = nginxConfiguration.Execute(&text, map[string]any{
		"Directory": directory, "Port": port, "Page": page.url("/"), "Root": os.Geteuid() == 0,
	})
	if err := errors.Join(err, os.WriteFile(configuration, text.Bytes(), 0o600)); err != nil {
		return nil, err
	}
	return start(ctx, exec.CommandContext(ctx, "nginx", "-p", directory, "-c", configuration, "-e", "stderr"), port, "/nginx.conf")
}

// Private

// host is the host that requests name.
const host = "shop.example.com"

var nginxConfiguration = template.Must(template.New("nginx").Parse(`
{{if .Root}}user root;{{end}}
daemon off; worker_processes 2; pid {{.Directory}}/nginx.pid; error_log stderr;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; keepalive_requests 1000000000;
  types { text/css css; text/html html; }
  client_body_temp_path {{.Directory}}/body; proxy_temp_path {{.Directory}}/proxy; fastcgi_temp_path {{.Directory}}/fastcgi;
  uwsgi_temp_path {{.Directory}}/uwsgi; scgi_temp_path {{.Directory}}/scgi;
  proxy_cache_path {{.Directory}}/cache keys_zone=pages:10m;
  server {
    listen 127.0.0.1:{{.Port}};
    root {{.Directory}}; gzip_static on;
    location /cached/ {
      proxy_pass {{.Page}}; proxy_cache pages; proxy_cache_key $uri;
      proxy_http_version 1.1; proxy_set_header Connection "";
    }
  }
}
`))

// start starts a server and waits until it responds to a path without an error.
func start(ctx context.Context, command *exec.Cmd, port int, path string) (*server, error) {
	var complaints bytes.Buffer
	command.Stderr = &complaints
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &server{command: command, port: port}
	for range 200 {
		if response, err := request(ctx, s.url(path)); err == nil {
			response.Body.Close()
			if response.StatusCode < http.StatusBadRequest {
				return s, nil
			}
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			break
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s does not respond on port %d: %s", filepath.Base(command.Path), port, bytes.TrimSpace(complaints.Bytes()))
}

// request gets a page of a server, as it is stored, and follows no redirect.
func request(ctx context.Context, url string, fields ...string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Host = host
	request.Header.Set("Accept-Encoding", "identity")
	setFields(request.Header, fields)
	return http.DefaultTransport.RoundTrip(request)
}

// setFields sets fields "Name: value" of a header.
func setFields(header http.Header, fields []string) {
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		header.Set(name, value)
	}
}

// freePorts returns two ports below the range of outgoing connections, none of which
// takes them meanwhile.
func freePorts() (one, other int, err error) {
	if one, err = devstack.FreePort(20_000); err != nil {
		return 0, 0, err
	}
	other, err = devstack.FreePort(20_000, one)
	return one, other, err
}

// cpuOfTree returns the CPU seconds of a process and its children, those included that
// have ended.
func cpuOfTree(pid int) float64 {
	seconds, _ := cpuOf(pid)
	seconds += cpuOfEnded(pid)
	for _, child := range childrenOf(pid) {
		seconds += cpuOfTree(child)
	}
	return seconds
}

// cpuOfEnded returns the CPU seconds of the children of a process that have ended, to
// the hundredth.
func cpuOfEnded(pid int) float64 {
	const user, system = 13, 14 // cutime and cstime of proc_pid_stat(5), counted from the state
	fields := statOf(pid)
	if len(fields) <= system {
		return 0
	}
	ofUser, _ := strconv.ParseFloat(fields[user], 64)
	ofSystem, _ := strconv.ParseFloat(fields[system], 64)
	return (ofUser + ofSystem) / 100
}

func childrenOf(pid int) (children []int) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range processes {
		if child, err := strconv.Atoi(filepath.Base(path)); err == nil && parentOf(child) == pid {
			children = append(children, child)
		}
	}
	return children
}

// parentOf returns the parent of a process; 0: it is not known.
func parentOf(pid int) int {
	const parent = 1
	fields := statOf(pid)
	if len(fields) <= parent {
		return 0
	}
	number, _ := strconv.Atoi(fields[parent])
	return number
}

// statOf returns what the system tells about a process, from its state on: see
// proc_pid_stat(5).
func statOf(pid int) []string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ") // after the name, which may have spaces
	return strings.Fields(rest)
}
