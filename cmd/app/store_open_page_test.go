package main

import (
	"bufio"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// openPage is a product's page in a browser, kept up to date as live.js and an
// EventSource would.
type openPage struct {
	customer *customer
	path     string
	stream   string
	seen     string        // last event id
	retry    time.Duration // before the next stream

	mutex sync.Mutex
	shown map[string]string // words by the id of their element
}

var (
	liveAddress  = regexp.MustCompile(`data-live="([^"]*)"`)
	variantStock = regexp.MustCompile(`id="(variant-stock-\d+)"[^>]*>([^<]*)<`)
)

// fetch takes everything from the page itself.
func (p *openPage) fetch() bool {
	_, page, ok := p.customer.send(http.MethodGet, p.path, nil, http.StatusOK)
	if !ok {
		return false
	}
	address := liveAddress.FindStringSubmatch(page)
	if address == nil {
		return p.customer.load.failed("GET %s: no live updates", p.path)
	}
	if p.stream == "" {
		p.stream = html.UnescapeString(address[1])
	}
	p.show(page)
	return true
}

func (p *openPage) stockOf(variant int64) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.shown["variant-stock-"+itoa(variant)]
}

func (p *openPage) show(fragments string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, found := range variantStock.FindAllStringSubmatch(fragments, -1) {
		p.shown[found[1]] = found[2]
	}
}

func (p *openPage) watch() {
	l := p.customer.load
	for l.ctx.Err() == nil {
		p.retry = 3 * time.Second // the default of browsers
		if err := p.listen(); err != nil && l.ctx.Err() == nil {
			l.failed("GET %s after event %s: %v", p.stream, p.seen, err)
		}
		select {
		case <-l.ctx.Done():
		case <-time.After(p.retry):
		}
	}
}

// Private

// listen reads one stream to its end.
func (p *openPage) listen() error {
	l := p.customer.load
	l.count(&l.streams)
	request, err := http.NewRequestWithContext(l.ctx, http.MethodGet, l.url+p.stream, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	if p.seen != "" {
		l.count(&l.resumed)
		request.Header.Set("Last-Event-ID", p.seen)
	}
	response, err := (&http.Client{Jar: p.customer.http.Jar, Transport: l.transport}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return fmt.Errorf("%s, %s", response.Status, kind)
	}
	var name, data string
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "id":
			p.seen = value
		case "event":
			name = value
		case "data":
			data += value + "\n"
		case "retry":
			if milliseconds, err := strconv.Atoi(value); err == nil {
				p.retry = time.Duration(milliseconds) * time.Millisecond
			}
		case "":
			p.dispatch(name, data)
			name, data = "", ""
		}
	}
	return lines.Err()
}

func (p *openPage) dispatch(name, data string) {
	switch name {
	case "fragment":
		p.customer.load.count(&p.customer.load.fragments)
		p.show(data)
	case "resync":
		p.customer.load.count(&p.customer.load.resyncs)
		p.fetch()
	}
}
