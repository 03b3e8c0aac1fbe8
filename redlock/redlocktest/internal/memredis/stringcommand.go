package memredis

import (
	"math"
	"strconv"
	"strings"
)

var stringCommands = map[string]command{
	"GET":      {arity: 2, run: runGet},
	"MGET":     {arity: -2, run: runMGet},
	"SET":      {arity: -3, run: runSet},
	"INCR":     {arity: 2, run: runIncr},
	"GETRANGE": {arity: 4, run: runGetRange},
}

func runGet(s *Server, args []string) any {
	value, found, err := lookup[string](s.data, args[1])
	if err != nil {
		return err
	}
	if !found {
		return nil
	}
	return value
}

// runMGet treats data of another type as missing, as Redis does.
func runMGet(s *Server, args []string) any {
	values := make([]any, 0, len(args)-1)
	for _, key := range args[1:] {
		if value, found, err := lookup[string](s.data, key); found && err == nil {
			values = append(values, value)
		} else {
			values = append(values, nil)
		}
	}
	return values
}

// runGetRange supports only non-negative indexes.
func runGetRange(s *Server, args []string) any {
	value, _, err := lookup[string](s.data, args[1])
	if err != nil {
		return err
	}
	first, err1 := integer(args[2])
	last, err2 := integer(args[3])
	if err1 != nil || err2 != nil || first < 0 || last < 0 {
		return failure("ERR value is not an integer or out of range")
	}
	size := int64(len(value))
	return value[min(first, size):max(min(last+1, size), min(first, size))]
}

func runIncr(s *Server, args []string) any {
	text, found, err := lookup[string](s.data, args[1])
	if err != nil {
		return err
	}
	if !found {
		text = "0"
	}
	n, err := integer(text)
	if err != nil {
		return err
	}
	if n == math.MaxInt64 {
		return failure("ERR increment or decrement would overflow")
	}
	s.data.put(args[1], strconv.FormatInt(n+1, 10))
	return n + 1
}

// setOptions holds the options of a SET.
type setOptions struct {
	ifMissing, ifPresent, get, keepTTL bool
	unit, end                          string // as in PX 100
}

func runSet(s *Server, args []string) any {
	options, err := parseSet(args[3:])
	if err == nil {
		err = options.knownTo(s.version)
	}
	if err != nil {
		return err
	}
	expires, err := options.expires(s.data.now)
	if err != nil {
		return err
	}
	before := runGet(s, args)
	if err, failed := before.(error); failed && options.get {
		return err
	}
	done := any(status("OK"))
	present := s.data.find(args[1]) != nil
	if options.ifMissing && present || options.ifPresent && !present {
		done = nil
	} else {
		e := s.data.put(args[1], args[2])
		if !options.keepTTL {
			e.expires = expires
		}
	}
	if options.get {
		return before
	}
	return done
}

func parseSet(args []string) (setOptions, error) {
	var o setOptions
	for i := 0; i < len(args); i++ {
		switch name := strings.ToUpper(args[i]); {
		case name == "NX" && !o.ifPresent:
			o.ifMissing = true
		case name == "XX" && !o.ifMissing:
			o.ifPresent = true
		case name == "GET":
			o.get = true
		case name == "KEEPTTL" && o.unit == "":
			o.keepTTL = true
		case expiryUnits[name] != 0 && i+1 < len(args) && o.unit == "" && !o.keepTTL:
			i++
			o.unit, o.end = name, args[i]
		default:
			return o, errSyntax
		}
	}
	return o, nil
}

// knownTo rejects options that older servers do not support.
func (o setOptions) knownTo(v version) error {
	switch {
	case o.keepTTL && v < redis6,
		(o.get || strings.HasSuffix(o.unit, "AT")) && v < redis62,
		o.get && o.ifMissing && v < redis7:
		return errSyntax
	}
	return nil
}

// expiryUnits maps the expiry options to their units in milliseconds.
var expiryUnits = map[string]int64{"EX": 1000, "PX": 1, "EXAT": 1000, "PXAT": 1}

func (o setOptions) expires(now int64) (int64, error) {
	const invalid = failure("ERR invalid expire time in 'set' command")
	if o.unit == "" {
		return 0, nil
	}
	n, err := integer(o.end)
	if err != nil {
		return 0, err
	}
	unit := expiryUnits[o.unit]
	if n <= 0 || n > math.MaxInt64/unit {
		return 0, invalid
	}
	n *= unit
	if strings.HasSuffix(o.unit, "AT") {
		return n, nil
	}
	if n > math.MaxInt64-now {
		return 0, invalid
	}
	return now + n, nil
}
