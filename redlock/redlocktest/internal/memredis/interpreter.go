package memredis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// chunkName is Redis' name for a script in error messages.
const chunkName = "user_script"

// compiled caches scripts by their text, for all servers. Prototypes do not change.
var compiled sync.Map

func compile(text string) (*lua.FunctionProto, error) {
	if script, known := compiled.Load(text); known {
		return script.(*lua.FunctionProto), nil
	}
	chunk, err := parse.Parse(strings.NewReader(text), chunkName)
	if err != nil {
		return nil, err
	}
	script, err := lua.Compile(chunk, chunkName)
	if err != nil {
		return nil, err
	}
	compiled.Store(text, script)
	return script, nil
}

// interpreter is the Lua interpreter of one server. It is not safe for concurrent
// use.
type interpreter struct {
	state    *lua.LState
	globals  *lua.LTable
	locate   *lua.LFunction
	dispatch func(args []string) any
}

func newInterpreter(dispatch func(args []string) any) *interpreter {
	state := lua.NewState(lua.Options{SkipOpenLibs: true, RegistrySize: 1024, RegistryMaxSize: 1 << 20})
	in := &interpreter{state: state, globals: state.G.Global, locate: state.NewFunction(locate), dispatch: dispatch}
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenString, lua.OpenTable, lua.OpenMath} {
		state.Push(state.NewFunction(open))
		state.Call(0, 0)
	}
	in.globals.RawSetString("redis", state.SetFuncs(state.NewTable(), map[string]lua.LGFunction{
		"call":         in.call,
		"pcall":        in.pcall,
		"error_reply":  errorReply,
		"status_reply": statusReply,
	}))
	in.protect()
	return in
}

// protect removes functions that Redis does not have or that are not deterministic,
// and makes a global variable an error, as in Redis.
func (in *interpreter) protect() {
	for _, name := range []string{
		"collectgarbage", "dofile", "loadfile", "print", "_printregs", "module", "require", "newproxy", "_GOPHER_LUA_VERSION",
	} {
		in.globals.RawSetString(name, lua.LNil)
	}
	library := in.globals.RawGetString("math").(*lua.LTable)
	library.RawSetString("random", lua.LNil)
	library.RawSetString("randomseed", lua.LNil)
	in.globals.RawSetString("tostring", in.state.NewFunction(toString))
	in.globals.Metatable = in.state.SetFuncs(in.state.NewTable(), map[string]lua.LGFunction{
		"__index": func(l *lua.LState) int {
			l.RaiseError("Script attempted to access nonexistent global variable '%s'", l.ToString(2))
			return 0
		},
		"__newindex": func(l *lua.LState) int {
			l.RaiseError("Attempt to modify a readonly table")
			return 0
		},
	})
}

func (in *interpreter) run(script *lua.FunctionProto, keys, args []string) any {
	in.globals.RawSetString("KEYS", stringTable(in.state, keys))
	in.globals.RawSetString("ARGV", stringTable(in.state, args))
	in.state.Push(in.state.NewFunctionFromProto(script))
	if err := in.state.PCall(0, 1, in.locate); err != nil {
		return newScriptError(err)
	}
	reply := fromLua(in.state.Get(-1))
	in.state.SetTop(0)
	return reply
}

// scriptError is an error that a script raised, with its line if known.
type scriptError struct{ text, line string }

func newScriptError(err error) scriptError {
	raised := err.(*lua.ApiError)
	located, ok := raised.Object.(*lua.LTable)
	if !ok { // the stack was full, so locate could not run
		return scriptError{text: "ERR " + raised.Object.String()}
	}
	return scriptError{lua.LVAsString(located.RawGetString("err")), lua.LVAsString(located.RawGetString("line"))}
}

// reply returns the error with Redis' additions.
func (e scriptError) reply(sha string, v version) failure {
	switch {
	case v < redis7:
		return e.wrapped(sha)
	case e.line != "":
		return failure(fmt.Sprintf("%s script: %s, on @%s:%s.", e.text, sha, chunkName, e.line))
	}
	return failure(e.text)
}

// wrapped returns the error as Redis before 7.0 sends it: after its location, and
// with spaces for line ends.
func (e scriptError) wrapped(sha string) failure {
	text := e.text
	if mine, isLua := strings.CutPrefix(text, "ERR "+chunkName+":"); isLua {
		text = chunkName + ":" + mine
	}
	if e.line != "" {
		text = "@" + chunkName + ":" + e.line + ": " + text
	}
	text = strings.NewReplacer("\r", " ", "\n", " ").Replace(text)
	return failure("ERR Error running script (call to f_" + sha + "): " + text + " ")
}

// locate handles an error while the stack still tells where it was raised.
func locate(l *lua.LState) int {
	raised, ok := l.Get(1).(*lua.LTable)
	if !ok {
		raised = errorTable(l, failure("ERR "+l.Get(1).String()))
	}
	if line := lineOf(l); line != "" {
		raised.RawSetString("line", lua.LString(line))
	}
	l.Push(raised)
	return 1
}

func (in *interpreter) call(l *lua.LState) int {
	reply := in.invoke(l)
	if err, failed := reply.(failure); failed {
		l.Error(errorTable(l, err), 0)
	}
	l.Push(toLua(l, reply))
	return 1
}

func (in *interpreter) pcall(l *lua.LState) int {
	l.Push(toLua(l, in.invoke(l)))
	return 1
}

func (in *interpreter) invoke(l *lua.LState) any {
	if l.GetTop() == 0 {
		return failure("ERR Please specify at least one argument for this redis lib call")
	}
	args := make([]string, 0, l.GetTop())
	for i := 1; i <= l.GetTop(); i++ {
		switch arg := l.Get(i).(type) {
		case lua.LString:
			args = append(args, string(arg))
		case lua.LNumber:
			args = append(args, formatFloat(float64(arg)))
		default:
			return failure("ERR Lua redis lib command arguments must be strings or integers")
		}
	}
	reply := in.dispatch(args)
	if text, refused := reply.(misuse); refused {
		return failure(fmt.Sprintf("@%s: %s: %s", chunkName, lineOf(l), text))
	}
	return reply
}

// lineOf returns the current line of the running script, or "".
func lineOf(l *lua.LState) string {
	for level := 1; ; level++ {
		if _, ok := l.GetStack(level); !ok {
			return ""
		}
		if where, found := strings.CutPrefix(l.Where(level), chunkName+":"); found {
			return strings.TrimSuffix(where, ":")
		}
	}
}

func errorReply(l *lua.LState) int {
	text := strings.TrimPrefix(l.CheckString(1), "-")
	if !strings.Contains(text, " ") {
		text = "ERR " + text
	}
	l.Push(errorTable(l, failure(text)))
	return 1
}

func statusReply(l *lua.LState) int {
	l.Push(toLua(l, status(l.CheckString(1))))
	return 1
}

// toString prints numbers as Lua 5.1 does: a script that needs more than 14
// digits has to format them itself, and must not pass here when it forgets.
func toString(l *lua.LState) int {
	if n, ok := l.CheckAny(1).(lua.LNumber); ok {
		l.Push(lua.LString(strconv.FormatFloat(float64(n), 'g', 14, 64)))
		return 1
	}
	l.Push(l.ToStringMeta(l.Get(1)))
	return 1
}

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
