package connection

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestPace_ASlowHeaderEndsItsConnection(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{ReadTimeout: testTimeout}, answerOK)
	for name, before := range map[string]bool{"first request": false, "second request": true} {
		client := server.dial(t)
		if before {
			status, _ := client.get(t)
			require.Equal(t, http.StatusOK, status, name)
		}
		closed := server.closed(t, slowHeader)

		// Every line comes long before the timeout, and the header never ends.
		client.send(t, "GET / HTTP/1.1\r\nHost: test\r\n")
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(client, "X-%d: x\r\n", i); err != nil {
				break
			}
			time.Sleep(testTimeout / 10)
		}

		require.Equal(t, closed+1, server.closed(t, slowHeader), name)
	}
	silent := server.dial(t)
	silent.requireClosed(t)
	require.Equal(t, 2, server.closed(t, slowHeader), "a client that sends nothing is not slow")
}

func TestPace_ASlowUploadThatGoesOnIsRead(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{ReadTimeout: testTimeout}, func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		fmt.Fprint(w, len(content), " ", err)
	})
	for version := 1; version <= 2; version++ {
		upload, client := io.Pipe()
		go func() {
			for range 6 { // longer than the timeout
				time.Sleep(testTimeout / 4)
				_, _ = client.Write(make([]byte, MinimumRate))
			}
			_ = client.Close()
		}()

		response, err := server.client(t, version).Post(server.url, "text/plain", upload)

		require.NoError(t, err)
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, fmt.Sprint(6*MinimumRate, " <nil>"), string(content), "HTTP/%d", version)
	}
	require.Zero(t, server.closed(t, slowBody))
}

func TestPace_AnUploadThatStallsOrTricklesEnds(t *testing.T) {
	t.Parallel()
	for name, trickles := range map[string]bool{"stalls": false, "trickles": true} {
		for version := 1; version <= 2; version++ {
			t.Run(fmt.Sprintf("%s in HTTP/%d", name, version), func(t *testing.T) {
				t.Parallel()
				failure := make(chan error, 1)
				server := serve(t, Options{ReadTimeout: testTimeout}, func(w http.ResponseWriter, r *http.Request) {
					_, err := io.ReadAll(r.Body)
					failure <- err
					w.WriteHeader(http.StatusRequestTimeout)
				})
				upload, client := io.Pipe()
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, err := client.Write([]byte("x"))
					for range 10 * 20 {
						if err != nil || !trickles {
							return
						}
						time.Sleep(testTimeout / 20)
						_, err = client.Write([]byte("x"))
					}
					_ = client.Close()
				}()

				response, err := server.client(t, version).Post(server.url, "text/plain", upload)

				require.ErrorIs(t, <-failure, os.ErrDeadlineExceeded)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
				require.Equal(t, 1, server.closed(t, slowBody))
				require.NoError(t, upload.Close())
				<-sent
			})
		}
	}
}

func TestPace_ABodyThatNobodyReadsHoldsNoConnection(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{ReadTimeout: testTimeout}, answerOK)
	client := server.dial(t)

	client.send(t, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nx")

	status, _ := client.response(t)
	require.Equal(t, http.StatusOK, status)
	client.requireClosed(t)
}

func TestPace_WorkAfterAnUploadMayTakeLonger(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{ReadTimeout: testTimeout / 4}, func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		select {
		case <-r.Context().Done():
			err = context.Cause(r.Context())
		case <-time.After(testTimeout):
		}
		fmt.Fprint(w, string(content), " ", err)
	})
	for version := 1; version <= 2; version++ {
		response, err := server.client(t, version).Post(server.url, "text/plain", strings.NewReader("all"))

		require.NoError(t, err)
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "all <nil>", string(content), "HTTP/%d", version)
	}
}

func TestPace_AClientThatReadsNothingEnds(t *testing.T) {
	t.Parallel()
	for version := 1; version <= 2; version++ {
		for name, pieces := range map[string]int{"at once": 1, "in pieces": 1 << 10} {
			t.Run(fmt.Sprintf("%s in HTTP/%d", name, version), func(t *testing.T) {
				t.Parallel()
				failure := make(chan error, 1)
				var taken atomic.Int64
				server := serve(t, Options{WriteTimeout: testTimeout}, func(w http.ResponseWriter, _ *http.Request) {
					failure <- write(&counter{w, &taken}, pieces)
				})

				response, err := server.client(t, version).Get(server.url)
				require.NoError(t, err)
				defer response.Body.Close()

				require.Error(t, <-failure)
				stacktest.Eventually(t, func() bool { return server.closed(t, slowReader) >= 1 })
				require.Less(t, taken.Load(), int64(2<<20), "the system keeps little for a client that reads nothing")
			})
		}
	}
}

func TestPace_TheEndOfAResponseToAClientThatReadsNothing(t *testing.T) {
	t.Parallel()
	// What net/http has not sent when the handler returns must end as well.
	returned := make(chan struct{})
	server := serve(t, Options{WriteTimeout: testTimeout}, func(w http.ResponseWriter, _ *http.Request) {
		defer close(returned)
		_, _ = io.WriteString(w, "a short page")
	})
	framer := server.dial(t)
	framer.send(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	framer.send(t, "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00") // SETTINGS: a window of 0 bytes
	framer.send(t, "\x00\x00\x07\x01\x05\x00\x00\x00\x01\x82\x84\x86\x41\x02te")   // HEADERS: GET / of te
	<-returned

	var seen []byte
	for !strings.Contains(string(seen), "\x00\x00\x04\x03\x00\x00\x00\x00\x01") { // RST_STREAM
		next, err := framer.reader.ReadByte()
		require.NoError(t, err)
		seen = append(seen, next)
	}
}

func TestPace_ASlowReaderThatGoesOnGetsEverything(t *testing.T) {
	t.Parallel()
	for version := 1; version <= 2; version++ {
		for name, pieces := range map[string]int{"at once": 1, "in pieces": 1 << 10} {
			t.Run(fmt.Sprintf("%s in HTTP/%d", name, version), func(t *testing.T) {
				t.Parallel()
				server := serve(t, Options{WriteTimeout: testTimeout}, func(w http.ResponseWriter, _ *http.Request) {
					_ = write(w, pieces)
				})

				response, err := server.client(t, version).Get(server.url)
				require.NoError(t, err)
				defer response.Body.Close()
				read := int64(0)
				for range 6 { // longer than the timeout
					time.Sleep(testTimeout / 4)
					n, err := io.CopyN(io.Discard, response.Body, largeBody/20)
					require.NoError(t, err)
					read += n
				}
				rest, err := io.Copy(io.Discard, response.Body)

				require.NoError(t, err)
				require.EqualValues(t, largeBody, read+rest)
				require.Zero(t, server.closed(t, slowReader))
			})
		}
	}
}

func TestPace_AQuietStreamGoesOn(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{ReadTimeout: testTimeout, WriteTimeout: testTimeout / 4}, func(w http.ResponseWriter, _ *http.Request) {
		controller := http.NewResponseController(w)
		for i := range 3 {
			time.Sleep(testTimeout / 2)
			// As package live does it: the deadline is that of one event.
			_ = controller.SetWriteDeadline(time.Now().Add(testTimeout / 4))
			fmt.Fprintf(w, "data: %d\n\n", i)
			if err := controller.Flush(); err != nil {
				return
			}
		}
	})
	for version := 1; version <= 2; version++ {
		response, err := server.client(t, version).Get(server.url)
		require.NoError(t, err)
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err, "HTTP/%d", version)
		require.NoError(t, response.Body.Close())

		require.Equal(t, "data: 0\n\ndata: 1\n\ndata: 2\n\n", string(content))
	}
}

func TestPace_AConnectionThatAHandlerTakesOverIsItsOwn(t *testing.T) {
	t.Parallel()
	server := serve(t, Options{ReadTimeout: testTimeout / 4, WriteTimeout: testTimeout / 4, IdleTimeout: testTimeout / 4, Most: 1},
		func(w http.ResponseWriter, _ *http.Request) {
			taken, buffer, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			go func() {
				defer taken.Close()
				_, _ = io.WriteString(taken, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
				line, _ := buffer.ReadString('\n')
				_, _ = io.WriteString(taken, line)
			}()
		})
	socket := server.dial(t)
	socket.send(t, "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	require.Contains(t, socket.line(t), "101")
	socket.skipHeader(t)

	time.Sleep(testTimeout)
	server.dial(t).requireClosed(t) // there is no room, and a busy connection makes none
	socket.send(t, "ahoy\r\n")

	require.Equal(t, "ahoy", socket.line(t))
	socket.requireClosed(t)
	stacktest.Eventually(t, func() bool { return server.guard.room.open() == 0 })
}

func TestPace_AClientThatDoesNotReadWhatAHandlerHasTakenOverIsCounted(t *testing.T) {
	t.Parallel()
	failure := make(chan error, 1)
	server := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		taken, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		go func() {
			defer taken.Close()
			_ = taken.SetWriteDeadline(time.Now().Add(testTimeout))
			failure <- write(taken, 1)
		}()
	})
	server.dial(t).send(t, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")

	require.ErrorIs(t, <-failure, os.ErrDeadlineExceeded)
	require.EqualValues(t, 1, server.closed(t, slowReader))
	stacktest.Eventually(t, func() bool { return server.guard.room.open() == 0 })
}

func TestPace_AnIdleConnectionIsKeptForItsTime(t *testing.T) {
	t.Parallel()
	patient := serve(t, Options{ReadTimeout: testTimeout / 4}, answerOK)
	client := patient.dial(t)
	for range 2 {
		status, _ := client.get(t)
		require.Equal(t, http.StatusOK, status)
		time.Sleep(testTimeout)
	}
	require.GreaterOrEqual(t, DefaultIdleTimeout, 5*time.Minute, "a proxy must close its idle connections first")

	impatient := serve(t, Options{IdleTimeout: testTimeout / 4}, answerOK)
	client = impatient.dial(t)
	status, _ := client.get(t)
	require.Equal(t, http.StatusOK, status)
	client.requireClosed(t)
	require.Zero(t, impatient.closed(t, slowHeader))
}

// Private

// largeBody is more than systems keep for a client that does not read.
const largeBody = 16 << 20

func answerOK(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// counter counts the bytes that are written.
type counter struct {
	io.Writer
	count *atomic.Int64
}

func (c *counter) Write(content []byte) (int, error) {
	n, err := c.Writer.Write(content)
	c.count.Add(int64(n))
	return n, err
}

// write writes a large body.
func write(w io.Writer, pieces int) error {
	piece := make([]byte, largeBody/pieces)
	for range pieces {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}
