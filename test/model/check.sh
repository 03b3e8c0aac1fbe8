#!/bin/sh
# Checks the models exhaustively: every set-up that should hold must hold, and every one that leaves out a rule must fail.
#
#   check.sh          all set-ups (some minutes)
#   check.sh -quick   those of a few seconds, for CI
#   check.sh NAME     those whose name contains NAME; with KEEP=1 the directory with the trail is kept
#
# Exit status: 0 when all is as expected, 1 on any surprise, 2 when spin or gcc is missing.
set -u

# model, name, expected, weight (a second or so: quick; more: long), switches
setups() { cat <<'END'
claim crash              holds quick -DCRASH=1
claim loss               holds quick -DLOSS=1
claim crash-loss         holds long  -DCRASH=1 -DLOSS=1
claim crash-loss-expiry  holds quick -DCRASH=1 -DLOSS=2 -DEXPIRY=1
claim rounds-left        holds quick -DC=2 -DR=2 -DCRASH=1 -DLOSS=1 -DEXPIRY=1
claim rounds-expiry      holds long  -DC=2 -DR=2 -DCRASH=1 -DLOSS=2 -DEXPIRY=1
claim rounds-three       holds long  -DR=2 -DCRASH=1 -DLOSS=1
claim reorder            holds quick -DREORDER=1
claim order              holds quick -DTICKS=211 -DCRASH=1
claim ticks              holds long  -DTICKS=211 -DCRASH=1 -DLOSS=2 -DEXPIRY=1
claim owner              holds long  -DOWNERS=211 -DCRASH=1 -DLOSS=2 -DEXPIRY=1
claim verdict            holds long  -DR=2 -DVERDICT=1
claim anyorder           holds quick -DANY=1 -DCRASH=1 -DLOSS=2 -DEXPIRY=1
claim takeover           holds quick -DTAKEOVER=1 -DCRASH=1 -DLOSS=2 -DEXPIRY=1
claim later-confirm      holds long  -DTICKS=211 -DEXPIRY=1 -DPROMPT=1 -DCRASH=1 -DCONFIRMS=2
claim later-verdict      holds long  -DR=2 -DVERDICT=1 -DCONFIRMS=2
claim abandon            holds quick -DTAKEOVER=1 -DABANDON=1 -DCRASH=1 -DLOSS=2 -DEXPIRY=1
claim abandon-ticks      holds long  -DTAKEOVER=1 -DABANDON=1 -DTICKS=211 -DCRASH=1
claim lifetime-takeover  holds quick -DC=2 -DTAKEOVER=1 -DLIFETIMES=1 -DCRASH=1 -DEXPIRY=1
claim lifetime-order     holds long  -DC=2 -DTICKS=21 -DLIFETIMES=1 -DCRASH=1
claim lifetime-anyorder  holds long  -DC=2 -DANY=1 -DLIFETIMES=1 -DCRASH=1
claim string-expiry      holds long  -DTICKKEY=3 -DCRASH=1 -DLOSS=2 -DEXPIRY=1
claim string-rounds      holds quick -DTICKKEY=3 -DC=2 -DR=2 -DCRASH=1 -DLOSS=1 -DEXPIRY=1
claim string-reorder     holds long  -DTICKKEY=3 -DREORDER=1
claim string-verdict     holds long  -DTICKKEY=3 -DR=2 -DVERDICT=1
claim pause              holds quick -DC=2 -DR=2 -DPAUSE=1 -DCRASH=1 -DLOSS=1
claim pause-takeover     holds long  -DC=2 -DR=2 -DPAUSE=1 -DTAKEOVER=1 -DCRASH=1 -DLOSS=1
claim plain              holds long  -DC=2 -DCRASH=1 -DLOSS=2 -DEXPIRY=1 -DPLAIN=1

claim no-abort           fails quick -DABORT=0
claim abort-any-lock     fails quick -DTICKS=211 -DEXPIRY=1 -DABORT=2
claim abort-whole-key    fails quick -DOWNERS=211 -DEXPIRY=1 -DABORT=3
claim no-token-count     fails quick -DVERDICT=1 -DPERTOKEN=0
claim verdict-crash      fails quick -DC=2 -DVERDICT=1 -DCRASH=1
claim no-validity        fails quick -DC=2 -DTICKS=21 -DEXPIRY=1 -DVALIDITY=0
claim one-token          fails quick -DOWNERS=211 -DEXPIRY=1 -DTICKKEY=1
claim no-tick-key        fails quick -DC=2 -DEXPIRY=1 -DTICKKEY=0
claim no-tombstone       fails quick -DC=2 -DREORDER=1 -DTOMBSTONE=0
claim key-is-proof       fails quick -DC=2 -DPROVISIONAL=0
claim vote-marks         fails quick -DC=2 -DMARK=0
claim majority-marks     fails quick -DC=2 -DEXPIRY=1 -DMARK=1
claim unlock-marks-not   fails quick -DC=2 -DTICKS=21 -DLOSS=1 -DMARK=3
claim takeover-late      fails quick -DTAKEOVER=1 -DEXPIRY=1 -DLATEUNLOCK=1
claim abandon-marks      fails quick -DC=2 -DTAKEOVER=1 -DABANDON=2
claim abandon-rerun      fails quick -DC=2 -DTAKEOVER=1 -DABANDON=3
claim no-confirm         fails quick -DC=2 -DTICKS=21 -DEXPIRY=1 -DPROMPT=1 -DCONFIRMS=0
claim short-takeover     fails quick -DC=2 -DTAKEOVER=1 -DLIFETIMES=2
claim short-order        fails quick -DC=2 -DTICKS=12 -DLIFETIMES=2
claim short-anyorder     fails quick -DC=2 -DANY=1 -DLIFETIMES=2
claim plain-commands     fails quick -DC=2 -DTICKKEY=5 -DREORDER=1
claim pause-one-node     fails quick -DC=2 -DR=2 -DPAUSE=2
claim pause-resumed      fails quick -DC=2 -DR=2 -DPAUSE=3
claim string-tombstone   fails quick -DC=2 -DTICKKEY=3 -DREORDER=1 -DTOMBSTONE=0

fence three              holds long  -DC=3
fence two                holds quick -DC=2
fence extend             holds long  -DC=2 -DEXTENDS=1
fence takeover           holds quick -DC=2 -DKINDS=11
fence adopt              holds quick -DC=2 -DKINDS=90
fence adopt-extend       holds long  -DC=2 -DKINDS=90 -DEXTENDS=1
fence adopt-claim        holds long  -DC=2 -DKINDS=91
fence adopt-empty        holds long  -DC=2 -DKINDS=90 -DFORGETS=1
fence takeover-empty     holds long  -DC=2 -DKINDS=11 -DFORGETS=1
fence mixed              holds long  -DC=3 -DKINDS=110 -DSPREAD=1 -DFAULTS=0
fence mixed-ticks        holds long  -DC=3 -DKINDS=210 -DSPREAD=1 -DFAULTS=0
fence mixed-adopt        holds long  -DC=3 -DKINDS=910 -DSPREAD=1 -DFAULTS=0
fence empty              holds quick -DC=2 -DFORGETS=1
fence empty-extend       holds long  -DC=2 -DFORGETS=1 -DEXTENDS=1
fence empty-three        holds long  -DC=3 -DFORGETS=1 -DSPREAD=2
fence counter-two        holds long  -DC=2 -DFORGETS=2
fence counter            holds long  -DC=3 -DFORGETS=2 -DSPREAD=2 -DFAULTS=0
fence plain              holds long  -DC=2 -DSPREAD=2 -DPLAIN=1

fence counter-from-fence fails long  -DC=3 -DFORGETS=2 -DSPREAD=2 -DFAULTS=0 -DABSTAIN=0
fence no-write-back      fails quick -DC=2 -DWRITEBACK=0
fence write-back-any     fails quick -DC=2 -DWRITEBACK=2
fence no-validity        fails quick -DC=2 -DVALIDITY=0
fence early-validity     fails quick -DC=2 -DVALIDITY=2
fence smallest           fails quick -DC=2 -DLARGEST=0
fence release-any-lock   fails long  -DC=3 -DOWNLOCK=0
fence counter-from-zero  fails quick -DC=2 -DFORGETS=1 -DCLOCK=0
fence claim-is-tick      fails quick -DC=2 -DKINDS=10 -DCLAIMFENCE=0
fence takeover-keeps     fails quick -DC=2 -DKINDS=11 -DCLAIMFENCE=2
fence adopt-reads        fails quick -DC=2 -DKINDS=90 -DADOPTFENCE=0

lease two                holds quick -DC=2 -DK=2
lease three              holds quick -DC=3 -DK=2
lease guard              holds long  -DC=3 -DK=2 -DEMPTY=1
lease plain              holds quick -DC=2 -DPLAIN=1

lease young-counts       fails quick -DEMPTY=1 -DYOUNGEXTEND=2
lease young-counts-later fails quick -DK=2 -DEMPTY=1 -DYOUNGEXTEND=1
lease no-guard           fails quick -DEMPTY=1 -DGUARD=0
lease no-validity        fails quick -DVALIDITY=0
lease late-extension     fails quick -DINTIME=0
lease extend-any-lock    fails quick -DFREEONLY=0

adopt held               holds long  -DFROM=110
adopt held-lock          holds quick -DFROM=10
adopt held-extends       holds quick -DC=2 -DFROM=10 -DK=2
adopt chain              holds long  -DFROM=210
adopt handover           holds long  -DC=4 -DFROM=2210 -DHANDOVER=10
adopt handover-lock      holds long  -DC=4 -DFROM=210 -DHANDOVER=10
adopt handover-and-held  holds long  -DC=4 -DFROM=2110 -DHANDOVER=10
adopt handover-unburied  holds long  -DC=4 -DFROM=2210 -DHANDOVER=10 -DTOMBSTONE=1
adopt guard              holds long  -DFROM=10 -DEMPTY=1
adopt plain              holds quick -DC=2 -DFROM=10 -DPLAIN=1

adopt same-token         fails quick -DC=2 -DFROM=10 -DFRESH=0
adopt swap-any-token     fails quick -DFROM=110 -DCOMPARE=0
adopt no-tombstone       fails quick -DC=2 -DFROM=10 -DK=2 -DTOMBSTONE=0
adopt no-tombstone-twice fails quick -DFROM=110 -DTOMBSTONE=0
adopt at-once            fails quick -DC=2 -DFROM=10 -DWAITS=0
adopt last-answer        fails quick -DC=2 -DFROM=10 -DWAITS=1
adopt aborted-early      fails quick -DFROM=10 -DLEAVES=0
adopt short-key          fails quick -DFROM=210 -DKEEPS=0
adopt shortened-key      fails quick -DFROM=210 -DKEEPS=1
adopt restored-waiting   fails long  -DFROM=210 -DRESTORES=2
adopt detach-ends-late   fails quick -DFROM=210 -DHANDOVER=10 -DENDSFIRST=0
adopt young-counts       fails long  -DFROM=10 -DEMPTY=1 -DYOUNGSWAP=1
adopt no-validity        fails quick -DFROM=10 -DVALIDITY=0
END
}

for tool in spin gcc; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "check.sh: $tool is not installed; on Debian and Ubuntu: apt-get install -y spin gcc" >&2
        exit 2
    fi
done

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 2
if [ "${KEEP:-}" = 1 ]; then
    echo "the trails stay in $work"
else
    trap 'rm -rf "$work"' EXIT
fi
trap 'rm -f "$work/setups"; exit 1' HUP INT TERM # without the list the other worker stops

# search: what pan did, in one word
search() {
    if grep -q 'assertion violated' out; then
        echo fails
    elif grep -q 'max search depth too small\|out of memory\|reached -DMEMLIM\|Search not completed' out; then
        echo truncated
    elif grep -q 'errors: 0' out; then
        echo holds
    else
        echo broken
    fi
}

# run MODEL NAME EXPECTED WEIGHT SWITCHES...
run() {
    model=$1 name=$2 expected=$3 weight=$4
    shift 4
    cd "$work/$model-$name" || return 1
    cp "$here/$model.pml" . || return 1
    begin=$(date +%s)
    # What fails does so at once: there compiling well takes longer than searching.
    optimize=-O2
    [ "$expected/$weight" = fails/quick ] && optimize=-O0
    # The models are one process: there is nothing for partial-order reduction to do.
    spin -a "$@" "$model.pml" >out 2>&1 &&
        gcc $optimize -w -DSAFETY -DNOREDUCE -DVECTORSZ=256 -DMEMLIM=6000 -o pan pan.c >>out 2>&1 &&
        ./pan -m100000 -n >out 2>&1
    result=$(search)
    states=$(awk '/states, stored/ { printf "%.0f", $1 }' out)
    verdict=ok
    [ "$result" = "$expected" ] || verdict=SURPRISE
    printf '%-28s %-8s %-9s %11s %5ds  %s\n' "$model/$name" "$expected" "$result" "${states:--}" "$(($(date +%s) - begin))" "$verdict"
    [ "$verdict" = ok ] && return 0
    tail -20 out >&2
    touch "$work/surprise-$model-$name"
}

# worker takes the next set-up that no other worker has taken; there are two
worker() {
    while read -r model name expected weight switches; do
        [ -f "$work/setups" ] || break
        mkdir "$work/$model-$name" 2>/dev/null || continue
        # shellcheck disable=SC2086 # the switches are words
        run "$model" "$name" "$expected" "$weight" $switches </dev/null
    done <"$work/setups"
}

only=${1:-}
setups | while read -r model name expected weight switches; do
    [ -n "$model" ] || continue
    case $only in
    '') ;;
    -quick) [ "$weight" = quick ] || continue ;;
    *) case $model/$name in *"$only"*) ;; *) continue ;; esac ;;
    esac
    echo "$model $name $expected $weight $switches"
done >"$work/setups"
ran=$(wc -l <"$work/setups")
if [ "$ran" = 0 ]; then
    echo "check.sh: no set-up is named like $only; a part of a name in the table of README.md is wanted" >&2
    exit 1
fi

printf '%-28s %-8s %-9s %11s %6s\n' set-up expected result states seconds
worker &
worker
wait
surprises=$(find "$work" -name 'surprise-*' | wc -l)
echo "$((ran)) set-ups, $((surprises)) surprises"
[ "$surprises" = 0 ]
