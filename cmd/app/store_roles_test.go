package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStore_AnOrderGoesFromTheBrowserToTheMailAndIsPaid(t *testing.T) {
	t.Parallel()
	d := deployStore(t)
	web, workerPG, workerRedis := d.startAll()
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	ada := newVisitor(t, web.url)

	require.Equal(t, http.StatusOK, ada.add(variant))
	status, at, _ := ada.post("/orders", ada.fillIn(workingCard))

	require.Equal(t, http.StatusOK, status)
	require.Regexp(t, "^/orders/", at)
	workerPG.eventually(func() bool { return len(d.mails()) == 1 }, "sends the mail")
	require.Contains(t, d.mails()[0].Text, "http://leeward.example"+at)
	workerPG.eventually(func() bool { return d.query(`SELECT count(*) FROM orders WHERE state = 'paid'`) == 1 }, "captures the payment")
	workerRedis.eventually(func() bool { return strings.Contains(workerRedis.output.String(), "broadcast_order") }, "shows the payment")
	for _, p := range []*appProcess{web, workerPG, workerRedis} {
		require.Less(t, p.stop(), 8*time.Second)
		require.Contains(t, p.output.String(), "Role stopped")
		require.NotContains(t, p.output.String(), "DATA RACE")
	}
}

func TestStore_TwentyBuyersOfTheLastThreeGetThreeOrdersAndThreeMails(t *testing.T) {
	t.Parallel()
	d := deployStore(t)
	web, workerPG, _ := d.startAll()
	variant, _ := d.variantWith("harbour-enamel-mug", 3)
	buyers := make([]*visitor, 20)
	forms := make([]url.Values, len(buyers))
	for i := range buyers {
		buyers[i] = newVisitor(t, web.url)
		require.Equal(t, http.StatusOK, buyers[i].add(variant))
		forms[i] = buyers[i].fillIn(workingCard)
	}

	statuses := make([]int, len(buyers))
	var all sync.WaitGroup
	for i, buyer := range buyers {
		all.Go(func() { statuses[i], _, _ = buyer.post("/orders", forms[i]) })
	}
	all.Wait()

	sold := 0
	for _, status := range statuses {
		if status == http.StatusOK {
			sold++
		} else {
			require.Equal(t, http.StatusConflict, status)
		}
	}
	require.Equal(t, 3, sold)
	require.EqualValues(t, 3, d.query(`SELECT count(*) FROM orders`))
	require.Zero(t, d.query(`SELECT stock FROM variants WHERE id = $1`, variant))
	workerPG.eventually(func() bool {
		return d.query(`SELECT count(*) FROM river_job WHERE kind = 'send_order_confirmation' AND state = 'completed'`) == 3
	}, "sends all mails")
	require.Len(t, d.mails(), 3)
}

func TestStore_OpenPagesShowNewStockAndTheCartOfTheirShopper(t *testing.T) {
	t.Parallel()
	d := deployStore(t)
	first, _, _ := d.startAll()
	second := d.start("web")
	second.eventually(func() bool { return second.health().Status == "ok" }, "is healthy")
	variant, product := d.variantWith("harbour-enamel-mug", 5)
	ada, eve := newVisitor(t, first.url), newVisitor(t, second.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	form := ada.fillIn(workingCard)
	watching := openEvents(t, eve, fmt.Sprintf("/live?products=%d", product))
	ownTab := openEvents(t, ada, "/live?products=")
	watching.await(t, "retry: ")
	ownTab.await(t, "retry: ")

	status, _, _ := ada.post("/orders", form)

	require.Equal(t, http.StatusOK, status)
	require.Contains(t, watching.await(t, fmt.Sprintf(`id="variant-stock-%d"`, variant)), "4 left")
	ownTab.await(t, `badge-empty`)
	for len(watching.lines) > 0 {
		require.NotContains(t, <-watching.lines, "cart-badge", "a cart is shown to its shopper alone")
	}
}

func TestStore_SIGTERMFinishesRequestsAndEndsStreamsAtOnce(t *testing.T) {
	t.Parallel()
	d := deployStore(t)
	web := d.start("web", "PAYMENT_TIMEOUT=3s")
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	ada := newVisitor(t, web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	form := ada.fillIn("4000000000000341") // the gateway stays silent for three seconds
	stream := openEvents(t, ada, "/live?products=")
	stream.await(t, "retry: ")
	answered := make(chan int, 1)
	go func() {
		response, err := ada.http.PostForm(web.url+"/orders", form)
		if err != nil {
			answered <- 0
			return
		}
		defer response.Body.Close()
		_, err = io.ReadAll(response.Body)
		if err != nil {
			answered <- 0
			return
		}
		answered <- response.StatusCode
	}()
	web.eventually(func() bool {
		return strings.Contains(metricsOf(t, web), `app_http_requests_in_flight 2`)
	}, "works on the slow request")

	took := web.stop()

	require.Equal(t, http.StatusGatewayTimeout, <-answered)
	require.Less(t, took, 8*time.Second)
	stream.await(t, "retry: ")
	for range stream.lines {
	}
}

func TestStore_SIGTERMHandsBackTheMailThatIsNotSent(t *testing.T) {
	t.Parallel()
	d := deployStore(t)
	web := d.start("web")
	silent := silentMailServer(t)
	worker := d.start("worker-pg", "SMTP_URL=smtp://"+silent.address, "JOBS_SHUTDOWN_TIMEOUT=1s")
	variant, _ := d.variantWith("harbour-enamel-mug", 5)
	ada := newVisitor(t, web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	status, _, _ := ada.post("/orders", ada.fillIn(workingCard))
	require.Equal(t, http.StatusOK, status)
	<-silent.called

	took := worker.stop()

	require.Less(t, took, 5*time.Second)
	require.EqualValues(t, 1, d.query(`
		SELECT count(*) FROM river_job
		WHERE kind = 'send_order_confirmation' AND state = 'available' AND attempt = 0`))
	d.start("worker-pg").eventually(func() bool { return len(d.mails()) == 1 }, "sends the mail in the other's place")
}

// Private

// mailServer accepts connections and never replies.
type mailServer struct {
	address string
	called  chan struct{}
}

func silentMailServer(t *testing.T) mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := mailServer{address: listener.Addr().String(), called: make(chan struct{}, 1)}
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
			select {
			case server.called <- struct{}{}:
			default:
			}
		}
	}()
	return server
}
