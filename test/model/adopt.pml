/*
 * Adoption: Detach and Adopt swap the token in the lock's key, on three nodes, while the former holder still extends,
 * others adopt the same token, and others want the lock. What is left out, and why that is sound, is in README.md.
 * Cells, columns and ballots are as in lease.pml.
 *
 * A row is a token. Row 0 is held when the search begins; the others are fresh tokens: of a lock, of an adoption (it
 * replaces the token of the row that FROM names), or of a hand-over, which Detach puts in the place of row 0's.
 */
#ifndef C
#define C 3             /* rows: 2 to 4 */
#endif
#ifndef K
#define K 1             /* extensions of each: 1 or 2 */
#endif
#define N 3
#define QUORUM 2

/* A digit for each row, the first one's comes last: the row that it swaps, plus 1, or 0; whether it is a hand-over. */
#ifndef FROM
#define FROM 110
#endif
#ifndef HANDOVER
#define HANDOVER 0
#endif
#define DIGIT(x, c) (((c) == 0 -> (x) : ((c) == 1 -> (x) / 10 : ((c) == 2 -> (x) / 100 : (x) / 1000))) % 10)
#define SWAPS(c) (DIGIT(FROM, c) > 0)
#define OLD(c) (DIGIT(FROM, c) - 1)
#define HANDED(c) DIGIT(HANDOVER, c)
#ifndef PLAIN
#define PLAIN 0         /* 1: nothing is pruned and nothing sorted, to see that this changes no outcome */
#endif

/* ---- faults; all may also give up, die, and lose messages at any moment ---- */
#ifndef EMPTY
#define EMPTY 0         /* 1: once, a node comes back empty */
#endif

/* ---- rules that can be left out ---- */
#ifndef FRESH
#define FRESH 1         /* an adoption puts a token of its own in the key; 0: it extends the one that it was told */
#endif
#ifndef COMPARE
#define COMPARE 1       /* a swap replaces the token that it names, not whatever is there */
#endif
#ifndef TOMBSTONE
#define TOMBSTONE 2     /* a swap leaves one for the old token; 1: not for a hand-over token; 0: for none */
#endif
#ifndef WAITS
#define WAITS 2         /* a lease on a held token is handed out 2: when the longest time that a swap saw is over;
                           1: when the time that the last answer told is over; 0: at once */
#endif
#ifndef KEEPS
#define KEEPS 2         /* a key lives at least as long as the one that it replaced, 2: always; 1: until it is extended;
                           0: it lives for its own time */
#endif
#ifndef RESTORES
#define RESTORES 1      /* an extension puts a missing key back 1: when the lease was handed out; 2: while it waits, too */
#endif
#ifndef LEAVES
#define LEAVES 1        /* an adoption that is given up while it waits leaves its key until the old time is over; 0: it takes it */
#endif
#ifndef ENDSFIRST
#define ENDSFIRST 1     /* Detach ends the lease before it swaps */
#endif
#ifndef YOUNGSWAP
#define YOUNGSWAP 0     /* 1: a swap counts on a node that restarted empty */
#endif
#ifndef VALIDITY
#define VALIDITY 1      /* a swap or an acquisition counts within its own validity only */
#endif

#define ROUND 0
#define HELD 1          /* it has its majority; whether it was handed out is `out` */
#define EXTENDING 2
#define OVER 3
byte phase[C];
byte asked[C];          /* the last ballot that was asked */
byte ballot[C];         /* the last that succeeded */
byte ended[C];          /* how many ballots' validity has ended */
bit out[C];             /* the lease was handed out, perhaps long ago */
bit won[C];             /* the swap had its majority */
bit detached, emptied;
byte seen[C * C];       /* what row c saw of row d's time when it swapped: a ballot, plus 1 */
#define SEEN(c, d) seen[(c) * C + (d)]

byte owner[N];          /* whose token is in the key: a row, plus 1 */

/* A cell. The key at node n does not expire before the times of all cells of that node. */
byte cell[C * N];
byte forgot[C * N];
#define ASK(k) (1 << (k))
#define MAIL 7
#define TIME 8
#define TIMES 24        /* TIME times 1 .. K + 1 */
#define YES 32
#define GRAVE 64
#define L(c, n) ((c) * N + (n))
#define AT(c, n) cell[L(c, n)]
#define SET(c, n) ((AT(c, n) & TIMES) / TIME)
#define PENDS(c, n) (c < C && SET(c, n) > ended[c])
#define EXPIRES(n) (owner[n] && SET(0, n) <= ended[0] && SET(1, n) <= ended[1] && SET(C - 2, n) <= ended[C - 2] && SET(C - 1, n) <= ended[C - 1])
#define YOUNG(n) (forgot[L(0, n)] || forgot[L(1, n)] || forgot[L(C - 2, n)] || forgot[L(C - 1, n)])
#define YESES(c) ((AT(c, 0) & YES) / YES + (AT(c, 1) & YES) / YES + (AT(c, 2) & YES) / YES)
#define RELEASES(c) (phase[c] == OVER && (out[c] || !SWAPS(c) || HANDED(OLD(c)) || HANDED(c) && ENDSFIRST || !LEAVES))
#define VALID(c) (out[c] && (phase[c] == HELD || phase[c] == EXTENDING) && ended[c] <= ballot[c])
#define OLDER(c, d) (SEEN(c, d) > ended[d])
#define MUSTWAIT(c) (OLDER(c, 0) || OLDER(c, 1) || OLDER(c, C - 2) || OLDER(c, C - 1))
#define ADOPTED(c) (OLD(0) == (c) || OLD(1) == (c) || OLD(C - 2) == (c) || OLD(C - 1) == (c))

hidden byte d, i, k, s;

inline post(c, what) {
    for (i : 0 .. N - 1) { AT(c, i) = AT(c, i) & ~YES | what }
}

/* The answer is yes, if it is still wanted. */
inline agree(c, n) {
    AT(c, n) = AT(c, n) | ((phase[c] == ROUND || phase[c] == EXTENDING) && asked[c] == k -> YES : 0)
}

/* The key is row c's from now on, and lives for ballot k. */
inline put(c, n) {
    for (d : 0 .. C - 1) {
        AT(d, n) = (d == c || !owner[n] -> AT(d, n) & ~TIMES : AT(d, n))
    }
    AT(c, n) = AT(c, n) | (k + 1) * TIME;
    owner[n] = c + 1
}

inline forget(c, n) {
    for (d : 0 .. C - 1) {
        AT(d, n) = (d != c -> AT(d, n) & ~TIMES : AT(d, n))
    }
}

/* The swap: compare, set, bury. What remained of the old key's time is part of the answer. */
inline replace(c, n) {
    if
    :: AT(c, n) & GRAVE -> skip
    :: !(AT(c, n) & GRAVE) && owner[n] && (owner[n] == OLD(c) + 1 || !COMPARE) ->
        if
        :: phase[c] == ROUND && !(YOUNG(n) && !YOUNGSWAP) ->
            agree(c, n);
            for (d : 0 .. C - 1) {
                SEEN(c, d) = (!HANDED(OLD(c)) && (SET(d, n) > SEEN(c, d) || WAITS == 1) -> SET(d, n) : SEEN(c, d))
            }
        :: else
        fi;
        if
        :: FRESH || HANDED(c) ->
            put(c, n);
            AT(OLD(c), n) = AT(OLD(c), n) | (TOMBSTONE == 2 || TOMBSTONE == 1 && !HANDED(OLD(c)) -> GRAVE : 0);
            if
            :: KEEPS == 0 -> forget(c, n)
            :: else
            fi
        :: else -> AT(c, n) = AT(c, n) | TIME /* the same token: who holds it is not told apart */
        fi
    :: else
    fi
}

inline deliver(c, n, what) {
    AT(c, n) = AT(c, n) & ~what;
    k = what / 2;
    if
    :: !k && SWAPS(c) -> replace(c, n)
    :: !k && !SWAPS(c) && !owner[n] && !YOUNG(n) && !(AT(c, n) & GRAVE) -> put(c, n); agree(c, n)
    :: k && (owner[n] == c + 1 || !FRESH && owner[n] && SWAPS(c) && owner[n] == OLD(c) + 1 ||
        !owner[n] && !(AT(c, n) & GRAVE) && (out[c] || RESTORES == 2)) ->
        if
        :: KEEPS == 1 -> forget(c, n)
        :: else
        fi;
        if
        :: owner[n] == c + 1 || !owner[n] -> put(c, n)
        :: else -> AT(c, n) = AT(c, n) & ~TIMES | (k + 1) * TIME
        fi;
        if
        :: !YOUNG(n) -> agree(c, n)
        :: else
        fi
    :: else
    fi
}

inline handout(c) {
    out[c] = 1;
    for (d : 0 .. C - 1) { assert(d == c || !VALID(d)) }
}

/* A majority said yes. What comes in time is held; of several adoptions of a token, one at most. */
inline decide(c) {
    if
    :: phase[c] == ROUND && VALIDITY && ended[c] -> phase[c] = OVER
    :: phase[c] == EXTENDING && ended[c] > ballot[c] -> phase[c] = OVER
    :: else ->
        for (d : 0 .. C - 1) { assert(phase[c] != ROUND || !SWAPS(c) || d == c || DIGIT(FROM, d) != DIGIT(FROM, c) || !won[d]) }
        won[c] = won[c] || phase[c] == ROUND && SWAPS(c);
        ballot[c] = asked[c];
        phase[c] = HELD;
        if
        :: out[c] || !MUSTWAIT(c) || !WAITS -> handout(c)
        :: else
        fi
    fi;
    post(c, 0)
}

inline exchange(a, b) { s = a; a = b; b = s }
#define COLUMN(n) (((AT(0, n) * 61 + AT(1, n)) * 61 + AT(C - 2, n) * 17 + AT(C - 1, n)) * 61 + forgot[L(0, n)] + forgot[L(1, n)] * 3 + owner[n] * 7)

/* Who is past its validity holds nothing; what such a row sends can only stand in others' way, unless its token is
   adopted. Columns are sorted. */
inline tidy() {
    for (d : 0 .. C - 1) {
        phase[d] = (phase[d] != ROUND && ended[d] > ballot[d] -> OVER : phase[d]);
        if
        :: phase[d] == OVER ->
            ended[d] = K + 1; ballot[d] = 0; asked[d] = 0;
            for (i : 0 .. C - 1) { SEEN(d, i) = 0 }
        :: else
        fi;
        for (i : 0 .. N - 1) {
            if
            :: phase[d] == OVER && !PLAIN && !ADOPTED(d) && !(HANDED(d) && !won[d]) ->
                AT(d, i) = 0;
                owner[i] = (owner[i] == d + 1 && (EXPIRES(i) || RELEASES(d)) -> 0 : owner[i])
            :: phase[d] == OVER && !PLAIN && ADOPTED(d) -> AT(d, i) = AT(d, i) & ~TIMES
            :: else
            fi;
            forgot[L(d, i)] = (forgot[L(d, i)] > ended[d] -> forgot[L(d, i)] : 0)
        }
        for (i : 0 .. C - 1) { SEEN(d, i) = (out[d] || SEEN(d, i) <= ended[i] -> 0 : SEEN(d, i)) }
    }
    for (k : 0 .. 2) {
        i = k & 1;
        if
        :: !PLAIN && COLUMN(i) > COLUMN(i + 1) ->
            exchange(owner[i], owner[i + 1]);
            for (d : 0 .. C - 1) {
                exchange(AT(d, i), AT(d, i + 1));
                exchange(forgot[L(d, i)], forgot[L(d, i + 1)])
            }
        :: else
        fi
    }
}

#define HEAD(c, n) (AT(c, n) & MAIL & -(AT(c, n) & MAIL))

/* For people who replay a trail: what happened, and what came of it before columns are sorted again. */
inline tell() {
    printf("row %d, node %d, message %d: keys %d %d %d\n", who, at, what, owner[0], owner[1], owner[2]);
    for (d : 0 .. C - 1) {
        printf("  row %d: phase %d, out %d, ballot %d, ended %d, cells %d %d %d\n", d, phase[d], out[d], ballot[d], ended[d], AT(d, 0), AT(d, 1), AT(d, 2))
    }
}

active proctype fleet() {
    byte who, at, what;
    atomic {
        owner[0] = 1; owner[1] = 1;
        AT(0, 0) = TIME; AT(0, 1) = TIME;
        if
        :: owner[2] = 1; AT(0, 2) = TIME
        :: owner[2] = 0
        fi;
        d_step {
            phase[0] = HELD;
            out[0] = 1;
            for (d : 1 .. C - 1) {
                if
                :: HANDED(d) -> phase[d] = OVER
                :: else -> post(d, ASK(0))
                fi
            }
            skip
        }
    }
    do
    :: atomic {
        if
        :: who = 0
        :: who = 1
#if C > 2
        :: who = 2
#endif
#if C > 3
        :: who = 3
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
        :: at < N && owner[at] == who + 1 && (EXPIRES(at) || RELEASES(who)) -> owner[at] = 0
        :: at < N && who == 0 && EMPTY && !emptied -> d_step {
            emptied = 1;
            owner[at] = 0;
            for (d : 0 .. C - 1) { forgot[L(d, at)] = SET(d, at); AT(d, at) = AT(d, at) & ~TIMES & ~GRAVE }
            skip
        }
        :: at == N && phase[who] != HELD && phase[who] != OVER && YESES(who) >= QUORUM -> d_step { decide(who); skip }
        :: at == N && phase[who] == HELD && !out[who] && !MUSTWAIT(who) -> d_step { handout(who); skip }
        :: at == N && HANDED(who) && !detached && (phase[0] == HELD || phase[0] == EXTENDING) -> d_step {
            detached = 1;
            phase[0] = (ENDSFIRST -> OVER : phase[0]);
            post(who, ASK(0));
            skip
        }
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
