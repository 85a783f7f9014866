// A revocation on its way: regions turn dark one by one.
import { follow } from "./stream.js";

const parts = document.getElementById("parts");
const darkening = document.getElementById("darkening");
const live = document.getElementById("live");
const text = (id, value) => { document.getElementById(id).textContent = value; };
const clock = (stamp) => (stamp ? stamp.slice(11, 23) : "");
let over = false;

function cell(name, value, className = "") {
  const made = document.createElement(name);
  made.textContent = value;
  made.className = className;
  return made;
}

function row(part) {
  const made = document.createElement("tr");
  const link = document.createElement("a");
  link.href = `/regions/${encodeURIComponent(part.region)}`;
  link.textContent = part.region;
  const head = document.createElement("th");
  head.scope = "row";
  head.append(link);
  made.append(head, cell("td", part.dark ? "Dark, verified" : part.why, part.dark ? "" : "strong"), cell("td", clock(part.at)), cell("td", part.after, "n"), cell("td", clock(part.heard)), cell("td", clock(part.by)));
  return made;
}

function show(wave) {
  over = Boolean(wave.ended_at);
  const missing = wave.parts.filter((part) => !part.dark).map((part) => part.region);
  text("dark", wave.dark);
  text("total", wave.total);
  text("when", wave.converged_at ? ` at ${clock(wave.converged_at)}, after ${wave.took}` : "");
  text("missing", missing.length > 12 ? `${missing.slice(0, 12).join(", ")} and ${missing.length - 12} more` : missing.join(", ") || "none");
  text("proof", missing.length ? `Proof, partial: ${wave.dark} of ${wave.total}` : `Proof: ${wave.dark} of ${wave.total}`);
  document.title = `${wave.dark} of ${wave.total} dark · Orbital`;
  const cells = new Map([...darkening.children].map((one) => [one.dataset.region, one]));
  for (const part of wave.parts) {
    let one = cells.get(part.region);
    if (!one) {
      one = document.createElement("i");
      one.dataset.region = one.title = part.region;
      darkening.append(one);
    }
    one.className = part.dark ? "dark" : "lit";
  }
  parts.tBodies[0].replaceChildren(...wave.parts.slice(0, 500).map(row));
  if (over) { live.classList.remove("on"); live.textContent = "over"; }
}

follow(`/live/waves/${parts.dataset.job}`, { wave: show }, (fresh) => {
  if (over) return;
  live.classList.toggle("on", fresh);
  live.textContent = fresh ? "live" : "not live";
});
