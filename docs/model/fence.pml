/*
 * The fence protocol: acquire.lua, raise.lua, extend.lua, release.lua and abort.lua on N nodes, and
 * the decisions of C claimers with one round each: a second round is another claimer's.
 * README.md says what is abstracted.
 */
#ifndef C
#define C 3         /* claimers, 2 or 3 */
#endif
#define N 3
#define QUORUM 2

/* ---- faults: 1 is on ---- */
#ifndef GIVEUP
#define GIVEUP 1    /* a round ends without a lease at any time: timeout, cancellation, crash (then its abort is just late) */
#endif
#ifndef LOSS
#define LOSS 1      /* messages get lost */
#endif
#ifndef EXTENDS
#define EXTENDS 1   /* a holder extends its lease once; the extension may be late */
#endif
#ifndef SPREAD
#define SPREAD 3    /* the counters start at 1 or at this */
#endif
#ifndef LOSSES
#define LOSSES 0    /* so many times a node loses a counter (and nothing else) */
#endif

/* ---- rules that can be removed ---- */
#ifndef WRITEBACK
#define WRITEBACK 1 /* 0: the fence is not written back; 2: it is, and counts, also where the lock is not ours */
#endif
#ifndef VALIDITY
#define VALIDITY 1  /* validity is checked at the decision, after the write-back */
#endif
#ifndef TIMESTART
#define TIMESTART 1 /* a missing counter starts at the time; 0: at nothing */
#endif
#ifndef LOSS
#define LOSS 1      /* messages get lost */
#endif
#ifndef EXTENDSTART
#define EXTENDSTART 0   /* 1: so it does when an extension misses it; 0: at the lease's fence */
#endif

#define IDLE 0
#define ROUND 1
#define RAISING 2
#define HELD 3
#define OVER 4
#define LOST 5      /* validity ended; it may still unlock */
byte phase[C];
bool ended[C], extended[C];
byte fence[C];      /* 0: none chosen */

byte lock[N];       /* a token, 1 + c, or 0 */
byte counter[N];    /* 0: missing */
byte losses;
byte top;           /* the largest number there ever was: the time is past it */
byte newest;        /* fence handed out */

byte mail[C * N];
byte value[C * N];  /* the counter that came with a grant; 0: no answer, or refused */
byte stood[C * N];  /* the answer to raise: 1 yes */
#define ACQUIRE 1
#define RAISE 2
#define EXTEND 4
#define GIVEBACK 8

#define L(c, n) ((c) * N + (n))
#define TOKEN(c) (1 + (c))
#define OF(t) ((t) - 1)
#define CURRENT(t) (phase[OF(t)] != IDLE && phase[OF(t)] < OVER && !ended[OF(t)])

byte i, d, m;       /* scratch; always 0 between steps */

inline note(n) {
    if
    :: LOSSES && counter[n] > top -> top = counter[n]
    :: else
    fi
}

/* acquire.lua */
inline acquire(c, n) {
    if
    :: lock[n] == 0 ->
        lock[n] = TOKEN(c);
        if
        :: counter[n] == 0 && TIMESTART -> counter[n] = top + 1
        :: else -> counter[n]++
        fi;
        note(n);
        if
        :: phase[c] == ROUND -> value[L(c, n)] = counter[n]
        :: else
        fi
    :: else
    fi
}

inline atleast(n, f) {
    if
    :: counter[n] < f -> counter[n] = f; note(n)
    :: else
    fi
}

/* raise.lua */
inline raise(c, n) {
    if
    :: lock[n] == TOKEN(c) || WRITEBACK == 2 ->
        atleast(n, fence[c]);
        if
        :: phase[c] == RAISING -> stood[L(c, n)] = 1
        :: else
        fi
    :: else
    fi
}

/* extend.lua, which restores a missing key */
inline extend(c, n) {
    if
    :: lock[n] == 0 || lock[n] == TOKEN(c) ->
        lock[n] = TOKEN(c);
        if
        :: EXTENDSTART && counter[n] == 0 -> counter[n] = top
        :: else
        fi;
        atleast(n, fence[c])
    :: else
    fi
}

/* release.lua; abort.lua does no more than expiry does */
inline giveback(c, n) {
    if
    :: lock[n] == TOKEN(c) ->
        lock[n] = 0;
        atleast(n, fence[c])
    :: else
    fi
}

inline post(c, kind) {
    for (i : 0 .. N - 1) { mail[L(c, i)] = mail[L(c, i)] | (kind) }
    i = 0
}

inline forget(c) {
    for (i : 0 .. N - 1) { value[L(c, i)] = 0; stood[L(c, i)] = 0 }
    i = 0
}

inline lease(c) {
    assert(fence[c] > newest);
    newest = fence[c];
    phase[c] = HELD;
    forget(c)
}

inline over(c) {
    phase[c] = OVER;
    ended[c] = false;
    extended[c] = false;
    forget(c)
}

/* fence(): the largest of the grants that were counted; `but` is a node whose answer was not there yet, or N */
#define COUNTED(c, n, but) (value[L(c, n)] > 0 && (n) != (but))
#define GRANTS(c, but) (COUNTED(c, 0, but) + COUNTED(c, 1, but) + COUNTED(c, 2, but))
inline choose(c, but) {
    for (i : 0 .. N - 1) {
        if
        :: COUNTED(c, i, but) && value[L(c, i)] > m -> m = value[L(c, i)]
        :: else
        fi
    }
    for (i : 0 .. N - 1) {
        if
        :: COUNTED(c, i, but) && value[L(c, i)] == m -> d++
        :: else
        fi
    }
    fence[c] = m;
    if
    :: (d >= QUORUM || WRITEBACK == 0) && !(VALIDITY && ended[c]) -> lease(c)
    :: (d >= QUORUM || WRITEBACK == 0) && VALIDITY && ended[c] -> over(c)
    :: else -> phase[c] = RAISING; forget(c); post(c, RAISE)
    fi;
    i = 0; d = 0; m = 0
}

/* Nodes are alike: their columns are kept sorted. */
inline swap(x, y) { m = x; x = y; y = m }
#define RANK(n) ((((counter[n] << 2 | lock[n]) << 4 | mail[L(0, n)]) << 4 | mail[L(1, n)]) << 4 | mail[L(C - 1, n)])
inline order(a, b) {
    if
    :: RANK(b) < RANK(a) || (RANK(b) == RANK(a) && value[L(0, b)] < value[L(0, a)]) ->
        swap(lock[a], lock[b]); swap(counter[a], counter[b]);
        for (d : 0 .. C - 1) { swap(mail[L(d, a)], mail[L(d, b)]); swap(value[L(d, a)], value[L(d, b)]); swap(stood[L(d, a)], stood[L(d, b)]) }
        d = 0; m = 0
    :: else
    fi
}

/* So are claimers; their tokens change names with them. */
#define NAMED(t, a, b) (OF(t) == (a) -> TOKEN(b) : (OF(t) == (b) -> TOKEN(a) : (t)))
#define STANDING(c) ((((phase[c] << 1 | ended[c]) << 1 | extended[c]) << 8 | fence[c]) << 8) + mail[L(c, 0)] + mail[L(c, 1)] + mail[L(c, 2)]
inline align(a, b) {
    if
    :: STANDING(a) < STANDING(b) ->
        swap(phase[a], phase[b]); swap(ended[a], ended[b]); swap(extended[a], extended[b]); swap(fence[a], fence[b]);
        for (i : 0 .. N - 1) {
            swap(mail[L(a, i)], mail[L(b, i)]); swap(value[L(a, i)], value[L(b, i)]); swap(stood[L(a, i)], stood[L(b, i)]);
            if
            :: lock[i] -> lock[i] = NAMED(lock[i], a, b)
            :: else
            fi
        }
        i = 0; m = 0
    :: else
    fi
}

/* What can never change anything any more needs no step of its own. */
#define ONLY(c, n, kind) ((mail[L(c, n)] & ~(kind)) == 0)
inline prune(c) {
    for (i : 0 .. N - 1) {
        if
        :: ONLY(c, i, GIVEBACK) && lock[i] != TOKEN(c) -> mail[L(c, i)] = 0
        :: else
        fi;
        if
        :: ONLY(c, i, RAISE) && lock[i] != TOKEN(c) && phase[c] != RAISING && WRITEBACK != 2 -> mail[L(c, i)] = 0
        :: else
        fi
    }
    i = 0;
    if
    :: phase[c] == OVER && mail[L(c, 0)] == 0 && mail[L(c, 1)] == 0 && mail[L(c, 2)] == 0 -> fence[c] = 0
    :: else
    fi
}

inline tidy() {
    for (d : 0 .. C - 1) { prune(d) }
    d = 0;
    align(0, 1); align(1, C - 1); align(0, 1);
    order(0, 1); order(1, 2); order(0, 1)
}

#define BEGIN 1
#define CHOOSE 2
#define LEASE 3
#define STOP 4
#define MORE 5      /* extend */
#define END 6
#define ARRIVE 7
#define EXPIRE 8
#define LOSE 9
#define UNLOCK 10
#define DROP 11
byte step, who, at, what;
#define STEP(guard, action, c, n, kind) :: guard -> step = action; who = c; at = n; what = kind

#define FIRST(c, n, kind) ((mail[L(c, n)] & (kind)) && (mail[L(c, n)] & ((kind) - 1)) == 0)
#define LINK(c, n) \
    STEP(FIRST(c, n, ACQUIRE), ARRIVE, c, n, ACQUIRE) STEP(FIRST(c, n, RAISE), ARRIVE, c, n, RAISE) \
    STEP(FIRST(c, n, EXTEND), ARRIVE, c, n, EXTEND) STEP(FIRST(c, n, GIVEBACK), ARRIVE, c, n, GIVEBACK) \
    STEP(LOSS && FIRST(c, n, ACQUIRE) && !ONLY(c, n, ACQUIRE), DROP, c, n, ACQUIRE) \
    STEP(LOSS && FIRST(c, n, RAISE) && !ONLY(c, n, RAISE), DROP, c, n, RAISE) \
    STEP(LOSS && FIRST(c, n, EXTEND) && !ONLY(c, n, EXTEND), DROP, c, n, EXTEND)

#define STANDS(c) (stood[L(c, 0)] + stood[L(c, 1)] + stood[L(c, 2)] >= QUORUM)
#define CLAIMER(c) \
    STEP(phase[c] == IDLE, BEGIN, c, 0, 0) \
    STEP(phase[c] == ROUND && GRANTS(c, N) >= QUORUM, CHOOSE, c, N, 0) \
    STEP(phase[c] == ROUND && GRANTS(c, N) == N, CHOOSE, c, 0, 0) \
    STEP(phase[c] == ROUND && GRANTS(c, N) == N, CHOOSE, c, 1, 0) \
    STEP(phase[c] == ROUND && GRANTS(c, N) == N, CHOOSE, c, 2, 0) \
    STEP(phase[c] == RAISING && STANDS(c) && !(VALIDITY && ended[c]), LEASE, c, 0, 0) \
    STEP(GIVEUP && (phase[c] == ROUND || phase[c] == RAISING), STOP, c, 0, 0) \
    STEP(phase[c] == HELD || phase[c] == LOST, UNLOCK, c, 0, 0) \
    STEP(EXTENDS && phase[c] == HELD && !extended[c], MORE, c, 0, 0) \
    STEP((phase[c] == ROUND || phase[c] == RAISING || phase[c] == HELD) && !ended[c], END, c, 0, 0) \
    LINK(c, 0) LINK(c, 1) LINK(c, 2)

#define NODE(n) \
    STEP(lock[n] && !CURRENT(lock[n]), EXPIRE, 0, n, 0) \
    STEP(losses < LOSSES && counter[n], LOSE, 0, n, 0)

inline take() {
    if
    :: step == BEGIN -> phase[who] = ROUND; post(who, ACQUIRE)
    :: step == CHOOSE -> choose(who, at)
    :: step == LEASE -> lease(who)
    :: step == STOP -> over(who)
    :: step == UNLOCK -> over(who); post(who, GIVEBACK)
    :: step == MORE -> extended[who] = true; post(who, EXTEND)
    :: step == END && phase[who] == HELD -> phase[who] = LOST
    :: step == END && phase[who] != HELD -> ended[who] = true
    :: step == ARRIVE ->
        mail[L(who, at)] = mail[L(who, at)] & ~what;
        if
        :: what == ACQUIRE -> acquire(who, at)
        :: what == RAISE -> raise(who, at)
        :: what == EXTEND -> extend(who, at)
        :: what == GIVEBACK -> giveback(who, at)
        fi
    :: step == DROP -> mail[L(who, at)] = mail[L(who, at)] & ~what
    :: step == EXPIRE -> lock[at] = 0
    :: step == LOSE -> losses++; counter[at] = 0
    fi
}

active proctype fleet() {
    /* The counters may differ from the start. */
    for (i : 0 .. N - 1) {
        if
        :: counter[i] = 1
        :: counter[i] = SPREAD; top = SPREAD * (LOSSES > 0)
        fi
    }
    skip;
    d_step { i = 0; tidy() }
    do
    :: atomic {
        if
        CLAIMER(0)
        CLAIMER(1)
#if C > 2
        CLAIMER(2)
#endif
        NODE(0)
        NODE(1)
        NODE(2)
        :: else -> break
        fi;
        d_step { take(); tidy(); step = 0; who = 0; at = 0; what = 0 }
    }
    od
}
