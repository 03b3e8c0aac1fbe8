//go:build unix

package redisserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// secure is what a server needs to speak TLS.
type secure struct {
	port      int
	cert, key string // files
	roots     *x509.CertPool
}

// StartTLS is like Start, with a second port for TLS and a new certificate. Do uses
// the plain port.
func StartTLS(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, binary: find(t), dir: t.TempDir(), args: args}
	s.secure = newSecure(t, s.dir)
	t.Cleanup(s.Kill)
	s.startAnywhere()
	return s
}

// TLSAddr returns the TLS address of a server made by StartTLS.
func (s *Server) TLSAddr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.secure.port))
}

// TLSConfig returns a configuration with which a client of TLSAddr trusts the server.
func (s *Server) TLSConfig() *tls.Config {
	return &tls.Config{RootCAs: s.secure.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

// TLSFiles returns the files of the server's CA, and of a client certificate from
// that CA with its key. The server requires one if it was started with
// --tls-auth-clients yes.
func (s *Server) TLSFiles() (ca, cert, key string) {
	return s.secure.cert, s.secure.cert, s.secure.key
}

func (s *secure) arguments() []string {
	if s == nil {
		return nil
	}
	return []string{
		"--tls-port", strconv.Itoa(s.port), "--tls-auth-clients", "no",
		"--tls-cert-file", s.cert, "--tls-key-file", s.key, "--tls-ca-cert-file", s.cert,
	}
}

func newSecure(t testing.TB, dir string) *secure {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	certificate := selfSigned(t, key)
	s := &secure{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	writePEM(t, s.cert, "CERTIFICATE", certificate)
	writePEM(t, s.key, "PRIVATE KEY", private)
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(parsed)
	return s
}

func selfSigned(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatalf("redisserver: %v", err)
	}
	return certificate
}

func writePEM(t testing.TB, file, kind string, content []byte) {
	t.Helper()
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatalf("redisserver: %v", err)
	}
}
