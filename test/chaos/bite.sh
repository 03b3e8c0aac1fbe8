#!/bin/sh
# Breaks the core in one place at a time, in a copy, and shows that chaos notices. It takes minutes; arguments choose
# among the mutants by name. A mutant that survives its time is told, and makes the status 1. LIMIT=0 only shows
# that each still fits the code.
set -eu
cd "$(dirname "$0")"
limit=${LIMIT:-5m}
seed=${SEED:-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# mutant NAME FILES PERL-SUBSTITUTION
mutant() {
  name=$1 files=$2 change=$3
  case " $chosen " in *" $name "* | "  ") ;; *) return 0 ;; esac
  rm -rf "$work/copy"
  mkdir -p "$work/copy/test"
  cp -r ../../go.mod ../../go.sum ../../redlock "$work/copy"
  cp -r ../chaos "$work/copy/test"
  for file in $files; do
    cp "$work/copy/redlock/$file" "$work/before"
    perl -0pi -e "$change" "$work/copy/redlock/$file"
    if cmp -s "$work/before" "$work/copy/redlock/$file"; then
      echo "$name: the change no longer applies to $file" >&2
      status=1
      return 0
    fi
  done
  [ "$limit" != 0 ] || return 0
  (cd "$work/copy/test/chaos" && go build -o "$work/bin" .)
  code=0
  "$work/bin" -failfast -seed "$seed" -for "$limit" >"$work/out" 2>&1 || code=$?
  if [ "$code" = 1 ]; then
    echo "$name: caught after $(grep -c '^seed' "$work/out") round(s): $(sed -n '/^violations/,/^$/p' "$work/out" | grep -v ' 0$' | sed -n 's/^  \(.*[^ ]\)  *\([0-9][0-9]*\)$/\1 (\2)/p' | paste -sd';')"
  else
    echo "$name: SURVIVED $limit (status $code)"
    tail -5 "$work/out"
    status=1
  fi
}

chosen="$*"
mutant quorum        internal/quorum/poll.go       's{Quorum: len\(nodes\)/2 \+ 1}{Quorum: len(nodes) / 2}'
mutant write-back    round.go                      's{if stands \{}{if stands || true \{}'
mutant tick-memory   internal/protocol/lua/claim.lua 's{order ~= .any. and known\[1\]}{false}; s{= marks\[1\],}{= false,}'
mutant abort         acquire.go                    's{\t\tr\.abort\([^\n]*\n}{}'
mutant owed-release  internal/pipeline/pipeline.go 's{p\.delay\(c, c\.To,[^\n]*}{}'
mutant deadline      lease.go                      's{if !early}{if false}'
mutant guard         internal/protocol/lua/guard.lua 's{return now - tonumber\(known\[2\]\), tonumber\(known\[2\]\)}{return 1e12, 0}'
mutant compare       internal/protocol/lua/release.lua 's{local mine = [^\n]*}{local mine = true}'
mutant error-reply   internal/pipeline/reply.go 's{return err == nil \|\| IsWrongType\(err\)}{return driver.Answered(err)}'
exit $status
