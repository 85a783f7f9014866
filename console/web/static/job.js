// The convergence of one change, as it happens.
import { follow } from "./stream.js";

const table = document.getElementById("waiting");
const live = document.getElementById("live");

function cell(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function show(job) {
  document.getElementById("converged").textContent = job.converged;
  document.getElementById("of").textContent = job.total;
  const bar = document.getElementById("progress");
  bar.max = job.total || 1;
  bar.value = job.converged;
  document.getElementById("superseded").textContent = job.superseded + (job.superseded ? `, by ${job.superseded_by.join(", ")}` : "");
  document.getElementById("done").textContent = job.given_up ? "Nobody. What was decommissioned has not proven its part." : job.superseded ? "Nobody. Later changes took over the rest." : "Nobody. Every region has it.";
  table.hidden = job.regions.length === 0;
  document.getElementById("done").hidden = job.regions.length > 0;
  table.tBodies[0].replaceChildren(...job.regions.map((one) => {
    const row = document.createElement("tr");
    const heard = one.last_contact_at ? one.last_contact_at.slice(11, 19) : "never";
    row.append(cell("th", one.region), cell("td", one.behind, "n"), cell("td", one.connected ? "yes" : "no"), cell("td", heard), cell("td", (one.parked ? "parked: " : "") + (one.reason || "under way")));
    return row;
  }));
  if (job.ended_at) {
    const seconds = (Date.parse(job.ended_at) - Date.parse(job.created_at)) / 1000;
    document.getElementById("took").textContent = seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
    live.textContent = job.state;
    live.classList.remove("on");
  }
}

let over = false;
follow(`/live/jobs/${table.dataset.job}`, { job: (job) => { over = Boolean(job.ended_at); show(job); } }, (fresh) => {
  if (over) return;
  live.classList.toggle("on", fresh);
  live.textContent = fresh ? "live" : "not live";
});
