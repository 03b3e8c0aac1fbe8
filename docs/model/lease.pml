/*
 * Leases, their extension and the restart guard: acquire.lua and extend.lua on N nodes,
 * and C claimers who hold one lease each and extend it up to K times. README.md says what is abstracted.
 *
 * Ballot 0 of a claimer is its acquisition, ballot k its k-th extension. Each has a validity of its own;
 * that of a later one ends later. A vote of a ballot expires on a node after that ballot's validity.
 */
#ifndef C
#define C 2         /* claimers, at most 3 */
#endif
#ifndef K
#define K 1         /* extensions, at most 2 */
#endif
#define N 3
#define QUORUM 2

#ifndef GIVEUP
#define GIVEUP 1    /* an acquisition or extension comes to nothing at any time */
#endif
#ifndef RESTART
#define RESTART 0   /* so many times a node restarts empty */
#endif
#ifndef GUARD
#define GUARD 1     /* a restarted node does not vote on locks before what it forgot has ended */
#endif
#ifndef YOUNGEXTEND
#define YOUNGEXTEND 1   /* 1: but it counts for an extension that puts its key back; 0: it does not */
#endif
#ifndef INTIME
#define INTIME 1    /* an extension counts only while the validity before it stands */
#endif
#ifndef VALIDITY
#define VALIDITY 1  /* validity is checked when an acquisition is decided */
#endif

#define IDLE 0
#define ROUND 1
#define HELD 2
#define EXTENDING 3
#define OVER 4
byte phase[C];
byte ballot[C];     /* the newest that was decided */
byte ended[C];      /* so many ballots have ended */
bool between[C];    /* somebody else had a lease since this one began */

#define B (K + 1)
#define VOTE(c, k) (1 + (c) * B + (k))
#define OF(v) (((v) - 1) / B)
#define NTH(v) (((v) - 1) % B)
#define STANDS(v) (NTH(v) >= ended[OF(v)])
#define VALID(c) ((phase[c] == HELD || phase[c] == EXTENDING) && ballot[c] >= ended[c])
byte lock[N];       /* a vote, or 0 */
byte forgot[N];     /* the vote a restart forgot, or 0 */
byte restarts;

#define L(c, n) ((c) * N + (n))
byte mail[C * N];
bool yes[C * N];    /* answers to the ballot under way */
#define ACQUIRE 1
#define EXTEND(k) (1 << (k))

byte i, d, m;       /* scratch; always 0 between steps */

#define YOUNG(n) (GUARD && forgot[n] && STANDS(forgot[n]))

inline acquire(c, n) {
    if
    :: lock[n] == 0 && !YOUNG(n) -> lock[n] = VOTE(c, 0); yes[L(c, n)] = (phase[c] == ROUND)
    :: else
    fi
}

inline extend(c, n, k) {
    if
    :: lock[n] && OF(lock[n]) == c -> lock[n] = VOTE(c, k); yes[L(c, n)] = (phase[c] == EXTENDING && ballot[c] + 1 == k)
    :: lock[n] == 0 ->
        m = YOUNG(n);
        lock[n] = VOTE(c, k);
        yes[L(c, n)] = (phase[c] == EXTENDING && ballot[c] + 1 == k && (YOUNGEXTEND || !m));
        m = 0
    :: else
    fi
}

inline post(c, kind) {
    for (i : 0 .. N - 1) { mail[L(c, i)] = mail[L(c, i)] | (kind); yes[L(c, i)] = false }
    i = 0
}

inline alone(c) {
    for (d : 0 .. C - 1) {
        assert(d == c || !VALID(d));
        between[d] = between[d] || (d != c && (phase[d] == HELD || phase[d] == EXTENDING))
    }
    d = 0
}

/* The decision on an acquisition or extension: is it still in time? */
inline decide(c) {
    if
    :: phase[c] == ROUND && (!VALIDITY || ended[c] == 0) -> alone(c); phase[c] = HELD
    :: phase[c] == EXTENDING && (!INTIME || ballot[c] >= ended[c]) ->
        ballot[c]++;
        phase[c] = HELD;
        if
        :: VALID(c) -> assert(!between[c]); alone(c)
        :: else
        fi
    :: else -> phase[c] = OVER
    fi;
    for (i : 0 .. N - 1) { yes[L(c, i)] = false }
    i = 0
}

/* An extension that came to nothing: the lease stands as it did; the ballot is spent. */
inline shrug(c) {
    if
    :: phase[c] == ROUND -> phase[c] = OVER
    :: else -> phase[c] = HELD
    fi;
    for (i : 0 .. N - 1) { yes[L(c, i)] = false }
    i = 0
}

inline swap(x, y) { m = x; x = y; y = m }
#define RANK(n) ((((lock[n] << 5 | forgot[n]) << 5 | mail[L(0, n)]) << 5 | mail[L(1, n)]) << 5 | mail[L(C - 1, n)])
inline order(a, b) {
    if
    :: RANK(b) < RANK(a) ->
        swap(lock[a], lock[b]); swap(forgot[a], forgot[b]);
        for (d : 0 .. C - 1) { swap(mail[L(d, a)], mail[L(d, b)]); swap(yes[L(d, a)], yes[L(d, b)]) }
        d = 0; m = 0
    :: else
    fi
}

/* A lease whose validity ended is lost, by a timer. What is left of a claimer that is over can only stand in others' way,
   as long as they find a reason to lose a vote anyhow: it is cleared at once. */
inline tidy() {
    for (d : 0 .. C - 1) {
        if
        :: INTIME && (phase[d] == HELD || phase[d] == EXTENDING) && ballot[d] < ended[d] -> phase[d] = OVER
        :: else
        fi;
        if
        :: phase[d] == OVER ->
            ended[d] = K + 1;
            ballot[d] = 0;
            between[d] = false;
            for (i : 0 .. N - 1) {
                mail[L(d, i)] = 0;
                yes[L(d, i)] = false;
                if
                :: lock[i] && OF(lock[i]) == d -> lock[i] = 0
                :: else
                fi
            }
            i = 0
        :: else
        fi
    }
    d = 0;
    for (i : 0 .. N - 1) {
        if
        :: forgot[i] && !STANDS(forgot[i]) -> forgot[i] = 0
        :: else
        fi
    }
    i = 0;
    order(0, 1); order(1, 2); order(0, 1)
}

#define BEGIN 1
#define DECIDE 2
#define SHRUG 3
#define MORE 4      /* extend */
#define UNLOCK 5
#define END 6
#define ARRIVE 7
#define LOSE 8
#define EXPIRE 9
#define EMPTY 10
byte step, who, at, what;
#define STEP(guard, action, c, n, kind) :: guard -> step = action; who = c; at = n; what = kind

#define FIRST(c, n, kind) ((mail[L(c, n)] & (kind)) && (mail[L(c, n)] & ((kind) - 1)) == 0)
#define LINK(c, n) \
    STEP(FIRST(c, n, ACQUIRE), ARRIVE, c, n, ACQUIRE) STEP(FIRST(c, n, EXTEND(1)), ARRIVE, c, n, EXTEND(1)) \
    STEP(FIRST(c, n, EXTEND(2)), ARRIVE, c, n, EXTEND(2)) \
    STEP(FIRST(c, n, ACQUIRE) && mail[L(c, n)] > ACQUIRE, LOSE, c, n, ACQUIRE) \
    STEP(FIRST(c, n, EXTEND(1)) && mail[L(c, n)] > EXTEND(1), LOSE, c, n, EXTEND(1)) \
    STEP(FIRST(c, n, EXTEND(2)) && mail[L(c, n)] > EXTEND(2), LOSE, c, n, EXTEND(2))

#define CLAIMER(c) \
    STEP(phase[c] == IDLE, BEGIN, c, 0, 0) \
    STEP((phase[c] == ROUND || phase[c] == EXTENDING) && yes[L(c, 0)] + yes[L(c, 1)] + yes[L(c, 2)] >= QUORUM, DECIDE, c, 0, 0) \
    STEP(GIVEUP && (phase[c] == ROUND || phase[c] == EXTENDING), SHRUG, c, 0, 0) \
    STEP(phase[c] == HELD && ballot[c] < K && !(mail[L(c, 0)] & EXTEND(ballot[c] + 1)) && ballot[c] >= ended[c], MORE, c, 0, 0) \
    STEP(phase[c] == HELD || phase[c] == EXTENDING, UNLOCK, c, 0, 0) \
    STEP(phase[c] != IDLE && ended[c] <= K && ended[c] <= ballot[c] + (phase[c] == EXTENDING), END, c, 0, 0) \
    LINK(c, 0) LINK(c, 1) LINK(c, 2)

#define NODE(n) \
    STEP(lock[n] && !STANDS(lock[n]), EXPIRE, 0, n, 0) \
    STEP(restarts < RESTART, EMPTY, 0, n, 0)

inline take() {
    if
    :: step == BEGIN -> phase[who] = ROUND; post(who, ACQUIRE)
    :: step == DECIDE -> decide(who)
    :: step == SHRUG -> shrug(who)
    :: step == MORE -> phase[who] = EXTENDING; post(who, EXTEND(ballot[who] + 1))
    :: step == UNLOCK -> phase[who] = OVER
    :: step == END -> ended[who]++
    :: step == ARRIVE -> mail[L(who, at)] = mail[L(who, at)] & ~what;
        if
        :: what == ACQUIRE -> acquire(who, at)
        :: what == EXTEND(1) -> extend(who, at, 1)
        :: what == EXTEND(2) -> extend(who, at, 2)
        fi
    :: step == LOSE -> mail[L(who, at)] = mail[L(who, at)] & ~what
    :: step == EXPIRE -> lock[at] = 0
    :: step == EMPTY -> restarts++; forgot[at] = lock[at]; lock[at] = 0
    fi
}

active proctype fleet() {
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
