// One stream of events a page: closed while nobody looks, opened again with the whole state first.
import { banner } from "./shell.js";
const SILENCE = 15_000;

export function follow(url, handlers, onState = () => {}) {
  let source, heard, over = false;

  const open = () => {
    source = new EventSource(url);
    heard = performance.now();
    const on = (name, act) => source.addEventListener(name, (event) => {
      heard = performance.now();
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
    source.onopen = () => banner("");
    // Refused outright: the session is over, and only a page can begin a new one.
    source.onerror = () => { if (source.readyState === EventSource.CLOSED && !over) { over = true; setTimeout(() => location.reload(), 2000); } };
  };
  const close = () => { source?.close(); source = undefined; };

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!source && !over) open();
  });
  setInterval(() => {
    if (source && performance.now() - heard > SILENCE) {
      banner("Nothing has been heard from the console for 15 seconds. What you see may be outdated.");
      onState(false);
    }
  }, 1000);
  open();
}
