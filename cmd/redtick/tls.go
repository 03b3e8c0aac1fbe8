package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

// secrets holds the files of --tls-ca, --tls-cert and --tls-key.
type secrets struct{ ca, cert, key string }

// apply makes all nodes with TLS use the files.
func (s *secrets) apply(nodes []*address) error {
	if *s == (secrets{}) {
		return nil
	}
	roots, err := s.roots()
	if err != nil {
		return err
	}
	own, err := s.own()
	if err != nil {
		return err
	}
	used := false
	for _, n := range nodes {
		if config := n.server.TLSConfig; config != nil {
			used = true
			config.RootCAs, config.Certificates = roots, own
		}
	}
	if !used {
		return usage("--tls-ca, --tls-cert and --tls-key are for nodes that speak TLS, and none does; write rediss:// (rediss-sentinel://, rediss-cluster://)")
	}
	return nil
}

// roots returns the CAs of --tls-ca, or nil for the system's.
func (s *secrets) roots() (*x509.CertPool, error) {
	if s.ca == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.ca)
	if err != nil {
		return nil, usage("--tls-ca %q cannot be read: %v; give a file with the CA's certificates in PEM", s.ca, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, usage("--tls-ca %q holds no certificate; it must hold those of the CA in PEM (BEGIN CERTIFICATE)", s.ca)
	}
	return roots, nil
}

func (s *secrets) own() ([]tls.Certificate, error) {
	if s.cert == "" && s.key == "" {
		return nil, nil
	}
	if s.cert == "" || s.key == "" {
		return nil, usage("--tls-cert is %q and --tls-key is %q, must be given together: a client certificate and its key, in PEM", s.cert, s.key)
	}
	pair, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, usage("--tls-cert %q with --tls-key %q: %v; give a client certificate and its own key, in PEM", s.cert, s.key, err)
	}
	return []tls.Certificate{pair}, nil
}
