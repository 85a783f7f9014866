// One region, live: the server says that something changed, and the page's own parts are fetched anew.
import { follow } from "./stream.js";

const live = document.getElementById("live");
let asking = false, again = false;

function put(before, after) {
  if (before.outerHTML === after.outerHTML) return;
  const open = [...before.querySelectorAll("details")].map((one) => one.open);
  [...after.querySelectorAll("details")].forEach((one, index) => { one.open = open[index] ?? one.open; });
  before.replaceWith(document.adoptNode(after));
}

function refresh() {
  if (asking) { again = true; return; }
  asking = true;
  // Not fetch: this parses a page without any text being taken for markup here.
  const page = new XMLHttpRequest();
  page.open("GET", location.pathname + location.search);
  page.responseType = "document";
  page.onloadend = () => {
    asking = false;
    if (page.status === 200 && page.response) {
      for (const after of page.response.querySelectorAll("[data-live]")) {
        const before = document.querySelector(`[data-live="${after.dataset.live}"]`);
        if (before) put(before, after);
      }
    }
    if (again) { again = false; refresh(); }
  };
  page.send();
}

follow(`/live${location.pathname}`, { region: refresh }, (fresh) => {
  live.classList.toggle("on", fresh);
  live.textContent = fresh ? "live" : "not live";
});
