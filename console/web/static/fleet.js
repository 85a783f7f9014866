// The fleet, live: cells change in place, the table is made again, counts come from the server.
import { follow } from "./stream.js";

const grid = document.getElementById("grid");
const focused = document.getElementById("focused");
const rows = document.querySelector("#troubled tbody");
const known = new Map();
const waiting = new Map();
const cells = new Map([...grid.querySelectorAll("a.cell")].map((cell) => [cell.textContent, cell]));
const filter = new URLSearchParams(location.search);
const filtered = ["q", "area", "status"].some((name) => filter.get(name));
const BADNESS = ["out_of_sync", "unknown", "degraded", "drifting", "held", "converging", "quiet"];
const LISTED = 100;
const PER_FRAME = 500;
// Thousands of cells that blink at once keep the browser from showing any of them.
let still = true, drawing = false, tableDue = false;

const said = (word) => word.charAt(0).toUpperCase() + word.slice(1).replaceAll("_", " ");
const age = (stamp) => {
  if (!stamp) return "";
  const seconds = Math.max(0, (Date.now() - Date.parse(stamp)) / 1000);
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86400)}d`;
};

function take({ columns, counts, loud, total }) {
  const names = Object.keys(columns);
  columns.name.forEach((name, index) => {
    const region = Object.fromEntries(names.map((column) => [column, columns[column][index]]));
    known.set(name, region);
    waiting.set(name, region);
  });
  document.getElementById("total").textContent = total.toLocaleString("en");
  for (const [kind, count] of Object.entries(counts)) {
    const place = document.querySelector(`[data-kind="${kind}"]`);
    place.textContent = count.toLocaleString("en");
    place.closest("li").toggleAttribute("data-none", count === 0);
  }
  for (const place of document.querySelectorAll("[data-loud]")) {
    const count = loud[place.dataset.loud] ?? 0;
    place.textContent = count ? `${count.toLocaleString("en")} need you` : "";
  }
  tableDue = true;
  still ||= waiting.size > PER_FRAME;
  if (!drawing) { drawing = true; requestAnimationFrame(draw); }
}

function draw() {
  let left = PER_FRAME;
  for (const [name, region] of waiting) {
    if (left-- === 0) break;
    waiting.delete(name);
    const cell = cells.get(name);
    if (!cell) continue;
    const looks = `cell h-${region.status}${region.convergence === "converged" ? "" : ` v-${region.convergence}`}`;
    const bare = cell.className.replace(/ (changed|at)\b/g, "");
    if (bare !== looks) cell.className = still ? looks : `${looks} changed`;
  }
  if (waiting.size) { requestAnimationFrame(draw); return; }
  if (tableDue) table();
  drawing = still = tableDue = false;
}

function table() {
  const worst = [...known.values()].filter((region) => region.worst !== "quiet" && (!filtered || cells.has(region.name)));
  worst.sort((a, b) => BADNESS.indexOf(a.worst) - BADNESS.indexOf(b.worst) || (a.behind_since ?? "").localeCompare(b.behind_since ?? "") || a.name.localeCompare(b.name));
  rows.replaceChildren(...worst.slice(0, LISTED).map(row));
  rows.closest("table").hidden = worst.length === 0;
  document.getElementById("calm").hidden = worst.length > 0;
  const more = document.getElementById("more");
  more.hidden = worst.length <= LISTED;
  more.firstElementChild.textContent = String(worst.length - LISTED);
}

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function row(region) {
  const link = element("a", "", region.name);
  link.href = `/regions/${encodeURIComponent(region.name)}`;
  const head = element("th", "", link);
  head.scope = "row";
  const made = element("tr", "", head,
    element("td", "", element("span", "health", element("i", `cell h-${region.status}`), said(region.status))),
    element("td", "", region.status_reason),
    element("td", "", element("span", `convergence v-${region.convergence}`, said(region.convergence))),
    element("td", "n", region.drifting ? String(region.drifting) : ""),
    element("td", "n", age(region.behind_since)),
    element("td", "n", region.lanes),
    element("td", "id", region.policy.length > 14 ? `${region.policy.slice(0, 13)}…` : region.policy),
    element("td", "n", age(region.heard) || "never"));
  made.dataset.region = region.name;
  return made;
}

function tell(cell) {
  const region = known.get(cell.textContent);
  if (!region) return;
  const parts = [said(region.status) + (region.status_reason ? ` (${region.status_reason})` : ""), said(region.convergence)];
  if (region.behind_since) parts.push(`lag ${age(region.behind_since)}`);
  parts.push(`lanes ${region.lanes}`, `heard ${age(region.heard) || "never"}`, `policy ${region.policy || "–"}`);
  focused.replaceChildren(element("b", "", region.name), ` ${parts.join(" · ")}`);
}

// The grid is one stop of the Tab key.
const all = [...cells.values()];
if (all.length) all[0].tabIndex = 0;
grid.addEventListener("pointerover", (event) => { if (event.target.matches("a.cell")) tell(event.target); });
grid.addEventListener("focusin", (event) => { if (event.target.matches("a.cell")) tell(event.target); });
grid.addEventListener("keydown", (event) => {
  const at = all.indexOf(event.target);
  if (at < 0) return;
  const box = event.target.getBoundingClientRect();
  const vertical = (step) => {
    for (let next = at + step; next >= 0 && next < all.length; next += step) {
      const other = all[next].getBoundingClientRect();
      if (Math.abs(other.top - box.top) > 4 && (step > 0 ? other.left >= box.left - 6 : other.left <= box.left + 6)) return next;
    }
    return at;
  };
  const moves = { ArrowRight: () => at + 1, ArrowLeft: () => at - 1, ArrowDown: () => vertical(1), ArrowUp: () => vertical(-1), Home: () => 0, End: () => all.length - 1 };
  const next = moves[event.key]?.();
  if (next === undefined || !all[next]) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  all[next].tabIndex = 0;
  all[next].focus();
});

const live = document.getElementById("live");
follow("/live/fleet", { regions: take }, (fresh) => {
  grid.classList.toggle("stale", !fresh);
  live.classList.toggle("on", fresh);
  live.textContent = fresh ? `live · ${new Date().toLocaleTimeString("en-GB")}` : "not live";
});
// A selection is a link that can be shared; choosing is enough.
document.getElementById("filter").addEventListener("change", (event) => { if (event.target.matches("select")) event.currentTarget.requestSubmit(); });
