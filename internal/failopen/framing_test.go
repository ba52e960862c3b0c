package failopen

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestFraming_TakesWhatARedisSends(t *testing.T) {
	t.Parallel()
	for _, replies := range []string{
		"+OK\r\n", "-ERR no such thing\r\n", ":0\r\n", ":-7\r\n", "$0\r\n\r\n", "$5\r\nhello\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
		"*3\r\n$1\r\na\r\n:1\r\n*2\r\n$-1\r\n*0\r\n",
		"*2\r\n*1\r\n*1\r\n:1\r\n*-1\r\n",
		"*1\r\n$7\r\nmessage\r\n",
		"$16777216\r\n" + strings.Repeat("x", longestString) + "\r\n",
		strings.Repeat("*1\r\n", deepestArray) + ":1\r\n",
		"*262144\r\n" + strings.Repeat(":1\r\n", mostElements),
		"-" + strings.Repeat("x", longestLine-2) + "\r\n",
	} {
		stream := strings.Repeat(replies, 2) + "+PONG\r\n"
		parts := []int{1, 2, 3, 7, len(stream)}
		if len(stream) > 1<<20 {
			parts = []int{1 << 20}
		}
		for _, part := range parts {
			f := &framing{}
			require.NoError(t, checkParts(f, stream, part), "%.60q in parts of %d", replies, part)
			require.Equal(t, &framing{kind: '+', line: f.line}, f, "%.60q in parts of %d", replies, part)
		}
	}
}

func TestFraming_RefusesWhatNoRedisSends(t *testing.T) {
	t.Parallel()
	for reply, reason := range nonsense() {
		parts := []int{1, 2, 3, 7, len(reply)}
		if len(reply) > 1<<20 {
			parts = []int{1 << 20}
		}
		for _, part := range parts {
			require.ErrorContains(t, checkParts(&framing{}, reply, part), reason, "%.60q in parts of %d", reply, part)
			require.ErrorContains(t, checkParts(&framing{}, "*2\r\n:1\r\n"+reply, part), reason, "%.60q in parts of %d", reply, part)
		}
	}
}

func TestFraming_ASubscriberTakesMessagesOnly(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		"*3\r\n$9\r\nsubscribe\r\n$4\r\nlive\r\n:1\r\n", "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
		"*3\r\n$7\r\nmessage\r\n$4\r\nlive\r\n$2\r\nhi\r\n", "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$4\r\nlive\r\n$2\r\nhi\r\n",
		"+PONG\r\n", "-NOPERM no\r\n", ":1\r\n", "$2\r\nhi\r\n", "$-1\r\n", "*-1\r\n", "*3\r\n+message\r\n+live\r\n+hi\r\n",
		"*4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:2\r\n", "*1\r\n$31\r\nmessage of more than 16 letters\r\n",
	} {
		for part := range len(message) {
			f := &framing{messagesOnly: true}
			require.NoError(t, checkParts(f, strings.Repeat(message, 3), part+1), message)
		}
	}
	for _, message := range noMessages() {
		for part := range len(message) {
			require.NoError(t, checkParts(&framing{}, message, part+1), message)
			require.ErrorContains(t, checkParts(&framing{messagesOnly: true}, message, part+1), "no message of a channel", message)
		}
	}
}

// TestConnection_SurvivesNonsense fails by a panic or by running out of memory.
func TestConnection_SurvivesNonsense(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	for _, reply := range append(stacktest.Nonsense(), noMessages()...) {
		t.Run(fmt.Sprintf("%.40q", reply), func(t *testing.T) {
			t.Parallel()
			address := stacktest.StartImpostor(t, server, reply, true).URL()
			quick, err := QuickOptions(Options{URL: address})
			require.NoError(t, err)
			patient, err := PatientOptions(address, 1)
			require.NoError(t, err)
			subscribing, err := SubscriberOptions(address)
			require.NoError(t, err)
			patient.MaxRetries, patient.ReadTimeout, subscribing.ReadTimeout = -1, 100*time.Millisecond, 100*time.Millisecond

			for _, options := range []*redis.Options{quick, patient} {
				client := redis.NewClient(options)
				_ = client.LRange(t.Context(), "list", 0, -1).Err()
				_ = client.HSet(t.Context(), "hash", "field", 1).Err()
				require.NoError(t, client.Close())
			}
			client := redis.NewClient(subscribing)
			subscription := client.Subscribe(t.Context(), "live")
			for range 3 {
				_, _ = subscription.ReceiveTimeout(t.Context(), 100*time.Millisecond)
			}
			require.NoError(t, subscription.Close())
			require.NoError(t, client.Close())
		})
	}
}

func BenchmarkFraming(b *testing.B) {
	for name, reply := range map[string]string{
		"status":       "+OK\r\n",
		"three":        "*3\r\n:1\r\n:22\r\n:333\r\n",
		"string 1 KB":  "$1024\r\n" + strings.Repeat("x", 1024) + "\r\n",
		"string 64 KB": "$65536\r\n" + strings.Repeat("x", 65536) + "\r\n",
		"message":      "*3\r\n$7\r\nmessage\r\n$12\r\nslipway:live\r\n$300\r\n" + strings.Repeat("x", 300) + "\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			data, f := []byte(reply), &framing{}
			b.ReportAllocs()
			for b.Loop() {
				if err := f.check(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Private

// nonsense are replies that no Redis sends, with the reason to refuse each.
func nonsense() map[string]string {
	return map[string]string{
		">0\r\n": "begins with '>'", ">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n": "begins with '>'", "%1\r\n+a\r\n+b\r\n": "begins with '%'",
		"~1\r\n+a\r\n": "begins with '~'", "|1\r\n+a\r\n+b\r\n": "begins with '|'", "_\r\n": "begins with '_'", "#t\r\n": "begins with '#'",
		"HTTP/1.1 200 OK\r\n": "begins with 'H'", "\x00\x00": "begins with", "\r\n": "begins with", "=15\r\ntxt:": "begins with '='",
		"*1000000000\r\n": "elements are announced", "$1000000000\r\n": "bytes are announced", "*9999999999\r\n": "elements are announced",
		"*99999999999\r\n": "not a number", "$99999999999999999999\r\n": "not a number", "*-2\r\n": "not a number", "$-9\r\n": "not a number",
		"*\r\n": "not a number", "$\r\n": "not a number", "$-\r\n": "not a number", "*1x\r\n": "not a number", "$ 1\r\n": "not a number",
		"*1\n": "not a number", "*1\rx": "does not end with its line", "*-11\r\n": "not a number", "*1-1\r\n": "not a number",
		strings.Repeat("*1\r\n", deepestArray+1):                                                "arrays are more than 16 deep",
		strings.Repeat("*100000\r\n", 4):                                                        "elements are announced",
		"*8\r\n" + strings.Repeat("$16777216\r\n"+strings.Repeat("x", longestString)+"\r\n", 5): "bytes are announced",
		"+" + strings.Repeat("x", longestLine+1):                                                "a line is longer than 65536 bytes",
	}
}

// noMessages are replies that a Redis sends, but not to a subscriber.
func noMessages() []string {
	return []string{
		"*0\r\n", "*1\r\n:1\r\n", "*1\r\n$7\r\nmessage\r\n", "*2\r\n$7\r\nmessage\r\n:1\r\n",
		"*2\r\n$7\r\nmessage\r\n$1\r\nx\r\n", "*3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nx\r\n",
		"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n:1\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n$1\r\n1\r\n",
		"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n*0\r\n", "*2\r\n$4\r\npong\r\n:1\r\n", "*1\r\n*0\r\n", "*1\r\n$-1\r\n",
		"*4\r\n$8\r\npmessage\r\n$1\r\nx\r\n$1\r\nx\r\n:1\r\n", "*3\r\n$8\r\npmessage\r\n$1\r\nx\r\n$1\r\nx\r\n",
		"*3\r\n$8\r\nsmessage\r\n$1\r\nx\r\n*1\r\n:1\r\n", "*2\r\n-a\r\n-b\r\n", "*3\r\n+message\r\n$1\r\nx\r\n-x\r\n",
		"*5\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\nx\r\n:1\r\n:1\r\n", "*2\r\n*1\r\n$7\r\nmessage\r\n:1\r\n",
	}
}

func checkParts(f *framing, stream string, part int) error {
	for len(stream) > 0 {
		next := min(part, len(stream))
		if err := f.check([]byte(stream[:next])); err != nil {
			return err
		}
		stream = stream[next:]
	}
	return nil
}
