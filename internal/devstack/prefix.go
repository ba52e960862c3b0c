package devstack

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

// Output prints the lines of several commands, each behind the name of the
// command that wrote it. A line is never mixed with another.
type Output struct {
	mutex  sync.Mutex
	writer io.Writer
	colour bool
	names  map[string]int // in order of appearance, which picks the colour
}

// NewOutput prints to a writer, with a colour for each name if wanted.
func NewOutput(writer io.Writer, colour bool) *Output {
	return &Output{writer: writer, colour: colour, names: map[string]int{}}
}

// Printf prints one line behind a name.
func (o *Output) Printf(name, format string, args ...any) {
	o.print(name, fmt.Appendf(nil, format, args...))
}

// Announce prints one line that catches the eye.
func (o *Output) Announce(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if o.colour {
		line = "\x1b[1;7m " + line + " \x1b[0m"
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	fmt.Fprintf(o.writer, "\n%s\n\n", line)
}

// Lines is a writer whose lines are printed behind a name. Close prints a last
// line that has no end.
func (o *Output) Lines(name string) io.WriteCloser {
	return &lines{output: o, name: name}
}

// Private

// Longer lines are printed in parts.
const longestLine = 64 << 10

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
	rest   []byte // of a line that has no end yet
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
	if len(l.rest) > longestLine {
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
