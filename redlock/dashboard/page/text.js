// What times, durations and states are called. Everything that comes from the nodes goes into the page as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) put(e, text);
  return e;
}

// visible spells out control characters, and those that turn the direction of a text and so show a name as another.
const visible = (text) => text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

// put spares the browser the work of a text that is there already.
export function put(e, text) {
  text = visible(text);
  if (e.textContent !== text) e.textContent = text;
}

// The clock of the page is the server's: a browser whose clock is wrong shows the same ages.
let offset = 0;
export const setClock = (now) => { offset = now - Date.now(); };
export const now = () => Date.now() + offset;

// took is a duration in two significant units.
export function took(ms) {
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 59950) return (ms / 1000).toFixed(ms < 9950 ? 1 : 0) + " s";
  const s = Math.round(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60);
  if (h >= 48) return Math.round(h / 24) + " d";
  if (h > 0) return h + " h" + (m % 60 ? " " + (m % 60) + " m" : "");
  return m + " m" + (s % 60 ? " " + (s % 60) + " s" : "");
}

// age is a duration in one unit, since it is read at a glance and changes.
export function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " m";
  if (s < 48 * 3600) return Math.floor(s / 3600) + " h";
  return Math.floor(s / 86400) + " d";
}

// ago and ahead are how far an instant is from now. The next tick of a job of every second is not "in 0 s".
export const ago = (ms) => ms < 1000 ? "now" : age(ms) + " ago";
export const ahead = (ms) => ms < 1000 ? "now" : "in " + age(ms);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const date = new Intl.DateTimeFormat(undefined, { month: "short", day: "2-digit" });

// time has a date unless it is today.
export function time(ms) {
  const at = new Date(ms);
  return (at.toDateString() === new Date(now()).toDateString() ? "" : date.format(at) + " ") + clock.format(at);
}

export const both = (ms) => time(ms) + " (" + new Date(ms).toISOString().replace(".000Z", "Z") + ")";

// Each state, with the class of its colour; what is worse comes first.
export const states = {
  overdue: { className: "overdue", severity: 0, tab: "overdue" },
  panicked: { className: "panicked", severity: 1, tab: "failing" },
  lost: { className: "lost", severity: 1, tab: "failing" },
  vanished: { className: "vanished", severity: 1, tab: "failing" },
  failed: { className: "failed", severity: 1, tab: "failing" },
  paused: { className: "paused", severity: 2, tab: "paused" },
  abandoned: { className: "abandoned", severity: 3, tab: "well" },
  running: { className: "running", severity: 3, tab: "well" },
  waiting: { className: "idle", severity: 3, tab: "well" },
  ended: { className: "ended", severity: 3, tab: "well" },
  ok: { className: "ok", severity: 3, tab: "well" },
  held: { className: "held", severity: 4, tab: "locks" },
  free: { className: "idle", severity: 4, tab: "locks" },
};
export const stateOf = (row) => states[row.State] || { className: "idle", severity: 3, tab: "well" };
export const bad = new Set(Object.keys(states).filter((state) => states[state].tab === "failing"));

export const results = {
  ok: "it returned without an error", ended: "it came to its end; the program does not say how", running: "it goes on",
  failed: "it returned an error", panicked: "it panicked", lost: "its lease was lost before it ended: it may have run beside another",
  vanished: "its end was never reported: the process died, or was cut off", abandoned: "its tick was left to others",
};

export const runText = (r) => time(r.Tick) + " · " + r.Result + (r.Result === "running" ? " for " + took(Math.max(0, now() - r.Tick - r.Late)) : r.Result === "vanished" ? "" : " · " + took(r.Took)) +
  (r.Holder ? " · " + r.Holder : "") + (r.Late > 0 ? " · " + took(r.Late) + " late" : "");

// jobURL is the address of a job's own view.
export const jobURL = (name) => "#/job/" + encodeURIComponent(name);

export const plural = (n, one, many) => n + " " + (n === 1 ? one : many || one + "s");
