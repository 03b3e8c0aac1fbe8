/*
 * Leases and their extension: acquire.lua and extend.lua, which puts the key back where it is missing, on three nodes,
 * and C claimers who hold one lease each and extend it up to K times. What is left out, and why that is sound, is in
 * README.md. Cells, rows and columns are as in claim.pml.
 *
 * Time is the ballots of a claimer: 0 is its acquisition, k its k-th extension. They are asked in this order, so the
 * validity of each ends in this order, and a lock that a ballot set or prolonged expires after that ballot's validity.
 */
#ifndef C
#define C 2             /* claimers: 2 or 3 */
#endif
#ifndef K
#define K 1             /* extensions of each: 1 or 2 */
#endif
#define N 3
#define QUORUM 2
#ifndef PLAIN
#define PLAIN 0         /* 1: nothing is pruned and nothing sorted, to see that this changes no outcome */
#endif

/* ---- faults; claimers may also give up, die, and lose messages at any moment ---- */
#ifndef EMPTY
#define EMPTY 0         /* 1: once, a node comes back empty */
#endif

/* ---- rules that can be left out ---- */
#ifndef GUARD
#define GUARD 1         /* such a node does not vote on a new lock before those that it forgot are over */
#endif
#ifndef YOUNGEXTEND
#define YOUNGEXTEND 0   /* an extension counts on such a node 0: not; 1: where it finds the key; 2: always */
#endif
#ifndef VALIDITY
#define VALIDITY 1      /* an acquisition counts within its validity only */
#endif
#ifndef INTIME
#define INTIME 1        /* an extension counts within the validity before it only */
#endif
#ifndef FREEONLY
#define FREEONLY 1      /* an extension puts the key back where it is missing, not where another's is */
#endif

#define ROUND 0
#define HELD 1
#define EXTENDING 2
#define OVER 3
byte phase[C];
byte asked[C];          /* the last ballot that was asked */
byte ballot[C];         /* the last that succeeded */
byte ended[C];          /* how many ballots' validity has ended */
bit emptied;

/* A cell: messages under way, by ballot; the ballot that the lock here comes from, plus 1; the answer to the last one. */
byte cell[C * N];
byte forgot[C * N];     /* the same of the lock that a restart took */
#define ASK(k) (1 << (k))
#define MAIL 7
#define LOCK 8
#define LOCKS 56        /* LOCK times 1 .. K + 1 */
#define YES 64
#define L(c, n) ((c) * N + (n))
#define AT(c, n) cell[L(c, n)]
#define SET(c, n) ((AT(c, n) & LOCKS) / LOCK)
#define FREE(n) !((AT(0, n) | AT(1, n) | AT(C - 1, n)) & LOCKS)
#define YOUNG(n) (GUARD && (forgot[L(0, n)] || forgot[L(1, n)] || forgot[L(C - 1, n)]))
#define COUNTS(c, n) (!k || !YOUNG(n) || YOUNGEXTEND == 2 || YOUNGEXTEND == 1 && SET(c, n))
#define YESES(c) ((AT(c, 0) & YES) / YES + (AT(c, 1) & YES) / YES + (AT(c, 2) & YES) / YES)
#define VALID(c) ((phase[c] == HELD || phase[c] == EXTENDING) && ended[c] <= ballot[c])

hidden byte d, i, k, s;

inline post(c, what) {
    for (i : 0 .. N - 1) { AT(c, i) = AT(c, i) & ~YES | what }
}

/* acquire.lua for ballot 0, extend.lua for the others */
inline deliver(c, n, what) {
    AT(c, n) = AT(c, n) & ~what;
    k = what / 2;
    s = ((phase[c] == ROUND || phase[c] == EXTENDING) && asked[c] == k && COUNTS(c, n) -> YES : 0);
    if
    :: k > 0 && !FREEONLY ->
        for (d : 0 .. C - 1) { AT(d, n) = AT(d, n) & ~LOCKS }
    :: else
    fi;
    if
    :: FREE(n) && (k || !YOUNG(n)) || k && SET(c, n) ->
        AT(c, n) = AT(c, n) & ~LOCKS | (k + 1) * LOCK | s
    :: else
    fi
}

/* A majority said yes. An acquisition or extension that comes in time makes a lease that is valid now. */
inline decide(c) {
    if
    :: phase[c] == ROUND && VALIDITY && ended[c] -> phase[c] = OVER
    :: phase[c] == EXTENDING && INTIME && ended[c] > ballot[c] -> phase[c] = OVER
    :: else ->
        ballot[c] = asked[c];
        phase[c] = HELD;
        for (d : 0 .. C - 1) { assert(d == c || !VALID(d)) }
    fi;
    post(c, 0)
}

inline swap(a, b) { s = a; a = b; b = s }
#define COLUMN(n) (((AT(0, n) * 61 + AT(1, n)) * 61 + AT(C - 1, n)) * 61 + forgot[L(0, n)] + forgot[L(1, n)] * 3)
#define ROW(c) (phase[c] * 16 + ballot[c] * 4 + ended[c] + asked[c] * 8 + 64 * (AT(c, 0) + AT(c, 1) + AT(c, 2)))

/* Who is past its validity holds nothing. What is over, or forgotten and over, can only stand in others' way, and so
   can a message that is lost. Rows and columns are sorted. */
inline tidy() {
    for (d : 0 .. C - 1) {
        phase[d] = (INTIME && phase[d] != ROUND && ended[d] > ballot[d] -> OVER : phase[d]);
        ended[d] = (phase[d] == OVER -> K + 1 : ended[d]);
        ballot[d] = (phase[d] == OVER -> 0 : ballot[d]);
        asked[d] = (phase[d] == OVER -> 0 : asked[d]);
        for (i : 0 .. N - 1) {
            AT(d, i) = (phase[d] == OVER && !PLAIN -> 0 : AT(d, i));
            forgot[L(d, i)] = (forgot[L(d, i)] > ended[d] -> forgot[L(d, i)] : 0)
        }
    }
    for (k : 0 .. 2) {
        d = k & 1;
        if
        :: !PLAIN && d + 1 < C && ROW(d) > ROW(d + 1) ->
            swap(phase[d], phase[d + 1]); swap(ballot[d], ballot[d + 1]); swap(asked[d], asked[d + 1]); swap(ended[d], ended[d + 1]);
            for (i : 0 .. N - 1) {
                swap(AT(d, i), AT(d + 1, i));
                swap(forgot[L(d, i)], forgot[L(d + 1, i)])
            }
        :: else
        fi
    }
    for (k : 0 .. 2) {
        i = k & 1;
        if
        :: !PLAIN && COLUMN(i) > COLUMN(i + 1) ->
            for (d : 0 .. C - 1) {
                swap(AT(d, i), AT(d, i + 1));
                swap(forgot[L(d, i)], forgot[L(d, i + 1)])
            }
        :: else
        fi
    }
}

#define HEAD(c, n) (AT(c, n) & MAIL & -(AT(c, n) & MAIL))

/* For people who replay a trail: what happened, and what came of it before rows and columns are sorted again. */
inline tell() {
    printf("claimer %d, node %d, message %d\n", who, at, what);
    for (d : 0 .. C - 1) {
        printf("  claimer %d: phase %d, ballot %d, ended %d, cells %d %d %d\n", d, phase[d], ballot[d], ended[d], AT(d, 0), AT(d, 1), AT(d, 2))
    }
}

active proctype fleet() {
    byte who, at, what;
    d_step {
        for (d : 0 .. C - 1) { post(d, ASK(0)) }
        skip
    }
    do
    :: atomic {
        if
        :: who = 0
        :: who = 1
#if C > 2
        :: who = 2
#endif
        fi;
        if
        :: at = 0
        :: at = 1
        :: at = 2
        :: at = N
        fi;
        what = (at < N -> HEAD(who, at) : 0);
        if
        :: what -> d_step { deliver(who, at, what); skip }
        :: what && (AT(who, at) & MAIL) > what -> AT(who, at) = AT(who, at) & ~what
        :: at < N && SET(who, at) && SET(who, at) <= ended[who] -> AT(who, at) = AT(who, at) & ~LOCKS
        :: at < N && who == 0 && EMPTY && !emptied -> d_step {
            emptied = 1;
            for (d : 0 .. C - 1) { forgot[L(d, at)] = SET(d, at); AT(d, at) = AT(d, at) & ~LOCKS }
            skip
        }
        :: at == N && phase[who] != HELD && phase[who] != OVER && YESES(who) >= QUORUM -> d_step { decide(who); skip }
        :: at == N && phase[who] == HELD && asked[who] < K -> d_step {
            phase[who] = EXTENDING;
            asked[who]++;
            post(who, ASK(asked[who]));
            skip
        }
        :: at == N && phase[who] == EXTENDING -> d_step { phase[who] = HELD; post(who, 0); skip }
        :: at == N && phase[who] != OVER -> d_step { phase[who] = OVER; post(who, 0); skip }
        :: at == N && phase[who] != OVER && ended[who] <= asked[who] -> ended[who]++
        :: else
        fi;
        d_step { tell(); tidy(); who = 0; at = 0; what = 0 }
    }
    od
}
