package payment

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSandbox_HasTheOutcomeOfTheCard(t *testing.T) {
	t.Parallel()
	gateway := NewSandbox(10 * time.Millisecond)
	outcomes := map[string]error{"Payment succeeds": nil, "Card is declined": ErrDeclined, "Gateway does not answer": ErrUnconfirmed}

	for _, card := range TestCards {
		authorization, err := gateway.Authorize(t.Context(), Request{Key: "payment-1", Cents: 100, Currency: "EUR", Card: card.Number})

		require.Contains(t, outcomes, card.Outcome)
		require.ErrorIs(t, err, outcomes[card.Outcome])
		require.Equal(t, err == nil, authorization.ID != "")
	}
	require.Equal(t, "Payment succeeds", TestCards[0].Outcome)
}

func TestSandbox_RefusesOtherCardNumbers(t *testing.T) {
	t.Parallel()

	for _, card := range []string{"", "4242", "4242 4242 4242 4243", "4242-4242-4242-4242", "card"} {
		_, err := NewSandbox(time.Second).Authorize(t.Context(), Request{Key: "payment-1", Card: card})

		require.ErrorIs(t, err, ErrCard, card)
	}
}

func TestSandbox_TheSameKeyAuthorizesOnce(t *testing.T) {
	t.Parallel()
	gateway := NewSandbox(time.Second)
	authorize := func(key, card string) string {
		authorization, err := gateway.Authorize(t.Context(), Request{Key: key, Card: card})
		require.NoError(t, err)
		return authorization.ID
	}

	first := authorize("payment-1", "4242424242424242")

	require.Equal(t, first, authorize("payment-1", "4242 4242 4242 4242"))
	require.NotEqual(t, first, authorize("payment-2", "4242424242424242"))
	for range 2 {
		require.NoError(t, gateway.Capture(t.Context(), first))
		require.NoError(t, gateway.Void(t.Context(), first))
	}
	require.ErrorIs(t, gateway.Capture(t.Context(), "stripe_1"), ErrRefused)
	require.ErrorIs(t, gateway.Void(t.Context(), ""), ErrRefused)
}

func TestSandbox_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()

	_, err := NewSandbox(time.Hour).Authorize(ctx, Request{Card: "4000000000000341"})

	require.ErrorIs(t, err, ErrUnconfirmed)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
