package memredis

import (
	"maps"
	"slices"
)

// version is the version of Redis that a server imitates, major and minor in one number.
type version int

const (
	redis5  version = 500
	redis6  version = 600
	redis62 version = 602
	redis7  version = 700
)

// versions lists the supported versions, with their names in INFO.
var versions = map[string]struct {
	version
	full string
}{
	"5.0": {redis5, "5.0.14"}, "6.0": {redis6, "6.0.20"}, "6.2": {redis62, "6.2.14"}, "7.0": {redis7, "7.0.15"},
}

// Versions returns the versions that [Server.Imitate] supports.
func Versions() []string { return slices.Sorted(maps.Keys(versions)) }

// Imitate makes the server answer like a version. It reports whether the version is
// supported.
func (s *Server) Imitate(version string) bool {
	v, known := versions[version]
	if known {
		s.version, s.fullVersion = v.version, v.full
	}
	return known
}
