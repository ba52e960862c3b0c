package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestStoreImage_FinishesAnOrderBeforeItStops(t *testing.T) {
	h := newContainerStore(t)

	h.startRoles()

	// Busy: an order is on its way, and the gateway is silent.
	ada := newVisitor(t, "http://"+h.address("web", "3000"))
	require.Equal(t, http.StatusOK, ada.add(h.query(someVariant)))
	form := ada.fillIn("4000000000000341")
	answered := make(chan int, 1)
	go func() {
		response, err := ada.http.PostForm(ada.url+"/orders", form)
		if err != nil {
			answered <- 0
			return
		}
		_ = response.Body.Close()
		answered <- response.StatusCode
	}()
	ops := "http://" + h.address("web", "9090")
	h.eventually("the order is on its way", func() bool { return strings.Contains(metricsAt(t, ops), "app_http_requests_in_flight 1\n") })

	h.stopInOrder("web")
	require.Equal(t, http.StatusGatewayTimeout, <-answered, "the running request is finished first")
	for _, role := range []string{"worker-pg", "worker-redis"} {
		h.stopInOrder(role)
	}
}

func TestStoreImage_SellsWhileItsRedisRestarts(t *testing.T) {
	h := newContainerStore(t)
	h.role("web", "web")
	h.role("worker-pg", "worker-pg")
	h.eventually("web is healthy", func() bool { return h.healthy("web") })
	web := "http://" + h.address("web", "3000")
	h.query(`UPDATE variants SET stock = 1000 WHERE id = (` + someVariant + `) RETURNING id`)
	variant := h.query(someVariant)

	restarted := make(chan error, 1)
	go func() {
		_, err := dockerTry("restart", "--time", "1", h.name("redis"))
		restarted <- err
	}()
	orders, requests := 0, 0
	for done := false; !done; {
		select {
		case err := <-restarted:
			require.NoError(t, err)
			done = true
		default:
		}
		ada := newVisitor(t, web)
		for _, path := range []string{"/", "/products/kelp-soap", "/search?q=mug"} {
			code, _ := ada.get(path)
			require.Equal(t, http.StatusOK, code, path)
			requests++
		}
		require.Equal(t, http.StatusOK, ada.add(variant))
		code, at, _ := ada.post("/orders", ada.fillIn(workingCard))
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, at, "/orders/")
		orders++
	}
	t.Logf("%d pages and %d orders while Redis restarted", requests, orders)

	require.EqualValues(t, orders, h.query(`SELECT count(*) FROM orders`))
	h.eventually("every order is confirmed", func() bool {
		return h.query(`SELECT count(*) FROM orders WHERE confirmed_at IS NULL`) == 0
	})

	docker(t, "restart", "--time", "5", h.name("postgres"))
	h.eventually("the store serves again", func() bool { return status(web+"/") == http.StatusOK })
}

func TestStoreCompose_UpFromNothingSells(t *testing.T) {
	web := composeUp(t)

	_, page := newVisitor(t, web).get("/products/kelp-soap")
	ada := newVisitor(t, web)
	code, at, _ := ada.post("/cart/lines", url.Values{"variant_id": {field(t, page, "variant_id")}, "quantity": {"1"}})
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "/cart", at)
	code, at, _ = ada.post("/orders", ada.fillIn(workingCard))
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, at, "/orders/")
	require.Eventually(t, func() bool {
		_, body := ada.get(at)
		return strings.Contains(body, "Paid")
	}, time.Minute, 200*time.Millisecond, "the workers never took the money")
}

// Private

// newStore is a harbour with a migrated and seeded store.
func newContainerStore(t *testing.T) *harbour {
	t.Helper()
	h := newHarbour(t)
	h.variables = []string{"BASE_URL=http://leeward.example", "PAYMENT_TIMEOUT=3s", "ORDER_LIMIT=0"}
	h.once("migrate")
	h.once("seed")
	return h
}

const someVariant = `
	SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id
	WHERE p.slug = 'harbour-enamel-mug' ORDER BY v.position LIMIT 1`

func (h *harbour) address(service, port string) string {
	h.t.Helper()
	published, _, _ := strings.Cut(docker(h.t, "port", h.name(service), port), "\n")
	return published
}

func (h *harbour) query(sql string) int64 {
	h.t.Helper()
	connection, err := pgx.Connect(h.t.Context(), "postgres://app:secret@"+h.address("postgres", "5432")+"/app")
	require.NoError(h.t, err)
	defer connection.Close(context.Background())
	var number int64
	require.NoError(h.t, connection.QueryRow(h.t.Context(), sql).Scan(&number))
	return number
}
