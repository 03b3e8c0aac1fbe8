package main

import "testing"

func TestResource(t *testing.T) {
	r := newResource(t.TempDir(), "number")
	seen, ok, err := r.read(3)
	if err != nil || !ok || seen != (content{0, 0, "nobody"}) {
		t.Fatalf("a new file: %v, %v, %v", seen, ok, err)
	}
	if _, ok, _ := r.read(2); ok {
		t.Error("an older fence may read")
	}
	if _, ok, _ := r.write(content{9, 2, "late"}); ok {
		t.Error("an older fence may write")
	}
	if found, ok, err := r.write(content{1, 3, "a"}); err != nil || !ok || found.Value != 0 {
		t.Errorf("its own fence: %v, %v, %v", found, ok, err)
	}
	if found, ok, _ := r.write(content{2, 4, "b"}); !ok || found != (content{1, 3, "a"}) {
		t.Errorf("over another's write: %v, %v", found, ok)
	}
	if found, ok, _ := r.read(4); !ok || found != (content{2, 4, "b"}) {
		t.Errorf("at the end: %v, %v", found, ok)
	}
}
