// The strip of a job's last runs. It is drawn as one path for each result: 500 strips are 1000 elements, not 10,000.
import { element, runText, bad, plural } from "./text.js";

export const slots = 20;
const step = 8, width = 7, floor = 20, foot = 24, svg = "http://www.w3.org/2000/svg";

export function newStrip() {
  const s = document.createElementNS(svg, "svg");
  s.setAttribute("viewBox", "0 0 " + slots * step + " " + foot);
  s.setAttribute("class", "strip");
  s.setAttribute("role", "img");
  return s;
}

// draw shows the runs, the newest first as they come. The height is the root of the duration, so that the short ones can be told apart, too.
export function draw(s, runs) {
  const longest = Math.max(1, ...runs.map((r) => r.Took)), paths = {};
  runs.slice(0, slots).forEach((r, i) => {
    const x = (slots - 1 - i) * step, unknown = r.Result === "running" || r.Result === "vanished";
    const h = unknown ? floor - 1 : 3 + Math.round((floor - 4) * Math.sqrt(r.Took / longest));
    // A run that went wrong has a foot, for those who cannot tell the colours apart.
    paths[r.Result] = (paths[r.Result] || "") + "M" + x + " " + (floor - h) + "h" + width + "V" + (bad.has(r.Result) ? foot : floor) + "h-" + width + "z";
  });
  const parts = [part("slot", "M0 " + (floor - 1) + "h" + (slots - Math.min(runs.length, slots)) * step + "v1H0z")];
  for (const result in paths) parts.push(part("run " + result, paths[result]));
  s.replaceChildren(...parts);
  s.setAttribute("aria-label", summary(runs));
}

function part(className, d) {
  const p = document.createElementNS(svg, "path");
  p.setAttribute("class", className);
  p.setAttribute("d", d);
  return p;
}

function summary(runs) {
  const count = {};
  for (const r of runs.slice(0, slots)) count[r.Result] = (count[r.Result] || 0) + 1;
  const parts = Object.entries(count).map(([result, n]) => n + " " + result);
  return plural(Math.min(runs.length, slots), "run") + (parts.length ? ": " + parts.join(", ") : "");
}

// at is the index of the run under a point of the screen, or -1.
export function at(s, clientX, runs) {
  const box = s.getBoundingClientRect();
  const i = slots - 1 - Math.floor((clientX - box.left) / box.width * slots);
  return i >= 0 && i < Math.min(runs.length, slots) ? i : -1;
}

export const xOf = (s, i) => { const box = s.getBoundingClientRect(); return box.left + (slots - i - 0.5) / slots * box.width; };

// The one tip of the page.
const tip = document.getElementById("tip");

export function showTip(x, y, run) {
  const dot = element("span", "dot " + run.Result);
  tip.replaceChildren(dot, runText(run));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x - box.width / 2, innerWidth - box.width - 4)) + "px";
  tip.style.top = (y - box.height - 8 > 0 ? y - box.height - 8 : y + 32) + "px";
}

export function hideTip() { tip.hidden = true; }
