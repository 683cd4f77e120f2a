"use strict";
(function () {
  const root = document.documentElement;
  const all = function (selector, within) { return Array.from((within || document).querySelectorAll(selector)); };

  function made(tag, name, text) {
    const element = document.createElement(tag);
    if (name) { element.className = name; }
    if (text !== undefined) { element.textContent = text; }
    return element;
  }

  // --- theme
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
  show();

  // --- tables: sorted by a click or Enter on a column's title; missing values stay at the end
  function sortBy(table, heads, column) {
    const down = heads[column].getAttribute("aria-sort") === "ascending";
    heads.forEach(function (head) { head.removeAttribute("aria-sort"); });
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
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
  }

  all("table.sortable").forEach(function (table) {
    const heads = all("thead th", table);
    heads.forEach(function (head, column) {
      head.querySelector("button").addEventListener("click", function () { sortBy(table, heads, column); });
    });
  });

  function markWide() {
    all(".scroll").forEach(function (box) { box.classList.toggle("is-wide", box.scrollWidth > box.clientWidth); });
  }
  window.addEventListener("resize", markWide);
  markWide();

  // --- copies of a table
  function csvOf(table) {
    return all("tr", table).map(function (row) {
      return Array.from(row.cells).map(function (cell) {
        const text = cell.textContent.replace(/\u2212/g, "-");
        return /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
      }).join(",");
    }).join("\n") + "\n";
  }

  function copy(text, press) {
    const said = press.textContent;
    function tell(word) {
      press.textContent = word;
      setTimeout(function () { press.textContent = said; }, 1500);
    }
    function byHand() {
      const area = made("textarea");
      area.value = text;
      document.body.appendChild(area);
      area.select();
      tell(document.execCommand("copy") ? "Copied" : "Not copied");
      area.remove();
      press.focus();
    }
    if (!navigator.clipboard) { byHand(); return; }
    navigator.clipboard.writeText(text).then(function () { tell("Copied"); }, byHand);
  }

  all(".sheet").forEach(function (sheet) {
    const latex = sheet.querySelector("template.latex");
    const row = made("div", "copy");
    [["Copy as CSV", function () { return csvOf(sheet.querySelector("table")); }],
     ["Copy as LaTeX", latex && function () { return latex.content.textContent; }]].forEach(function (kind) {
      if (!kind[1]) { return; }
      const press = made("button", "", kind[0]);
      press.type = "button";
      press.addEventListener("click", function () { copy(kind[1](), press); });
      row.appendChild(press);
    });
    sheet.querySelector(".scroll").after(row);
  });

  // --- series: shown or hidden
  all("figure .toggles button").forEach(function (press) {
    press.addEventListener("click", function () {
      const isOn = press.getAttribute("aria-pressed") !== "true";
      press.setAttribute("aria-pressed", String(isOn));
      all("[data-series]", press.closest("figure")).forEach(function (mark) {
        if (mark.dataset.series === press.dataset.name) { mark.classList.toggle("off", !isOn); }
      });
    });
  });

  // --- figures: a crosshair that reads every line, a tip for every other mark, both also by arrow keys
  const isOn = function (element) { return !element.closest(".off"); };

  function svgMade(tag, attributes) {
    // The name of SVG, read from what is drawn: the page holds no address.
    const element = document.createElementNS(document.querySelector("svg").namespaceURI, tag);
    Object.keys(attributes).forEach(function (name) { element.setAttribute(name, attributes[name]); });
    return element;
  }

  function linesOf(facet) {
    return all("g.mark[data-says]", facet).map(function (mark) {
      const drawn = mark.querySelector("path");
      const places = (drawn.getAttribute("d").match(/-?[\d.]+ -?[\d.]+/g) || []).map(function (pair) {
        return pair.split(" ").map(Number);
      });
      const says = mark.dataset.says.split("|");
      const points = new Map();
      mark.dataset.at.split(" ").forEach(function (at, k) {
        points.set(at, { x: places[k][0], y: places[k][1], says: says[k] });
      });
      return { mark: mark, points: points, isDashed: /dasharray/.test(drawn.getAttribute("style")),
               trace: mark.dataset.trace || "" };
    });
  }

  function readable(figure) {
    const picture = figure.querySelector(".picture");
    const svg = figure.querySelector("svg.plot");
    const readout = made("div", "readout");
    readout.hidden = true;
    readout.setAttribute("role", "status");
    picture.after(readout);
    let drawn = [];
    let here = null;

    const facets = all("g.facet", svg).map(function (element) {
      const box = element.dataset.box.split(" ").map(Number);
      const lines = linesOf(element);
      const stops = new Map();
      lines.forEach(function (line) { line.points.forEach(function (p, at) { stops.set(at, p.x); }); });
      const sorted = Array.from(stops, function (pair) { return { at: pair[0], x: pair[1] }; })
        .sort(function (a, b) { return a.x - b.x; });
      return { element: element, left: box[0], top: box[1], right: box[2], bottom: box[3], lines: lines, stops: sorted };
    });
    all("g.mark > title", svg).forEach(function (title) { title.remove(); });
    const items = all("g.item", svg).map(function (element) {
      const title = element.querySelector("title");
      const item = { element: element, text: title ? title.textContent : "" };
      if (title) { title.remove(); }
      element.addEventListener("pointerenter", function () { showItem(item); });
      return item;
    });

    function hide() {
      drawn.forEach(function (element) { element.remove(); });
      drawn = [];
      items.forEach(function (item) { item.element.classList.remove("here"); });
      readout.hidden = true;
      here = null;
    }

    function placeAt(rect, isBelow) {
      readout.hidden = false;
      if (getComputedStyle(readout).position === "static") { return; }
      const frame = figure.getBoundingClientRect();
      const room = frame.width - readout.offsetWidth;
      if (isBelow) {
        readout.style.left = Math.max(0, Math.min(room, rect.left - frame.left)) + "px";
        readout.style.top = (rect.bottom - frame.top + 8) + "px";
        return;
      }
      const right = rect.right - frame.left + 12;
      const left = right <= room ? right : rect.left - frame.left - 12 - readout.offsetWidth;
      readout.style.left = Math.max(0, Math.min(room, left)) + "px";
      readout.style.top = (rect.top - frame.top) + "px";
    }

    function showItem(item) {
      hide();
      here = { item: item };
      item.element.classList.add("here");
      const trace = item.element.dataset.trace;
      readout.replaceChildren(made("p", "", item.text), ...(trace ? [made("p", "trace", trace)] : []));
      placeAt(item.element.getBoundingClientRect(), true);
    }

    function visibleAt(facet, number) {
      const at = facet.stops[number].at;
      return facet.lines.filter(function (line) { return isOn(line.mark) && line.points.has(at); })
        .map(function (line) { return { line: line, point: line.points.get(at) }; })
        .sort(function (a, b) { return a.point.y - b.point.y; });
    }

    function nearestLine(facet, number, y) {
      let found = null;
      visibleAt(facet, number).forEach(function (row) {
        const far = Math.abs(row.point.y - y);
        if (far < 15 && (!found || far < found.far)) { found = { line: row.line, far: far }; }
      });
      return found ? found.line : null;
    }

    function showStop(facet, number, near) {
      hide();
      const stop = facet.stops[number];
      here = { facet: facet, number: number, near: near };
      const cross = svgMade("path", { "class": "cross", d: "M" + stop.x + " " + facet.top + "V" + facet.bottom });
      drawn.push(cross);
      const rows = visibleAt(facet, number);
      const table = made("table");
      rows.forEach(function (row) {
        const style = row.line.mark.getAttribute("style");
        if (row.point.y >= facet.top - 1 && row.point.y <= facet.bottom + 1) {
          drawn.push(svgMade("circle", { "class": "at", cx: row.point.x, cy: row.point.y, r: 2.8, style: style }));
        }
        const name = made("td");
        const swatch = made("i", row.line.isDashed ? "dashed" : "");
        swatch.setAttribute("style", style);
        name.append(swatch, row.line.mark.dataset.label);
        const line = made("tr", row.line === near ? "near" : "");
        line.append(name, made("td", "num", row.point.says));
        table.appendChild(line);
      });
      const head = facet.element.dataset.x + " " + stop.at;
      const title = facet.element.dataset.title;
      const trace = near && near.trace ? [made("p", "trace", near.mark.dataset.label + ": " + near.trace)] : [];
      readout.replaceChildren(made("p", "head", title ? title + ", " + head.toLowerCase() : head), table, ...trace);
      drawn.forEach(function (element) { facet.element.appendChild(element); });
      placeAt(cross.getBoundingClientRect());
    }

    svg.addEventListener("pointermove", read);
    svg.addEventListener("pointerdown", read);
    svg.addEventListener("pointerleave", function (event) { if (event.pointerType === "mouse") { hide(); } });
    picture.addEventListener("blur", hide);
    all(".toggles button", figure).forEach(function (press) { press.addEventListener("click", hide); });

    function read(event) {
      if (event.target.closest("g.item")) { return; }
      const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const facet = facets.find(function (f) {
        return f.stops.length && p.x >= f.left - 5 && p.x <= f.right + 5 && p.y >= f.top && p.y <= f.bottom;
      });
      if (!facet) { hide(); return; }
      let nearest = 0;
      facet.stops.forEach(function (stop, k) {
        if (Math.abs(stop.x - p.x) < Math.abs(facet.stops[nearest].x - p.x)) { nearest = k; }
      });
      const near = nearestLine(facet, nearest, p.y);
      if (!here || here.facet !== facet || here.number !== nearest || here.near !== near) {
        showStop(facet, nearest, near);
      }
    }

    picture.addEventListener("keydown", function (event) {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
      if (event.key === "Escape") { hide(); }
      if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) { return; }
      const withStops = facets.filter(function (f) { return f.stops.length; });
      const shown = items.filter(function (item) { return isOn(item.element); });
      const clamp = function (number, length) { return Math.max(0, Math.min(length - 1, number)); };
      if (withStops.length) {
        event.preventDefault();
        const isNew = !here || !here.facet;
        let facet = isNew ? withStops[0] : here.facet;
        let number = isNew ? (step === Infinity ? facet.stops.length - 1 : 0) : here.number;
        if (!isNew && /Up|Down/.test(event.key)) {
          facet = withStops[clamp(withStops.indexOf(facet) + step, withStops.length)];
        } else if (!isNew) {
          number += step;
        }
        showStop(facet, clamp(number, facet.stops.length), null);
      } else if (shown.length) {
        event.preventDefault();
        const now = here ? shown.indexOf(here.item) : -1;
        showItem(shown[clamp(now < 0 && step < 0 ? shown.length - 1 : now + step, shown.length)]);
      }
    });
  }

  all("figure").filter(function (figure) { return figure.querySelector("svg.plot"); }).forEach(readable);
})();
