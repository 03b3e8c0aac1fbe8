"use strict";

// Everything that comes from the nodes goes into the page as text, never as markup.
const $ = (id) => document.getElementById(id);

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// Each holder has a letter and one of eight colours, for as long as the page is open.
const holders = new Map();
function meet(names) {
  const seen = names.flatMap((n) => [n.Holder, ...(n.Ticks || []).map((t) => t.Holder)]);
  const strangers = [...new Set(seen)].filter((h) => h && !holders.has(h)).sort();
  if (strangers.length === 0) return;
  for (const h of strangers) {
    const i = holders.size;
    holders.set(h, { className: "r" + (i % 8), letter: i < 26 ? String.fromCharCode(65 + i) : "" });
  }
  $("legend").replaceChildren(...[...holders.keys()].map((h) => {
    const item = element("li");
    item.append(mark("dot", h), element("span", "name", h));
    return item;
  }));
}

function mark(className, holder) {
  const known = holders.get(holder) || { className: "", letter: "?" };
  const square = element("span", className + " " + known.className, known.letter);
  square.setAttribute("aria-hidden", "true");
  return square;
}

const time = (at) => new Date(at).toLocaleTimeString();
const seconds = (ms) => (ms / 1000).toFixed(ms < 10000 ? 1 : 0) + " s";
const millis = (us) => (us / 1000).toFixed(Math.abs(us) < 10000 ? 2 : 0) + " ms";

function head(n, look, verb) {
  const row = element("div", "row");
  row.append(element("strong", "", n.Name));
  if (n.Holder) {
    const held = element("span", "held");
    held.append(element("span", "", verb), mark("dot", n.Holder), element("span", "name", n.Holder));
    row.append(held);
  } else {
    row.append(element("span", "pill", look.Error ? "unknown" : "idle"));
  }
  const facts = [];
  if (n.Holder) facts.push("held on " + n.Votes + " of " + (look.Nodes || []).length + " nodes", "expires in " + seconds(n.Remaining) + " unless renewed");
  if (n.Waiters) facts.push(n.Waiters + " waiting");
  if (n.Fence) facts.push("fence " + n.Fence);
  if (facts.length > 0) row.append(element("span", "faint right", facts.join(" · ")));
  if (n.Holder && !look.ReadOnly) row.append(release(n));
  return row;
}

function release(n) {
  const button = element("button", "", "release");
  button.dataset.name = n.Name;
  button.addEventListener("click", async () => {
    if (!confirm("Take " + n.Name + " from " + n.Holder + "? It is told at its next renewal.")) return;
    const answer = await fetch("release", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ Name: n.Name, Token: n.Token }),
    });
    if (!answer.ok) alert(await answer.text());
  });
  return button;
}

const slots = 40;

function job(n, look) {
  const card = element("article", "card"), strip = element("div", "strip"), ends = element("div", "ends faint");
  for (let i = n.Ticks.length; i < slots; i++) strip.append(element("span", "slot"));
  for (const t of n.Ticks) {
    const square = mark("tick", t.Holder);
    square.title = time(t.At) + " ran on " + (t.Holder || "a replica that is forgotten");
    strip.append(square);
  }
  const first = n.Ticks[0], last = n.Ticks[n.Ticks.length - 1];
  strip.setAttribute("role", "img");
  strip.setAttribute("aria-label", n.Ticks.length + " ticks; the last, " + time(last.At) + ", ran on " + last.Holder);
  ends.append(element("span", "", n.Ticks.length > 1 ? time(first.At) : ""), element("span", "", time(last.At) + " on " + last.Holder));
  card.append(head(n, look, "running on"), strip, ends);
  return card;
}

function lock(n, look) {
  const card = element("article", "card");
  card.append(head(n, look, "held by"));
  return card;
}

function node(n) {
  const card = element("article", "card"), row = element("div", "row");
  row.append(element("strong", "", n.Name));
  if (n.Error) {
    row.append(element("span", "pill bad", "out"), element("span", "faint name", n.Error));
  } else {
    const facts = [millis(n.RoundTrip) + " round trip", "clock " + (n.ClockOffset < 0 ? "" : "+") + millis(n.ClockOffset)];
    if (n.Version) facts.push("Redis " + n.Version);
    if (n.Persistence) facts.push("persistence: " + n.Persistence);
    row.append(element("span", "pill good", "answers"), element("span", "faint right", facts.join(" · ")));
  }
  card.append(row);
  return card;
}

// fill keeps the keyboard's place: a button that had the focus is replaced by its successor.
function fill(id, cards) {
  const focused = document.activeElement && document.activeElement.dataset.name;
  $(id).replaceChildren(...cards);
  if (focused === undefined) return;
  for (const b of $(id).querySelectorAll("button")) if (b.dataset.name === focused) b.focus({ preventScroll: true });
}

function show(look) {
  const names = look.Names || [], nodes = look.Nodes || [];
  meet(names);
  const jobs = names.filter((n) => (n.Ticks || []).length > 0);
  const locks = names.filter((n) => n.Leader);
  fill("jobs", jobs.map((n) => job(n, look)));
  fill("locks", locks.map((n) => lock(n, look)));
  fill("nodes", nodes.map(node));
  // Without a majority nobody can tell that there is nothing.
  $("no-jobs").hidden = jobs.length > 0 || look.Error !== "";
  $("no-locks").hidden = locks.length > 0 || look.Error !== "";
  $("error").hidden = !look.Error;
  $("error").textContent = look.Error;
  const out = nodes.filter((n) => n.Error).map((n) => n.Name), up = nodes.length - out.length;
  $("status").textContent = up + " of " + nodes.length + " nodes answer" + (out.length > 0 ? ", out: " + out.join(", ") : "") +
    " · " + time(look.At) + (look.More ? " · more names than are shown" : "");
  $("status").className = out.length === 0 ? "well" : "stale";
}

const stream = new EventSource("events");
stream.onmessage = (e) => show(JSON.parse(e.data));
stream.onerror = () => { $("status").textContent = "connection lost, trying again…"; $("status").className = "stale"; };
