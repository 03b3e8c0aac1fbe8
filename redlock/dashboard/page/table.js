// The table: a row for each name. An update touches only the rows that it is about.
import { $, element, put, now, took, age, ago, ahead, both, stateOf, jobURL, plural, runText } from "./text.js";
import { newStrip, draw, at, xOf, showTip, hideTip, slots } from "./strip.js";

export const rows = new Map(); // name -> what the server sent
const shown = new Map(); // name -> what stands in the table
let order = []; // the names that are listed

const last = (r) => (r.Runs && r.Runs[0]) || null;
const lastEnded = (r) => (r.Runs || []).find((x) => x.Result !== "running") || null;
const { compare } = new Intl.Collator(undefined, { numeric: true }); // localeCompare would make one for each pair
export const byName = (a, b) => compare(a.Name, b.Name);
const began = (r) => { const x = last(r); return x ? x.Tick + x.Late : 0; };

const columns = [
  { key: "state", title: "State", sort: (a, b) => stateOf(a).severity - stateOf(b).severity },
  { key: "name", title: "Job", sort: byName },
  { key: "schedule", title: "Schedule", sort: (a, b) => compare(a.Schedule || "\uffff", b.Schedule || "\uffff") },
  { key: "runs", title: "Last runs" },
  { key: "ago", title: "Last run", sort: (a, b) => began(b) - began(a), number: true },
  { key: "took", title: "Took", sort: (a, b) => tookOf(b) - tookOf(a), number: true },
  { key: "next", title: "Next", sort: (a, b) => (a.Next || Infinity) - (b.Next || Infinity) || 0, number: true },
  { key: "holder", title: "Replica", sort: (a, b) => compare(a.Holder || "\uffff", b.Holder || "\uffff") },
];
const tookOf = (r) => { const x = lastEnded(r); return x ? x.Took : -1; };

const view = { sort: "state", descending: false, tab: "all", text: "", group: false, closed: new Set() };

// set changes what is listed.
export function set(change) {
  Object.assign(view, change);
  list();
}
export const current = () => view;

function cell(row, className, role) {
  const c = element("div", "cell " + className);
  c.setAttribute("role", role || "cell");
  row.append(c);
  return c;
}

// A copy of a row is made much faster than a row.
let blank = null;
function newBlank() {
  const row = element("div", "row");
  row.setAttribute("role", "row");
  cell(row, "state").append(element("span", "pill"));
  const link = element("a");
  link.tabIndex = -1;
  cell(row, "name", "rowheader").append(link);
  cell(row, "schedule");
  cell(row, "runs").append(newStrip());
  for (const name of ["ago number", "took number", "next number", "holder"]) cell(row, name);
  return row;
}

function newRow(name) {
  blank = blank || newBlank();
  const row = blank.cloneNode(true), [state, title, schedule, runs, ago, took, next, holder] = row.children, link = title.firstChild;
  put(link, name);
  link.href = jobURL(name);
  row.dataset.name = name;
  return { row, link, pill: state.firstChild, strip: runs.firstChild, schedule, ago, took, next, holder };
}

// fill writes a row anew.
function fill(r, data) {
  const run = last(data), ended = lastEnded(data);
  r.pill.className = "pill " + stateOf(data).className;
  put(r.pill, data.State);
  put(r.schedule, data.Schedule || "");
  draw(r.strip, data.Runs || []);
  put(r.took, ended && ended.Result !== "vanished" ? took(ended.Took) : "");
  put(r.holder, data.Holder || (run && run.Holder) || "");
  r.row.classList.toggle("stale", !!data.Stale);
  r.holder.classList.toggle("held", !!data.Holder);
  ages(r, data);
}

// explain says the rest of a row to a pointer. Doing so for all rows at once would take longer than showing them.
function explain(r, data) {
  const run = last(data);
  r.link.title = data.Name;
  r.schedule.title = data.Schedule || "";
  r.ago.title = run ? both(run.Tick + run.Late) : "";
  r.next.title = data.Next ? both(data.Next) : "";
  r.holder.title = data.Holder ? data.Holder + " holds it on " + plural(data.Votes, "node") + (data.Waiters ? "; " + data.Waiters + " waiting" : "") : run && run.Holder ? "ran last on " + run.Holder : "";
}

// ages writes what changes by itself.
function ages(r, data) {
  const run = last(data), t = now();
  put(r.ago, run && run.Result === "running" ? "for " + age(t - run.Tick - run.Late) : run ? ago(t - run.Tick - run.Late) : "");
  put(r.next, nextText(data, t));
}

export function nextText(data, t) {
  if (data.State === "paused") return data.Paused && data.Paused.Until ? ahead(data.Paused.Until - t) : "–";
  if (!data.Next) return "";
  const left = data.Next - t;
  return data.State === "overdue" ? age(-left) + " late" : left > 0 ? ahead(left) : "due";
}

export function tick() {
  for (const name of order) ages(shown.get(name), rows.get(name));
}

// update takes a message. It returns the names of the rows that were written.
export function update(message) {
  const changed = [];
  if (message.Full) {
    const kept = new Set(message.Rows.map((r) => r.Name));
    for (const name of rows.keys()) if (!kept.has(name)) remove(name);
  }
  for (const name of message.Gone || []) remove(name);
  for (const data of message.Rows) {
    data.Runs = (data.Runs || []).map(([Tick, Late, Took, Result, Holder]) => ({ Tick, Late, Took, Result, Holder }));
    const before = rows.get(data.Name);
    if (before && message.Full && JSON.stringify(before) === JSON.stringify(data)) continue;
    rows.set(data.Name, data);
    if (shown.has(data.Name)) fill(shown.get(data.Name), data);
    changed.push(data.Name);
  }
  if (changed.length || (message.Gone || []).length || message.Full) list();
  return changed;
}

function remove(name) {
  rows.delete(name);
  const r = shown.get(name);
  if (r) r.row.remove();
  shown.delete(name);
}

const inTab = (data, tab) => tab === "all" || (tab === "running" ? data.Job && !!data.Holder : stateOf(data).tab === tab);

function matches(data) {
  if (!inTab(data, view.tab)) return false;
  const text = view.text.toLowerCase();
  if (!text) return true;
  const run = last(data);
  return [data.Name, data.Schedule, data.Holder || (run && run.Holder), data.State, data.Error].some((x) => x && x.toLowerCase().includes(text));
}

export const prefix = (name) => { const m = /^(.+?)[/:.]/.exec(name); return m ? m[1] : ""; };

// make makes rows that are new, but of many only as many as a screen has: the rest follows when these are painted. A timeout alone may come
// before that.
const screenful = 80;
let more = 0;
function make(found) {
  cancelAnimationFrame(more);
  let made = 0;
  for (const [i, data] of found.entries()) {
    if (shown.has(data.Name)) continue;
    if (made++ === screenful) {
      found.length = i;
      more = requestAnimationFrame(() => setTimeout(list));
      return;
    }
    const r = newRow(data.Name);
    shown.set(data.Name, r);
    fill(r, data);
  }
}

// list puts the rows in order; those that stand right are not moved.
function list() {
  const column = columns.find((c) => c.key === view.sort), sign = view.descending ? -1 : 1;
  const found = [...rows.values()].filter(matches);
  found.sort((a, b) => (a.Job === b.Job ? 0 : a.Job ? -1 : 1) || sign * column.sort(a, b) || byName(a, b));
  make(found);
  const elements = view.group ? grouped(found) : found.map((d) => shown.get(d.Name).row);
  order = view.group ? elements.filter((e) => e.dataset.name !== undefined).map((e) => e.dataset.name) : found.map((d) => d.Name);
  let place = $("rows").firstChild;
  for (const e of elements) {
    if (e === place) place = place.nextSibling;
    else $("rows").insertBefore(e, place);
  }
  while (place) { const next = place.nextSibling; place.remove(); place = next; }
  rove();
  tick();
  tabs();
  const none = $("none");
  none.hidden = elements.length > 0 || rows.size === 0; // without any, the headline says why
  put(none, "None of " + plural(rows.size, "name") + " is like that.");
}

function grouped(found) {
  const groups = new Map();
  for (const d of found) {
    const p = prefix(d.Name);
    if (!groups.has(p)) groups.set(p, []);
    groups.get(p).push(d);
  }
  return [...groups].flatMap(([p, members]) => [groupHead(p, members), ...(view.closed.has(p) ? [] : members.map((d) => shown.get(d.Name).row))]);
}

const heads = new Map(); // of groups
function groupHead(p, members) {
  let row = heads.get(p);
  if (!row) {
    row = element("div", "row grouphead");
    row.setAttribute("role", "row");
    const c = cell(row, "", "cell"), button = element("button");
    button.type = "button";
    button.addEventListener("click", () => { view.closed[view.closed.has(p) ? "delete" : "add"](p); list(); });
    c.append(button, element("span", "faint"), element("span", "troubled"));
    heads.set(p, row);
  }
  const [button, count, trouble] = row.firstChild.children;
  put(button, p || "no prefix");
  button.setAttribute("aria-expanded", String(!view.closed.has(p)));
  put(count, plural(members.length, "name"));
  const wrong = members.filter((d) => stateOf(d).severity < 2).length;
  put(trouble, wrong ? wrong + " wrong" : "");
  return row;
}

// One row is in the order of the Tab key; the arrows move it.
let roving = "";
function rove() {
  const old = shown.get(roving);
  if (old && order.includes(roving)) return;
  if (old) old.link.tabIndex = -1;
  roving = order[0] || "";
  if (roving) shown.get(roving).link.tabIndex = 0;
}

function focusRow(name) {
  if (!shown.has(name)) return;
  if (shown.has(roving)) shown.get(roving).link.tabIndex = -1;
  roving = name;
  shown.get(name).link.tabIndex = 0;
  shown.get(name).link.focus();
  shown.get(name).row.scrollIntoView({ block: "nearest" });
}
export const focusAgain = () => { if (shown.has(roving)) shown.get(roving).link.focus({ preventScroll: true }); };

let cursor = -1; // the run that the arrows have come to
function onKey(e) {
  const row = e.target.closest("[data-name]");
  if (!row || e.ctrlKey || e.metaKey || e.altKey) return;
  const name = row.dataset.name, i = order.indexOf(name);
  const to = { ArrowDown: i + 1, j: i + 1, ArrowUp: i - 1, k: i - 1, Home: 0, End: order.length - 1 }[e.key];
  if (to !== undefined) {
    e.preventDefault();
    cursor = -1;
    hideTip();
    if (order[to] !== undefined) focusRow(order[to]);
  } else if (e.key === "ArrowLeft" || e.key === "ArrowRight") {
    e.preventDefault();
    const runs = rows.get(name).Runs || [];
    cursor = Math.max(0, Math.min(cursor + (e.key === "ArrowLeft" ? 1 : -1), Math.min(runs.length, slots) - 1));
    if (!runs[cursor]) return;
    const strip = shown.get(name).strip;
    showTip(xOf(strip, cursor), strip.getBoundingClientRect().top, runs[cursor]);
    put($("said"), runText(runs[cursor]));
  }
}

function onPoint(e) {
  const row = e.target.closest("[data-name]"), strip = e.target.closest(".strip");
  if (row) explain(shown.get(row.dataset.name), rows.get(row.dataset.name));
  if (!row || !strip) { hideTip(); return; }
  const runs = rows.get(row.dataset.name).Runs || [], i = at(strip, e.clientX, runs);
  if (i < 0) hideTip();
  else showTip(xOf(strip, i), strip.getBoundingClientRect().top, runs[i]);
}

const tabNames = { all: "All", failing: "Failing", overdue: "Overdue", paused: "Paused", running: "Running", well: "Well", locks: "Locks" };
const tabButtons = {};
function tabs() {
  const count = {};
  for (const d of rows.values()) for (const tab in tabNames) if (inTab(d, tab)) count[tab] = (count[tab] || 0) + 1;
  for (const tab in tabNames) {
    const b = tabButtons[tab];
    put(b.lastChild, String(count[tab] || 0));
    b.setAttribute("aria-pressed", String(view.tab === tab));
    b.hidden = !count[tab] && tab !== "all" && view.tab !== tab;
  }
}

function sortBy(key) {
  set({ sort: key, descending: view.sort === key && !view.descending });
  for (const c of columns) {
    if (!c.head) continue;
    const mine = c.key === view.sort;
    c.head.setAttribute("aria-sort", mine ? (view.descending ? "descending" : "ascending") : "none");
  }
  $("order").value = key;
}

export function start() {
  for (const c of columns) {
    const h = cell($("heads"), c.key + (c.number ? " number" : ""), "columnheader");
    if (!c.sort) { h.textContent = c.title; continue; }
    const b = element("button", "", c.title);
    b.type = "button";
    b.addEventListener("click", () => sortBy(c.key));
    h.append(b);
    c.head = h;
    $("order").append(new Option(c.title, c.key));
  }
  for (const tab in tabNames) {
    const b = tabButtons[tab] = element("button", tab);
    b.type = "button";
    b.append(tabNames[tab] + " ", element("span", "count"));
    b.addEventListener("click", () => set({ tab }));
    $("states").append(b);
  }
  for (const result of ["ok", "ended", "running", "failed", "panicked", "lost", "vanished", "abandoned"]) {
    const item = element("li");
    item.append(element("span", "dot " + result), result);
    $("legend").append(item);
  }
  $("order").addEventListener("change", () => sortBy($("order").value));
  $("filter").addEventListener("input", () => set({ text: $("filter").value }));
  $("group").addEventListener("click", () => {
    $("group").setAttribute("aria-pressed", String(!view.group));
    set({ group: !view.group });
  });
  $("rows").addEventListener("keydown", onKey);
  $("rows").addEventListener("pointermove", onPoint);
  $("rows").addEventListener("pointerleave", hideTip);
  $("rows").addEventListener("focusout", () => { cursor = -1; hideTip(); });
  $("rows").addEventListener("click", (e) => {
    const row = e.target.closest("[data-name]");
    if (row && !e.target.closest("a") && String(getSelection()) === "") location.hash = jobURL(row.dataset.name);
  });
  addEventListener("scroll", hideTip, { passive: true });
  sortBy("state");
  if (view.descending) sortBy("state");
}
