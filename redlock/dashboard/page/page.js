"use strict";

// Everything that comes from the nodes goes into the page as text, never as markup.
const $ = (id) => document.getElementById(id);

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

const colours = new Map();
function colour(holder) {
  if (!colours.has(holder)) {
    colours.set(holder, "r" + (colours.size % 8));
    const item = element("li");
    item.append(element("span", "dot " + colours.get(holder)), element("span", "", holder));
    $("legend").append(item);
  }
  return colours.get(holder);
}

const time = (at) => new Date(at).toLocaleTimeString();
const seconds = (ms) => (ms / 1000).toFixed(ms < 10000 ? 1 : 0) + " s";
const millis = (us) => (us / 1000).toFixed(Math.abs(us) < 10000 ? 2 : 0) + " ms";

function head(n, readOnly) {
  const row = element("div", "row");
  row.append(element("strong", "", n.Name));
  if (n.Holder) {
    const held = element("span", "row");
    held.append(element("span", "dot " + colour(n.Holder)), element("span", "", n.Holder));
    row.append(held, element("span", "faint", n.Votes + " votes, " + seconds(n.Remaining) + " without renewal"));
  } else {
    row.append(element("span", "faint", "free"));
  }
  if (n.Waiters) row.append(element("span", "faint", n.Waiters + " waiting"));
  if (n.Fence) row.append(element("span", "faint", "fence " + n.Fence));
  if (n.Holder && !readOnly) row.append(release(n));
  return row;
}

function release(n) {
  const button = element("button", "", "release");
  button.addEventListener("click", async () => {
    if (!confirm("Take " + n.Name + " from " + n.Holder + "? It is told at its next renewal.")) return;
    const answer = await fetch("release", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ Name: n.Name, Token: n.Token }),
    });
    if (!answer.ok) alert(await answer.text());
  });
  return button;
}

function job(n, readOnly) {
  const card = element("article", "card");
  card.append(head(n, readOnly));
  const strip = element("div", "strip");
  for (const t of n.Ticks) {
    const square = element("span", "tick " + colour(t.Holder));
    square.title = time(t.At) + " ran on " + t.Holder;
    strip.append(square);
  }
  const last = n.Ticks[n.Ticks.length - 1];
  strip.setAttribute("role", "img");
  strip.setAttribute("aria-label", n.Ticks.length + " ticks; the last, " + time(last.At) + ", ran on " + last.Holder);
  card.append(strip, element("p", "faint", "last tick " + time(last.At) + " on " + last.Holder));
  return card;
}

function node(n) {
  const card = element("article", "card");
  const row = element("div", "row");
  row.append(element("strong", "", n.Name));
  if (n.Error) {
    row.append(element("span", "bad", "out"), element("span", "faint", n.Error));
  } else {
    row.append(element("span", "good", "answers"), element("span", "faint", millis(n.RoundTrip) + " round trip, clock "
      + (n.ClockOffset < 0 ? "" : "+") + millis(n.ClockOffset)));
    row.append(element("span", "faint right", ["Redis " + (n.Version || "?"), n.Persistence && "persistence: " + n.Persistence].filter(Boolean).join(", ")));
  }
  card.append(row);
  return card;
}

function show(look) {
  const names = look.Names || [], nodes = look.Nodes || [];
  const jobs = names.filter((n) => (n.Ticks || []).length > 0);
  const locks = names.filter((n) => n.Leader);
  $("jobs").replaceChildren(...jobs.map((n) => job(n, look.ReadOnly)));
  $("locks").replaceChildren(...locks.map((n) => { const c = element("article", "card"); c.append(head(n, look.ReadOnly)); return c; }));
  $("nodes").replaceChildren(...nodes.map(node));
  $("no-jobs").hidden = jobs.length > 0;
  $("no-locks").hidden = locks.length > 0;
  $("error").hidden = !look.Error;
  $("error").textContent = look.Error;
  const up = nodes.filter((n) => !n.Error).length;
  $("status").textContent = up + " of " + nodes.length + " nodes answer, " + time(look.At) + (look.More ? "; more names than are shown" : "");
  $("status").className = up > nodes.length / 2 ? "" : "stale";
}

const stream = new EventSource("events");
stream.onmessage = (e) => show(JSON.parse(e.data));
stream.onerror = () => { $("status").textContent = "connection lost, trying again…"; $("status").className = "stale"; };
