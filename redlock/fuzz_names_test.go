package redlock_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/internal/protocol"
)

// FuzzNames locks and claims names of any bytes. Those allowed exclude no name but themselves, and leave the lock's key to nobody.
//
// Mutations it fails under: the limit is one byte more; the prefix is not counted; the text of a glob is not escaped.
func FuzzNames(f *testing.F) {
	for _, name := range []string{
		"", "job", "{", "}", "{}", "{}a", "a{b}c", "a{b", "a}b{", "{a}{b}", "}{", "{{a}}", "a\x00b", "\x00", "a\nb\r\n", "\xff\xfe", "é", "*", "a*b?[c]\\d", "[^x]", " ", ":", "a:b:", "GET x\r\n",
		strings.Repeat("n", 1024), strings.Repeat("n", 1025), strings.Repeat("{", 1024), strings.Repeat("n", 10<<20), "%s%d%v", "redtick:guard", "a:redtick:", "a:redtick:{a}:", "a:redtick:{a}:pause", "{a}:redtick:last",
	} {
		f.Add(name, "")
	}
	f.Add("b", strings.Repeat("p", 1023))
	f.Add("bc", strings.Repeat("p", 1023))
	f.Add("c}", "a{b")
	f.Fuzz(func(t *testing.T, name, prefix string) {
		inBubble(t, 1, func(t *testing.T, fl *fleet) {
			p := fl.process("a", redlock.WithPrefix(prefix))
			_, err := p.NewMutex(name)
			if allowed := name != "" && len(prefix)+len(name) <= 1024 && protocol.Spellable(prefix+name) && !protocol.IsCompanion(prefix+name); allowed != (err == nil) {
				t.Errorf("a name of %d bytes with a prefix of %d: %v", len(name), len(prefix), err)
			}
			if err != nil {
				if !errors.Is(err, redlock.ErrInvalid) || len(err.Error()) > 1200 { // of a name, 100 characters are quoted
					t.Errorf("refused with %.500q", err)
				}
				return
			}
			named(t, fl, p, p.mutex(t, name), name, prefix+name)
		})
	})
}

// named takes a name through a lock and a claim.
func named(t *testing.T, fl *fleet, p *process, m *subject, name, key string) {
	t.Helper()
	if m.Name() != key {
		t.Errorf("the mutex is called %q, want %q", m.Name(), key)
	}
	lease := must[*redlock.Lease](t)(m.TryLock(t.Context()))
	if held, _ := fl.servers[0].Get(key); held != lease.Token() {
		t.Errorf("the key %q holds %q, want the token %q", key, held, lease.Token())
	}
	if _, err := m.TryLock(t.Context()); !errors.Is(err, redlock.ErrTaken) {
		t.Errorf("a second TryLock: %v, want ErrTaken", err)
	}
	if other := key + "'"; len(other) <= 1024 {
		ok(t, must[*redlock.Lease](t)(p.mutex(t, name+"'").TryLock(t.Context())).Unlock(t.Context()))
	}
	ok(t, lease.Extend(t.Context()))
	inspected(t, p.inspector(t, inspect.WithPrefix(strings.TrimSuffix(key, name))), lease, name)
	ok(t, lease.Unlock(t.Context()))
	tick := time.Now()
	ok(t, must[*redlock.Lease](t)(m.Claim(t.Context(), tick)).Unlock(t.Context()))
	if _, err := m.Claim(t.Context(), tick); !errors.Is(err, redlock.ErrTickDone) {
		t.Errorf("a second claim: %v, want ErrTickDone", err)
	}
	time.Sleep(time.Second)
	if left := fl.locks(key); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, k := range fl.servers[0].Keys() {
		if !strings.HasPrefix(k, protocol.Companion(key)) && !strings.HasPrefix(k, protocol.Companion(key+"'")) {
			t.Errorf("the key %q is none of the name %q", k, key)
		}
	}
}

// inspected finds the name by the name.
func inspected(t *testing.T, i *inspect.Inspector, lease *redlock.Lease, name string) {
	t.Helper()
	info, err := i.Show(t.Context(), name)
	if err != nil || info.Token != lease.Token() || info.String() == "" {
		t.Errorf("Show(%q): %v, %v; want the token %q", name, info, err, lease.Token())
	}
	names, _, err := i.Names(t.Context(), name, 10)
	if err != nil || !slices.Contains(names, name) {
		t.Errorf("Names(%q): %q, %v", name, names, err)
	}
}
