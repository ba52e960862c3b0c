package failopen

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

var addScript = NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)

func TestRun_PassesTheReplyToRead(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	var sum int64
	var list []int64
	missing := false

	require.True(t, r.Run(t.Context(), "test", addScript, []string{"sum"}, []any{40}, nil))
	require.True(t, r.Run(t.Context(), "test", addScript, []string{"sum"}, []any{2}, func(reply Reply) (err error) {
		sum, err = reply.Int64()
		return err
	}))
	require.True(t, r.Run(t.Context(), "test", NewScript(`return {1, 2}`), nil, nil, func(reply Reply) (err error) {
		list, err = reply.Int64s()
		return err
	}))
	require.True(t, r.Run(t.Context(), "test", NewScript(`return nil`), nil, nil, func(reply Reply) error {
		missing = reply.Missing()
		return nil
	}))

	require.EqualValues(t, 42, sum)
	require.Equal(t, []int64{1, 2}, list)
	require.True(t, missing)
}

func TestRun_AReplyThatCannotBeReadIsAFailedCall(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openWithoutProber(t, server.URL(), t.Output())
	stacktest.RedisCommand(t, server, "SET", "word", "mug")

	require.False(t, r.Command(t.Context(), "test", "get", []string{"word"}, readNumber(new(int64))))
	for range 2 {
		require.False(t, isOpen(r))
		require.False(t, r.Run(t.Context(), "test", addScript, []string{"sum"}, []any{1}, func(Reply) error { return errors.New("unreadable") }))
	}

	require.True(t, isOpen(r))
	require.EqualValues(t, "2", stacktest.RedisCommand(t, server, "GET", "sum"))
}

func TestRun_DoesNotReadAReplyThatIsAnError(t *testing.T) {
	t.Parallel()
	r := open(t, stacktest.Redis(t).URL())

	ok := r.Run(t.Context(), "test", NewScript(`return redis.error_reply('ERR no')`), nil, nil, func(Reply) error {
		require.Fail(t, "read was called")
		return nil
	})

	require.False(t, ok)
}

func TestRun_AKeyOfTheWrongTypeIsDeletedOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	stacktest.RedisCommand(t, server, "LPUSH", "sum", "not a number")

	require.False(t, r.Run(t.Context(), "test", addScript, []string{"sum", "other"}, []any{1}, nil))
	require.True(t, r.Run(t.Context(), "test", addScript, []string{"sum", "other"}, []any{1}, nil))
}

func TestCommand_ReadsKeys(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	stacktest.RedisCommand(t, server, "SET", "a", 1)
	stacktest.RedisCommand(t, server, "SET", "b", 2)
	count, missing := int64(0), false

	require.True(t, r.Command(t.Context(), "test", "exists", []string{"a", "b", "c"}, readNumber(&count)))
	require.True(t, r.Command(t.Context(), "test", "get", []string{"c"}, func(reply Reply) error {
		missing = reply.Missing()
		return nil
	}))

	require.EqualValues(t, 2, count)
	require.True(t, missing)
}

// Private

func readNumber(number *int64) func(Reply) error {
	return func(reply Reply) (err error) {
		*number, err = reply.Int64()
		return err
	}
}
