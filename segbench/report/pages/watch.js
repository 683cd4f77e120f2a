// While a sweep runs: the page is read anew every few seconds, unless somebody is at it, and stays as it was.
(function () {
  const EVERY_MS = 5000;
  const QUIET_MS = 2000;
  const began = Date.now();
  let touched = 0;

  function sheets() { return Array.from(document.querySelectorAll("table.sortable")); }
  function nameOf(table) { return table.parentElement.getAttribute("aria-label"); }
  function sorted() {
    return sheets().flatMap(function (table) {
      const heads = Array.from(table.querySelectorAll("thead th"));
      const column = heads.findIndex(function (head) { return head.hasAttribute("aria-sort"); });
      return column < 0 ? [] : [[nameOf(table), column, heads[column].getAttribute("aria-sort")]];
    });
  }
  function restore(kept) {
    const theme = document.querySelector(".theme");
    if (kept.theme !== document.documentElement.dataset.theme) { theme.click(); }
    sheets().forEach(function (table) {
      kept.sorted.filter(function (each) { return each[0] === nameOf(table); }).forEach(function (each) {
        const head = table.querySelectorAll("thead th")[each[1]];
        for (let k = 0; head && k < 2 && head.getAttribute("aria-sort") !== each[2]; k += 1) {
          head.querySelector("button").click();
        }
      });
    });
    window.scrollTo({ left: kept.left, top: kept.top, behavior: "instant" });
  }
  function isBusy() {
    const box = document.getElementById("trace");
    return document.hidden || Date.now() - touched < QUIET_MS || (box && !box.hidden) ||
      String(document.getSelection()) !== "";
  }
  function look() {
    if (Date.now() - began < EVERY_MS || isBusy()) { return; }
    clearInterval(timer);
    const kept = { theme: document.documentElement.dataset.theme, sorted: sorted(),
                   left: window.scrollX, top: window.scrollY };
    history.replaceState({ watched: kept }, "");
    location.reload();
  }

  ["pointermove", "pointerdown", "wheel", "keydown", "touchmove"].forEach(function (name) {
    window.addEventListener(name, function () { touched = Date.now(); }, { passive: true });
  });
  history.scrollRestoration = "manual";
  const timer = setInterval(look, 500);
  window.addEventListener("load", function () {
    if (history.state && history.state.watched) { restore(history.state.watched); }
  });
})();
