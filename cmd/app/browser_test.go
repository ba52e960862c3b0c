package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser starts Chromium with a profile of its own. A selector of one word also finds
// the text of attributes, and a digest may contain any short one, so name two elements.
func browser(t *testing.T) context.Context {
	t.Helper()
	program := chromium(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.WindowSize(1280, 900))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	tab, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	do(tab, t)
	tab, cancel = context.WithTimeout(tab, 2*time.Minute)
	t.Cleanup(cancel)
	return tab
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	if os.Getenv("CI") == "true" {
		require.Fail(t, "there is no Chromium: run bin/setup")
	}
	t.Skip("there is no Chromium: run bin/setup")
	return ""
}

func do(tab context.Context, t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(tab, actions...))
}

func ask[T any](tab context.Context, t *testing.T, question chromedp.Action[T]) T {
	t.Helper()
	answer, err := chromedp.Run(tab, question)
	require.NoError(t, err)
	return answer
}

func text(tab context.Context, t *testing.T, selector string) string {
	t.Helper()
	return ask(tab, t, chromedp.TextContent(selector))
}

// picture stores a screenshot in the directory that SCREENSHOTS names.
func picture(tab context.Context, t *testing.T, name string) {
	t.Helper()
	directory := os.Getenv("SCREENSHOTS")
	if directory == "" {
		return
	}
	png := ask(tab, t, chromedp.CaptureScreenshot())
	require.NoError(t, os.MkdirAll(directory, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(directory, name+".png"), png, 0o644))
}

// listenForProblems returns a function that tells what the console of a tab has shown since.
func listenForProblems(tab context.Context, t *testing.T) func() string {
	t.Helper()
	var lock sync.Mutex
	var shown strings.Builder
	require.NoError(t, chromedp.Listen(tab, func(event any) {
		lock.Lock()
		defer lock.Unlock()
		switch event := event.(type) {
		case *log.EventEntryAdded:
			fmt.Fprintln(&shown, event.Entry.Level, event.Entry.Text, event.Entry.URL)
		case *runtime.EventExceptionThrown:
			fmt.Fprintln(&shown, event.ExceptionDetails)
		}
	}))
	return func() string {
		lock.Lock()
		defer lock.Unlock()
		return shown.String()
	}
}
