package jobs

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHandler_RefusesArgumentsThatItCannotRead(t *testing.T) {
	t.Parallel()
	handlers := Handlers{Handle(func(context.Context, greetArgs) error { return nil })}

	handler, known := handlers.Find("greet")
	require.True(t, known)
	require.NoError(t, handler.work(t.Context(), []byte(`{"name": "ada", "since": "a newer release"}`)))
	require.ErrorContains(t, handler.work(t.Context(), []byte(`{"name": 1}`)), "read the arguments of greet")
	_, known = handlers.Find("farewell")
	require.False(t, known)
}
