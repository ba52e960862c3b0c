package stacktest

import (
	"bytes"
	"log/slog"
	"sync"
)

// Journal is a log that several goroutines may write and a test may read.
type Journal struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

// Logger logs to the journal as text.
func (j *Journal) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// Write adds to the journal.
func (j *Journal) Write(line []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.buffer.Write(line)
}

// Take returns what was written since the last Take, and empties the journal.
func (j *Journal) Take() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	defer j.buffer.Reset()
	return j.buffer.String()
}

// String returns what is in the journal.
func (j *Journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.buffer.String()
}
