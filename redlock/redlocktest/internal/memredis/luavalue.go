package memredis

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// toLua converts a reply to the value that redis.call returns.
func toLua(l *lua.LState, reply any) lua.LValue {
	switch reply := reply.(type) {
	case int64:
		return lua.LNumber(reply)
	case string:
		return lua.LString(reply)
	case status:
		table := l.NewTable()
		table.RawSetString("ok", lua.LString(reply))
		return table
	case failure:
		return errorTable(l, reply)
	case []any:
		table := l.CreateTable(len(reply), 0)
		for _, element := range reply {
			table.Append(toLua(l, element))
		}
		return table
	}
	return lua.LFalse
}

// fromLua converts the result of a script to a reply, with the same losses as in
// Redis: a number becomes an integer, false becomes null, and an array ends at its
// first nil.
func fromLua(value lua.LValue) any {
	switch value := value.(type) {
	case lua.LString:
		return string(value)
	case lua.LNumber:
		return truncate(float64(value))
	case lua.LBool:
		if value {
			return int64(1)
		}
	case *lua.LTable:
		return fromTable(value)
	}
	return nil
}

func fromTable(table *lua.LTable) any {
	if text, ok := table.RawGetString("err").(lua.LString); ok {
		return failure(text)
	}
	if text, ok := table.RawGetString("ok").(lua.LString); ok {
		return status(text)
	}
	elements := make([]any, 0, table.Len())
	for i := 1; ; i++ {
		element := table.RawGetInt(i)
		if element == lua.LNil {
			return elements
		}
		elements = append(elements, fromLua(element))
	}
}

// truncate converts to an integer as C does on amd64. Out of range, Go does not define
// the result.
func truncate(f float64) int64 {
	if f >= math.MaxInt64 || f < math.MinInt64 || math.IsNaN(f) {
		return math.MinInt64
	}
	return int64(f)
}

func errorTable(l *lua.LState, err failure) *lua.LTable {
	table := l.NewTable()
	table.RawSetString("err", lua.LString(err))
	return table
}

func stringTable(l *lua.LState, values []string) *lua.LTable {
	table := l.CreateTable(len(values), 0)
	for _, value := range values {
		table.Append(lua.LString(value))
	}
	return table
}
