// Improves what works without it. No inline handlers, no storage, no requests.
"use strict";
for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
  button.closest("[hidden]")?.removeAttribute("hidden");
}
// A page kept by the Back button is asked for anew: after logging out nothing stays on the screen.
window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
