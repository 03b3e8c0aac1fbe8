package memredis

import "slices"

// hash keeps its fields in insertion order, as Redis does while a hash is small.
type hash struct {
	fields []string
	values map[string]string
}

func newHash() *hash { return &hash{values: make(map[string]string)} }

func (h *hash) set(field, value string) (added bool) {
	if _, known := h.values[field]; !known {
		h.fields = append(h.fields, field)
		added = true
	}
	h.values[field] = value
	return added
}

func (h *hash) remove(field string) bool {
	if _, known := h.values[field]; !known {
		return false
	}
	delete(h.values, field)
	i := slices.Index(h.fields, field)
	h.fields = slices.Delete(h.fields, i, i+1)
	return true
}

func (h *hash) get(field string) any {
	if value, known := h.values[field]; known {
		return value
	}
	return nil
}
