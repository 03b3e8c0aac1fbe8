/*
 * The claim protocol: claim.lua, confirm.lua, finish.lua and abort.lua on N nodes, and the
 * decisions of C claimers with up to R rounds each. README.md says what is abstracted.
 *
 * A message is one bit: at most one of each kind is ever sent per round. The bits are in sending
 * order, so "first in, first out" means that the lowest bit of a link is delivered first.
 */
#ifndef C
#define C 3         /* claimers */
#endif
#ifndef R
#define R 1         /* rounds of each; C * R <= 7 */
#endif
#define N 3
#define QUORUM 2

/* The tick and the owner of each claimer. By default: one tick, everybody an owner. */
#ifndef TICKS
#define TICKS 1,1,1
#endif
#ifndef OWNERS
#define OWNERS 1,2,3
#endif
byte tick[3] = {TICKS};
byte owner[3] = {OWNERS};

/* ---- modes of the protocol ---- */
#define INORDER 0
#define ANY 1
#define TAKEOVER 2
#ifndef ORDER
#define ORDER INORDER
#endif
#ifndef GUARD
#define GUARD 0     /* 1: the restart guard; 2: stricter, `last` excuses nothing */
#endif

/* ---- faults: 1 is on ---- */
#ifndef CRASH
#define CRASH 0     /* claimers die at any time */
#endif
#ifndef LOSS
#define LOSS 0      /* claims and confirms get lost */
#endif
#ifndef BOUNDED
#define BOUNDED 0   /* with LOSS: aborts and finishes may get lost too */
#endif
#ifndef GIVEUP
#define GIVEUP 0    /* a round times out, or its caller cancels, at any time */
#endif
#ifndef EXPIRY
#define EXPIRY 0    /* validity ends, then locks expire, at any time */
#endif
#ifndef REORDER
#define REORDER 0   /* links are not first in, first out */
#endif
#ifndef COPIES
#define COPIES 0    /* a claim may be executed again */
#endif
#ifndef RESTART
#define RESTART 0   /* so many times a node restarts empty */
#endif

/* ---- rules that can be removed: 0 is without ---- */
#ifndef ABORTS
#define ABORTS 1    /* a failed round is aborted */
#endif
#ifndef PERTOKEN
#define PERTOKEN 1  /* refusals are counted per token */
#endif
#ifndef TOKENSET
#define TOKENSET 1  /* the tick key keeps all its owner's tokens, not the newest only */
#endif
#ifndef VALIDITY
#define VALIDITY 1  /* validity is checked at the decision */
#endif
#ifndef CONFIRMAFTER
#define CONFIRMAFTER 1  /* confirm is sent once granted, not with the majority */
#endif
#ifndef PROVISIONAL
#define PROVISIONAL 1   /* another's tick key is no proof */
#endif
#ifndef LASTLATE
#define LASTLATE 1  /* the vote itself does not write `last` */
#endif
#ifndef TOMBSTONES
#define TOMBSTONES 1
#endif
#ifndef OWESREFUSED
#define OWESREFUSED 0   /* 1: an abort also goes to nodes that refused */
#endif
#ifndef DONEFIRST
#define DONEFIRST 0     /* 1: a proof that the tick is done outweighs a majority */
#endif
#ifndef ALIKE
#define ALIKE 0     /* 1: the claimers differ in nothing (one tick, an owner each), so their order is of no account */
#endif

#ifndef PLAIN
#define PLAIN 0     /* 1: no state is left out, to compare */
#endif

/* ---- what is checked: a bit each ---- */
#define EXCLUSION 1 /* G1: no two leases are valid at a time */
#define ONCE 2      /* G2: no two owners are granted one tick (take-over: none after it was finished) */
#define PROOF 4     /* "done" is answered only when it is true */
#define GHOSTTICK 8 /* G4: no tick key is left that nobody was granted */
#define GHOSTLOCK 16 /* G4: no lock is left; waiting for its expiry does not count */
#define BURNT 32    /* nobody is told "taken" of a tick that in the end nobody was granted */
#define INSEQ 64    /* ticks are granted in order */
#ifndef CHECK
#define CHECK (EXCLUSION + ONCE + PROOF)
#endif

/* the state of a claimer */
#define IDLE 0
#define ROUND 1
#define RUN 2       /* granted */
#define FINISHED 3  /* unlocked within its validity */
#define LOST 4      /* it ended before; then the release does nothing that expiry does not */
#define DONE 5      /* told that the tick is done */
#define TAKEN 6     /* told that another is ahead */
#define OUT 7       /* gave up */
#define BACK 8      /* between two rounds */
#define DEAD 9      /* crashed */
byte phase[C], round[C];
bool ended[C];      /* the validity of its current round */

/* a node; a token is 1 + c * R + r, a set of tokens has bit token - 1 */
byte lock[N];       /* a token, or 0 */
byte keys[N];       /* the tokens in the tick keys */
byte marks[N];      /* ticks (by bit) whose key is marked as granted */
byte last[N];       /* the newest tick granted */
byte graves[N];     /* tombstones */
byte forgot[N];     /* a restarted node: the lock it forgot, plus 1; 0: never restarted */
byte restarts;

/* a link; indexed with L(c, n) */
byte mail[C * N];
byte reply[C * N];  /* to the current round: one of those below, or REFUSED + token */
#define NONE 0
#define GRANTED 1
#define PROVEN 2    /* the script's DONE */
#define FAILED 3
#define REFUSED 8
#define CONFIRM 64
#define FINISH 128
#define CLAIM(r) (1 << (2 * (r)))
#define ABORT(r) (2 << (2 * (r)))

#define L(c, n) ((c) * N + (n))
#define TOKEN(c, r) (1 + (c) * R + (r))
#define BIT(t) (1 << ((t) - 1))
#define OF(t) (((t) - 1) / R)
#define NTH(t) (((t) - 1) % R)
#define ALL(c) (((1 << R) - 1) << ((c) * R))
#define SAMETICK(c, d) ((d) < C && tick[d] == tick[c])
#define ONTICK(c) ((SAMETICK(c, 0) -> ALL(0) : 0) | (SAMETICK(c, 1) -> ALL(1) : 0) | (SAMETICK(c, 2) -> ALL(2) : 0))
#define SAMEOWNER(c, d) ((d) < C && tick[d] == tick[c] && owner[d] == owner[c])
#define OURS(c) ((SAMEOWNER(c, 0) -> ALL(0) : 0) | (SAMEOWNER(c, 1) -> ALL(1) : 0) | (SAMEOWNER(c, 2) -> ALL(2) : 0))
#define CURRENT(t) (round[OF(t)] == NTH(t) && (phase[OF(t)] == ROUND || phase[OF(t)] == RUN))
#define VALID(c) (phase[c] == RUN)
#define WASGRANTED(c) (phase[c] == RUN || phase[c] == FINISHED || phase[c] == LOST || died[c])
#define CHECKS(what) ((CHECK & (what)) != 0)

bool died[C];       /* crashed after it was granted */
byte newest;        /* tick granted */
byte i, j, d, m, t, ans, won, lost;  /* scratch; always 0 between steps */

inline lowest(set, into) { into = 1; do :: (set & BIT(into)) -> break :: else -> into++ od }

/* claim.lua */
inline vote(c, n, r) {
    t = TOKEN(c, r);
    if
    :: ORDER != ANY && last[n] >= tick[c] -> ans = PROVEN
    :: else ->
        m = keys[n] & ONTICK(c) & ~OURS(c);
        if
        :: ORDER != TAKEOVER && m && (marks[n] & (1 << tick[c]) || !PROVISIONAL) -> ans = PROVEN
        :: ORDER != TAKEOVER && m && !(marks[n] & (1 << tick[c]) || !PROVISIONAL) -> lowest(m, ans); ans = ans + REFUSED
        :: else ->
            if
            :: ORDER != TAKEOVER && lock[n] != t && (keys[n] & BIT(t)) -> ans = FAILED
            :: else ->
                if
                :: graves[n] & BIT(t) -> ans = FAILED
                :: else ->
                    if
                    :: lock[n] && lock[n] != t -> ans = REFUSED + lock[n]
                    :: else ->
                        if
                        :: forgot[n] && GUARD && (forgot[n] > 1 && CURRENT(forgot[n] - 1) && !ended[OF(forgot[n] - 1)]) -> ans = FAILED
                        :: forgot[n] && GUARD && (GUARD == 2 || !last[n]) -> ans = FAILED
                        :: else -> ans = GRANTED; grantvote(c, n)
                        fi
                    fi
                fi
            fi
        fi
    fi;
    if
    :: phase[c] == ROUND && round[c] == r && reply[L(c, n)] == NONE -> reply[L(c, n)] = ans
    :: else
    fi;
    t = 0; m = 0; ans = 0
}

inline grantvote(c, n) {
    lock[n] = t;
    if
    :: ORDER == TAKEOVER
    :: ORDER != TAKEOVER && TOKENSET -> keys[n] = keys[n] | BIT(t)
    :: ORDER != TAKEOVER && !TOKENSET -> keys[n] = (keys[n] & ~ONTICK(c)) | BIT(t)
    fi;
    if
    :: !LASTLATE && last[n] < tick[c] -> last[n] = tick[c]
    :: else
    fi
}

/* abort.lua */
inline giveback(c, n, r) {
    if
    :: lock[n] == TOKEN(c, r) -> lock[n] = 0
    :: else
    fi;
    keys[n] = keys[n] & ~BIT(TOKEN(c, r));
    if
    :: (keys[n] & ONTICK(c)) == 0 -> marks[n] = marks[n] & ~(1 << tick[c])
    :: else
    fi;
    if
    :: TOMBSTONES && (REORDER || COPIES) -> graves[n] = graves[n] | BIT(TOKEN(c, r))
    :: else
    fi
}

/* mark.lua: where another owner was there, its tokens count for nothing any more. (They stay in the key until they are
   aborted, but a key that is marked is never asked for them.) */
inline mark(c, n) {
    if
    :: ORDER == ANY ->
        keys[n] = (keys[n] & ~(ONTICK(c) & ~OURS(c))) | BIT(TOKEN(c, round[c]));
        marks[n] = marks[n] | (1 << tick[c])
    :: ORDER != ANY && last[n] < tick[c] -> last[n] = tick[c]
    :: else
    fi
}

/* confirm.lua */
inline confirm(c, n) { mark(c, n) }

/* finish.lua */
inline finish(c, n) {
    if
    :: lock[n] == TOKEN(c, round[c]) -> lock[n] = 0
    :: else
    fi;
    mark(c, n)
}

/* a message arrives and is executed */
inline deliver(c, n, kind) {
    if
    :: kind == FINISH -> finish(c, n)
    :: kind == CONFIRM -> confirm(c, n)
    :: kind == 1 -> vote(c, n, 0)
    :: kind == 2 -> giveback(c, n, 0)
    :: kind == 4 -> vote(c, n, 1)
    :: kind == 8 -> giveback(c, n, 1)
    :: kind == 16 -> vote(c, n, 2)
    :: kind == 32 -> giveback(c, n, 2)
    fi
}

/* A finish may pass its confirm: it says as much. So a lost confirm is one that is late for ever. */
#define FIRST(c, n, kind) ((mail[L(c, n)] & ((kind) - 1) & ((kind) == FINISH -> CONFIRM - 1 : 255)) == 0)
#define ARRIVES(c, n, kind) ((mail[L(c, n)] & (kind)) && (REORDER || FIRST(c, n, kind)))
#define ISCLAIM(kind) ((kind) == 1 || (kind) == 4 || (kind) == 16)
/* A claim that is late for ever is as good as lost, unless something waits behind it. */
#define MAYBELOST(c, n, kind) (LOSS && (ISCLAIM(kind) && mail[L(c, n)] > (kind) || BOUNDED))

inline post(c, kind) {
    for (i : 0 .. N - 1) { mail[L(c, i)] = mail[L(c, i)] | (kind) }
    i = 0
}

inline begin(c) {
    phase[c] = ROUND;
    ended[c] = false;
    for (i : 0 .. N - 1) { reply[L(c, i)] = NONE }
    post(c, CLAIM(round[c]))
}

/* abort(): what was granted or may still be. Then what the caller is told, or BACK for another round. */
inline fail(c, into) {
    for (i : 0 .. N - 1) {
        if
        :: ABORTS && (OWESREFUSED || reply[L(c, i)] == GRANTED || reply[L(c, i)] == NONE || reply[L(c, i)] == FAILED) ->
            mail[L(c, i)] = mail[L(c, i)] | ABORT(round[c])
        :: else
        fi;
        reply[L(c, i)] = NONE
    }
    i = 0;
    phase[c] = (into != BACK && !CHECKS(BURNT) -> OUT : into);
    if
    :: into == BACK -> round[c]++
    :: else
    fi
}

#define VOTES(c, what) ((reply[L(c, 0)] == (what)) + (reply[L(c, 1)] == (what)) + (reply[L(c, 2)] == (what)))
#define WON(c) (VOTES(c, GRANTED) >= QUORUM && !(DONEFIRST && VOTES(c, PROVEN)))
#define SETTLED(c) (!WON(c) && N - VOTES(c, GRANTED) - VOTES(c, NONE) >= QUORUM)
#define SAME(c, a, b) (reply[L(c, a)] > REFUSED && (PERTOKEN -> reply[L(c, a)] == reply[L(c, b)] : reply[L(c, b)] > REFUSED))
#define LED(c) (SAME(c, 0, 1) || SAME(c, 0, 2) || SAME(c, 1, 2))
#define MORE(c) (round[c] + 1 < R)

/* lease(): the checks are of what must be true now */
inline grant(c) {
    for (d : 0 .. C - 1) {
        if
        :: d != c ->
            assert(!(CHECKS(EXCLUSION) && VALID(d)));
            assert(!(CHECKS(ONCE) && ORDER != TAKEOVER && WASGRANTED(d) && tick[d] == tick[c] && owner[d] != owner[c]));
            assert(!(CHECKS(ONCE) && ORDER == TAKEOVER && phase[d] == FINISHED && tick[d] == tick[c]))
        :: else
        fi
    }
    d = 0;
    assert(!(CHECKS(INSEQ) && tick[c] < newest));
    if
    :: tick[c] > newest -> newest = tick[c]
    :: else
    fi;
    for (i : 0 .. N - 1) { reply[L(c, i)] = NONE }
    i = 0;
    phase[c] = RUN;
    if
    :: CONFIRMAFTER && ORDER != TAKEOVER -> post(c, CONFIRM)
    :: else
    fi
}

/* ErrTickDone: another owner's run must exist */
inline conclude(c) {
    for (d : 0 .. C - 1) {
        if
        :: d != c && tick[d] >= tick[c] && (ORDER != ANY || tick[d] == tick[c]) &&
           (ORDER == TAKEOVER -> phase[d] == FINISHED : WASGRANTED(d)) -> won = 1
        :: else
        fi
    }
    d = 0;
    assert(!CHECKS(PROOF) || won);
    won = 0;
    fail(c, DONE)
}

inline die(c) {
    if
    :: WASGRANTED(c) -> died[c] = true
    :: else
    fi;
    phase[c] = DEAD;
    for (i : 0 .. N - 1) { reply[L(c, i)] = NONE }
    i = 0
}

/* Nothing can happen any more. */
inline rest() {
    for (i : 0 .. N - 1) {
        for (t : 1 .. C * R) {
            assert(!(CHECKS(GHOSTTICK) && (keys[i] & BIT(t)) && phase[OF(t)] != DEAD && !(WASGRANTED(OF(t)) && NTH(t) == round[OF(t)])));
            assert(!(CHECKS(GHOSTLOCK) && lock[i] == t && phase[OF(t)] != DEAD))
        }
    }
    i = 0; t = 0;
    for (d : 0 .. C - 1) {
        if
        :: WASGRANTED(d) -> won = 1
        :: phase[d] == TAKEN || phase[d] == DONE -> lost = 1
        :: else
        fi
    }
    assert(!(CHECKS(BURNT) && lost && !won));
    d = 0; won = 0; lost = 0
}

/* Nodes are alike: to keep their columns sorted loses no behaviour and saves most of the states. */
inline swap(x, y) { m = x; x = y; y = m }
#define RANK(n) ((lock[n] << 8 | keys[n]) << 8 | mail[L(0, n)])
#define RANK2(n) (((C > 1 -> mail[L(C > 1, n)] : 0) << 8 | (C > 2 -> mail[L((C > 2) * 2, n)] : 0)) << 8 | graves[n])
#define BEFORE(a, b) (RANK(a) < RANK(b) || (RANK(a) == RANK(b) && (RANK2(a) < RANK2(b) || (RANK2(a) == RANK2(b) && last[a] < last[b]))))
inline order(a, b) {
    if
    :: BEFORE(b, a) ->
        swap(lock[a], lock[b]); swap(keys[a], keys[b]); swap(marks[a], marks[b]); swap(last[a], last[b]);
        swap(graves[a], graves[b]); swap(forgot[a], forgot[b]);
        for (d : 0 .. C - 1) { swap(mail[L(d, a)], mail[L(d, b)]); swap(reply[L(d, a)], reply[L(d, b)]) }
        d = 0; m = 0
    :: else
    fi
}

/* So are claimers that differ in nothing; their tokens change names with them. */
#define NAMED(t, a, b) (OF(t) == (a) -> (t) + ((b) - (a)) * R : (OF(t) == (b) -> (t) - ((b) - (a)) * R : (t)))
#define RENAMED(set, a, b) (((set) & ~(ALL(a) | ALL(b))) | (((set) & ALL(a)) << (((b) - (a)) * R)) | (((set) & ALL(b)) >> (((b) - (a)) * R)))
#define STANDING(c) ((((((phase[c] << 1) | ended[c]) << 1) | died[c]) << 10) + mail[L(c, 0)] + mail[L(c, 1)] + mail[L(c, 2)])
inline align(a, b) {
    if
    :: STANDING(a) < STANDING(b) ->
        swap(phase[a], phase[b]); swap(round[a], round[b]); swap(ended[a], ended[b]); swap(died[a], died[b]);
        for (i : 0 .. N - 1) {
            swap(mail[L(a, i)], mail[L(b, i)]); swap(reply[L(a, i)], reply[L(b, i)]);
            keys[i] = RENAMED(keys[i], a, b);
            graves[i] = RENAMED(graves[i], a, b);
            if
            :: lock[i] -> lock[i] = NAMED(lock[i], a, b)
            :: else
            fi;
            for (d : 0 .. C - 1) {
                if
                :: reply[L(d, i)] > REFUSED -> reply[L(d, i)] = REFUSED + NAMED(reply[L(d, i)] - REFUSED, a, b)
                :: else
                fi
            }
        }
        i = 0; d = 0; m = 0
    :: else
    fi
}

/* A message that can never change anything any more needs no step of its own. */
#define AWAITS(c, n, r) (mail[L(c, n)] & CLAIM(r))
#define PRESENT(n, t) (lock[n] == (t) || (keys[n] & BIT(t)))
#define MARKED(c, n) (ORDER == ANY -> (marks[n] & (1 << tick[c])) && (keys[n] & BIT(TOKEN(c, round[c]))) : last[n] >= tick[c])
#define VAIN(c, n, r) ((mail[L(c, n)] & ABORT(r)) && !AWAITS(c, n, r) && !PRESENT(n, TOKEN(c, r)) && !(TOMBSTONES && COPIES))
inline prune(c, n) {
    if
    :: ORDER != ANY && !RESTART && last[n] >= tick[c] && phase[c] != ROUND -> mail[L(c, n)] = mail[L(c, n)] & ~(CLAIM(0) | CLAIM(1) | CLAIM(2))
    :: else
    fi;
    if
    :: VAIN(c, n, 0) -> mail[L(c, n)] = mail[L(c, n)] & ~ABORT(0)
    :: else
    fi;
    if
    :: R > 1 && VAIN(c, n, 1) -> mail[L(c, n)] = mail[L(c, n)] & ~ABORT(1)
    :: else
    fi;
    if
    :: !RESTART && MARKED(c, n) && (mail[L(c, n)] & CONFIRM) -> mail[L(c, n)] = mail[L(c, n)] & ~CONFIRM
    :: else
    fi;
    if
    :: (mail[L(c, n)] & FINISH) && !AWAITS(c, n, round[c]) && lock[n] != TOKEN(c, round[c]) &&
       !RESTART && MARKED(c, n) -> mail[L(c, n)] = mail[L(c, n)] & ~FINISH
    :: else
    fi
}
inline tidy() {
    for (i : 0 .. N - 1) {
        for (d : 0 .. C - 1) {
            if
            :: !PLAIN -> prune(d, i)
            :: else
            fi
        }
    }
    i = 0;
    for (d : 0 .. C - 1) {
        if
        :: phase[d] == RUN && ended[d] -> phase[d] = LOST
        :: else
        fi;
        if
        :: phase[d] != ROUND && phase[d] != RUN -> ended[d] = false
        :: else
        fi
    }
    d = 0;
    if
    :: ALIKE && C == 2 -> align(0, 1)
    :: ALIKE && C == 3 -> align(0, 1); align(1, C - 1); align(0, 1)
    :: else
    fi;
    if
    :: !PLAIN -> order(0, 1); order(1, 2); order(0, 1)
    :: else
    fi
}

/* ---- what can happen next: one of these, to claimer `who`, node `at` or the message `what` between them ---- */
#define BEGIN 1
#define GRANT 2
#define CONCLUDE 3
#define AGAIN 4
#define TELLTAKEN 5
#define STOP 6
#define UNLOCK 7
#define EARLY 8     /* confirm before the decision */
#define END 9
#define DIE 10
#define ARRIVE 11
#define LOSE 12
#define COPY 13
#define EXPIRE 14
#define EMPTY 15
byte step, who, at, what;

#define STEP(guard, action, c, n, kind) :: guard -> step = action; who = c; at = n; what = kind

#define LINK(c, n, kind) \
    STEP(ARRIVES(c, n, kind), ARRIVE, c, n, kind) \
    STEP(MAYBELOST(c, n, kind) && ARRIVES(c, n, kind), LOSE, c, n, kind) \
    STEP(COPIES && ISCLAIM(kind) && ARRIVES(c, n, kind), COPY, c, n, kind)

#if R == 1
#define LINKS(c, n) LINK(c, n, 1) LINK(c, n, 2) LINK(c, n, FINISH) LINK(c, n, CONFIRM)
#elif R == 2
#define LINKS(c, n) LINK(c, n, 1) LINK(c, n, 2) LINK(c, n, 4) LINK(c, n, 8) LINK(c, n, FINISH) LINK(c, n, CONFIRM)
#else
#define LINKS(c, n) LINK(c, n, 1) LINK(c, n, 2) LINK(c, n, 4) LINK(c, n, 8) LINK(c, n, 16) LINK(c, n, 32) LINK(c, n, FINISH) LINK(c, n, CONFIRM)
#endif

#define SPLIT(c) (phase[c] == ROUND && SETTLED(c) && !VOTES(c, PROVEN))
#define TOOLATE(c) (phase[c] == ROUND && WON(c) && VALIDITY && ended[c])
#define TIMEOUT(c) (phase[c] == ROUND && GIVEUP)

#define CLAIMER(c) \
    STEP(phase[c] == IDLE || phase[c] == BACK, BEGIN, c, 0, 0) \
    STEP(phase[c] == ROUND && WON(c) && !(VALIDITY && ended[c]), GRANT, c, 0, 0) \
    STEP(phase[c] == ROUND && !WON(c) && VOTES(c, PROVEN), CONCLUDE, c, 0, 0) \
    STEP((SPLIT(c) || TOOLATE(c) || TIMEOUT(c)) && MORE(c), AGAIN, c, 0, 0) \
    STEP(SPLIT(c) && LED(c) && !MORE(c), TELLTAKEN, c, 0, 0) \
    STEP(SPLIT(c) && !LED(c) && !MORE(c) || TOOLATE(c) || TIMEOUT(c), STOP, c, 0, 0) \
    STEP(phase[c] == RUN, UNLOCK, c, 0, 0) \
    STEP(!CONFIRMAFTER && phase[c] == ROUND && WON(c) && !((mail[L(c, 0)] | mail[L(c, 1)] | mail[L(c, 2)]) & CONFIRM), EARLY, c, 0, 0) \
    STEP(EXPIRY && (phase[c] == ROUND || phase[c] == RUN) && !ended[c], END, c, 0, 0) \
    STEP(CRASH && (phase[c] == ROUND || phase[c] == RUN || phase[c] == BACK), DIE, c, 0, 0) \
    LINKS(c, 0) LINKS(c, 1) LINKS(c, 2)

/* In take-over mode a finish is taken to arrive before its lock expires; a later one is known to allow a second run. */
#define EXPIRES(n) (EXPIRY && lock[n] && !(CURRENT(lock[n]) && !ended[OF(lock[n])]) && !(ORDER == TAKEOVER && phase[OF(lock[n])] == FINISHED))
#define NODE(n) \
    STEP(EXPIRES(n), EXPIRE, 0, n, 0) \
    STEP(restarts < RESTART, EMPTY, 0, n, 0)

inline restart(n) {
    restarts++;
    forgot[n] = lock[n] + 1;
    lock[n] = 0; keys[n] = 0; marks[n] = 0; last[n] = 0; graves[n] = 0
}

inline take() {
    if
    :: step == BEGIN -> begin(who)
    :: step == GRANT -> grant(who)
    :: step == CONCLUDE -> conclude(who)
    :: step == AGAIN -> fail(who, BACK)
    :: step == TELLTAKEN -> fail(who, TAKEN)
    :: step == STOP -> fail(who, OUT)
    :: step == UNLOCK -> phase[who] = FINISHED; post(who, FINISH)
    :: step == EARLY -> post(who, CONFIRM)
    :: step == END -> ended[who] = true
    :: step == DIE -> die(who)
    :: step == ARRIVE -> mail[L(who, at)] = mail[L(who, at)] & ~what; deliver(who, at, what)
    :: step == LOSE -> mail[L(who, at)] = mail[L(who, at)] & ~what
    :: step == COPY -> deliver(who, at, what)
    :: step == EXPIRE -> lock[at] = 0
    :: step == EMPTY -> restart(at)
    fi
}

active proctype fleet() {
    do
    :: atomic {
        if
        CLAIMER(0)
#if C > 1
        CLAIMER(1)
#endif
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
    od;
    skip;
    d_step { rest() }
}
