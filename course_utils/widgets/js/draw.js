/**
 * Draws a scene (see ../scene.py): marks on a canvas, type and handles in SVG above it.
 *
 *     const picture = new Picture(element, scene, hand);
 *     picture.update(values);        // values: {name: {shape, data}} and {name: words}
 *
 * Nothing here knows what a panel is. Whatever the hand does is told to `hand`, an object of
 *
 *     describe(control, index) -> {label, low, high, now, text}   for screen readers
 *     grab(control, index), drag(control, index, amount, times), release()
 *     stroke(control, from, to)                                   with a brush, {x, y, up} in data
 *     step(control, index, steps)                                 a key: 1, -1, 10, -10, ±Infinity
 *
 * While the hand is on something it calls picture.hold(), and picture.release() afterwards.
 */
import { ticks as niceTicks } from "d3-array";

const SETTLE = 450; // ms after the hand has let go
const MISSED = 3; // frames in a row that are late: more is drawn than this machine can
const TYPE = 12; // CSS pixels
const DASHES = { "": [], dash: [6, 4], dot: [1.5, 3], dashdot: [7, 3, 1.5, 3] };
const SNAPS = [1, 1.5, 2, 3, 5, 7, 10];
const SVG = "http://www.w3.org/2000/svg";

// Numbers

/** The scale's function and its inverse. */
export const SCALES = {
  linear: () => [(v) => v, (v) => v],
  log: () => [Math.log10, (v) => 10 ** v],
  sqrt: () => [(v) => Math.sign(v) * Math.sqrt(Math.abs(v)), (v) => Math.sign(v) * v * v],
  asinh: (unit) => [(v) => Math.asinh(v / unit), (v) => unit * Math.sinh(v)],
};

/** Return {to, from, move}: data to pixels, back, and a movement in the axis's own units. */
export function scaleOf(axis, [low, high], [start, end]) {
  const [forward, back] = SCALES[axis.scale](axis.linear);
  const a = forward(low);
  const slope = (end - start) / (forward(high) - a || 1);
  const from = (pixel) => back(a + (pixel - start) / slope);
  return {
    to: (value) => start + slope * (forward(value) - a),
    from,
    move: (before, now) =>
      axis.scale === "log" ? (now - before) / slope : from(now) - from(before),
  };
}

/** The smallest round number not below |value|, with its sign. */
export function snapped(value) {
  if (!value) return 0;
  const size = Math.abs(value);
  const power = 10 ** Math.floor(Math.log10(size));
  return Math.sign(value) * power * (SNAPS.find((s) => s * power >= size * 0.999) ?? 10);
}

/** The limits an axis wants for data between two ends: never less than its own range. */
export function wanted(axis, [low, high], [least, most]) {
  if (axis.scale === "log") {
    return [
      least > 0 && least < low ? 10 ** Math.floor(Math.log10(least)) : low,
      most > high ? 10 ** Math.ceil(Math.log10(most)) : high,
    ];
  }
  return [least < low ? snapped(1.05 * least) : low, most > high ? snapped(1.05 * most) : high];
}

/** Limits that stand still while a hand is on the panel, and only widen then. */
export function follow(shown, target, held) {
  if (!shown || !held) return target;
  return [Math.min(shown[0], target[0]), Math.max(shown[1], target[1])];
}

const PLAIN = new Intl.NumberFormat("en", { maximumFractionDigits: 8 });

/** A number as it is read: a true minus, no powers of e. */
export function readable(value, digits = 6) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 0.999e-3) {
    const power = Math.floor(Math.log10(size) + 1e-9);
    const factor = Number((value / 10 ** power).toPrecision(3));
    const raised = [...String(power)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
    return `${factor === 1 ? "" : factor === -1 ? "−" : `${factor}·`}10${raised}`.replace("-", "−");
  }
  return PLAIN.format(Number(value.toPrecision(digits))).replace("-", "−");
}

/** Return [[value, words]] of an axis whose length is `room` pixels. */
export function ticksOf(axis, [low, high], room, apart) {
  const fits = ([value]) => value >= low - 1e-9 * (high - low) && value <= high * (1 + 1e-9 * Math.sign(high));
  if (axis.ticks) {
    return axis.ticks.map((t) => (Array.isArray(t) ? t : [t, readable(t)])).filter(fits);
  }
  const n = Math.max(2, Math.floor(room / apart));
  let found;
  if (axis.scale === "log") {
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const last = Math.floor(Math.log10(high) + 1e-9);
    const every = Math.ceil((last - first + 1) / n);
    found = [];
    for (let power = first; power <= last; power += every) found.push(10 ** power);
  } else {
    found = niceTicks(low, high, n);
  }
  return found.map((value) => [value, readable(value)]).filter(fits);
}

// Layout

/**
 * Place the plots of a scene in `width` CSS pixels: three or more in a row where there is room,
 * then two, then one. Returns {height, boxes}, one box a plot: {x, y, w, h} of its axes.
 */
export function layout(scene, width, measure = (words) => 6.6 * words.length) {
  const most = width >= 720 ? Infinity : width >= 470 ? 2 : 1;
  const rows = [];
  scene.rows.forEach((row, i) => {
    const whole = row.length <= most;
    const cells = whole ? row : row.filter(Boolean);
    for (let k = 0; k < cells.length; k += whole ? cells.length : most) {
      rows.push({ cells: whole ? cells : cells.slice(k, k + most), height: scene.height[i] });
    }
  });
  const left = columnMargins(rows);
  const share = (cells, k) => (cells[k]?.width ?? 1) / cells.reduce((sum, plot) => sum + (plot?.width ?? 1), 0);
  const narrow = ({ cells }) => cells.some((plot, k) =>
    plot && cells.length > 1 && width * share(cells, k) - left(cells.length, k) < 1.17 * measure(plain(plot.title)));
  const alike = rows.some(narrow); // where a title would leave its plot, all plots are equally wide
  const boxes = new Map();
  let y = 0;
  for (const { cells, height } of rows) {
    let x = 0;
    const placed = cells.map((plot, k) => {
      const w = width * (alike ? 1 / cells.length : share(cells, k));
      const margin = left(cells.length, k);
      // whole pixels: clipping at parts of one takes much longer
      const box = { x: Math.round(x + margin), w: Math.max(1, Math.floor(w - margin - 16)), legend: [], plot };
      x += w;
      if (plot) box.legend = legendOf(plot, box.w, measure);
      return box;
    });
    const lines = Math.max(...placed.map((box) => box.legend.at(-1)?.line ?? 0));
    const top = cells.some((plot) => plot?.x.top) ? 17 : 0;
    const bottom = Math.max(...cells.map((p) => (p ? (p.x.label ? 38 : noTicks(p.x) ? 6 : 20) : 0)));
    for (const box of placed) {
      if (!box.plot) continue;
      const head = 22 + 17 * lines;
      box.y = y + head + top;
      box.h = Math.max(70, height - head - top - bottom);
      box.head = y;
      boxes.set(box.plot, box);
    }
    y = Math.max(y + height, ...placed.map((box) => (box.plot ? box.y + box.h + bottom : 0)));
  }
  return { height: Math.round(y), boxes };
}

const noTicks = (axis) => axis.ticks?.length === 0;

/** The margin at the left, alike for all plots of a column. */
function columnMargins(rows) {
  const need = (plot) => (plot ? (plot.y.label ? 22 : 8) + (noTicks(plot.y) ? 0 : 34) : 0);
  return (columns, k) =>
    Math.max(...rows.filter((r) => r.cells.length === columns).map((r) => need(r.cells[k])));
}

/** The legend's entries, each with its place: {item, words, negative, x, line}; title is line 0. */
function legendOf(plot, room, measure) {
  const entries = [];
  for (const item of plot.items) {
    if (item.label && item.kind !== "Handle") entries.push({ item, words: item.label });
    if (item.negative && item.kind === "Area") {
      entries.push({ item, words: item.negative, negative: true });
    }
  }
  let x = 1.25 * measure(plain(plot.title)) + 14; // the title is larger and bold
  const widths = entries.map((entry) => 26 + measure(plain(entry.words)) + 10);
  let line = x + widths.reduce((a, b) => a + b, 0) > room ? 1 : 0;
  if (line) x = 0;
  entries.forEach((entry, i) => {
    if (x && x + widths[i] - 10 > room) [x, line] = [0, line + 1];
    Object.assign(entry, { x, line });
    x += widths[i];
  });
  return entries;
}

// Words: $x_t$ is set in italics, with what follows _ below the line

const plain = (words) => words.replace(/[$_{}]/g, "");

function setWords(node, words) {
  if (node.words === words) return;
  node.words = words;
  node.textContent = words.includes("$") ? "" : words;
  if (node.textContent) return;
  words.split("$").forEach((part, i) => {
    const pieces = i % 2 ? part.split(/(_\{[^}]*\}|_.)/) : [part];
    pieces.filter(Boolean).forEach((piece) => {
      const low = i % 2 && piece.startsWith("_");
      const span = make("tspan", {}, node);
      span.textContent = low ? piece.replace(/[_{}]/g, "") : piece;
      if (i % 2) span.style.fontStyle = "italic";
      if (low) Object.assign(span.style, { baselineShift: "sub", fontSize: "0.75em" });
    });
  });
}

function make(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  set(node, attributes);
  parent?.append(node);
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    // setting what is set would have the browser lay all type out anew
    if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
  return node;
}

// Values by their names

/** Reads the sources of items: numbers, names of arrays, and pairs of both. */
export class Values {
  constructor(...parts) {
    this.found = Object.assign({}, ...parts);
  }
  array(source) {
    if (typeof source === "number") return [source];
    if (Array.isArray(source)) return source.map((part) => this.number(part));
    return this.found[source]?.data ?? [];
  }
  shape(source) {
    return this.found[source]?.shape ?? [];
  }
  number(source) {
    return typeof source === "number" ? source : (this.found[source]?.data[0] ?? NaN);
  }
  words(source) {
    return this.found[source] ?? "";
  }
}

/** Least and most of what an item shows along "x" or "y"; null where it does not count. */
export function extent(item, values, along) {
  const sources = {
    Line: { x: [item.x], y: [item.y] },
    Area: item.sideways ? { x: [item.x, 0], y: [item.y] } : { x: [item.x], y: [item.y, 0] },
    Band: { x: item.x === null ? [] : [item.x], y: [item.low, item.high] },
    Bars: item.sideways
      ? { x: [item.heights, item.start ?? 0], y: [item.edges] }
      : { x: [item.edges], y: [item.heights, item.start ?? 0] },
    Points: { x: [item.x], y: [item.y] },
    Rule: item.along === "x" ? { x: [item.at], y: [] } : { x: [], y: [item.at] },
  }[item.kind];
  let [least, most] = [Infinity, -Infinity];
  for (const source of sources?.[along] ?? []) {
    const found = values.array(source);
    for (let i = 0; i < found.length; i++) {
      if (found[i] < least && found[i] > -Infinity) least = found[i];
      if (found[i] > most && found[i] < Infinity) most = found[i];
    }
  }
  return least <= most ? [least, most] : null;
}

// The picture

/** A scene drawn in an element; see the head of this file. */
export class Picture {
  constructor(element, scene, hand) {
    Object.assign(this, { scene, hand });
    this.plots = scene.rows.flat().filter(Boolean).map((plot) => new PlotView(this, plot));
    this.root = document.createElement("div");
    this.root.className = "won-picture";
    this.root.picture = this;
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", scene.alt);
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.svg = make("svg", { class: "won-type" }, null);
    this.root.append(this.canvas, this.svg);
    element.append(this.root);
    for (const plot of this.plots) this.svg.append(plot.type, plot.hands, plot.beside);
    this.context = this.canvas.getContext("2d");
    // measures words: on a canvas of the page that would have all laid out anew
    this.ruler = new OffscreenCanvas(1, 1).getContext("2d");
    this.held = false;
    this.missed = 0; // frames in a row, see pace
    this.secret = false; // whether secret items are still hidden
    this.values = null;
    this.ghost = null;
    this.root.addEventListener("pointermove", (event) => this.hover(event));
    this.root.addEventListener("pointerleave", () => this.hover(null));
    this.root.addEventListener("pointerdown", (event) => this.hover(event));
  }

  /** Show these values at the next frame. */
  update(values) {
    this.values = values instanceof Values ? values : new Values(values);
    this.request();
  }

  /** Keep these values as a grey ghost; null: none. */
  pin(values) {
    this.ghost = values && (values instanceof Values ? values : new Values(values));
    this.request();
  }

  /** While held, limits only widen; some time after the release they settle. */
  hold() {
    this.held = true;
    clearTimeout(this.settling);
  }

  release() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      this.held = false;
      this.missed = 0;
      this.resize();
      this.request();
    }, SETTLE);
  }

  /**
   * Where an event is, in the picture's own pixels: a slide, for one, is shown at any size. Asked
   * for once an event, before anything is written: else the browser would lay all out once more.
   */
  pixel(event) {
    if (this.seen?.event !== event) {
      const { left, top } = this.root.getBoundingClientRect();
      const enlarged = this.enlarged();
      this.seen = { event, pixel: [(event.clientX - left) / enlarged, (event.clientY - top) / enlarged] };
    }
    return this.seen.pixel;
  }

  enlarged() {
    return this.root.getBoundingClientRect().width / this.root.offsetWidth || 1;
  }

  /** Where an event is: {plot: its index, x, y} in data, or null outside all axes. */
  at(event) {
    const [px, py] = this.pixel(event);
    const index = this.plots.findIndex(({ box: b }) => {
      return b && px >= b.x - 2 && px <= b.x + b.w + 2 && py >= b.y - 2 && py <= b.y + b.h + 2;
    });
    if (index < 0) return null;
    const { x, y } = this.plots[index].scales;
    return { plot: index, x: x.from(px), y: y.from(py), px, py };
  }

  /** Leave nothing behind. */
  destroy() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settling);
    this.root.remove();
  }

  restyle(theme) {
    this.theme = theme;
    this.patterns = null;
    for (const plot of this.plots) plot.typed = null;
    this.request();
  }

  resize() {
    const width = Math.floor(this.root.clientWidth);
    const ratio = this.missed < MISSED ? (window.devicePixelRatio || 1) * this.enlarged() : 1;
    if (!width || (width === this.width && ratio === this.ratio)) return;
    [this.width, this.ratio] = [width, ratio];
    this.font = `${TYPE}px ${getComputedStyle(this.root).fontFamily}`;
    this.patterns = null;
    this.ruler.font = this.font;
    const { height, boxes } = layout(this.scene, width, (words) => this.length(words));
    this.height = height;
    set(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    set(this.svg, { width, height, viewBox: `0 0 ${width} ${height}` });
    for (const node of [this.canvas, this.svg]) {
      Object.assign(node.style, { width: `${width}px`, height: `${height}px` });
    }
    this.root.style.height = `${height}px`;
    for (const plot of this.plots) Object.assign(plot, { box: boxes.get(plot.plot), typed: null });
    this.paint(); // a canvas of a new size is empty
  }

  /** How long words are. */
  length(words) {
    return this.ruler.measureText(words).width;
  }

  request() {
    this.frame ??= requestAnimationFrame((now) => {
      this.frame = null;
      this.paint();
      if (this.held && this.missed < MISSED) requestAnimationFrame((next) => this.pace(next - now));
    });
  }

  /** Where a picture takes longer than a frame, it has fewer pixels until the hand rests. */
  pace(taken) {
    this.missed = taken > 25 && taken < 250 ? this.missed + 1 : 0;
    if (this.missed === MISSED && this.ratio > 1) this.resize();
  }

  paint() {
    if (!this.values || !this.width) return;
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.setLimits();
    const c = this.context;
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.clearRect(0, 0, this.width, this.height);
    const seen = this.plots.filter((plot) => plot.box);
    for (const plot of seen) plot.paint(c);
    for (const plot of seen) plot.place();
    this.painted?.();
  }

  setLimits() {
    for (const view of this.plots) {
      for (const along of ["x", "y"]) {
        const axis = view.plot[along];
        const own = [this.values.number(axis.low), this.values.number(axis.high)];
        if (!axis.settle) view.limits[along] = own;
        else view.limits[along] = follow(view.limits[along], wanted(axis, own, view.extent(along, own)), this.held);
      }
    }
  }

  hover(event) {
    const place = event && this.at(event);
    const name = place && this.plots[place.plot].plot.cursor;
    for (const view of this.plots) {
      view.showCursor(name && view.plot.cursor === name ? place.x : null, place?.plot);
    }
  }

  /** A pattern of slanting strokes in the colour of what is negative. */
  hatch(colour) {
    this.patterns ??= {};
    if (!this.patterns[colour]) {
      const tile = new OffscreenCanvas(6 * this.ratio, 6 * this.ratio);
      const c = tile.getContext("2d");
      c.scale(this.ratio, this.ratio);
      c.globalAlpha = 0.25;
      c.fillStyle = colour;
      c.fillRect(0, 0, 6, 6);
      c.globalAlpha = 1;
      c.strokeStyle = colour;
      c.lineWidth = 1;
      c.beginPath();
      for (const shift of [-6, 0, 6]) {
        c.moveTo(shift, 6);
        c.lineTo(shift + 6, 0);
      }
      c.stroke();
      const pattern = this.context.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix().scale(1 / this.ratio));
      this.patterns[colour] = pattern;
    }
    return this.patterns[colour];
  }
}

/** One plot: its limits, its axes in SVG, its marks on the canvas, its handles. */
class PlotView {
  constructor(picture, plot) {
    Object.assign(this, { picture, plot, limits: {}, heats: new Map(), trails: new Map() });
    this.type = make("g", { "aria-hidden": "true" });
    this.ticks = { x: make("g", {}), y: make("g", {}) };
    this.beside = make("g", { class: "won-beside", "aria-hidden": "true" }); // words beside marks
    this.hands = make("g", {});
    this.cursor = make("line", { class: "won-cursor", visibility: "hidden" });
    this.reading = make("text", { class: "won-reading", visibility: "hidden" });
    this.handles = plot.items.filter((i) => i.kind === "Handle").map((i) =>
      i.grip === "brush" ? new BrushView(this, i) : new HandleView(this, i));
  }

  extent(along, own) {
    let [least, most] = own;
    for (const item of this.plot.items) {
      const found = item.kind === "Handle" ? null : extent(item, this.picture.values, along);
      if (found) [least, most] = [Math.min(least, found[0]), Math.max(most, found[1])];
    }
    return [least, most];
  }

  get values() {
    return this.picture.values;
  }

  /** The marks that an item's trail has left under the present settings. */
  marks(item) {
    const trail = this.trails.get(item);
    return trail && trail.same === this.sameness(item) ? [...trail.marks.values()] : [];
  }

  /** Leave a mark where the items with such a trail are, "moves" or "rests". */
  leave(kind) {
    for (const item of this.plot.items.filter((i) => i.trail === kind)) {
      const mark = [this.values.number(item.x), this.values.number(item.y)];
      if (!mark.every(Number.isFinite)) continue;
      const same = this.sameness(item);
      if (this.trails.get(item)?.same !== same) this.trails.set(item, { same, marks: new Map() });
      const { marks } = this.trails.get(item);
      marks.set(String(mark), mark);
      if (marks.size > 400) marks.delete(marks.keys().next().value);
    }
  }

  sameness(item) {
    return item.same == null ? 0 : this.values.number(item.same);
  }

  colour(item) {
    return this.picture.theme.colours[item.meaning];
  }

  paint(c) {
    const { box, limits } = this;
    this.labels = [];
    this.scales = {
      x: scaleOf(this.plot.x, limits.x, [box.x, box.x + box.w]),
      y: scaleOf(this.plot.y, limits.y, [box.y + box.h, box.y]),
    };
    c.save();
    c.beginPath();
    c.rect(box.x, box.y, box.w, box.h);
    c.clip();
    const { ghost, secret } = this.picture;
    if (ghost) for (const item of this.plot.items) this.mark(c, item, ghost, true);
    for (const item of this.plot.items) {
      if (!(secret && item.secret)) this.mark(c, item, this.values, false);
    }
    c.restore();
    this.axes(c);
  }

  /** Put type and handles where they belong. */
  place() {
    if (!this.typed) this.setType();
    for (const along of ["x", "y"]) {
      const limits = String(this.limits[along]);
      if (this.typed[along] !== limits) this.setTicks(along, limits);
    }
    for (const handle of this.handles) handle.place();
    const { theme } = this.picture;
    this.labels.forEach(([x, y, words, anchor = "start"], i) => {
      const node = this.beside.children[i] ?? make("text", {}, this.beside);
      if (anchor === "start") x = Math.min(x, this.picture.width - this.picture.length(words)); // none leaves the picture
      setWords(set(node, { x, y, "text-anchor": anchor, fill: theme.ink }), words);
    });
    while (this.beside.children.length > this.labels.length) this.beside.lastChild.remove();
  }

  axes(c) {
    const { box } = this;
    c.strokeStyle = this.picture.theme.ink;
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(Math.round(box.x) - 0.5, box.y);
    c.lineTo(Math.round(box.x) - 0.5, Math.round(box.y + box.h) + 0.5);
    c.lineTo(box.x + box.w, Math.round(box.y + box.h) + 0.5);
    c.stroke();
    const zero = this.scales.y.to(0);
    if (this.limits.y[0] < 0 && this.limits.y[1] > 0 && this.plot.y.scale !== "log") {
      if (this.plot.items.some((i) => ["Area", "Band"].includes(i.kind) && !i.sideways)) {
        c.globalAlpha = 0.6;
        c.beginPath();
        c.moveTo(box.x, zero);
        c.lineTo(box.x + box.w, zero);
        c.stroke();
        c.globalAlpha = 1;
      }
    }
  }

  // Type

  /** All but the ticks: it stays while a hand widens the limits. */
  setType() {
    this.typed = {}; // and between which limits there are ticks
    const { box, plot } = this;
    const { ink } = this.picture.theme;
    const g = this.type;
    g.replaceChildren(this.ticks.x, this.ticks.y);
    this.text(g, box.x, box.head + 14, plot.title, "start", { "font-weight": 600, "font-size": 13 });
    for (const entry of box.legend) this.legend(g, entry);
    const bottom = box.y + box.h;
    this.text(g, box.x + box.w / 2, bottom + 32, shortened(plot.x.label, box.w), "middle");
    if (plot.y.label) {
      const [x, y] = [box.x - (noTicks(plot.y) ? 8 : 44), box.y + box.h / 2];
      this.text(g, x, y, plot.y.label, "middle", { transform: `rotate(-90 ${x} ${y})` });
    }
    const edge = { y1: box.y, y2: bottom, stroke: ink };
    g.append(set(this.cursor, edge), set(this.reading, { y: box.y + 12, fill: ink }));
  }

  text(g, x, y, words, anchor = "start", more = {}) {
    const { ink } = this.picture.theme;
    setWords(make("text", { x, y, "text-anchor": anchor, fill: ink, ...more }, g), words);
  }

  setTicks(along, limits) {
    this.typed[along] = limits;
    const { box, plot, scales } = this;
    const { ink } = this.picture.theme;
    const g = this.ticks[along];
    g.replaceChildren();
    if (along === "y") {
      let free = Infinity; // where the last tick's words begin
      for (const [value, words] of ticksOf(plot.y, this.limits.y, box.h, 38)) {
        const y = scales.y.to(value);
        if (Math.abs(y - free) < 13) continue;
        free = y;
        make("line", { x1: box.x - 4, x2: box.x, y1: y, y2: y, stroke: ink }, g);
        this.text(g, box.x - 7, y + 4, words, "end");
      }
      return;
    }
    const bottom = box.y + box.h;
    let free = -Infinity; // where the last tick's words end
    for (const [value, words] of ticksOf(plot.x, this.limits.x, box.w, 55)) {
      const x = scales.x.to(value);
      const half = this.picture.length(words) / 2;
      if (x - half < free) continue;
      free = x + half + 5;
      make("line", { x1: x, x2: x, y1: bottom, y2: bottom + 4, stroke: ink }, g);
      this.text(g, x, bottom + 16, words, "middle");
    }
    if (plot.x.top) this.topAxis(g);
  }

  topAxis(g) {
    const { label, unit, factor, rate } = this.plot.x.top;
    const { soft } = this.picture.theme;
    const { box } = this;
    const value = (x) => factor * Math.exp(rate * x);
    const ends = this.limits.x.map(value).sort((a, b) => a - b);
    const decades = ticksOf({ scale: "log" }, ends, box.w, 62);
    const name = `${label}, ${unit}`;
    const room = this.picture.length(name);
    this.text(g, box.x, box.y - 6, name, "start", { fill: soft });
    for (const [at, words] of decades) {
      const x = this.scales.x.to(Math.log(at / factor) / rate);
      const half = this.picture.length(words) / 2;
      if (x - half < box.x + room + 10 || x > box.x + box.w - 4) continue;
      make("line", { x1: x, x2: x, y1: box.y - 3, y2: box.y, stroke: soft }, g);
      this.text(g, x, box.y - 6, words, "middle", { fill: soft });
    }
  }

  legend(g, { item, words, negative, x, line }) {
    const { theme, width } = this.picture;
    const colour = negative ? theme.colours.negative : this.colour(item);
    const [left, y] = [this.box.x + x, this.box.head + 10 + 17 * line];
    const [mid, ends] = [left + 10, { x1: left, x2: left + 20, y1: y, y2: y }];
    if (["Area", "Band", "Bars", "Heat"].includes(item.kind) && !item.outline) {
      make("rect", { x: left, y: y - 5, width: 20, height: 10, fill: colour, "fill-opacity": 0.45, stroke: colour }, g);
      if (negative || item.hatched) {
        make("path", { d: `M${left + 2} ${y + 5}l8 -10M${left + 10} ${y + 5}l8 -10`, stroke: colour }, g);
      }
    } else if (item.kind === "Points") {
      const look = { fill: item.shape === "ring" ? "none" : colour, stroke: colour, "stroke-width": 1.5 };
      const points = corners(item.shape, mid, y, item.shape === "star" ? 6 : 4);
      if (points.length) make("polygon", { ...look, points: points.join(" ") }, g);
      else make("circle", { ...look, cx: mid, cy: y, r: 4 }, g);
    } else {
      const dash = DASHES[item.dash ?? ""].join(" ");
      make("line", { ...ends, stroke: colour, "stroke-width": item.width ?? 1.8, "stroke-dasharray": dash }, g);
    }
    this.text(g, left + 26, y + 4, words);
  }

  showCursor(x, over) {
    const shown = x !== null && this.scales && x >= this.limits.x[0] && x <= this.limits.x[1];
    for (const node of [this.cursor, this.reading]) set(node, { visibility: shown ? "visible" : "hidden" });
    if (!shown) return;
    const at = this.scales.x.to(x);
    set(this.cursor, { x1: at, x2: at });
    const { top } = this.plot.x;
    const blur = top && top.factor * Math.exp(top.rate * x);
    const more = top ? ` · ${top.label} ${readable(blur, 3)} ${top.unit}` : "";
    const first = this.picture.plots[over] === this;
    setWords(this.reading, first ? `${this.plot.cursor} = ${x.toFixed(1).replace("-", "−")}${more}` : "");
    const right = at > this.box.x + this.box.w / 2;
    set(this.reading, { x: at + (right ? -6 : 6), "text-anchor": right ? "end" : "start" });
  }

  // Marks

  mark(c, item, values, ghost) {
    const drawing = MARKS[item.kind];
    if (!drawing || (ghost && !drawing.ghost)) return;
    const { theme } = this.picture;
    const colour = ghost ? theme.ghost : this.colour(item);
    c.save();
    c.strokeStyle = c.fillStyle = colour;
    c.globalAlpha = item.alpha;
    c.lineJoin = "bevel"; // on a curve of many points it looks round, and is drawn sooner
    drawing(c, item, { view: this, values, colour, ghost, ...this.scales, box: this.box });
    c.restore();
  }
}

/**
 * Trace y over x; gaps where a value is no number. Points that lie on a straight line, to a tenth
 * of a pixel, are left out where x grows: a stroke takes its time by its corners.
 */
export function trace(c, n, px, py) {
  let open = false;
  let x0 = 0, y0 = 0, low = 0, high = 0; // the last corner, and between which slopes all points since lie
  let x1 = 0, y1 = 0; // the last point
  for (let i = 0; i <= n; i++) {
    const x = i < n ? px(i) : NaN;
    const y = i < n ? py(i) : NaN;
    const number = Number.isFinite(x) && Number.isFinite(y);
    let corner = number && !open;
    if (corner) c.moveTo((x1 = x), (y1 = y));
    else if (open) {
      const slope = (y - y0) / (x - x0);
      corner = !(x > x1 && slope >= low && slope <= high);
      if (corner) c.lineTo(x1, y1);
    }
    if (corner) {
      x0 = x1;
      y0 = y1;
      low = -Infinity;
      high = Infinity;
    }
    if (open) {
      low = x > x0 ? Math.max(low, (y - 0.1 - y0) / (x - x0)) : Infinity;
      high = Math.min(high, (y + 0.1 - y0) / (x - x0));
    }
    open = number;
    x1 = x;
    y1 = y;
  }
}

const MARKS = {
  Line(c, item, { values, x, y, ghost }) {
    const [xs, ys, m] = [values.array(item.x), values.array(item.y), values.shape(item.y)[1] ?? 1];
    c.setLineDash(DASHES[item.dash]);
    c.lineWidth = ghost ? Math.min(item.width, 1.8) : item.width;
    c.beginPath();
    for (let k = 0; k < m; k++) {
      trace(c, xs.length, (i) => x.to(xs[i]), (i) => y.to(ys[i * m + k]));
    }
    c.stroke();
  },

  Area(c, item, { view, values, x, y, ghost }) {
    const [xs, ys] = [values.array(item.x), values.array(item.y)];
    const n = Math.min(xs.length, ys.length);
    const [across, up, along, heights] = item.sideways ? [y, x, ys, xs] : [x, y, xs, ys];
    const part = (bounded) => {
      const foot = (i) => across.to(along[i]);
      const head = (i) => up.to(bounded(heights[i]));
      c.beginPath();
      if (item.sideways) trace(c, n, head, foot);
      else trace(c, n, foot, head);
      for (const i of [n - 1, 0]) c.lineTo(...(item.sideways ? [up.to(0), foot(i)] : [foot(i), up.to(0)]));
      c.fill();
    };
    if (n && !ghost) {
      c.globalAlpha = 0.4 * item.alpha;
      part((v) => Math.max(v, 0));
      c.globalAlpha = item.alpha;
      c.fillStyle = view.picture.hatch(view.picture.theme.colours.negative);
      if (heights.some((v) => v < 0)) part((v) => Math.min(v, 0));
    }
    c.lineWidth = ghost ? 1.5 : 1.3;
    c.beginPath();
    trace(c, n, (i) => x.to(xs[i]), (i) => y.to(ys[i]));
    c.stroke();
  },

  Band(c, item, { view, values, x, y, colour, box }) {
    const xs = item.x === null ? [NaN, NaN] : values.array(item.x);
    const at = (i) => (item.x === null ? box.x + i * box.w : x.to(xs[i]));
    const [low, high] = [values.array(item.low), values.array(item.high)];
    const get = (array, i) => y.to(array.length === 1 ? array[0] : array[i]);
    c.beginPath();
    trace(c, xs.length, at, (i) => get(high, i));
    for (let i = xs.length - 1; i >= 0; i--) c.lineTo(at(i), get(low, i));
    c.closePath();
    if (item.hatched) {
      c.fillStyle = view.picture.hatch(colour);
      c.stroke();
    } else c.globalAlpha = 0.25 * item.alpha;
    c.fill();
  },

  Bars(c, item, { values, x, y, ghost }) {
    const [edges, heights] = [values.array(item.edges), values.array(item.heights)];
    const [across, up] = item.sideways ? [y, x] : [x, y];
    const point = (a, b) => (item.sideways ? [b, a] : [a, b]);
    const outline = item.outline || ghost;
    const start = up.to(values.number(item.start ?? 0));
    c.beginPath();
    c.moveTo(...point(across.to(edges[0]), start));
    for (let i = 0; i < heights.length; i++) {
      c.lineTo(...point(across.to(edges[i]), up.to(heights[i])));
      c.lineTo(...point(across.to(edges[i + 1]), up.to(heights[i])));
    }
    c.lineTo(...point(across.to(edges[heights.length]), start));
    c.lineWidth = 1.3;
    c.globalAlpha = outline ? item.alpha : 0.75 * item.alpha;
    outline ? c.stroke() : c.fill();
  },

  Points(c, item, { view, values, x, y, ghost }) {
    const [xs, ys] = [values.array(item.x), values.array(item.y)];
    if (item.trail && !ghost) {
      const marks = view.marks(item);
      c.globalAlpha = 0.6 * item.alpha;
      for (const [a, b] of marks) shape(c, "dot", x.to(a), y.to(b), 5);
      c.globalAlpha = item.alpha;
      if (item.score && marks.length > 1) score(c, item, marks, view);
    }
    const single = item.trail || xs.length === 1;
    for (let i = 0; i < xs.length; i++) {
      const [a, b] = [x.to(xs[i]), y.to(ys[i])];
      if (Number.isFinite(a) && Number.isFinite(b)) shape(c, item.shape, a, b, item.size, single && !ghost);
    }
  },

  Heat(c, item, { view, values, x, y }) {
    const { shape, data } = values.found[item.values] ?? {};
    if (!data) return;
    const [xs, ys] = [values.array(item.x), values.array(item.y)];
    const { theme } = view.picture;
    let kept = view.heats.get(item);
    if (kept?.data !== data || kept.theme !== theme) {
      kept = { data, theme, picture: heat(shape, data, theme.ramp(item.meaning)) };
      view.heats.set(item, kept);
    }
    c.imageSmoothingEnabled = false;
    const [left, right, top, bottom] = [x.to(xs[0]), x.to(xs[1]), y.to(ys[1]), y.to(ys[0])];
    c.drawImage(kept.picture, left, top, right - left, bottom - top);
  },

  Ridges(c, item, { view, values, x, y }) {
    const { theme } = view.picture;
    const [m, n] = values.shape(item.curves);
    const [xs, curves] = [values.array(item.x), values.array(item.curves)];
    const [words, negative] = [values.words(item.words), values.array(item.negative)];
    const sharpest = curves.reduce((a, b) => Math.max(a, b), 1e-30);
    for (let k = m - 1; k >= 0; k--) {
      const row = curves.subarray(k * n, (k + 1) * n);
      const peak = row.reduce((a, b) => Math.max(a, b), 1e-30);
      const height = 2.2 / Math.sqrt(peak * sharpest);
      const curve = new Path2D();
      trace(curve, n, (i) => x.to(xs[i]), (i) => y.to(k + height * row[i]));
      const under = new Path2D(curve);
      under.lineTo(x.to(xs[n - 1]), y.to(k));
      under.lineTo(x.to(xs[0]), y.to(k));
      c.fillStyle = theme.paper;
      c.globalAlpha = 0.8; // those in front hide what is behind, but for a hint
      c.fill(under);
      c.globalAlpha = 1;
      c.strokeStyle = negative[k] ? theme.colours.negative : view.colour(item);
      c.lineWidth = 1.4;
      c.stroke(curve);
    }
    words.forEach((line, k) => {
      view.labels.push([x.to(xs[n - 1]) + 6, y.to((1 + 1.2 / m) * k) - 2, line]); // up to the highest peak
    });
  },

  Words(c, item, { view, values, box }) {
    const anchor = { left: "start", right: "end" }[item.align];
    view.labels.push([box.x + item.x * box.w, box.y + (1 - item.y) * box.h, values.words(item.text), anchor]);
  },

  Rule(c, item, { values, x, y, box }) {
    const at = values.number(item.at);
    c.setLineDash(DASHES[item.dash]);
    c.lineWidth = item.width;
    c.beginPath();
    if (item.along === "x") {
      c.moveTo(x.to(at), box.y);
      c.lineTo(x.to(at), box.y + box.h);
    } else {
      c.moveTo(box.x, y.to(at));
      c.lineTo(box.x + box.w, y.to(at));
    }
    c.stroke();
  },
};
for (const kind of ["Line", "Area", "Bars", "Points"]) MARKS[kind].ghost = true;

/** A ring about the lowest mark, and beside it how low it is. */
function score(c, item, marks, view) {
  const { box, scales, picture } = view;
  const [a, b] = marks.reduce((best, mark) => (mark[1] < best[1] ? mark : best));
  const [x, y] = [scales.x.to(a), scales.y.to(b)];
  c.save();
  c.strokeStyle = picture.theme.ink;
  shape(c, "ring", x, y, 15);
  c.restore();
  const [far, anchor] = x > box.x + box.w / 2 ? [-12, "end"] : [12, "start"];
  view.labels.push([x + far, y + 14, `${item.score} ${readable(b, 2)}`, anchor]);
}

/** The corners of a mark of radius r, none where it is round. */
function corners(kind, x, y, r) {
  const turned = (angle, far) => [x + far * Math.cos(angle), y + far * Math.sin(angle)];
  if (kind === "square") return [1, 3, 5, 7].map((i) => turned((Math.PI * i) / 4, Math.SQRT2 * r));
  if (kind !== "star") return [];
  return Array.from({ length: 10 }, (_, i) => turned((Math.PI * i) / 5 - Math.PI / 2, i % 2 ? 0.42 * r : r));
}

function shape(c, kind, x, y, size, edged = false) {
  c.beginPath();
  const points = corners(kind, x, y, size / 2);
  for (const point of points) c.lineTo(...point);
  if (points.length) c.closePath();
  else c.arc(x, y, size / 2, 0, 2 * Math.PI);
  if (kind === "ring") {
    c.lineWidth = 2;
    c.stroke();
  } else {
    c.fill();
    if (edged && size > 5) {
      c.lineWidth = 1.2;
      c.stroke();
    }
  }
}

function heat([rows, columns], data, ramp) {
  const picture = new OffscreenCanvas(columns, rows);
  const c = picture.getContext("2d");
  const pixels = c.createImageData(columns, rows);
  const words = new Uint32Array(pixels.data.buffer);
  for (let row = 0; row < rows; row++) {
    const from = (rows - 1 - row) * columns; // the first row is the lowest
    for (let k = 0; k < columns; k++) words[row * columns + k] = ramp[data[from + k]];
  }
  c.putImageData(pixels, 0, 0);
  return picture;
}

/** Leave the arrows of an axis's label out where they do not fit. */
function shortened(label, room) {
  return 6.6 * label.length > room ? label.replace(/\s{3,}.*/, "") : label;
}

/** A plot that the hand paints on. */
class BrushView {
  constructor(view, item) {
    Object.assign(this, { view, item });
    this.node = make("rect", { class: "won-brush" });
    this.node.dataset.control = item.control;
    view.hands.prepend(this.node); // other handles lie above it
    taken(this.node, (event) => this.grab(event));
  }

  place() {
    const { x, y, w, h } = this.view.box;
    set(this.node, { x, y, width: w, height: h });
  }

  grab(event) {
    const { item, view } = this;
    const { hand } = view.picture;
    const down = view.picture.pixel(event)[1];
    const place = (e) => {
      const [px, py] = view.picture.pixel(e);
      const { x, y } = view.scales;
      return { x: x.from(px), y: y.from(py), up: y.move(down, py) };
    };
    const from = place(event);
    drag(event, this.node, hand, [item.control, 0], (e) => hand.stroke(item.control, from, place(e)));
  }
}

/** Call `grab` where a pointer takes a node. */
function taken(node, grab) {
  node.addEventListener("pointerdown", grab);
  // The page must not scroll under a finger; Chromium takes no touch-action of parts of an SVG.
  node.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
}

/** Follow a pointer from where it goes down on a node until it is let go. */
function drag(event, node, hand, grabbed, move) {
  if (event.button !== 0 || !event.isPrimary) return; // a second finger would pull from the first one's start
  event.preventDefault();
  node.setPointerCapture(event.pointerId);
  hand.grab(...grabbed);
  const listening = new AbortController();
  const on = (name, act) => node.addEventListener(name, act, { signal: listening.signal });
  on("pointermove", move);
  on("lostpointercapture", () => {
    listening.abort();
    hand.release();
  });
}

/** What the hand can take: one slider in the eyes of a screen reader, or one a knot. */
class HandleView {
  constructor(view, item) {
    Object.assign(this, { view, item, parts: [] });
  }

  place() {
    const { view, item } = this;
    const { values, scales } = view;
    const ends = (source, scale, [start, end]) => {
      if (source === null) return [start, end];
      const found = values.array(source);
      return [scale.to(found[0]), scale.to(found[found.length - 1])];
    };
    const { box } = view;
    if (item.grip === "knots" || item.grip === "point") {
      const [xs, ys] = [values.array(item.x), values.array(item.y)];
      for (let i = 0; i < xs.length; i++) {
        const y = clamp(scales.y.to(ys[i]), box.y, box.y + box.h);
        const x = clamp(scales.x.to(xs[i]), box.x, box.x + box.w);
        this.part(i).at(x, x, y, y);
      }
      return;
    }
    const x = ends(item.x, scales.x, [box.x, box.x + box.w]);
    const y = ends(item.y, scales.y, [box.y + box.h, box.y]);
    this.part(0).at(x[0], x[1], y[0], y[1]);
  }

  part(index) {
    return (this.parts[index] ??= new Part(this, index));
  }
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const KEYS = {
  ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1,
  PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity,
};

class Part {
  constructor(owner, index) {
    Object.assign(this, { owner, index });
    const { view, item } = owner;
    const { hand } = view.picture;
    const dot = item.grip === "knots" || item.grip === "point";
    this.node = make("g", { class: `won-handle won-${item.grip}`, tabindex: 0, role: "slider" }, view.hands);
    this.node.dataset.control = item.control;
    this.node.style.cursor = item.along === "x" ? "ew-resize" : "ns-resize";
    const upright = item.along === "y";
    set(this.node, { "aria-orientation": upright ? "vertical" : "horizontal" });
    this.target = make(item.grip === "band" ? "rect" : dot ? "circle" : "line", { class: "won-target" }, this.node);
    if (!dot && item.grip !== "band") this.halo = make("line", { class: "won-under" }, this.node);
    if (!dot) this.mark = make(item.grip === "band" ? "rect" : "line", { class: "won-mark" }, this.node);
    this.grip = make("circle", { class: "won-grip", r: dot ? 7 : 6 }, this.node);
    taken(this.node, (event) => this.grab(event));
    this.node.addEventListener("keydown", (event) => {
      const steps = KEYS[event.key];
      if (steps === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      hand.step(item.control, this.index, steps);
    });
  }

  at(x1, x2, y1, y2) {
    const { item, view } = this.owner;
    const visible = [x1, x2, y1, y2].every(Number.isFinite);
    set(this.node, { visibility: visible ? "visible" : "hidden" });
    if (!visible) return;
    const { theme } = view.picture;
    const colour = theme.colours[item.meaning];
    const place = item.grip === "band"
      ? { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1) }
      : { x1, x2, y1, y2 };
    const dot = item.grip === "knots" || item.grip === "point";
    if (dot) set(this.target, { cx: x1, cy: y1, r: 14 });
    else {
      const more = item.grip === "band" ? Math.max(0, (26 - place.width) / 2) : 0; // a finger's room
      set(this.target, more ? { ...place, x: place.x - more, width: 26 } : place);
      set(this.mark, { ...place, stroke: colour });
      if (this.halo) set(this.halo, place);
    }
    // A rule or a column is taken anywhere; its grip stands where it hides least: at its end.
    const upright = item.along === "x";
    const [cx, cy] = dot ? [x1, y1]
      : item.grip === "band" ? [(x1 + x2) / 2, upright ? Math.max(y1, y2) : (y1 + y2) / 2]
      : upright ? [x1, Math.min(y1, y2) + 4] : [Math.max(x1, x2), y1]; // below what is written above
    set(this.grip, { cx, cy, stroke: colour, fill: theme.paper });
    const words = view.picture.hand.describe(item.control, this.index);
    if (words.text !== this.text) {
      this.text = words.text;
      set(this.node, {
        "aria-label": words.label, "aria-valuemin": words.low, "aria-valuemax": words.high,
        "aria-valuenow": words.now, "aria-valuetext": words.text,
      });
    }
  }

  grab(event) {
    const { item, view } = this.owner;
    const { hand } = view.picture;
    const along = (e) => view.picture.pixel(e)[item.along === "x" ? 0 : 1];
    const start = along(event);
    this.node.focus({ preventScroll: true });
    drag(event, this.node, hand, [item.control, this.index], (e) => {
      const factor = view.values.number(item.factor); // now: another control may have moved it
      const amount = factor * view.scales[item.along].move(start, along(e));
      hand.drag(item.control, this.index, amount, item.times);
    });
  }
}
