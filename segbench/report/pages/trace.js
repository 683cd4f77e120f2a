// Which trials a number of a table rests on: shown beside it while it is pointed at or has the focus.
(function () {
  const box = document.createElement("div");
  box.id = "trace";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  document.body.appendChild(box);
  let shown = null;

  function hide() {
    if (shown) { shown.removeAttribute("aria-describedby"); }
    shown = null;
    box.hidden = true;
  }
  function show(cell) {
    if (shown === cell) { return; }
    hide();
    shown = cell;
    cell.setAttribute("aria-describedby", "trace");
    box.textContent = cell.dataset.trace;
    box.hidden = false;
    settle();
  }
  function settle() {
    if (!shown) { return; }
    const place = shown.getBoundingClientRect();
    const left = Math.min(Math.max(8, place.right - box.offsetWidth), window.innerWidth - box.offsetWidth - 8);
    const below = place.bottom + 6;
    const hasRoom = below + box.offsetHeight < window.innerHeight;
    box.style.left = Math.max(8, left) + "px";
    box.style.top = (hasRoom ? below : Math.max(8, place.top - box.offsetHeight - 6)) + "px";
  }
  function traced(node) { return node instanceof Element ? node.closest("td[data-trace]") : null; }

  document.addEventListener("mouseover", function (event) {
    const cell = traced(event.target);
    if (cell) { show(cell); } else if (shown && shown !== document.activeElement) { hide(); }
  });
  document.addEventListener("focusin", function (event) {
    const cell = traced(event.target);
    if (cell) { show(cell); } else { hide(); }
  });
  document.addEventListener("focusout", hide);
  window.addEventListener("scroll", settle, true);

  // One stop of the Tab key a table; the arrow keys walk over its numbers from there.
  document.querySelectorAll("table").forEach(function (table) {
    const cells = table.querySelectorAll("td[data-trace]");
    cells.forEach(function (cell, k) { cell.tabIndex = k === 0 ? 0 : -1; });
    table.addEventListener("keydown", function (event) {
      const cell = traced(event.target);
      if (!cell) { return; }
      if (event.key === "Escape") { hide(); return; }
      const next = neighbour(cell, event.key);
      if (!next) { return; }
      event.preventDefault();
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
      next.scrollIntoView({ block: "nearest", inline: "nearest" });
      show(next);
    });
  });
  function neighbour(cell, key) {
    const row = cell.parentElement;
    if (key === "ArrowRight" || key === "ArrowLeft") {
      const step = key === "ArrowRight" ? "nextElementSibling" : "previousElementSibling";
      let other = cell[step];
      while (other && !other.dataset.trace) { other = other[step]; }
      return other;
    }
    if (key === "ArrowDown" || key === "ArrowUp") {
      const step = key === "ArrowDown" ? "nextElementSibling" : "previousElementSibling";
      let other = row[step];
      while (other && !(other.cells[cell.cellIndex] && other.cells[cell.cellIndex].dataset.trace)) {
        other = other[step];
      }
      return other ? other.cells[cell.cellIndex] : null;
    }
    return null;
  }
})();
