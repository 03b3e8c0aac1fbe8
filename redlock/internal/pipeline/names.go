package pipeline

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/redtick/redtick/redlock/driver"
)

// Names returns the nodes' names. It rejects a node that is nil or listed twice: a
// majority means nothing if one server has two votes.
func Names(nodes []driver.Node) ([]string, error) {
	if len(nodes) == 0 {
		return nil, errors.New("no nodes; pass at least one, or an odd number of independent ones to survive failures")
	}
	var names []string
	for i, n := range nodes {
		if v := reflect.ValueOf(n); n == nil || v.Kind() == reflect.Pointer && v.IsNil() {
			return nil, fmt.Errorf("node %d of %d is nil; was its client made?", i+1, len(nodes))
		}
		name := fmt.Sprintf("node %d", i+1)
		if s, ok := n.(fmt.Stringer); ok {
			name = s.String()
		}
		if same := slices.Index(names, name); same >= 0 {
			return nil, fmt.Errorf("nodes %d and %d are the same (%s); every node needs a Redis of its own", same+1, i+1, name)
		}
		names = append(names, name)
	}
	return names, nil
}
