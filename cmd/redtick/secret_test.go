//go:build unix

package main_test

import (
	"crypto/tls"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redtick/redtick/redlock/redlocktest/redisserver"
)

const secret = "s3cr3t"

// Seen to fail when
//   - scrub returns what it is given;
//   - parseAddresses quotes what it cannot read;
//   - REDIS_ADDRS is the default of --nodes.
func TestPasswords_are_not_printed(t *testing.T) {
	s := redisserver.Start(t, "--requirepass", secret)
	good, wrong := "redis://:"+secret+"@"+s.Addr(), "redis://default:"+secret+"X@"+s.Addr()
	for _, c := range []struct {
		name, addrs string
		code        int
		args        []string
	}{
		{"status", good, 1, []string{"status"}},
		{"ls", good, 0, []string{"ls"}},
		{"show", good, 0, []string{"show", "x", "-o", "json"}},
		{"run", good, 0, []string{"run", "-name", "x", "-v", "--", "true"}},
		{"help", good, 0, []string{"--help"}},
		{"help of a command", good, 0, []string{"run", "--help"}},
		{"wrong password", wrong, 2, []string{"status"}},
		{"wrong password, run", wrong, 69, []string{"run", "-name", "x", "-v", "--", "true"}},
		{"no server", "redis://:" + secret + "@127.0.0.1:1", 2, []string{"ls"}},
		{"twice the same", good + "," + good, 64, []string{"ls"}},
		{"as an argument", good, 64, []string{"status", good}},
		{"as a command", good, 64, []string{good}},
		{"before the program", good, 64, []string{"run", "-name", "x", good, "--", "true"}},
		{"no @", "redis://:" + secret, 64, []string{"ls"}},
		{"a comma inside", "redis://:a," + secret + "@host", 64, []string{"ls"}},
		{"a slash inside", "redis://u:12/" + secret + "@host", 64, []string{"ls"}},
		{"a question mark inside", "redis://u:12?" + secret + "@host", 64, []string{"ls"}},
		{"a blank inside", "redis://u: " + secret + "@host", 64, []string{"ls"}},
		{"no scheme", "u:" + secret + "@host", 64, []string{"ls"}},
		{"another scheme", "http://u:" + secret + "@host", 64, []string{"ls"}},
		{"as a flag", "", 64, []string{"ls", "--nodes", `redis://:"` + secret + `,x@host`}},
		{"as a wrong value", good, 64, []string{"ls", "--limit", good}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := redtick(t, c.addrs, c.args...)
			if o.code != c.code || strings.Contains(o.all(), secret) {
				t.Errorf("exit code %d, want %d, and no password in:\n%s", o.code, c.code, o.all())
			}
		})
	}
}

func TestTLS(t *testing.T) {
	s := redisserver.StartTLS(t)
	conn, err := tls.Dial("tcp", s.TLSAddr(), s.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	roots := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})
	if err := os.WriteFile(roots, block, 0o600); err != nil {
		t.Fatal(err)
	}
	addr := "rediss://" + s.TLSAddr()
	if o := redtick(t, addr, "ls"); o.code != 2 || !strings.Contains(o.stderr, "certificate") {
		t.Errorf("an unknown CA: %+v", o)
	}
	t.Setenv("SSL_CERT_FILE", roots)
	if o := redtick(t, addr, "ls"); o.code != 0 {
		t.Errorf("a known CA: %+v", o)
	}
}
