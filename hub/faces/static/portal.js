// Improves what works without it. No inline handlers, no storage, no requests.
"use strict";
for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
  button.closest("[hidden]")?.removeAttribute("hidden");
}
// A page kept by the Back button is asked for anew: after logging out nothing stays on the screen.
window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
// Two minutes before the session ends it can be kept with one press; the time limit of the login itself stands.
const soon = document.getElementById("snart");
if (soon) {
  let timer;
  const wait = (seconds) => { clearTimeout(timer); timer = setTimeout(() => soon.showModal(), Math.max(seconds - 120, 1) * 1000); };
  soon.addEventListener("close", async () => {
    const answer = await fetch("/velg", {redirect: "manual"});
    const page = answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
    const left = Number(page?.getElementById("snart")?.dataset.after ?? 0);
    if (left > 120) wait(left);
  });
  document.getElementById("bli").addEventListener("click", () => soon.close());
  wait(Number(soon.dataset.after));
}
