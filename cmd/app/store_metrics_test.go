package main

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestStoreMetrics_OfTheRunningStore(t *testing.T) {
	t.Parallel()
	m := startMonitored(t, deployStore(t))
	m.sell(t)

	t.Run("are those of the documentation", func(t *testing.T) {
		requireDocumented(t, m, "Metrics of the store", func(name string) bool { return strings.HasPrefix(name, "shop_") })
	})
	t.Run("are clean for promtool", m.requireLinted)
	t.Run("answer every query of the dashboard", func(t *testing.T) {
		m.startPrometheus(t).requireAnswers(t, dashboardQueries(t, storeDashboard))
	})
}

// Private

// sell makes the store do everything that it counts.
func (m *monitored) sell(t *testing.T) {
	t.Helper()
	variant, _ := m.d.variantWith("harbour-enamel-mug", 5)
	ada := newVisitor(t, m.web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	code, _, _ := ada.post("/orders", ada.fillIn(workingCard))
	require.Equal(t, http.StatusOK, code)
	m.workerPG.eventually(func() bool { return m.d.query(`SELECT count(*) FROM orders WHERE state = 'paid'`) == 1 }, "captures the payment")

	eve := newVisitor(t, m.web.url)
	require.Equal(t, http.StatusOK, eve.add(variant))
	form := eve.fillIn("4000000000000002") // is declined
	code, _, _ = eve.post("/orders", form)
	require.Equal(t, http.StatusUnprocessableEntity, code)

	_, home := eve.get("/")
	sale := regexp.MustCompile(`action="(/sales/\d+/holds)"`).FindStringSubmatch(home)
	require.NotEmpty(t, sale)
	code, _, _ = eve.post(sale[1], url.Values{"claim_id": {uuid.NewString()}})
	require.Equal(t, http.StatusOK, code)
}
