// What every page has: keys, and the end of a session.
const search = document.getElementById("search");

const keys = document.getElementById("keys");
// Single keys get in the way of whoever speaks to the browser, so that they can be switched off.
const OFF = "orbital-keys-off";

function switched() {
  try { return localStorage.getItem(OFF) === null; } catch { return true; }
}

keys.hidden = false;
keys.setAttribute("aria-pressed", String(switched()));
keys.addEventListener("click", () => {
  if (switched()) localStorage.setItem(OFF, "1"); else localStorage.removeItem(OFF);
  keys.setAttribute("aria-pressed", String(switched()));
});

const typing = (element) => element instanceof HTMLElement && element.matches("input, textarea, select, [contenteditable]");

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (event.key === "/" && switched()) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

export function banner(text) {
  const place = document.getElementById("banner");
  place.textContent = text;
  place.hidden = !text;
}

// A link may lead through the login page, a form may not: whoever has typed something is told before it is lost.
const left = Number(document.body.dataset.secondsLeft ?? 0);
if (left > 0) {
  setTimeout(() => {
    const typed = [...document.querySelectorAll("main input, main textarea")].some((field) => field.value !== field.defaultValue);
    if (typed) banner("Your session is over. What you typed is still here: copy it, then reload this page to log in again.");
    else location.reload();
  }, Math.min(left * 1000, 2 ** 31 - 1));
}
