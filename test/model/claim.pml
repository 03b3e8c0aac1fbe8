/*
 * Claims of ticks: claim.lua, confirm.lua, finish.lua and abort.lua on three nodes, and the decisions of C claimers
 * with up to R rounds each. What is left out, and why that is sound, is in README.md.
 *
 * Everything between one claimer and one node is a cell: messages under way, the claimer's tokens in the node's keys,
 * and the node's vote. Claimers are rows and nodes are columns, so either can be sorted: those that are alike need
 * not be told apart.
 */
#ifndef C
#define C 3             /* claimers: 2 or 3 */
#endif
#ifndef R
#define R 1             /* rounds of each: 1 or 2 */
#endif
#define N 3
#define QUORUM 2

/* A digit for each claimer, the first one's comes last. */
#ifndef TICKS
#define TICKS 111
#endif
#ifndef OWNERS
#define OWNERS 321
#endif
#define ALIKE (TICKS % 10 == TICKS / 10 % 10 && (C < 3 || TICKS / 100 == TICKS % 10) && OWNERS == 321 && !VERDICT)
#define DIGIT(x, c) (((c) == 0 -> (x) : ((c) == 1 -> (x) / 10 : (x) / 100)) % 10)
#define TICK(c) DIGIT(TICKS, c)
#define OWNER(c) DIGIT(OWNERS, c)

/* WithAnyOrder, WithTakeover */
#ifndef ANY
#define ANY 0
#endif
#ifndef TAKEOVER
#define TAKEOVER 0
#endif

/* ---- faults ---- */
#ifndef CRASH
#define CRASH 0         /* claimers die at any moment */
#endif
#ifndef LOSS
#define LOSS 0          /* 1: claims and confirms get lost; 2: aborts too */
#endif
#ifndef EXPIRY
#define EXPIRY 0        /* validity ends at any moment, and after that locks expire */
#endif
#ifndef REORDER
#define REORDER 0       /* a later message may overtake */
#endif
#ifndef LATEUNLOCK
#define LATEUNLOCK 0    /* with TAKEOVER: locks may expire before the unlock arrives */
#endif
#ifndef LIFETIMES
#define LIFETIMES 0     /* nodes' clocks pass ticks' retention; `last` and tick keys expire 1: after that only; 2: at any moment */
#endif
#ifndef PROMPT
#define PROMPT 0        /* a lock does not expire before the confirm of its claim has arrived: then ticks are in order */
#endif
#ifndef VERDICT
#define VERDICT 0       /* 1: rounds end by their votes only, not at any moment; what losers are told is checked */
#endif

#ifndef PAUSE
#define PAUSE 0         /* an operator pauses the job, and resumes it, one node after the other at any moments: a round that begins once
                           1: a majority has the pause, is not granted before the resume begins; 2: as 1, but one node is thought to do;
                           3: as 1, but that nobody is granted after the resume is asserted, to see that somebody is */
#endif

#ifndef PLAIN
#define PLAIN 0         /* 1: nothing is pruned and nothing sorted, to see that this changes no outcome */
#endif

/* ---- rules that can be left out ---- */
#ifndef ABORT
#define ABORT 1         /* a failed round is aborted; 2: its abort takes any lock; 3: it takes the whole tick key */
#endif
#ifndef PERTOKEN
#define PERTOKEN 1      /* refusals are counted per token */
#endif
#ifndef VALIDITY
#define VALIDITY 1      /* validity is checked at the decision */
#endif
#ifndef TICKKEY
#define TICKKEY 2       /* the tick's key holds 2: the set of tokens; 3: the first only; 1: the newest only; 0: there is no such key;
                           4: the first, also where the lock is another's; 5: as 4, and the lock is taken where it is free, in any case */
#endif
#ifndef CONFIRMS
#define CONFIRMS 1      /* a confirm is sent 1: at once; 2: some time before the lease ends, unless an unlock comes before; 0: not at all */
#endif
#ifndef ABANDON
#define ABANDON 0       /* with TAKEOVER: claims are abandoned, which 1: releases the lock only; 2: writes `last`, too;
                           3: as 1, but that nobody runs the tick again is asserted, to see that somebody does */
#endif
#ifndef TOMBSTONE
#define TOMBSTONE 1     /* an abort leaves one */
#endif
#ifndef PROVISIONAL
#define PROVISIONAL 1   /* another's tick key is no proof that the tick is done */
#endif
#ifndef MARK
#define MARK 2          /* `last` is written by 3: confirm alone; 2: confirm and unlock; 1: each claimer with a majority; 0: each vote */
#endif

#define ROUND 0         /* its votes are under way */
#define RUN 1           /* granted, and within its validity */
#define FINISHED 2      /* unlocked */
#define LOST 3          /* granted, but its validity ended */
#define DIED 4          /* granted, then crashed */
#define OUT 5           /* not granted */
#define TAKEN 6         /* told that another is ahead */
#define DONE 7          /* told that the tick is done */
#define DEAD 8          /* crashed without having been granted */
#define ABANDONED 9     /* granted, and ended with the tick not done */
byte phase[C], round[C];
bit ended[C];           /* the validity of the current round */
bit told[C];            /* its confirm is sent, or nobody waits for it */
#if PAUSE
bit paused[N];
bit resuming;
bit barred[C];          /* its current round began while the job was paused */
#define PAUSED(n) paused[n]
#define HALTED (!resuming && paused[0] + paused[1] + paused[2] >= (PAUSE == 2 -> 1 : QUORUM))
#else
#define PAUSED(n) 0
#endif
byte past[N];           /* the newest tick whose retention is over */
byte last[N];           /* the newest tick granted; with ANY the set of ticks marked as granted */

/* A cell. The messages' bits are in the order in which they are sent. */
short cell[C * N];
#define CLAIM(r) (1 << (2 * (r)))
#define BACK(r) (2 << (2 * (r)))
#define CONFIRM 16
#define FINISH 32
#define MAIL 63
#define KEY(r) (64 << (r))      /* the tick's key holds the token */
#define KEYS 192
#define LOCK(r) (256 << (r))    /* the lock's key does */
#define LOCKS 768
#define GRAVE(r) (1024 << (r))
#define VOTE 4096               /* the current round's grant has been counted */
#define L(c, n) ((c) * N + (n))
#define AT(c, n) cell[L(c, n)]

#if VERDICT
byte by[C * N];         /* who refused the current round, PROOF, or 0 */
#define PROOF 99
#endif

#define TOKEN(c, r) (1 + 2 * (c) + (r))
#define VOTES(c) ((AT(c, 0) & VOTE) / VOTE + (AT(c, 1) & VOTE) / VOTE + (AT(c, 2) & VOTE) / VOTE)
#define GRANTED(c) (phase[c] >= RUN && phase[c] <= DIED || phase[c] == ABANDONED)
#define CRASHED(c) (phase[c] == DEAD || phase[c] == DIED)
#define MARKED(n, c) (ANY -> (last[n] >> TICK(c)) & 1 : last[n] >= TICK(c))
#define VALID(c, r) ((r) == round[c] && (phase[c] == ROUND && !ended[c] || phase[c] == RUN))
#define LOCKED(c, n) (AT(c, n) & LOCK(0) && !VALID(c, 0) || AT(c, n) & LOCK(1) && !VALID(c, 1))
#define CONFIRMING(c, n) (phase[c] == RUN && !told[c] || AT(c, n) & (CONFIRM | FINISH))
#define EXPIRES(c, n) (LOCKED(c, n) && !(TAKEOVER && !LATEUNLOCK && phase[c] == FINISHED) && !(PROMPT && CONFIRMING(c, n)))
#define LASTS(n, tick) (LIFETIMES == 1 && (tick) > past[n])

hidden byte d, i, k, r, holder, other, answer;
hidden short s;

inline mark(c, n) {
    if
    :: ANY ->
        for (d : 0 .. C - 1) {
            if
            :: TICK(d) == TICK(c) && OWNER(d) != OWNER(c) -> AT(d, n) = AT(d, n) & ~KEYS
            :: else
            fi
        }
        AT(c, n) = AT(c, n) | KEY(round[c]);
        last[n] = last[n] | 1 << TICK(c)
    :: else ->
        last[n] = (last[n] < TICK(c) -> TICK(c) : last[n])
    fi
}

/* claim.lua: who is here, then the answer */
inline claim(c, n) {
    holder = 0; other = 0;
    for (d : 0 .. C - 1) {
        if
        :: AT(d, n) & LOCKS -> holder = TOKEN(d, AT(d, n) / LOCK(1) & 1)
        :: else
        fi;
        if
        :: AT(d, n) & KEYS && TICK(d) == TICK(c) && OWNER(d) != OWNER(c) -> other = TOKEN(d, !(AT(d, n) & KEY(0)))
        :: TICKKEY > 2 && d == c && AT(c, n) & KEYS & ~KEY(r) -> other = TOKEN(c, 1 - r)
        :: else
        fi
    }
    if
    :: !ANY && MARKED(n, c) -> answer = DONE
    :: else ->
        if
        :: other -> answer = (ANY && MARKED(n, c) || !PROVISIONAL -> DONE : TAKEN)
        :: else ->
            if
            :: AT(c, n) & GRAVE(r) || LIFETIMES && TICK(c) <= past[n] -> answer = OUT
            :: else ->
                other = holder;
                answer = (holder && holder != TOKEN(c, r) -> TAKEN : (PAUSED(n) -> OUT : RUN));
                AT(c, n) = AT(c, n) | (TICKKEY > 3 -> KEY(r) : 0)
            fi
        fi
    fi;
    if
    :: TICKKEY == 5 && !(AT(c, n) & GRAVE(r)) -> AT(c, n) = AT(c, n) | (!holder -> LOCK(r) : 0)
    :: else
    fi;
    if
    :: answer == RUN -> grant(c, n)
    :: else
    fi;
    if
    :: phase[c] == ROUND && round[c] == r -> count(c, n)
    :: else
    fi
}

inline grant(c, n) {
    if
    :: TICKKEY == 1 ->
        for (d : 0 .. C - 1) {
            AT(d, n) = (TICK(d) == TICK(c) -> AT(d, n) & ~KEYS : AT(d, n))
        }
    :: else
    fi;
    AT(c, n) = AT(c, n) | LOCK(r) | (TICKKEY && !TAKEOVER -> KEY(r) : 0);
    last[n] = (MARK == 0 && last[n] < TICK(c) -> TICK(c) : last[n])
}

/* The claimer counts the answer. "Done" must be true. */
inline count(c, n) {
    if
    :: answer == RUN -> AT(c, n) = AT(c, n) | VOTE
    :: answer == DONE ->
        k = 0;
        for (d : 0 .. C - 1) {
            k = k + (d != c && TICK(d) >= TICK(c) && (TAKEOVER -> phase[d] == FINISHED : GRANTED(d)))
        }
        assert(k)
    :: else
    fi;
#if VERDICT
    by[L(c, n)] = (answer == DONE -> PROOF : (answer == TAKEN -> other : 0))
#endif
}

/* abort.lua */
inline back(c, n) {
    for (d : 0 .. C - 1) {
        AT(d, n) = AT(d, n) & (ABORT == 2 -> ~LOCKS : 32767) & (ABORT == 3 && TICK(d) == TICK(c) -> ~KEYS : 32767)
    }
    AT(c, n) = AT(c, n) & ~LOCK(r) & ~KEY(r) | (TOMBSTONE && REORDER -> GRAVE(r) : 0)
}

/* finish.lua */
inline finish(c, n) {
    AT(c, n) = AT(c, n) & ~LOCKS;
    if
    :: MARK != 3 && (phase[c] != ABANDONED || ABANDON == 2) -> mark(c, n)
    :: else
    fi
}

inline deliver(c, n, what) {
    AT(c, n) = AT(c, n) & ~what;
    r = (what & (CLAIM(1) | BACK(1))) > 0;
    if
    :: what == CONFIRM -> mark(c, n)
    :: what == FINISH -> finish(c, n)
    :: what == CLAIM(0) || what == CLAIM(1) -> claim(c, n)
    :: else -> back(c, n)
    fi
}

/* A tick's key goes as a whole. */
inline expire(c, n) {
    for (d : 0 .. C - 1) { AT(d, n) = (TICK(d) == TICK(c) -> AT(d, n) & ~KEYS : AT(d, n)) }
    last[n] = (ANY -> last[n] & ~(1 << TICK(c)) : last[n])
}

inline post(c, what) {
    for (i : 0 .. N - 1) { AT(c, i) = AT(c, i) | what }
}

/* A round ends without a lease: every node that was sent its vote is sent an abort behind it, and perhaps it goes again. */
inline fail(c, into) {
    for (i : 0 .. N - 1) {
        AT(c, i) = AT(c, i) & ~VOTE | (ABORT -> BACK(round[c]) : 0);
#if VERDICT
        by[L(c, i)] = 0
#endif
    }
    if
    :: into == ROUND ->
        round[c]++;
        ended[c] = 0;
#if PAUSE
        barred[c] = HALTED;
#endif
        post(c, CLAIM(round[c]))
    :: else -> phase[c] = into
    fi
}

/* The claimer has its majority: it holds the job, and the tick is its owner's. */
inline lease(c) {
    for (d : 0 .. C - 1) {
        assert(d == c || phase[d] != RUN);
        assert(ANY || EXPIRY && !PROMPT || TICK(d) <= TICK(c) || !GRANTED(d) || phase[d] == ABANDONED ||
            phase[d] == DIED && !told[d]);
        assert(d == c || TICK(d) != TICK(c) || OWNER(d) == OWNER(c) || (TAKEOVER -> phase[d] != FINISHED : !GRANTED(d)));
        assert(ABANDON != 3 || d == c || TICK(d) != TICK(c) || phase[d] != ABANDONED)
    }
#if PAUSE
    assert(!barred[c]);
    assert(PAUSE != 3 || !resuming);
#endif
    phase[c] = RUN;
    told[c] = CONFIRMS != 2;
    for (i : 0 .. N - 1) {
        AT(c, i) = AT(c, i) & ~VOTE | (TAKEOVER || CONFIRMS != 1 -> 0 : CONFIRM);
#if VERDICT
        by[L(c, i)] = 0
#endif
    }
}

/* What can never change anything any more is not kept. */
inline prune(c, n) {
    s = AT(c, n);
    AT(c, n) = s &
        ((s & (CLAIM(0) | KEY(0) | LOCK(0))) || REORDER -> 32767 : ~BACK(0)) &
        ((s & (CLAIM(1) | KEY(1) | LOCK(1))) || REORDER -> 32767 : ~BACK(1)) &
        (MARKED(n, c) && (!ANY || s & KEYS) && !LIFETIMES -> ~CONFIRM : 32767) &
        (MARKED(n, c) && (!ANY || s & KEYS) && !LIFETIMES && !(s & (CLAIM(0) | CLAIM(1) | LOCKS)) -> ~FINISH : 32767)
}

inline swap(a, b) { s = a; a = b; b = s }

#define COLUMN(n) ((((AT(0, n) * 61 + AT(1, n)) * 61 + AT(C - 1, n)) * 4 + last[n]) * 4 + past[n])
#define ROW(c) (phase[c] * 8 + told[c] * 4 + round[c] * 2 + ended[c] + 128 * (AT(c, 0) + AT(c, 1) + AT(c, 2)))

inline tidy() {
    for (d : 0 .. C - 1) {
        for (i : 0 .. N - 1) {
            if
            :: !PLAIN -> prune(d, i)
            :: else
            fi
        }
        if
        :: phase[d] != ROUND -> ended[d] = 0; told[d] = told[d] && (phase[d] == RUN || phase[d] == DIED)
        :: else
        fi
    }
    for (k : 0 .. 2) {
        d = k & 1;
        if
        :: !PLAIN && ALIKE && d + 1 < C && ROW(d) > ROW(d + 1) ->
            swap(phase[d], phase[d + 1]); swap(round[d], round[d + 1]); swap(ended[d], ended[d + 1]); swap(told[d], told[d + 1]);
#if PAUSE
            swap(barred[d], barred[d + 1]);
#endif
            for (i : 0 .. N - 1) { swap(AT(d, i), AT(d + 1, i)) }
        :: else
        fi
    }
    for (k : 0 .. 2) {
        i = k & 1;
        if
        :: !PLAIN && COLUMN(i) > COLUMN(i + 1) ->
            swap(last[i], last[i + 1]); swap(past[i], past[i + 1]);
#if PAUSE
            swap(paused[i], paused[i + 1]);
#endif
            for (d : 0 .. C - 1) {
                swap(AT(d, i), AT(d, i + 1))
#if VERDICT
                ; swap(by[L(d, i)], by[L(d, i + 1)])
#endif
            }
        :: else
        fi
    }
}

/* Nothing is under way any more and nobody will do anything: nothing of nobody may be left, and a claimer that was told that
   another is ahead was told the truth. */
inline rest() {
    k = 0; other = 0;
    for (d : 0 .. C - 1) {
        k = k | (phase[d] == ROUND || phase[d] == RUN || !CRASHED(d) && (AT(d, 0) | AT(d, 1) | AT(d, 2)) & MAIL);
        other = other | GRANTED(d)
    }
    for (d : 0 .. C - 1) {
        for (i : 0 .. N - 1) {
            s = AT(d, i) & (EXPIRY -> KEYS : KEYS | LOCKS) & ~(GRANTED(d) -> KEY(round[d]) : 0);
            assert(k || LOSS == 2 || CRASHED(d) || !s)
        }
        assert(k || !VERDICT || other || phase[d] != TAKEN && phase[d] != DONE)
    }
}

#if VERDICT
#define SAME(c, a, b) (by[L(c, a)] && by[L(c, b)] && (by[L(c, a)] == by[L(c, b)] || !PERTOKEN))
#define LED(c) (SAME(c, 0, 1) || SAME(c, 0, 2) || SAME(c, 1, 2))
#define ANSWERED(c, n) (by[L(c, n)] || AT(c, n) & VOTE)
#define SPLIT(c) (ANSWERED(c, 0) && ANSWERED(c, 1) && ANSWERED(c, 2) && VOTES(c) < QUORUM && !LED(c))
#define TOLD(c) (by[L(c, 0)] == PROOF || by[L(c, 1)] == PROOF || by[L(c, 2)] == PROOF)
#else
#define LED(c) 0
#define SPLIT(c) 1
#define TOLD(c) 0
#endif

/* The first message of a link: the lowest bit. */
#define HEAD(c, n) (AT(c, n) & MAIL & -(AT(c, n) & MAIL))
#define DROPS(what) (LOSS == 2 && what != FINISH || LOSS == 1 && what & (CLAIM(0) | CLAIM(1) | CONFIRM))

/* For people who replay a trail: what happened, and what came of it before rows and columns are sorted again. */
inline tell() {
    printf("claimer %d, node %d, message %d: last %d %d %d\n", who, at, what, last[0], last[1], last[2]);
    for (d : 0 .. C - 1) {
        printf("  claimer %d: phase %d, round %d, ended %d, cells %d %d %d\n", d, phase[d], round[d], ended[d], AT(d, 0), AT(d, 1), AT(d, 2))
    }
}

active proctype fleet() {
    byte who, at, what;
    d_step {
        for (d : 0 .. C - 1) { post(d, CLAIM(0)) }
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
        if
        :: at == N || !(AT(who, at) & MAIL)
        :: at < N && !REORDER && AT(who, at) & MAIL -> what = HEAD(who, at)
        :: at < N && REORDER && AT(who, at) & CLAIM(0) -> what = CLAIM(0)
        :: at < N && REORDER && AT(who, at) & BACK(0) -> what = BACK(0)
        :: at < N && REORDER && AT(who, at) & CLAIM(1) -> what = CLAIM(1)
        :: at < N && REORDER && AT(who, at) & BACK(1) -> what = BACK(1)
        :: at < N && REORDER && AT(who, at) & CONFIRM -> what = CONFIRM
        :: at < N && REORDER && AT(who, at) & FINISH -> what = FINISH
        fi;
        if
        :: what -> d_step { deliver(who, at, what); skip }
        :: what && DROPS(what) && (AT(who, at) & MAIL) > what -> AT(who, at) = AT(who, at) & ~what
        :: at < N && EXPIRY && EXPIRES(who, at) -> AT(who, at) = AT(who, at) & ~LOCKS
        :: at == N && phase[who] == ROUND && VOTES(who) >= QUORUM && !(VALIDITY && ended[who]) -> d_step { lease(who); skip }
        :: at == N && phase[who] == ROUND && MARK == 1 && VOTES(who) >= QUORUM -> d_step { post(who, CONFIRM); skip }
        :: at == N && phase[who] == ROUND && SPLIT(who) -> d_step { fail(who, OUT) }
        :: at == N && phase[who] == ROUND && (SPLIT(who) || LED(who)) && round[who] + 1 < R -> d_step { fail(who, ROUND) }
        :: at == N && phase[who] == ROUND && LED(who) -> d_step { fail(who, TAKEN) }
        :: at == N && phase[who] == ROUND && TOLD(who) -> d_step { fail(who, DONE) }
#if PAUSE
        :: at < N && who == 0 && paused[at] == resuming -> paused[at] = !resuming
        :: at == N && who == 0 && !resuming -> d_step { resuming = 1; for (d : 0 .. C - 1) { barred[d] = 0 } skip }
#endif
        :: at < N && LIFETIMES && who == 0 && past[at] < 2 -> past[at]++
        :: at < N && LIFETIMES && who == 0 && !ANY && last[at] && !LASTS(at, last[at]) -> last[at] = 0
        :: at < N && LIFETIMES && !LASTS(at, TICK(who)) -> d_step { expire(who, at); skip }
        :: at == N && phase[who] == RUN -> d_step { phase[who] = FINISHED; post(who, FINISH); skip }
        :: at == N && phase[who] == RUN && ABANDON -> d_step { phase[who] = ABANDONED; post(who, FINISH); skip }
        :: at == N && phase[who] == RUN && !told[who] -> d_step { told[who] = 1; post(who, CONFIRM); skip }
        :: at == N && phase[who] == RUN && EXPIRY && told[who] -> phase[who] = LOST
        :: at == N && phase[who] == ROUND && EXPIRY && !ended[who] -> ended[who] = 1
        :: at == N && phase[who] == RUN && CRASH -> phase[who] = DIED
        :: at == N && phase[who] == ROUND && CRASH -> d_step { phase[who] = DEAD; for (i : 0 .. N - 1) { AT(who, i) = AT(who, i) & ~VOTE }; skip }
        :: else
        fi;
        d_step { tell(); tidy(); rest(); who = 0; at = 0; what = 0 }
    }
    od
}
