/*
 * Fences of one name, over locks, claims, take-overs and adoptions: acquire.lua, claim.lua, raise.lua, extend.lua,
 * release.lua, finish.lua and abort.lua on three nodes, and the decisions of C claimers with one round each: a second
 * round would be another claimer's. What is left out, and why that is sound, is in README.md.
 *
 * Cells, rows and columns are as in claim.pml. Claimers of one kind are alike, and so are all nodes.
 */
#ifndef C
#define C 3             /* claimers: 2 or 3 */
#endif
#define N 3
#define QUORUM 2
#ifndef SPREAD
#define SPREAD 3        /* each counter starts at 1 or at this */
#endif

/* A digit for each claimer, the first one's comes last. 0: a lock; 1 or 2: a claim of that tick, which others take over
   when its holder dies; 9: it adopts the first one's token, which may still be held. */
#ifndef KINDS
#define KINDS 0
#endif
#define ADOPTS(c) (KIND(c) == 9)
#define KIND(c) (((c) == 0 -> (KINDS) : ((c) == 1 -> (KINDS) / 10 : (KINDS) / 100)) % 10)
#define CLAIMS(c) (KIND(c) && !ADOPTS(c))
#define ALIKE(c) (KIND(c) == KIND((c) + 1) && KINDS / 10 % 10 != 9 && KINDS / 100 != 9)

/* ---- faults ---- */
#ifndef FAULTS
#define FAULTS 1        /* claimers die, and messages get lost, at any moment */
#endif
#ifndef EXTENDS
#define EXTENDS 0       /* a holder sends one extension */
#endif
#ifndef FORGETS
#define FORGETS 0       /* 1: once, a node comes back empty, when the locks it had are over; 2: once, it loses its counter alone */
#endif

#ifndef PLAIN
#define PLAIN 0         /* 1: nothing is pruned and nothing sorted, to see that this changes no outcome */
#endif

/* ---- rules that can be left out ---- */
#ifndef CLAIMFENCE
#define CLAIMFENCE 1    /* a claim's vote raises the counter; 0: its fence is its tick; 2: who takes a tick over keeps its fence */
#endif
#ifndef ADOPTFENCE
#define ADOPTFENCE 1    /* so does an adoption's swap; 0: it reads the counter */
#endif
#ifndef WRITEBACK
#define WRITEBACK 1     /* the fence is written back until it stands; 0: it is not; 2: also where the lock is not ours */
#endif
#ifndef VALIDITY
#define VALIDITY 1      /* validity is checked at the decision; 0: it is not; 2: only before the fence is written back */
#endif
#ifndef LARGEST
#define LARGEST 1       /* the fence is the largest of the claimer's grants, not the smallest */
#endif
#ifndef OWNLOCK
#define OWNLOCK 1       /* a release takes the claimer's own lock only */
#endif
#ifndef ABSTAIN
#define ABSTAIN 1       /* no fence stands where the counter is missing; 0: it is written there */
#endif
#ifndef CLOCK
#define CLOCK 1         /* a missing counter starts at the time, not at 0 */
#endif

#define ROUND 0         /* its votes are under way */
#define RAISING 1       /* its fence is being written back */
#define HELD 2
#define LATE 3          /* its validity ended while it was held: it will still unlock */
#define OVER 4
byte phase[C], fence[C];
bit ended[C], extended[C];
bit done[C];            /* its tick is done */
byte counter[N];        /* 0: missing */
byte last[N];           /* the newest tick done */
byte kept[N];           /* with CLAIMFENCE 2: the fence of the tick here */
byte top;               /* the largest number there has been: the time in microseconds is past it */
byte newest;            /* the fence that was handed out last */
bit forgotten;

/* A cell. The messages' bits are in the order in which they are sent. */
short cell[C * N];
#define ACQUIRE 1
#define RAISE 2
#define EXTEND 4
#define RELEASE 8
#define MAIL 15
#define LOCK 16
#define STANDS 32       /* the fence was seen or set here while the lock was ours */
#define GRAVE 64        /* the token was replaced here */
#define FENCE 128       /* from here on: the number that came with the grant; 0 is no grant, or none that was counted */
#define L(c, n) ((c) * N + (n))
#define AT(c, n) cell[L(c, n)]
#define NUMBER(c, n) (AT(c, n) / FENCE)
#define GRANT(c, n, but) ((n) != (but) && NUMBER(c, n))
#define GRANTS(c, but) (GRANT(c, 0, but) + GRANT(c, 1, but) + GRANT(c, 2, but))
#define STANDING(c) ((AT(c, 0) & STANDS) / STANDS + (AT(c, 1) & STANDS) / STANDS + (AT(c, 2) & STANDS) / STANDS)
#define FREE(n) !((AT(0, n) | AT(1, n) | AT(C - 1, n)) & LOCK)
#define VALID(c) (phase[c] < LATE && !ended[c])
#define BLOCKS(c, n) (VALID(c) && AT(c, n) & LOCK)
#define EMPTIES(n) (FORGETS == 2 || FORGETS == 1 && !BLOCKS(0, n) && !BLOCKS(1, n) && !BLOCKS(C - 1, n))

hidden byte d, i, k, best, equal, least;
hidden short s;

inline raise(n) {
    counter[n] = (counter[n] < least -> least : counter[n]);
    top = (counter[n] > top -> counter[n] : top)
}

/* acquire.lua, claim.lua, and the swap of an adoption */
inline acquire(c, n) {
    if
    :: (ADOPTS(c) -> AT(0, n) & LOCK : FREE(n) && !(AT(c, n) & GRAVE) && !(CLAIMS(c) && KIND(c) <= last[n])) ->
        least = (counter[n] || !CLOCK -> counter[n] + (ADOPTFENCE || !ADOPTS(c)) : top + 2);
        least = (CLAIMFENCE == 2 && CLAIMS(c) && kept[n] -> kept[n] : least);
        kept[n] = (CLAIMFENCE == 2 && CLAIMS(c) -> least : 0);
        raise(n);
        AT(0, n) = (ADOPTS(c) -> AT(0, n) & ~LOCK | GRAVE : AT(0, n));
        least = (kept[n] -> kept[n] : counter[n]);
        AT(c, n) = AT(c, n) | LOCK | (phase[c] == ROUND -> least * FENCE : 0)
    :: else
    fi
}

inline deliver(c, n, what) {
    AT(c, n) = AT(c, n) & ~what;
    if
    :: what == ACQUIRE -> acquire(c, n)
    :: what == RAISE && (AT(c, n) & LOCK || WRITEBACK == 2) && (counter[n] || !ABSTAIN) ->
        least = fence[c];
        raise(n);
        AT(c, n) = AT(c, n) | (phase[c] == RAISING -> STANDS : 0)
    :: what == EXTEND && (AT(c, n) & LOCK || FREE(n) && !(AT(c, n) & GRAVE)) -> AT(c, n) = AT(c, n) | LOCK
    :: what == RELEASE && !OWNLOCK ->
        for (d : 0 .. C - 1) { AT(d, n) = AT(d, n) & ~LOCK }
    :: what == RELEASE && OWNLOCK ->
        AT(c, n) = AT(c, n) & ~LOCK;
        last[n] = (done[c] && last[n] < KIND(c) -> KIND(c) : last[n])
    :: else
    fi
}

/* Sends a message to every node, or to none; what was answered so far is of no use any more. */
inline post(c, what) {
    for (i : 0 .. N - 1) { AT(c, i) = AT(c, i) & (STANDS - 1) | what }
}

inline lease(c) {
    for (d : 0 .. C - 1) {
        assert(d == c || phase[d] != HELD)
    }
    assert(fence[c] > newest);
    newest = fence[c];
    phase[c] = HELD;
    post(c, 0)
}

/* What the fence is, and whether it stands already; the answer of node `but` has not come yet. */
inline choose(c, but) {
    best = 0; equal = 0;
    for (i : 0 .. N - 1) {
        best = (GRANT(c, i, but) && (!best || (LARGEST -> NUMBER(c, i) > best : NUMBER(c, i) < best)) -> NUMBER(c, i) : best)
    }
    for (i : 0 .. N - 1) {
        equal = equal + (GRANT(c, i, but) && NUMBER(c, i) == best)
    }
    fence[c] = (CLAIMFENCE == 0 && CLAIMS(c) -> KIND(c) : best);
    equal = (CLAIMFENCE != 1 && CLAIMS(c) -> N : equal);
    if
    :: (equal >= QUORUM || !WRITEBACK) && VALIDITY && ended[c] -> phase[c] = OVER; post(c, 0)
    :: ADOPTS(c) && VALID(0) -> phase[c] = RAISING; post(c, RAISE)
    :: (equal >= QUORUM || !WRITEBACK) && !(VALIDITY && ended[c]) && !(ADOPTS(c) && VALID(0)) -> lease(c)
    :: else -> phase[c] = RAISING; post(c, RAISE)
    fi
}

inline swap(a, b) { s = a; a = b; b = s }

#define COLUMN(n) ((((AT(0, n) * 61 + AT(1, n)) * 61 + AT(C - 1, n)) * 4 + counter[n]) * 4 + last[n])
#define ROW(c) (done[c] * 64 + phase[c] * 4 + ended[c] * 2 + extended[c] + 8 * fence[c] + 128 * (AT(c, 0) + AT(c, 1) + AT(c, 2)))

/* What can never change anything any more is not kept. Numbers count from the smallest. Rows and columns are sorted. */
inline tidy() {
    for (d : 0 .. C - 1) {
        if
        :: !PLAIN && VALIDITY == 1 && phase[d] == RAISING && ended[d] -> phase[d] = OVER; post(d, 0)
        :: else
        fi;
        ended[d] = ended[d] && phase[d] < HELD;
        extended[d] = extended[d] && phase[d] == HELD;
        for (i : 0 .. N - 1) {
            s = AT(d, i);
            s = s & (OWNLOCK && !(s & (ACQUIRE | EXTEND | LOCK)) && !(done[d] && last[i] < KIND(d)) -> ~RELEASE : 32767);
            s = s & (WRITEBACK < 2 && phase[d] != RAISING && !(s & (ACQUIRE | LOCK)) -> ~RAISE : 32767);
            s = (PLAIN -> AT(d, i) : s);
            s = s & (!PLAIN && phase[d] == OVER && !(s & (ACQUIRE | EXTEND)) -> ~GRAVE : 32767);
            AT(d, i) = s & (!PLAIN && phase[d] == OVER && !(s & (RAISE | EXTEND | RELEASE)) && !(KINDS / 10 && !d && (KINDS / 10 % 10 == 9 || KINDS / 100 == 9)) && !(ADOPTS(d) && VALID(0)) -> ~LOCK : 32767)
        }
        fence[d] = (phase[d] == OVER && !((AT(d, 0) | AT(d, 1) | AT(d, 2)) & (MAIL | LOCK)) -> 0 : fence[d])
    }
    least = 255;
    for (i : 0 .. N - 1) {
        least = (counter[i] && counter[i] < least -> counter[i] : least);
        for (d : 0 .. C - 1) {
            least = (NUMBER(d, i) && NUMBER(d, i) < least -> NUMBER(d, i) : least);
            least = (fence[d] && fence[d] < least -> fence[d] : least)
        }
    }
    least = (PLAIN || !CLAIMFENCE || least == 255 -> 0 : least - 1);
    top = (forgotten && counter[0] && counter[1] && counter[2] || !FORGETS -> 0 : top - least);
    newest = (newest > least -> newest - least : 0);
    for (d : 0 .. C - 1) { fence[d] = (fence[d] -> fence[d] - least : 0) }
    for (i : 0 .. N - 1) {
        counter[i] = (counter[i] -> counter[i] - least : 0);
        kept[i] = (kept[i] > least -> kept[i] - least : 0);
        for (d : 0 .. C - 1) { AT(d, i) = AT(d, i) - (NUMBER(d, i) -> least * FENCE : 0) }
    }
    for (k : 0 .. 2) {
        d = k & 1;
        if
        :: !PLAIN && d + 1 < C && ALIKE(d) && ROW(d) > ROW(d + 1) ->
            swap(phase[d], phase[d + 1]); swap(fence[d], fence[d + 1]);
            swap(ended[d], ended[d + 1]); swap(done[d], done[d + 1]); swap(extended[d], extended[d + 1]);
            for (i : 0 .. N - 1) { swap(AT(d, i), AT(d + 1, i)) }
        :: else
        fi
    }
    for (k : 0 .. 2) {
        i = k & 1;
        if
        :: !PLAIN && COLUMN(i) > COLUMN(i + 1) ->
            swap(counter[i], counter[i + 1]); swap(last[i], last[i + 1]); swap(kept[i], kept[i + 1]);
            for (d : 0 .. C - 1) { swap(AT(d, i), AT(d, i + 1)) }
        :: else
        fi
    }
}

#define HEAD(c, n) (AT(c, n) & MAIL & -(AT(c, n) & MAIL))

/* For people who replay a trail: what happened, and what came of it before rows and columns are sorted again. */
inline tell() {
    printf("claimer %d, node %d, message %d: counters %d %d %d, newest fence %d\n", who, at, what, counter[0], counter[1], counter[2], newest);
    for (d : 0 .. C - 1) {
        printf("  claimer %d: phase %d, ended %d, fence %d, cells %d %d %d\n", d, phase[d], ended[d], fence[d], AT(d, 0), AT(d, 1), AT(d, 2))
    }
}

active proctype fleet() {
    byte who, at, what;
    atomic {
        if
        :: counter[0] = 1; counter[1] = 1; counter[2] = 1
        :: counter[0] = 1; counter[1] = 1; counter[2] = SPREAD
        :: counter[0] = 1; counter[1] = SPREAD; counter[2] = SPREAD
        fi;
        d_step {
            top = SPREAD;
            for (d : 0 .. C - 1) { post(d, ACQUIRE) }
            tidy();
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
        :: what && FAULTS && (AT(who, at) & MAIL) > what -> AT(who, at) = AT(who, at) & ~what
        :: at < N && AT(who, at) & LOCK && !VALID(who) && !(ADOPTS(who) && VALID(0)) -> AT(who, at) = AT(who, at) & ~LOCK
        :: at < N && who == 0 && !forgotten && EMPTIES(at) -> d_step {
            forgotten = 1;
            counter[at] = 0;
            for (d : 0 .. C - 1) { AT(d, at) = AT(d, at) & (FORGETS == 1 -> ~LOCK : 32767) }
            skip
        }
        :: phase[who] == ROUND && GRANTS(who, at) >= QUORUM && (at == N || GRANT(who, at, N)) -> d_step { choose(who, at); skip }
        :: at == N && phase[who] == RAISING && STANDING(who) >= QUORUM && !(VALIDITY == 1 && ended[who]) && !(ADOPTS(who) && VALID(0)) -> d_step { lease(who); skip }
        :: at == N && (phase[who] < HELD || FAULTS && phase[who] < OVER) -> d_step { phase[who] = OVER; post(who, 0); skip }
        :: at == N && phase[who] < HELD && !ended[who] -> ended[who] = 1
        :: at == N && phase[who] == HELD && EXTENDS && !extended[who] -> d_step { extended[who] = 1; post(who, EXTEND); skip }
        :: at == N && (phase[who] == HELD || phase[who] == LATE) -> d_step { done[who] = CLAIMS(who) && phase[who] == HELD; phase[who] = OVER; post(who, RELEASE); skip }
        :: at == N && phase[who] == HELD -> phase[who] = LATE
        :: else
        fi;
        d_step { tell(); tidy(); who = 0; at = 0; what = 0 }
    }
    od
}
