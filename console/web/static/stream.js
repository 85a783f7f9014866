// One stream of events a page: closed while nobody looks, opened again with the whole state first.
import { banner } from "./shell.js";
const SILENCE = 15_000, AGAIN = 3_000;

export function follow(url, handlers, onState = () => {}) {
  let source, heard, silent = false, over = false;

  const open = () => {
    source = new EventSource(url);
    heard = performance.now();
    const on = (name, act) => source.addEventListener(name, (event) => {
      heard = performance.now();
      // A stream that goes on after a silence is not opened anew.
      if (silent) banner("");
      silent = false;
      onState(true);
      act?.(JSON.parse(event.data));
    });
    for (const [name, act] of Object.entries(handlers)) on(name, act);
    on("beat");
    source.addEventListener("bye", (event) => {
      close();
      over = true;
      if (JSON.parse(event.data).why === "session") location.reload();
    });
    source.addEventListener("trouble", (event) => {
      banner(`${JSON.parse(event.data).message} What you see may be outdated.`);
      onState(false);
    });
    source.onopen = () => { silent = false; banner(""); };
    source.onerror = () => {
      if (over) return;
      onState(false);
      // Otherwise the browser tries again by itself.
      if (source?.readyState === EventSource.CLOSED) refused();
    };
  };
  // Refused outright. If the session is over, only a page can begin a new one; else what is shown is kept, and asked again.
  const refused = async () => {
    close();
    banner("The console does not answer. What you see may be outdated.");
    const looking = new AbortController();
    const answer = await fetch(url, { headers: { Accept: "text/event-stream" }, redirect: "manual", signal: looking.signal }).catch(() => null);
    looking.abort();
    if (answer?.status === 401) location.reload();
    else setTimeout(() => { if (!source && !over && !document.hidden) open(); }, AGAIN);
  };
  const close = () => { source?.close(); source = undefined; };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!source && !over) open();
  });
  setInterval(() => {
    if (source && performance.now() - heard > SILENCE) {
      silent = true;
      banner("Nothing has been heard from the console for 15 seconds. What you see may be outdated.");
      onState(false);
    }
  }, 1000);
  open();
}
