/**
 * The instrument: a panel whose arithmetic is in the browser, and a w that the hand pulls or draws.
 *
 *     const view = new InstrumentView(element, spec, values, host);
 *
 * `host` may have save(values), called when the hand has let go; table(name), which asks for a table
 * that is not there yet (`view.addTable(name, table)` brings it); and address: keep the state in the
 * page's address. Nothing here computes: see arithmetic.js.
 */
import {
  asDrawn, compute, decodedCurve, fixed, OBJECTIVES, penned, RANGE, reading, stroked, tabulated, unpacked,
} from "./arithmetic.js";
import { element } from "./controls.js";
import { readable } from "./draw.js";
import { fits, PanelView, same } from "./panel.js";

const HAND = { gains: [0, 0, 0, 0, 0, 0, 0], brush: [] }; // nothing bent
const STEPS = 200; // that can be undone

export class InstrumentView extends PanelView {
  constructor(root, spec, values, host = {}) {
    super(root, spec, values, (state, n) => this.compute(state, n));
    this.host = host;
    this.tables = unpacked(spec.local.tables);
    const shown = spec.rows.flat().flatMap((plot) => plot?.items ?? []);
    if (!shown.some((item) => item.kind === "Ridges")) this.tables.places = null;
    this.place_in_past = 0;
    if (host.address) this.values = { ...values, ...known(spec, fromAddress()) };
    this.past = [this.values];
    this.showControls();
    this.compute(this.values, 0);
    this.picture.root.addEventListener("pointermove", (event) => this.showReading(event));
    this.picture.root.addEventListener("pointerleave", () => this.showReading(null));
  }

  // What it computes

  /** Answer, at once or when the tables that are not here have come. */
  compute(state, n) {
    const curve = `${state.model} ${state.galaxy}`;
    const missing = [];
    if (!this.tables.curves[curve]) missing.push(curve);
    if (state.objective !== "drawn" && !OBJECTIVES[state.objective]) missing.push(state.objective);
    for (const name of missing) this.host.table?.(name);
    if (!missing.length) this.answer({ values: state, frame: this.frame(state), mine: n });
  }

  /** What panel.js draws and says of a state: the same as Python's frame. */
  frame(state) {
    const { numbers, arrays } = compute(state, this.tables);
    const shown = {};
    for (const [name, value] of Object.entries({ ...numbers, ...arrays })) {
      if (typeof value === "number") shown[name] = { shape: [], data: [value] };
      else if (typeof value[0] === "number") shown[name] = { shape: [value.length], data: value };
      else if (name === "layers") {
        const size = value[0].length;
        const data = new Float64Array(value.length * size);
        value.forEach((layer, i) => data.set(layer, i * size));
        shown[name] = { shape: [value.length, size], data };
      }
    }
    const words = { layer_words: arrays.layer_words };
    const view = this;
    let readout; // made when it is read: less often than the hand moves
    return { arrays: shown, words, get readout() { return (readout ??= view.readoutOf(numbers)); } };
  }

  readoutOf(numbers) {
    const { formats, headline, shown } = this.spec.local;
    const said = Object.keys(formats).filter((name) => formats[name] && numbers[name] !== undefined);
    const phrase = (name) => {
      const start = formats[name].indexOf("{");
      const own = { "": numbers[name] };
      return [formats[name].slice(0, start), formatted(formats[name].slice(start), own)];
    };
    return {
      headline: formatted(headline, numbers),
      numbers: shown.filter((n) => said.includes(n)).map(phrase).map(([a, b]) => [a.replace(/[ =:]+$/, ""), b]),
      details: said.filter((name) => !shown.includes(name)).map((name) => phrase(name).join("")),
    };
  }

  addTable(name, table) {
    if (table.w) tabulated(name, table);
    else this.tables.curves[name] = decodedCurve(table);
    this.dirty = false;
    this.compute(this.values, this.sent);
  }

  /** Python has other values: show them. */
  assigned(values) {
    this.values = values;
    this.showControls();
    this.compute(values, this.sent);
    this.remember();
  }

  // What the hand does

  hands() {
    const hands = super.hands();
    return {
      ...hands,
      grab: (name, index) => {
        hands.grab(name, index);
        this.last_point = null;
      },
      stroke: (name, from, to) => this.stroke(from, to),
    };
  }

  stroke(from, to) {
    if (!this.values.pencil) {
      this.move({ brush: stroked(this.start, from.x, to.up, this.values.brush_width) });
      return;
    }
    const drawn = this.values.objective === "drawn" && this.values.drawn.length && !this.isBent()
      ? this.values.drawn : asDrawn(this.last.values);
    this.move({ ...HAND, objective: "drawn", shift: 0, drawn: penned(drawn, this.last_point ?? from, to) });
    this.last_point = to;
  }

  isBent() {
    return this.values.gains.some(Boolean) || this.values.brush.some(Boolean);
  }

  move(changes) {
    if (changes.objective && !("log_snr_min" in changes)) changes = { ...changes, ...this.reached(changes.objective) };
    const drawn = changes.objective === "drawn" && !this.values.drawn.length && !changes.drawn;
    super.move(drawn ? { ...changes, ...HAND, shift: 0, drawn: asDrawn(this.last.values) } : changes);
  }

  /** The range of an objective's own levels, unless the hand has set another one. */
  reached(objective) {
    const range = (name) => this.spec.local.ranges[name] ?? RANGE;
    const { log_snr_min: low, log_snr_max: high } = this.values;
    const stood = objective === "drawn" ? [low, high] : range(this.values.objective);
    if (low !== stood[0] || high !== stood[1] || objective === "drawn") return {};
    return { log_snr_min: range(objective)[0], log_snr_max: range(objective)[1] };
  }

  rest() {
    super.rest();
    this.remember();
    this.host.save?.(this.values);
    if (this.host.address) toAddress(this.values, this.spec.start);
  }

  // What can be undone

  remember() {
    if (fits(this.past[this.place_in_past], this.values)) return;
    this.past = [...this.past.slice(0, this.place_in_past + 1), this.values].slice(-STEPS);
    this.place_in_past = this.past.length - 1;
    this.showSteps();
  }

  back(steps) {
    const place = this.place_in_past + steps;
    if (!this.past[place]) return;
    this.place_in_past = place;
    this.move(this.past[place]);
    this.rest();
    this.showSteps();
  }

  showSteps() {
    // not "disabled": keys in a button that is go to the host, whose shortcuts they may be
    this.undo.ariaDisabled = this.place_in_past === 0;
    this.redo.ariaDisabled = this.place_in_past === this.past.length - 1;
  }

  steering() {
    const parts = super.steering();
    const button = (words, onclick) => element("button", { type: "button", onclick }, words);
    this.undo = button("Undo", () => this.back(-1));
    this.redo = button("Redo", () => this.back(1));
    this.undo.ariaDisabled = this.redo.ariaDisabled = true;
    const save = button("Save picture", () => savePicture(this.picture, "w.png"));
    parts.at(-1).append(this.undo, this.redo, save);
    return parts;
  }

  build(root) {
    super.build(root);
    this.hovering = element("p", { class: "won-reading-line", "aria-hidden": "true" });
    this.place.after(this.hovering);
    this.root.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
      event.preventDefault();
      this.back(event.shiftKey ? 1 : -1);
    }, true);
  }

  // What it says

  /** A parameter's slider is on show only where it acts; all stand in a part that is folded. */
  showControls() {
    super.showControls();
    if (this.owner === this.values.objective) return;
    this.owner = this.values.objective;
    for (const [name, owners] of Object.entries(this.spec.local.owners)) {
      this.controls[name].root.hidden = !owners.includes(this.values.objective);
    }
  }

  showReading(event) {
    const place = event && this.picture.at(event);
    const plot = place && this.picture.plots[place.plot].plot;
    const values = this.last?.values; // on show: others may wait for their table
    if (!plot?.cursor || !values || place.x < values.log_snr_min || place.x > values.log_snr_max) {
      this.hovering.textContent = "";
      return;
    }
    const { blur, w, e, L, rate } = reading(values, this.tables, place.x);
    const parts = [`λ ${place.x.toFixed(2)}`, `blur ${readable(blur, 3)} km/s`, `w ${readable(w, 3)}`,
      `e ${readable(e, 3)}`, `L ${readable(L, 3)} nats`, `−dw/dλ ${readable(rate, 2)}`];
    this.hovering.textContent = parts.join("  ·  ").replaceAll("-", "−");
  }
}

/** Python's format strings, as far as the panels use them: {name}, {name:.6f}, {:,.0f}, {:.2%}. */
export function formatted(template, values) {
  return template.replace(/\{(\w*)(?::([^}]*))?\}/g, (_, name, spec = "") => {
    const value = values[name];
    const [, comma, digits, kind] = spec.match(/^z?(,?)(?:\.(\d+))?([f%g]?)$/);
    if (typeof value !== "number" || !kind) return String(value);
    if (kind === "g") return readable(value, Number(digits ?? 6));
    return fixed(kind === "%" ? 100 * value : value, Number(digits), Boolean(comma)) + (kind === "%" ? "%" : "");
  });
}

// The state in the page's address, and pictures to keep

/** Read what a page's address says of the state: #w=… */
export function fromAddress(hash = location.hash) {
  const found = hash.match(/[#&]w=([^&]*)/);
  if (!found) return {};
  try {
    return JSON.parse(decodeURIComponent(found[1]));
  } catch {
    return {};
  }
}

/** What of a state from outside is a value that a control can have. */
export function known(spec, state) {
  const number = (value) => typeof value === "number" && Number.isFinite(value);
  const kinds = {
    Slider: (control, value) => number(value) && value >= control.low && value <= control.high,
    Choice: (control, value) => control.options.some(([, option]) => option === value),
    Switch: (_, value) => typeof value === "boolean",
    Bars: (control, value) => value?.length === control.labels.length && value.every(number),
    Curve: (control, value) => [0, control.n].includes(value?.length) && value.every(number),
  };
  const known = ([name, value]) => kinds[spec.controls[name]?.kind]?.(spec.controls[name], value);
  return Object.fromEntries(Object.entries(state).filter(known));
}

function toAddress(values, start) {
  const other = Object.entries(values).filter(([name, value]) => !same(value, start[name]));
  const words = other.length ? `#w=${encodeURIComponent(JSON.stringify(Object.fromEntries(other)))}` : location.pathname + location.search;
  history.replaceState(null, "", words);
}

/** Save what is on show: the marks as they are drawn, with the type above them. */
async function savePicture(picture, name) {
  const { canvas, svg, width, height, ratio, theme } = picture;
  const type = svg.cloneNode(true);
  for (const node of type.querySelectorAll(".won-brush, .won-target, .won-under, .won-cursor, .won-reading")) node.remove();
  type.setAttribute("font-family", getComputedStyle(svg).fontFamily);
  type.setAttribute("font-size", "12");
  const text = new XMLSerializer().serializeToString(type);
  const image = new Image(width, height);
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [width * ratio, height * ratio];
  const c = sheet.getContext("2d");
  c.fillStyle = theme.paper;
  c.fillRect(0, 0, sheet.width, sheet.height);
  c.drawImage(canvas, 0, 0);
  c.drawImage(image, 0, 0, sheet.width, sheet.height);
  const link = element("a", { href: sheet.toDataURL("image/png"), download: name });
  link.click();
}
