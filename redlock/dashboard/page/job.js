// A job's own view: what it is, how long it took, its votes, its runs, and what may be done to it.
import { $, element, put, now, took, age, ago, both, time, stateOf, results, runText } from "./text.js";
import { rows, nextText } from "./table.js";
import { showTip, hideTip } from "./strip.js";

const svg = "http://www.w3.org/2000/svg";
let name = null, detail = null, control = false;

export const openName = () => name;

export async function open(wanted, mayChange) {
  name = wanted;
  control = mayChange;
  detail = null;
  build();
  await refresh();
}

export function close() { name = null; hideTip(); }

// refresh reads what the server knows; that asks nothing of the nodes.
export async function refresh() {
  const wanted = name;
  if (wanted === null) return;
  try {
    const answer = await fetch("job?name=" + encodeURIComponent(wanted));
    if (wanted !== name) return;
    detail = answer.ok ? await answer.json() : null;
    if (wanted !== name) return;
  } catch { return; }
  write();
}

const parts = {};

function build() {
  const view = $("job"), head = element("div", "jobhead"), back = element("a", "back", "← All jobs");
  back.href = "#/";
  parts.title = element("h2", "", name);
  parts.title.tabIndex = -1;
  parts.pill = element("span", "pill");
  parts.actions = element("div", "buttons");
  head.append(back, parts.title, parts.pill, parts.actions);
  parts.story = element("p", "story");
  parts.facts = element("dl", "facts");
  parts.chart = element("figure", "chart");
  parts.runs = table(["Tick", "Replica", "Late by", "Took", "Result"], "history");
  parts.votes = table(["Node", "Holds", "Remaining"], "votes");
  view.replaceChildren(head, parts.story, parts.facts, section("Duration", parts.chart), section("Runs", parts.runs.box), section("Votes", parts.votes.box));
  parts.title.focus({ preventScroll: true });
  parts.made = "";
  write();
}

function section(title, body) {
  const s = element("section", "panel");
  s.append(element("h3", "", title), body);
  return s;
}

function table(titles, className) {
  const box = element("div", "scroll"), t = element("table", className), head = element("tr"), body = element("tbody");
  for (const title of titles) {
    const h = element("th", "", title);
    h.scope = "col";
    head.append(h);
  }
  const top = element("thead");
  top.append(head);
  t.append(top, body);
  box.append(t);
  return { box, body };
}

// write shows the row as it is, and what is known besides.
export function write() {
  if (name === null) return;
  const row = rows.get(name) || detail;
  if (!row) {
    put(parts.story, "Nothing is known of this name. It may have been forgotten, or is not shown here.");
    parts.actions.replaceChildren();
    return;
  }
  parts.pill.className = "pill " + stateOf(row).className;
  put(parts.pill, row.State);
  put(parts.story, story(row));
  parts.story.className = "story " + stateOf(row).className;
  facts(row);
  const made = JSON.stringify([row, detail]);
  if (made === parts.made) return;
  parts.made = made;
  actions(row);
  const runs = (detail && detail.Runs) || row.Runs || [];
  chart(runs);
  parts.runs.body.replaceChildren(...runs.map(runRow));
  parts.votes.body.replaceChildren(...((detail && detail.Nodes) || []).map(voteRow));
}

// story is one sentence: what is wrong, or that nothing is.
export function story(row) {
  const run = (row.Runs || []).find((r) => r.Result !== "running"), many = row.Bad > 1 ? row.Bad + " runs in a row went wrong since " + time(row.Since) + "; the last one " : "the last run ";
  switch (row.State) {
    case "overdue": return "the tick of " + time(row.Next) + " was not run; " + (run ? "last run " + ago(now() - run.Tick - run.Late) + (run.Holder ? " on " + run.Holder : "") : "no run is remembered");
    case "paused": return "paused" + (row.Paused.By ? " by " + row.Paused.By : "") + (row.Paused.Until ? " until " + time(row.Paused.Until) : " until it is resumed") + (row.Paused.Why ? ": " + row.Paused.Why : "");
    case "failed": case "panicked": return many + row.State + (run && run.Holder ? " on " + run.Holder : "") + (row.Error ? ": " + row.Error : "");
    case "lost": return many + "lost its lease" + (run && run.Holder ? " on " + run.Holder : "") + ": it may have run beside another";
    case "vanished": return many + "was never reported to end" + (run && run.Holder ? ": " + run.Holder : "; the replica") + " died or was cut off";
    case "held": return "held by " + row.Holder;
    case "free": return "nobody holds it";
  }
  const newest = (row.Runs || [])[0];
  if (newest && newest.Result === "running") return "running for " + age(now() - newest.Tick - newest.Late) + " on " + newest.Holder + (run ? "; the run before: " + (results[run.Result] || run.Result) : "");
  return run ? "the last run: " + (results[run.Result] || run.Result) : "no run has come to its end";
}

function facts(row) {
  const list = [];
  const fact = (title, text, more) => { if (text) list.push([title, text, more || ""]); };
  const run = (row.Runs || [])[0];
  fact("Schedule", row.Schedule);
  if (row.Next && row.State !== "paused") fact("Next", nextText(row, now()) + " · " + time(row.Next), both(row.Next));
  if (run) fact(run.Result === "running" ? "Began" : "Last run", ago(now() - run.Tick - run.Late) + " · " + time(run.Tick), both(run.Tick));
  if (row.Holder) fact("Held by", row.Holder + " on " + row.Votes + (detail ? " of " + detail.Nodes.length : "") + " nodes");
  if (row.Waiters) fact("Waiting", String(row.Waiters));
  if (row.Fence) fact("Fence", String(row.Fence));
  const ended = ((detail && detail.Runs) || row.Runs || []).filter((r) => r.Result !== "running" && r.Result !== "vanished");
  if (ended.length > 1) {
    const sorted = ended.map((r) => r.Took).sort((a, b) => a - b);
    fact("Took", took(sorted[Math.floor((sorted.length - 1) / 2)]) + " median · " + took(sorted[sorted.length - 1]) + " longest");
  }
  const text = JSON.stringify(list);
  if (parts.facts.dataset.text === text) return;
  parts.facts.dataset.text = text;
  parts.facts.replaceChildren(...list.flatMap(([title, value, more]) => {
    const pair = element("div");
    const d = element("dd", "", value);
    d.title = more;
    pair.append(element("dt", "", title), d);
    return [pair];
  }));
}

function runRow(r) {
  const tr = element("tr"), result = element("td");
  result.append(element("span", "dot " + r.Result), r.Result + (r.Error ? ": " : ""), element("span", "error", r.Error || ""));
  const tick = element("td", "number", time(r.Tick));
  tick.title = both(r.Tick);
  tr.append(tick, element("td", "", r.Holder), element("td", "number", took(Math.max(0, r.Late))), element("td", "number", r.Result === "running" || r.Result === "vanished" ? "–" : took(r.Took)), result);
  return tr;
}

function voteRow(v) {
  const tr = element("tr", v.Error || !v.Agrees ? "odd" : "");
  tr.append(element("td", "", v.Node), element("td", "", v.Error || v.Holder || "nothing"), element("td", "number", v.Holder && v.Remaining ? took(v.Remaining) : "–"));
  return tr;
}

// chart is the durations, the newest on the right, from 0: a bar twice as high took twice as long.
function chart(runs) {
  const ended = [...runs].reverse(), w = Math.max(240, parts.chart.clientWidth || 900), h = 132, left = 56, bottom = 20;
  if (ended.length === 0) { parts.chart.replaceChildren(element("p", "faint", "no run is remembered")); return; }
  const top = nice(Math.max(1, ...ended.map((r) => r.Took))), step = (w - left) / Math.max(ended.length, 20), wide = Math.max(2, Math.min(step - 3, 22));
  const s = document.createElementNS(svg, "svg");
  s.setAttribute("width", w);
  s.setAttribute("height", h + bottom);
  s.setAttribute("role", "img");
  s.setAttribute("aria-label", "durations of " + ended.length + " runs, up to " + took(top) + "; the table below has them");
  for (const share of [0, 0.5, 1]) {
    const y = h - share * (h - 8);
    s.append(shape("line", { x1: left, x2: w, y1: y, y2: y, class: "rule" }), words(share ? took(top * share) : "0", left - 8, y + 4, "end"));
  }
  ended.forEach((r, i) => {
    const unknown = r.Result === "running" || r.Result === "vanished", height = unknown ? h - 8 : Math.max(2, r.Took / top * (h - 8));
    const bar = shape("rect", { x: left + (i + 0.5) * step - wide / 2, y: h - height, width: wide, height, rx: 1.5, class: "run " + r.Result });
    bar.addEventListener("pointerenter", () => { const box = bar.getBoundingClientRect(); showTip(box.left + box.width / 2, box.top, r); });
    bar.addEventListener("pointerleave", hideTip);
    s.append(bar);
  });
  s.append(words(time(ended[0].Tick), left, h + 15, "start"));
  if (ended.length > 8) s.append(words(time(ended[ended.length - 1].Tick), left + ended.length * step, h + 15, "end"));
  parts.chart.replaceChildren(s);
}

// nice is the next duration of 1, 2 or 5 times a power of ten, in the unit that it is shown in.
function nice(ms) {
  const unit = ms < 1000 ? 1 : ms < 60000 ? 1000 : ms < 3600000 ? 60000 : 3600000, n = ms / unit, power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].find((x) => x * power >= n) * power * unit;
}

function shape(tag, attributes) {
  const e = document.createElementNS(svg, tag);
  for (const k in attributes) e.setAttribute(k, attributes[k]);
  return e;
}

function words(text, x, y, anchor) {
  const e = shape("text", { x, y, "text-anchor": anchor });
  e.textContent = text;
  return e;
}

// What may be done. The server asks for more than a click on a link: see order.go.
function actions(row) {
  const buttons = [];
  const button = (title, ask) => {
    const b = element("button", "", title);
    b.type = "button";
    b.addEventListener("click", () => confirm(ask));
    buttons.push(b);
  };
  if (control) {
    if (row.Paused) button("Resume", { order: "resume", title: "Resume " + name + "?", text: "Its next tick is run. Ticks that came meanwhile are not.", yes: "Resume" });
    else if (row.Job) button("Pause…", { order: "pause", title: "Pause " + name + "?", text: "No run of it begins on any replica, and ticks that come meanwhile are skipped. A run that is under way goes on.", yes: "Pause", pause: true });
    if (row.Job && !row.Paused && !row.Token) button("Run now…", { order: "trigger", title: "Run " + name + " now?", text: "One replica of those that listen for triggers runs it, once in the fleet, beside its schedule.", yes: "Run" });
    if (row.Token) button("Release…", { order: "release", token: row.Token, title: "Take " + name + " from " + row.Holder + "?", text: "It is told at its next renewal, and until then two may be at work: stop it first if that hurts. A tick stays claimed.", yes: "Release" });
    else button("Forget…", { order: "forget", title: "Forget " + name + "?", text: "Its runs, its newest tick, its fence and its pause are deleted. Only for a job that is gone from the code: one that replicas still run could run its newest tick again.", yes: "Forget" });
  }
  const focused = document.activeElement && parts.actions.contains(document.activeElement) ? document.activeElement.textContent : "";
  parts.actions.replaceChildren(...buttons);
  for (const b of buttons) if (b.textContent === focused) b.focus();
}

let asked = null;

function confirm(ask) {
  asked = { ...ask, name };
  put($("ask-title"), ask.title);
  put($("ask-text"), ask.text);
  put($("ask-yes"), ask.yes);
  $("ask-pause").hidden = !ask.pause;
  $("ask-error").hidden = true;
  $("ask").showModal();
  (ask.pause ? $("ask-why") : $("ask-no")).focus();
}

async function obey() {
  const body = { Name: asked.name };
  if (asked.token) body.Token = asked.token;
  if (asked.pause) Object.assign(body, { For: Number($("ask-for").value), Why: $("ask-why").value });
  $("ask-yes").disabled = true;
  let failure = "";
  try {
    const answer = await fetch(asked.order, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) failure = await answer.text();
  } catch (e) { failure = "the server does not answer: " + e.message; }
  $("ask-yes").disabled = false;
  $("ask-error").hidden = !failure;
  put($("ask-error"), failure);
  if (!failure) $("ask").close();
}

export function start() {
  $("ask-yes").addEventListener("click", obey);
  $("ask-no").addEventListener("click", () => $("ask").close());
  addEventListener("resize", () => { parts.made = ""; write(); });
  $("ask-why").addEventListener("keydown", (e) => { if (e.key === "Enter") obey(); });
}
