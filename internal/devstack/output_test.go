package devstack

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutput_PutsTheNameBeforeEveryLine(t *testing.T) {
	t.Parallel()
	var printed bytes.Buffer
	output := NewOutput(&printed, false)

	web, worker := output.Lines("web"), output.Lines("worker-redis")
	fmt.Fprint(web, "Star")
	fmt.Fprint(worker, "Started\r\nTasks ")
	fmt.Fprint(web, "ted\n\n")
	require.NoError(t, worker.Close())

	require.Equal(t, "worker-redis | Started\nweb          | Started\nweb          | \nworker-redis | Tasks \n", printed.String())
}

func TestOutput_ColoursNamesOnlyWhenWanted(t *testing.T) {
	t.Parallel()
	var printed bytes.Buffer
	output := NewOutput(&printed, true)

	output.Printf("web", "one %d", 1)
	output.Printf("seed", "two")
	output.Printf("web", "three")

	require.Equal(t, "\x1b[36mweb          |\x1b[0m one 1\n"+
		"\x1b[33mseed         |\x1b[0m two\n"+
		"\x1b[36mweb          |\x1b[0m three\n", printed.String())
}
