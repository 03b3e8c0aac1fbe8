// The stream, what is wrong now, and which view is open.
import { $, element, put, now, setClock, age, ago, time, stateOf, jobURL, plural } from "./text.js";
import * as table from "./table.js";
import * as job from "./job.js";

const head = { Nodes: [] };
let lost = false; // the stream

function onMessage(e) {
  const measured = measure(e.data.length), message = JSON.parse(e.data);
  lost = false;
  setClock(message.Now);
  if (message.Nodes) { head.Nodes = message.Nodes; nodes(); }
  for (const k of ["Now", "Known", "Outage", "Error", "More", "Searching", "Control"]) head[k] = message[k];
  const changed = table.update(message);
  wrong();
  if (job.openName() !== null) changed.includes(job.openName()) ? job.refresh() : job.write();
  measured(changed);
}

// measure is for those who want to know what an update costs; see browsertest. It asks for the frame before the table does, which adds
// to its rows after a frame.
function measure(bytes) {
  const begin = performance.now(), m = { bytes };
  requestAnimationFrame(() => setTimeout(() => { m.painted = performance.now() - begin; }));
  return (changed) => {
    Object.assign(m, { full: changed.length === table.rows.size, changed, script: performance.now() - begin });
    (window.redtick = window.redtick || []).push(m);
    if (window.redtick.length > 100) window.redtick.shift();
  };
}

function nodes() {
  $("nodes").replaceChildren(...head.Nodes.map((n) => {
    const item = element("li", n.Error ? "out" : "");
    const facts = n.Error || [(n.Version ? (/^valkey/.test(n.Version) ? "" : "Redis ") + n.Version : ""), (n.RoundTrip ? Math.round(n.RoundTrip / 1000) + " ms away" : "less than 1 ms away"),
      n.ClockOffset ? "clock " + (n.ClockOffset > 0 ? "+" : "") + n.ClockOffset / 1000 + " ms" : "", n.Persistence ? "persistence: " + n.Persistence : ""].filter(Boolean).join(" · ");
    item.title = n.Name + ": " + facts;
    item.append(element("span", "dot " + (n.Error ? "failed" : "ok")), element("span", "", n.Name), element("span", "hidden", n.Error ? " is out: " + n.Error : " answers"));
    if (n.Error) item.append(element("strong", "", "out"));
    return item;
  }));
}

const atMost = 6;

// wrong writes what somebody on call must know first.
function wrong() {
  const all = [...table.rows.values()].filter((r) => r.Job), troubled = all.filter((r) => stateOf(r).severity < 3);
  const unknown = [...table.rows.values()].filter((r) => r.Stale).length, overdue = all.filter((r) => r.State === "overdue"), failing = all.filter((r) => stateOf(r).tab === "failing"), paused = all.filter((r) => r.State === "paused");
  const out = head.Nodes.filter((n) => n.Error), up = head.Nodes.length - out.length;
  const outText = out.map((n) => n.Name).join(", "), old = lost || head.Outage;
  let headline, cause = "", level = "well";
  if (lost) {
    [headline, level, cause] = ["This page has lost its server", "bad", "It tries again. Below is what was known at " + time(head.Now || now()) + ", " + ago(now() - head.Now) + "."];
  } else if (head.Outage) {
    const refused = up > head.Nodes.length / 2;
    headline = refused ? "The nodes answer with errors: nothing is known" : "No majority of the nodes answers: no job can begin";
    cause = (refused ? head.Error : up + " of " + head.Nodes.length + " answer; out: " + outText) + ". " + (head.Known ? "Below is what was known at " + time(head.Known) + ", " + ago(head.Now - head.Known) + "." : "Nothing was known before.");
    level = "bad";
  } else if (table.rows.size === 0 && head.Error) {
    [headline, level] = ["The names cannot be listed", "bad"];
  } else if (table.rows.size === 0 && head.Searching) {
    [headline, level] = ["Searching for the jobs…", "notice"];
  } else if (dead(all, overdue)) {
    headline = "No run has begun for " + age(now() - newest(all)) + ", and " + plural(overdue.length, "job is", "jobs are") + " overdue";
    cause = "The nodes answer, so look at the replicas: are they alive, and do their schedulers run?";
    level = "bad";
  } else {
    const counts = [failing.length && plural(failing.length, "job fails", "jobs fail"), overdue.length && failing.length ? overdue.length + " overdue" : overdue.length && plural(overdue.length, "job is overdue", "jobs are overdue"),
      paused.length && paused.length + " paused", unknown && unknown + " unknown", out.length && plural(out.length, "node is out", "nodes are out")].filter(Boolean);
    headline = counts.length ? counts.join(", ") : head.Error ? "Not all is known" : all.length ? "All is well" : "No job has run yet";
    level = failing.length || overdue.length || out.length ? "bad" : counts.length || head.Error ? "notice" : "well";
    const rest = [plural(all.length, "job"), up + " of " + head.Nodes.length + " nodes answer" + (out.length ? "; out: " + outText + (up > head.Nodes.length / 2 ? ". A majority answers, so nothing is lost" : "") : "")];
    if (!all.length) rest.push("a page with another prefix or other nodes than the services have shows none");
    cause = rest.join(" · ");
  }
  if (!old && head.Error) cause += (cause && " · ") + head.Error;
  if (head.More) cause += " · more names than are shown";
  if (head.Searching && !old) cause += (cause && " · ") + "names are still being searched";
  put($("headline"), headline);
  put($("cause"), cause);
  $("cause").hidden = !cause;
  $("now").className = level;
  document.body.classList.toggle("old", !!old);
  const n = failing.length + overdue.length;
  document.title = (old ? "! " : n ? "(" + n + ") " : "") + "redtick";
  list(troubled.sort((a, b) => stateOf(a).severity - stateOf(b).severity || (b.Since || 0) - (a.Since || 0) || table.byName(a, b)));
  live();
}

const newest = (all) => Math.max(0, ...all.map((r) => { const run = (r.Runs || [])[0]; return run ? run.Tick + run.Late : 0; }));

// dead reports whether nothing has begun since the first of several jobs became due.
const dead = (all, overdue) => overdue.length > 1 && newest(all) < Math.min(...overdue.map((r) => r.Since)) && overdue.length >= all.filter((r) => r.Next && r.State !== "paused" && r.Next < now() - 10000).length;

const items = new Map();

function list(troubled) {
  const shown = troubled.slice(0, atMost), kept = new Set(shown.map((r) => r.Name));
  for (const [name, item] of items) if (!kept.has(name)) { item.remove(); items.delete(name); }
  shown.forEach((r, i) => {
    let item = items.get(r.Name);
    if (!item) {
      item = element("li");
      const link = element("a", "", r.Name);
      link.href = jobURL(r.Name);
      item.append(element("span", "pill"), link, element("span", "story"));
      items.set(r.Name, item);
    }
    const [pill, , story] = item.children;
    pill.className = "pill " + stateOf(r).className;
    put(pill, r.State);
    put(story, job.story(r));
    story.title = story.textContent;
    if ($("troubles").children[i] !== item) $("troubles").insertBefore(item, $("troubles").children[i] || null);
  });
  let more = $("troubles").querySelector(".more");
  if (troubled.length <= atMost) { if (more) more.remove(); return; }
  if (!more) more = element("li", "more");
  put(more, "and " + (troubled.length - atMost) + " more, at the top of the table");
  $("troubles").append(more);
}

function live() {
  const late = now() - head.Now > 5000;
  put($("live"), lost ? "connection lost, trying again…" : head.Outage ? "old: " + time(head.Known || head.Now) : late ? "last look " + ago(now() - head.Now) : "live");
  $("live").className = lost || head.Outage || late ? "stale" : "well";
}

// The address says which view is open.
function route() {
  const m = /^#\/job\/(.+)$/.exec(location.hash), was = job.openName();
  let wanted = null;
  try { if (m) wanted = decodeURIComponent(m[1]); } catch { wanted = m[1]; } // typed by hand
  $("fleet").hidden = wanted !== null;
  $("job").hidden = wanted === null;
  if (wanted === null) {
    job.close();
    if (was !== null) { scrollTo(0, scroll); table.focusAgain(); }
    return;
  }
  if (was === null) scroll = scrollY;
  scrollTo(0, 0);
  job.open(wanted, head.Control);
}
let scroll = 0;

addEventListener("keydown", (e) => {
  if ($("ask").open) return;
  if (e.key === "Escape") {
    if (document.activeElement === $("filter") && $("filter").value) { $("filter").value = ""; table.set({ text: "" }); return; }
    if (job.openName() !== null) location.hash = "#/";
  } else if (e.key === "/" && job.openName() === null && document.activeElement !== $("filter")) {
    e.preventDefault();
    $("filter").focus();
  }
});

table.start();
job.start();
addEventListener("hashchange", route);

const stream = new EventSource("events");
let first = true;
stream.onmessage = (e) => {
  onMessage(e);
  if (first) { first = false; route(); }
};
stream.onerror = () => { lost = true; if (head.Now) wrong(); else live(); };

setInterval(() => {
  if (!head.Now) return;
  table.tick();
  live();
  if (lost || head.Outage || $("now").className !== "well") wrong();
  job.write();
}, 1000);
setInterval(() => job.refresh(), 5000);
