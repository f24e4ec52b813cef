"use strict";
// Everything shown is added up from the finds in #data. Of each find the page knows by how much an
// image's hits and false alarms change when the threshold falls past its score.
const data = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const placeOf = (name) => data.detectors.findIndex((d) => d.name === name);
const colourOf = (name) => COLOURS[placeOf(name) % COLOURS.length];
// from the seventh on colours come again: with dashes, and always with another shape
const dashesOf = (name) => ["none", "7 3", "2 2"][Math.floor(placeOf(name) / COLOURS.length) % 3];
const SHAPES = ["M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z", "M-3.5-3.5h7v7h-7Z", "M0-4.6 4.4 3.4h-8.8Z", "M0-5 5 0 0 5-5 0Z", "M0 4.6 4.4-3.4h-8.8Z"];
const rate = (part, whole) => (whole > 0 ? part / whole : NaN);
const shownThreshold = () => threshold.toFixed(Math.max(0, detector.digits));
const shown = (value) => (Number.isNaN(value) ? "–" : value.toFixed(3));

const f1Of = ({ precision, recall }) => (precision && recall ? 2 / (1 / precision + 1 / recall) : 0);
let detector = data.detectors.reduce((best, other) => (f1Of(other) > f1Of(best) ? other : best));
let threshold = detector.threshold;
let current = data.images.findIndex((image) => image.src);
let order = data.images.map((_, i) => i);
let sorting = null;  // at first as the images are listed

function element(parent, tag, attributes = {}, text = null) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return parent.appendChild(made);
}

function spot(parent, name, x, y, more = {}) {
  const shape = SHAPES[placeOf(name) % SHAPES.length];
  return element(parent, "path", { class: "spot", d: shape, transform: `translate(${x} ${y})`, fill: colourOf(name), ...more });
}

function counts(image) {
  let hits = 0, alarms = 0, found = 0;
  for (const [score, hit, alarm] of image.found[detector.name]) {
    if (score >= threshold) { found += 1; hits += hit; alarms += alarm; }
  }
  return { found, hits, alarms, ignored: found - hits - alarms, misses: image.tips - hits };
}

// ---- charts

function chart(parent, xRange, yRange, xLabel, yLabel) {
  const [w, h, left, bottom] = [320, 240, 42, 34];
  const svg = element(parent, "svg", { viewBox: `0 0 ${w} ${h}`, role: "img" });
  svg.setAttribute("aria-label", `${yLabel} over ${xLabel}`);
  const x = (v) => left + ((v - xRange[0]) / (xRange[1] - xRange[0] || 1)) * (w - left - 8);
  const y = (v) => h - bottom - ((v - yRange[0]) / (yRange[1] - yRange[0] || 1)) * (h - bottom - 8);
  // to a tenth of what is between two labels
  const label = (v, [from, to]) => String(Number(v.toFixed(Math.max(0, Math.ceil(-Math.log10((to - from || 1) / 40))))));
  for (let i = 0; i <= 4; i++) {
    const at = (range) => range[0] + ((range[1] - range[0]) * i) / 4;
    const end = i < 4 ? { x: x(at(xRange)), "text-anchor": "middle" } : { x: w, "text-anchor": "end" };
    element(svg, "line", { class: "grid", x1: x(at(xRange)), x2: x(at(xRange)), y1: 8, y2: h - bottom });
    element(svg, "line", { class: "grid", x1: left, x2: w - 8, y1: y(at(yRange)), y2: y(at(yRange)) });
    element(svg, "text", { ...end, y: h - bottom + 14 }, label(at(xRange), xRange));
    element(svg, "text", { x: left - 5, y: y(at(yRange)) + 4, "text-anchor": "end" }, label(at(yRange), yRange));
  }
  element(svg, "text", { x: (left + w) / 2, y: h - 3, "text-anchor": "middle" }, xLabel);
  element(svg, "text", { x: 0, y: 0, transform: `translate(10 ${(h - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel);
  const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
  return { svg, x, y, line: (points, colour, more = {}) => element(svg, "path", { d: path(points), fill: "none", stroke: colour, "stroke-width": 2, ...more }) };
}

// F1 over the threshold: scores of other programs may be any numbers, and each scale is an axis.
function drawF1() {
  const scale = (d) => `${d.low} ${d.high}`, plots = {}, scales = [...new Set(data.detectors.map(scale))];
  for (const one of scales) {
    const own = data.detectors.filter((d) => scale(d) === one);
    const figure = byId("f1-threshold").appendChild(document.createElement("figure"));
    plots[one] = chart(figure, [own[0].low, own[0].high], [0, 1], "threshold", "F1");
    const of = scales.length > 1 ? ` of ${own.map((d) => d.name).join(", ")}, on the scale of these scores` : "";
    figure.appendChild(document.createElement("figcaption")).textContent = `F1 at every threshold${of}.`;
  }
  return (d) => plots[scale(d)];
}

function drawCharts() {
  // the corner where detectors work, with room around the least of their own points
  const defined = data.detectors.filter((d) => d.precision !== null && d.recall !== null);
  const least = Math.min(0.9, ...defined.flatMap((d) => [d.precision, d.recall]));
  const low = Math.max(0, Math.floor(least * 5 - 0.5) / 5);
  const pr = chart(byId("precision-recall"), [low, 1], [low, 1], "recall", "precision");
  const f1 = drawF1();
  const farthest = data.tolerance;
  const bins = 12;
  const histograms = data.detectors.map((d) => {
    const heights = new Array(bins).fill(0);
    for (const v of d.distances) heights[Math.min(bins - 1, Math.floor((v / farthest) * bins))] += 1 / d.distances.length;
    return heights;
  });
  const distances = chart(byId("distances"), [0, farthest], [0, Math.max(0.1, ...histograms.flat())], "distance, px", "share of hits");
  data.detectors.forEach((d, n) => {
    const colour = colourOf(d.name), dashes = { "stroke-dasharray": dashesOf(d.name) };
    const inside = d.curve.filter((row) => row[1] >= low && row[2] >= low);
    pr.line(inside.map((row) => [row[2], row[1]]), colour, dashes);
    f1(d).line(d.curve.map((row) => [row[0], row[3]]), colour, dashes);
    distances.line(histograms[n].flatMap((v, i) => [[(i * farthest) / bins, v], [((i + 1) * farthest) / bins, v]]), colour, dashes);
    if (defined.includes(d)) spot(pr.svg, d.name, pr.x(d.recall), pr.y(d.precision));
  });
  return { pr, f1, low };
}

function drawCounts() {
  const rows = data.images.map((image) => { const c = counts(image); return [image.tips, c.hits + c.alarms]; });
  const fill = { fill: colourOf(detector.name), "fill-opacity": 0.6, r: 3.5 };
  for (const whose of document.querySelectorAll(".whose")) whose.textContent = `${detector.name} at ${shownThreshold()}`;
  byId("counts").replaceChildren();
  const top = Math.max(4, ...rows.flat());
  const plot = chart(byId("counts"), [0, top], [0, top], "tips marked", "tips found");
  plot.line([[0, 0], [top, top]], "#999", { "stroke-width": 1 });
  for (const [a, b] of rows) element(plot.svg, "circle", { cx: plot.x(a), cy: plot.y(b), ...fill });

  byId("agreement").replaceChildren();
  const n = rows.length, apart = rows.map(([a, b]) => b - a);
  const bias = apart.reduce((sum, v) => sum + v, 0) / n;
  const spread = n > 1 ? 1.96 * Math.sqrt(apart.reduce((sum, v) => sum + (v - bias) ** 2, 0) / (n - 1)) : 0;
  const far = Math.max(2, Math.abs(bias) + spread, ...apart.map(Math.abs));
  const limits = chart(byId("agreement"), [0, top], [-far, far], "mean of found and marked", "found less marked");
  const lines = [[bias, {}], ...(n > 1 ? [[bias - spread, { "stroke-dasharray": "5 4" }], [bias + spread, { "stroke-dasharray": "5 4" }]] : [])];
  for (const [v, more] of lines) {
    limits.line([[0, v], [top, v]], "#555", { "stroke-width": 1.2, ...more });
    element(limits.svg, "text", { x: limits.x(top), y: limits.y(v) - 3, "text-anchor": "end" }, v.toFixed(1));
  }
  for (const [a, b] of rows) element(limits.svg, "circle", { cx: limits.x((a + b) / 2), cy: limits.y(b - a), ...fill });
}

// A row for each cause, a dot and its interval for each detector.
function drawCauses() {
  for (const { heading, rows } of data.causes) {
    const figure = byId("causes").appendChild(document.createElement("figure"));
    figure.appendChild(document.createElement("figcaption")).textContent = heading;
    const [w, left, step] = [460, 150, 9];
    const tall = data.detectors.length * step + 10, h = rows.length * tall + 26;
    const svg = element(figure, "svg", { viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": heading });
    const x = (v) => left + v * (w - left - 22);
    for (const v of [0, 0.25, 0.5, 0.75, 1]) {
      element(svg, "line", { class: "grid", x1: x(v), x2: x(v), y1: 4, y2: h - 20 });
      element(svg, "text", { x: x(v), y: h - 6, "text-anchor": "middle" }, `${100 * v} %`);
    }
    rows.forEach(([value, own], n) => {
      const of = Math.max(...Object.values(own).map((figures) => figures[1]));
      const label = heading.includes("false") ? value : `${value} (${of})`;
      element(svg, "text", { x: left - 8, y: n * tall + tall / 2 + 3, "text-anchor": "end" }, label);
      data.detectors.forEach((d, i) => {
        if (!(d.name in own)) return;
        const [count, whole, share, low, high] = own[d.name];
        const y = n * tall + 9 + i * step;
        if (low !== null) element(svg, "line", { x1: x(low), x2: x(high), y1: y, y2: y, stroke: colourOf(d.name), "stroke-width": 2, "stroke-opacity": 0.45 });
        element(spot(svg, d.name, x(share), y), "title", {}, `${d.name}: ${count} of ${whole}`);
      });
    });
  }
}

// ---- one image

function drawOverlay() {
  const image = data.images[current];
  byId("viewer").hidden = !image;
  if (!image) return;
  const svg = byId("overlay");
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${image.width} ${image.height}`);
  element(svg, "image", { href: image.src, width: image.width, height: image.height });
  for (const [x, y] of image.unseen) element(svg, "circle", { class: "unseen", cx: x + 0.5, cy: y + 0.5, r: data.tolerance });
  const r = Math.max(image.width, image.height) / 110;
  // the centre of the top-left pixel is (0, 0)
  const mark = (kind, x, y) => {
    [x, y] = [x + 0.5, y + 0.5];
    if (kind === "hit") return element(svg, "circle", { class: kind, cx: x, cy: y, r });
    if (kind === "miss") return element(svg, "rect", { class: kind, x: x - r, y: y - r, width: 2 * r, height: 2 * r });
    if (kind === "false-alarm") return element(svg, "path", { class: kind, d: `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}` });
    return element(svg, "path", { class: kind, d: `M${x} ${y - r}l${r} ${r}l${-r} ${r}l${-r} ${-r}z` });
  };
  image.found[detector.name].forEach(([score, hit, alarm], i) => {
    if (score < threshold) return;
    const [x, y] = image.places[detector.name][i];
    // at other thresholds which of finds beside each other is the hit is a guess; how many are, is not
    const own = threshold === detector.threshold ? image.outcomes[detector.name][i] : null;
    const kind = own ? own.replace(" ", "-") : hit > 0 ? "hit" : alarm > 0 ? "false-alarm" : "ignored";
    element(mark(kind, x, y), "title", {}, `score ${score.toFixed(Math.max(0, detector.digits - 1))}`);
  });
  image.truth.forEach(([x, y], i) => {
    const at = image.hitAt[detector.name][i];
    if (at === null || at < threshold) mark("miss", x, y);
  });
  const c = counts(image);
  byId("image-name").textContent = image.name;
  byId("image-counts").textContent = `hits ${c.hits}, misses ${c.misses}, false alarms ${c.alarms}, ignored ${c.ignored}`;
}

function step(by) {
  const among = order.filter((i) => data.images[i].src);
  if (!among.length) return;
  const at = among.indexOf(current);
  const outside = by > 0 ? 0 : among.length - 1;
  current = among[at < 0 ? outside : (at + by + among.length) % among.length];
  drawOverlay();
  markRow();
}

// ---- the table of images

function cells(image) {
  const c = counts(image);
  return [image.name, image.group, image.tips, c.found, c.hits, c.misses, c.alarms, c.ignored, rate(c.hits, c.hits + c.alarms), rate(c.hits, c.hits + c.misses)];
}

function drawTable() {
  const word = byId("filter").value.toLowerCase();
  const rows = data.images.map((image, i) => ({ i, values: cells(image) }))
    .filter(({ values }) => `${values[0]} ${values[1]}`.toLowerCase().includes(word));
  const key = ({ values }) => values[sorting.column];
  if (sorting) rows.sort((a, b) => {
    const [u, v] = [key(a), key(b)];
    if (typeof u === "string") return sorting.sign * u.localeCompare(v, undefined, { numeric: true });
    if (Number.isNaN(u) || Number.isNaN(v)) return Number.isNaN(u) - Number.isNaN(v);  // undefined last
    return sorting.sign * (u - v);
  });
  order = rows.map(({ i }) => i);
  const body = byId("images").tBodies[0];
  body.replaceChildren(...rows.map(({ i, values }) => {
    const row = document.createElement("tr");
    row.dataset.index = i;
    if (data.images[i].src) { row.className = "has-picture"; row.tabIndex = 0; }
    values.forEach((value, column) => {
      const cell = row.insertCell();
      cell.textContent = column < 8 ? value : shown(value);
      if (column > 1) cell.className = "number";
    });
    return row;
  }));
  byId("rows").textContent = `${rows.length} of ${data.images.length} images`;
  markRow();
}

function markRow() {
  for (const row of byId("images").tBodies[0].rows) row.classList.toggle("current", Number(row.dataset.index) === current);
}

function open(row) {
  if (!row || !data.images[row.dataset.index].src) return;
  current = Number(row.dataset.index);
  drawOverlay();
  markRow();
  byId("try").scrollIntoView({ behavior: "smooth" });
}

// ---- all together

const charts = drawCharts();
drawCauses();
let moving = [];

function update() {
  const sum = { hits: 0, misses: 0, alarms: 0 };
  for (const image of data.images) { const c = counts(image); sum.hits += c.hits; sum.misses += c.misses; sum.alarms += c.alarms; }
  const precision = rate(sum.hits, sum.hits + sum.alarms), recall = rate(sum.hits, sum.hits + sum.misses);
  const f1 = rate(2 * sum.hits, 2 * sum.hits + sum.misses + sum.alarms);
  for (const [id, value] of [["precision", precision], ["recall", recall], ["f1", f1]]) byId(id).textContent = shown(value);
  byId("hits").textContent = sum.hits;
  byId("misses").textContent = sum.misses;
  byId("false-alarms").textContent = sum.alarms;
  byId("shown-threshold").textContent = shownThreshold();
  moving.forEach((dot) => dot.remove());
  const dot = (plot, x, y) => spot(plot.svg, detector.name, plot.x(x), plot.y(y), { class: "moving", stroke: "#222", "stroke-width": 1.5 });
  moving = [];
  if (precision >= charts.low && recall >= charts.low) moving.push(dot(charts.pr, recall, precision));
  // below the lowest score all count, as they do there
  if (!Number.isNaN(f1) && threshold <= detector.high) moving.push(dot(charts.f1(detector), Math.max(threshold, detector.low), f1));
  drawCounts();
  drawOverlay();
  drawTable();
}

function choose(name) {
  detector = data.detectors.find((d) => d.name === name);
  threshold = detector.threshold;
  const { low, high, digits } = detector;
  // in whole steps, or the slider's thresholds have more digits than the scores
  const least = low === 0 && high === 1 ? Math.min(0.05, Math.floor(threshold * 1000) / 1000) : low;
  Object.assign(byId("threshold"), { min: least, max: high, step: `1e${-digits}`, value: threshold });
  update();
}

for (const d of data.detectors) byId("detector").add(new Option(d.name, d.name, false, d === detector));
for (const key of document.querySelectorAll(".key")) spot(key, key.dataset.detector, 0, 0);
for (const names of document.querySelectorAll(".names")) for (const { name } of data.detectors) {
  const entry = names.appendChild(document.createElement("span"));
  const svg = element(entry, "svg", { viewBox: "-14 -8 28 16" });
  element(svg, "path", { d: "M-14 0H14", stroke: colourOf(name), "stroke-width": 2, "stroke-dasharray": dashesOf(name) });
  spot(svg, name, 0, 0);
  entry.append(name);
}
byId("detector").addEventListener("change", (event) => choose(event.target.value));
byId("threshold").addEventListener("input", (event) => { threshold = Number(event.target.value); update(); });
byId("own").addEventListener("click", () => choose(detector.name));
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("filter").addEventListener("input", drawTable);
byId("images").tHead.addEventListener("click", (event) => {
  const head = event.target.closest("th");
  if (!head) return;
  sorting = { column: head.cellIndex, sign: head.getAttribute("aria-sort") === "ascending" ? -1 : 1 };
  for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", sorting.sign > 0 ? "ascending" : "descending");
  drawTable();
});
byId("images").tBodies[0].addEventListener("click", (event) => open(event.target.closest("tr")));
byId("images").tBodies[0].addEventListener("keydown", (event) => { if (event.key === "Enter") open(event.target.closest("tr")); });
choose(detector.name);
