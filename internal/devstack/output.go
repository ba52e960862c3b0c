package devstack

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// Output prints the lines of several commands, each with the name of its command
// in front. It is safe for concurrent use, and never mixes two lines.
type Output struct {
	mutex  sync.Mutex
	writer io.Writer
	colour bool
	names  map[string]int // position in order of appearance, which selects the colour
}

// NewOutput returns an output to writer. When colour is true, it prints each name
// in a colour of its own, by ANSI escape codes.
func NewOutput(writer io.Writer, colour bool) *Output {
	return &Output{writer: writer, colour: colour, names: map[string]int{}}
}

// Printf prints one line with a name in front.
func (o *Output) Printf(name, format string, args ...any) {
	o.print(name, fmt.Appendf(nil, format, args...))
}

// Announce prints one line between empty lines, highlighted when in colour.
func (o *Output) Announce(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if o.colour {
		line = "\x1b[1;7m " + line + " \x1b[0m"
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	fmt.Fprintf(o.writer, "\n%s\n\n", line)
}

// Lines returns a writer that prints each line with a name in front. Close prints a
// last line without a line end.
func (o *Output) Lines(name string) io.WriteCloser {
	return &lines{output: o, name: name}
}

// Private

// maxLine is the length in bytes from which a line is printed in parts.
const maxLine = 64 << 10

var colours = []int{36, 33, 32, 35, 34, 96}

func (o *Output) print(name string, line []byte) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if !o.colour {
		fmt.Fprintf(o.writer, "%-12s | %s\n", name, line)
		return
	}
	if _, known := o.names[name]; !known {
		o.names[name] = len(o.names)
	}
	fmt.Fprintf(o.writer, "\x1b[%dm%-12s |\x1b[0m %s\n", colours[o.names[name]%len(colours)], name, line)
}

type lines struct {
	output *Output
	name   string
	rest   []byte // the last line, whose end is not written yet
}

func (l *lines) Write(text []byte) (int, error) {
	l.rest = append(l.rest, text...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			break
		}
		l.output.print(l.name, bytes.TrimSuffix(line, []byte("\r")))
		l.rest = rest
	}
	if len(l.rest) > maxLine {
		return len(text), l.Close()
	}
	return len(text), nil
}

func (l *lines) Close() error {
	if len(l.rest) > 0 {
		l.output.print(l.name, l.rest)
		l.rest = nil
	}
	return nil
}
