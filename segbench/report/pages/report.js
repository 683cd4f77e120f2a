"use strict";
(function () {
  const root = document.documentElement;
  const button = document.querySelector(".theme");
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const wanted = /theme=(dark|light)/.exec(location.hash + location.search);
  let chosen = wanted ? wanted[1] : null;

  function show() {
    const theme = chosen || (system.matches ? "dark" : "light");
    root.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light page" : "Dark page";
  }
  button.hidden = false;
  button.addEventListener("click", function () {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  // Paper is white, whatever the screen is.
  window.addEventListener("beforeprint", function () { root.dataset.theme = "light"; });
  window.addEventListener("afterprint", show);
  show();

  document.querySelectorAll("table.sortable").forEach(function (table) {
    const heads = Array.from(table.querySelectorAll("thead th"));
    heads.forEach(function (head, column) {
      const press = head.querySelector("button");
      press.addEventListener("click", function () {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const keyed = Array.from(body.rows).map(function (row) {
          const cell = row.cells[column];
          return { row: row, number: cell.dataset.sort === undefined ? null : Number(cell.dataset.sort),
                   text: cell.textContent };
        });
        keyed.sort(function (a, b) {
          if (a.number === null || b.number === null) {
            if (a.number !== null) { return -1; }
            if (b.number !== null) { return 1; }
            const order = a.text.localeCompare(b.text, undefined, { numeric: true });
            return down ? -order : order;
          }
          return down ? b.number - a.number : a.number - b.number;
        });
        keyed.forEach(function (entry) { body.appendChild(entry.row); });
      });
    });
  });

  document.querySelectorAll("figure .toggles button").forEach(function (press) {
    press.addEventListener("click", function () {
      const isOn = press.getAttribute("aria-pressed") !== "true";
      press.setAttribute("aria-pressed", String(isOn));
      press.closest("figure").querySelectorAll("[data-series]").forEach(function (mark) {
        if (mark.dataset.series === press.dataset.name) { mark.classList.toggle("off", !isOn); }
      });
    });
  });
})();
