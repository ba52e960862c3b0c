package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/edge"
	"slipway/internal/edge/httpcache"
	"slipway/internal/edge/testorigin"
)

// judgeEdge runs the suite in directory and prints its verdict on the cache.
func judgeEdge(ctx context.Context, out io.Writer, directory string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	origin, err := startSuite(ctx, directory)
	if err != nil {
		return err
	}
	defer origin.stop()
	cached, closeCache, err := serveCached(ctx, origin.address)
	if err != nil {
		return err
	}
	defer closeCache()
	results, err := runSuite(ctx, directory, cached)
	if err != nil {
		return err
	}
	printResults(out, results)
	return nil
}

// suite is the running server of the suite.
type suite struct {
	address string
	command *exec.Cmd
}

// judgement is the suite's own verdict on one test.
type judgement struct {
	ID, Kind, Verdict, Detail string
	Passed                    bool
}

// startSuite starts the server of the suite on a free port and waits for it.
func startSuite(ctx context.Context, directory string) (*suite, error) {
	port, _, err := freePorts()
	if err != nil {
		return nil, err
	}
	s := &suite{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	s.command = node(ctx, directory, "--import", loopbackOnly, "test-engine/server/server.mjs")
	s.command.Env = append(s.command.Env, "npm_config_protocol=http", "npm_config_port="+strconv.Itoa(port), "npm_config_pidfile="+os.DevNull)
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("start the server of the suite: %w", err)
	}
	for range 100 {
		connection, err := net.DialTimeout("tcp", s.address, time.Second)
		if err == nil {
			connection.Close()
			return s, nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			break
		}
	}
	s.stop()
	return nil, fmt.Errorf("the server of the suite does not listen on %s", s.address)
}

func (s *suite) stop() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// runSuite runs the client of the suite against an address.
func runSuite(ctx context.Context, directory, address string) ([]judgement, error) {
	client := node(ctx, directory, "--no-warnings", "test-engine/cli.mjs")
	client.Env = append(client.Env, "npm_config_base=http://"+address, "npm_package_config_id=")
	raw, err := output(client)
	if err != nil {
		return nil, fmt.Errorf("run the suite: %w", err)
	}
	verdicts := node(ctx, directory, "--no-warnings", "--input-type=module", "--eval", readVerdicts)
	verdicts.Stdin = bytes.NewReader(raw)
	if raw, err = output(verdicts); err != nil {
		return nil, fmt.Errorf("read the results of the suite: %w", err)
	}
	var results []judgement
	if err := json.Unmarshal(raw, &results); err != nil {
		return nil, fmt.Errorf("read the results of the suite: %w", err)
	}
	return results, nil
}

func printResults(out io.Writer, results []judgement) {
	passed, all := map[string]int{}, map[string]int{}
	for _, one := range results {
		all[one.Kind]++
		if one.Passed {
			passed[one.Kind]++
		}
	}
	for _, kind := range []string{"required", "optimal", "check"} {
		fmt.Fprintf(out, "%-10s %3d of %d\n", kind, passed[kind], all[kind])
	}
	for _, kind := range []string{"required", "optimal", "check"} {
		fmt.Fprintf(out, "\nNot passed, %s\n", kind)
		for _, one := range results {
			if one.Kind == kind && !one.Passed {
				fmt.Fprintf(out, "  %-52s %-10s %s\n", one.ID, one.Verdict, one.Detail)
			}
		}
	}
}

// Private

// serveCached listens with the edge in front of a plain reverse proxy to an address. It returns the address that it listens on.
func serveCached(ctx context.Context, origin string) (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen for the edge: %w", err)
	}
	cached := edge.New(edge.Options{
		Policy: httpcache.RFC9111, CacheSize: 64 << 20, MaxItemSize: 1 << 20, StaleIfError: time.Minute,
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	}, testorigin.Proxy(&url.URL{Scheme: "http", Host: origin}))
	server := &http.Server{
		Handler: cached, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), func() { _ = server.Close(); cached.Close() }, nil
}

const (
	// loopbackOnly makes a server listen on 127.0.0.1; the suite's own listens everywhere.
	loopbackOnly = `data:text/javascript,import net from "node:net"; const listen = net.Server.prototype.listen; ` +
		`net.Server.prototype.listen = function (port) { return listen.call(this, { port: Number(port), host: "127.0.0.1" }) }`

	// readVerdicts reads the client's results and prints the suite's verdict on each
	// test that is not for browsers only.
	readVerdicts = `
import { readFileSync } from 'node:fs'
const { default: suites } = await import(process.cwd() + '/tests/index.mjs')
const { determineTestResult, resultTypes } = await import(process.cwd() + '/test-engine/lib/results.mjs')
const results = JSON.parse(readFileSync(0, 'utf8'))
const names = new Map(Object.entries(resultTypes).map(([name, type]) => [type, name]))
const verdicts = suites.flatMap(suite => suite.tests).filter(test => !test.browser_only).map(test => {
  const type = determineTestResult(suites, test.id, results)
  const result = results[test.id]
  return {
    ID: test.id, Kind: test.kind || 'required', Verdict: names.get(type),
    Detail: Array.isArray(result) ? result[1] : '', Passed: type === resultTypes.pass || type === resultTypes.yes
  }
})
console.log(JSON.stringify(verdicts))`
)

func node(ctx context.Context, directory string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "node", arguments...)
	command.Dir = directory
	command.Env = os.Environ()
	return command
}

// output runs a command and returns what it prints. An error has what it complains
// about.
func output(command *exec.Cmd) ([]byte, error) {
	var complaints bytes.Buffer
	command.Stderr = &complaints
	printed, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(complaints.Bytes()))
	}
	return printed, nil
}
