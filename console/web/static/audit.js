// Checks the whole trail, telling how far it is.
const button = document.getElementById("verify");
const verdict = document.getElementById("verdict");

button.hidden = false;
button.addEventListener("click", () => {
  button.disabled = true;
  verdict.className = "sentence";
  verdict.textContent = "Checking …";
  const source = new EventSource("/live/audit");
  const end = (said, whole) => {
    source.close();
    button.disabled = false;
    verdict.textContent = said;
    verdict.classList.toggle("killed", !whole);
  };
  source.addEventListener("checked", (event) => { verdict.textContent = `Good to #${JSON.parse(event.data).sequence.toLocaleString("en")} …`; });
  source.addEventListener("verdict", (event) => { const { said, whole } = JSON.parse(event.data); end(said, whole); });
  source.addEventListener("trouble", (event) => end(JSON.parse(event.data).message, false));
  source.addEventListener("bye", () => end("The session ended before the end of the trail.", false));
  source.onerror = () => end("The console does not answer.", false);
});
