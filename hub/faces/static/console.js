// «/» goes to the first filter. Nothing else is needed.
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "")) return;
  const first = document.querySelector(".filters select, .filters input");
  if (first) { event.preventDefault(); first.focus(); }
});
window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.reload(); });
