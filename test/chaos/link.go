package main

import (
	"context"
	"fmt"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// link is the connection between one replica and one node.
type link struct{ proxy *toxiproxy.Proxy }

func newLink(server *toxiproxy.ApiServer, name, upstream string) (link, error) {
	p := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	return link{p}, p.Start()
}

func newProxyServer() *toxiproxy.ApiServer {
	return toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
}

func (l link) addr() string { return l.proxy.Listen }

// poison applies a fault to the link until heal.
func (l link) poison(how string, milliseconds int) error {
	var toxic string
	switch how {
	case latency:
		toxic = fmt.Sprintf(`{"type": "latency", "stream": "downstream", "attributes": {"latency": %d, "jitter": %d}}`,
			milliseconds, milliseconds/2)
	case lostRequests:
		toxic = `{"type": "timeout", "stream": "upstream", "attributes": {"timeout": 0}}`
	case lostReplies:
		toxic = `{"type": "timeout", "stream": "downstream", "attributes": {"timeout": 0}}`
	case resets:
		toxic = `{"type": "reset_peer", "stream": "downstream", "attributes": {"timeout": 0}}`
	case disconnect:
		l.proxy.Stop()
		return nil
	}
	_, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	return err
}

func (l link) heal(how string) error {
	if how == disconnect {
		return l.proxy.Start()
	}
	l.proxy.Toxics.ResetToxics(context.Background())
	return nil
}
