package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// verdict is what the tests of a mutant said.
type verdict string

const (
	caught       verdict = "caught"
	survived     verdict = "SURVIVED"
	doesNotBuild verdict = "DOES NOT BUILD" // a compiler error proves nothing about the tests
	notTried     verdict = "NOT TRIED"      // its tests fail on the unchanged source, so they could not tell it from the original
)

// report counts the verdicts of a run.
type report struct{ caught, survived, broken, untried int }

// try runs the tests of each mutant on the source in the directory root, first on
// the unchanged source, and prints a line or more for each mutant.
func try(ctx context.Context, root string, out io.Writer, mutants []mutant) (report, error) {
	var counted report
	unchanged := map[string]error{} // by the tests of a mutant
	for _, m := range mutants {
		if _, known := unchanged[m.Test]; !known {
			fault, err := runUnchanged(ctx, root, m.Test)
			if err != nil {
				return counted, err
			}
			unchanged[m.Test] = fault
		}
		if fault := unchanged[m.Test]; fault != nil {
			counted.untried++
			fmt.Fprintf(out, "%-14s         %s\n%24s%s  %s\n", notTried, m.Promise, "", m.File, fault)
			continue
		}
		result, by, took, err := m.try(ctx, root)
		if err != nil {
			return counted, fmt.Errorf("try the mutant of %s (%s): %w", m.File, m.Promise, err)
		}
		switch result {
		case caught:
			counted.caught++
		case survived:
			counted.survived++
		case doesNotBuild:
			counted.broken++
		}
		fmt.Fprintf(out, "%-14s %5.1fs  %s\n", result, took.Seconds(), m.Promise)
		fmt.Fprintf(out, "%24s%s\n", "", strings.Join(append([]string{m.File}, by...), "  "))
	}
	fmt.Fprintf(out, "\n%d mutants: %d caught, %d survived, %d do not build, %d not tried\n",
		len(mutants), counted.caught, counted.survived, counted.broken, counted.untried)
	return counted, nil
}

// Private

// testTimeout ends a test that a mutant makes hang. Such a mutant is caught.
const testTimeout = "5m"

// runUnchanged runs tests on the source as it is. Fault says why they prove nothing:
// they fail, or there is none.
func runUnchanged(ctx context.Context, root, test string) (fault, err error) {
	output, failed, err := goTest(ctx, root, test)
	switch {
	case err != nil:
		return nil, err
	case failed:
		return fmt.Errorf("go test %s fails on the unchanged source:\n%s", test, output), nil
	case !ranTest.MatchString(output):
		return fmt.Errorf("go test %s runs no test", test), nil
	}
	return nil, nil
}

// try runs the tests with the mutant in place. By names the tests that failed.
func (m mutant) try(ctx context.Context, root string) (result verdict, by []string, took time.Duration, err error) {
	directory, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", nil, 0, fmt.Errorf("make a directory for the changed file: %w", err)
	}
	defer func() { _ = os.RemoveAll(directory) }() // what stays is small, and in the system's temporary directory
	overlay, err := m.overlay(root, directory)
	if err != nil {
		return "", nil, 0, err
	}
	started := time.Now()
	output, failed, err := goTest(ctx, root, m.Test, "-overlay", overlay)
	took = time.Since(started)
	switch {
	case err != nil:
		return "", nil, took, err
	case !failed:
		return survived, nil, took, nil
	case strings.Contains(output, "[build failed]") || strings.Contains(output, "[setup failed]"):
		return doesNotBuild, []string{output}, took, nil
	}
	for _, match := range failedTest.FindAllStringSubmatch(output, -1) {
		by = append(by, match[1])
	}
	return caught, by, took, nil
}

// failedTest finds the names of failed tests in the output of go test. Subtests
// are indented, and their parent is named too.
var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// ranTest finds a package of which a test ran in the output of go test.
var ranTest = regexp.MustCompile(`(?m)^ok  \t\S+\t[0-9.]+s$`)

// goTest runs go test in the directory root with the arguments in test, and reports
// whether it failed. The error says that it could not run or that ctx ended.
func goTest(ctx context.Context, root, test string, flags ...string) (output string, failed bool, err error) {
	args := slices.Concat([]string{"test", "-count=1", "-vet=off", "-failfast", "-timeout=" + testTimeout}, flags, strings.Fields(test))
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = root
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
	command.WaitDelay = 10 * time.Second
	written, err := command.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", false, ctx.Err()
	case errors.As(err, &exit):
		return string(written), true, nil
	case err != nil:
		return "", false, fmt.Errorf("run go test: %w", err)
	}
	return string(written), false, nil
}
