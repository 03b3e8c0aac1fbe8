package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// delayAll puts a proxy in front of each address that delays data by way in each
// direction.
func delayAll(addrs []string, way time.Duration) (proxies []string, stop func(), err error) {
	var listeners []net.Listener
	stop = func() {
		for _, l := range listeners {
			l.Close()
		}
	}
	for _, addr := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			stop()
			return nil, nil, err
		}
		listeners = append(listeners, l)
		proxies = append(proxies, l.Addr().String())
		go acceptDelayed(l, addr, way)
	}
	return proxies, stop, nil
}

func acceptDelayed(l net.Listener, addr string, way time.Duration) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", addr)
		if err != nil {
			near.Close()
			continue
		}
		var once sync.Once
		end := func() { once.Do(func() { near.Close(); far.Close() }) }
		go delayCopy(far, near, way, end)
		go delayCopy(near, far, way, end)
	}
}

// parcel is the data of one read, and when to pass it on.
type parcel struct {
	data []byte
	due  time.Time
}

// delayCopy delays everything by way, and so keeps the order and the intervals.
func delayCopy(to io.Writer, from io.Reader, way time.Duration, end func()) {
	parcels := make(chan parcel, 1<<12)
	go func() {
		defer end()
		for p := range parcels {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				return
			}
		}
	}()
	defer close(parcels)
	for {
		b := make([]byte, 1<<14)
		n, err := from.Read(b)
		if err != nil {
			return
		}
		parcels <- parcel{b[:n], time.Now().Add(way)}
	}
}
