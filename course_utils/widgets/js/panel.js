/**
 * A panel: a scene, its controls, and what is said about them.
 *
 *     const panel = new PanelView(element, spec, values, send);
 *     panel.answer({values, frame, fields, error, mine})      // mine: the answer to its own question
 *
 * `send(values, n)` asks for a new frame. One question is in flight; the newest state goes when the
 * last one was answered.
 */
import { element, makeControl } from "./controls.js";
import { Picture, Values } from "./draw.js";
import { STYLE } from "./style.js";
import { theme, watchTheme } from "./theme.js";

const SILENCE = 4000; // ms without an answer after which the kernel is said to be silent
const READING = 100; // ms for which numbers stand while the hand moves: no one reads faster
const REST = 600; // ms after which a movement is over, and is read out
const PLAY = 8; // seconds from one end to the other
const CUSTOM = "";

/** Unpack {shapes, data} into {name: {shape, data}}. */
export function unpack({ shapes, data }, Kind) {
  const bytes = data instanceof ArrayBuffer ? data
    : data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  const found = {};
  let at = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const size = shape.reduce((a, b) => a * b, 1);
    found[name] = { shape, data: new Kind(bytes, at, size) };
    at += size * Kind.BYTES_PER_ELEMENT;
  }
  return found;
}

/** Whether two values of a control are the same. */
export const same = (a, b) => a === b || (Array.isArray(a) && a.length === b?.length && a.every((number, i) => number === b[i]));
export const fits = (some, values) => Object.entries(some).every(([name, value]) => same(value, values[name]));

/** Give nodes their words, where they have others. */
function write(nodes, words) {
  words.forEach((text, i) => {
    if (nodes[i].textContent !== text) nodes[i].textContent = text;
  });
}

export class PanelView {
  constructor(root, spec, values, send) {
    Object.assign(this, { spec, values, send, sent: 0, answered: 0, dirty: false, guessed: !spec.question });
    this.still = unpack(spec.still, Float32Array);
    this.pinned = null; // the pinned state, as `last` was
    this.build(root);
    this.showControls();
  }

  // What it consists of

  build(root) {
    const hand = {
      input: (name, value) => this.move({ [name]: value }),
      release: () => this.rest(),
      play: (name) => this.play(name),
    };
    this.controls = Object.fromEntries(
      Object.entries(this.spec.controls).map(([name, spec]) => [name, makeControl(name, spec, hand)]));
    this.alert = element("p", { class: "won-alert", role: "alert" });
    this.headline = element("div", { class: "won-headline" });
    this.numbers = element("table", { class: "won-numbers" });
    this.details = element("ul");
    const more = element("details", { class: "won-details" }, element("summary", {}, "details"), this.details);
    this.more = more;
    this.said = element("div", { class: "won-hidden", role: "status", "aria-live": "polite" });
    this.readout = element("div", { class: "won-readout" }, this.headline, this.numbers, more);
    this.place = element("div");
    this.asking = element("div");
    const shown = element("div", { class: "won-shown" }, this.alert, this.asking, this.place, this.readout, this.said);
    const steer = element("div", { class: "won-steer" }, ...this.steering());
    const caption = element("p", { class: "won-caption" }, this.spec.alt);
    const grid = element("div", { class: "won-grid" }, shown, steer, caption);
    this.root = element("div", { class: "won-panel", "data-lm-suppress-shortcuts": "true" }, element("style", {}, STYLE), grid);
    // JupyterLab's shortcuts ("a" inserts a cell, "d d" deletes one) heed the attribute, others the event
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Tab" && event.key !== "Escape") event.stopPropagation();
    });
    root.append(this.root);
    this.picture = new Picture(this.place, this.spec, this.hands());
    this.restyle();
    this.stopTheme = watchTheme(() => this.restyle());
    this.sizes = new ResizeObserver(() => {
      this.restyle(); // what was outside of the page had nothing behind it
      this.stick();
      this.picture.resize();
      this.tall = this.readout.offsetHeight;
      if (this.moving) this.keepTall();
    });
    this.sizes.observe(shown);
    this.ask();
  }

  steering() {
    const [open, folded] = [[], new Map()];
    for (const control of Object.values(this.controls)) {
      const { folded: title } = control.spec;
      if (title) folded.set(title, [...(folded.get(title) ?? []), control.root]);
      else open.push(control.root);
    }
    const parts = [...folded].map(([title, roots]) =>
      element("details", { class: "won-folded" }, element("summary", {}, title), ...roots));
    this.pinner = element("button", { type: "button", "aria-pressed": "false", onclick: () => this.togglePin() }, "Pin");
    const reset = element("button", { type: "button", class: "won-reset", onclick: () => this.reset() }, "Reset");
    const buttons = element("div", { class: "won-buttons" }, this.pinner, reset);
    const names = Object.keys(this.spec.presets);
    if (names.length) {
      const options = [element("option", { value: CUSTOM }, "choose …"), ...names.map((n) => element("option", { value: n }, n))];
      this.presets = element("select", {}, ...options);
      this.presets.addEventListener("change", () => {
        if (this.presets.value !== CUSTOM) this.move(this.spec.presets[this.presets.value]);
        this.rest();
      });
      const label = element("div", { class: "won-control won-presets" }, element("label", {}, element("span", {}, "preset"), this.presets));
      buttons.prepend(label);
    }
    return [...open, ...parts, buttons];
  }

  /** What the picture's handles ask for. */
  hands() {
    return {
      describe: (name, index) => this.controls[name].describe(this.values[name], index),
      grab: (name) => {
        this.stopPlaying();
        this.begin();
        this.start = this.values[name];
      },
      drag: (name, index, amount, times) =>
        this.move({ [name]: this.controls[name].value(this.start, amount, times, index) }),
      release: () => this.rest(),
      step: (name, index, steps) => {
        this.move({ [name]: this.controls[name].stepped(this.values[name], steps, index) });
        this.rest();
      },
    };
  }

  restyle() {
    const found = theme(this.root.parentElement, this.spec.colours);
    const { ink, soft, paper, dark, colours } = found;
    if (paper === this.picture.theme?.paper) return;
    this.picture.restyle(found);
    const accent = colours.data;
    const set = { ink, soft, paper, accent, focus: dark ? "#ffd166" : "#b35900", alert: dark ? "#ff8a80" : "#b3261e" };
    for (const [name, value] of Object.entries(set)) this.root.style.setProperty(`--won-${name}`, value);
    this.root.style.colorScheme = dark ? "dark" : "light";
  }

  /** The picture stays in sight while one scrolls to a control, unless it would fill the window. */
  stick() {
    const { parentElement: shown } = this.place;
    shown.classList.toggle("won-sticks", shown.offsetHeight < 0.65 * window.innerHeight);
    const output = this.root.closest(".jp-OutputArea-output"); // JupyterLab's would scroll instead
    if (output) output.style.overflow = "visible";
  }

  // How it moves

  /** A movement begins: what was on show before it becomes the ghost, where the scene says so. */
  begin() {
    if (this.moving) return;
    this.moving = true;
    this.keepTall();
    this.picture.hold();
    if (this.spec.ghost && this.guessed && !this.byHand && this.last) this.pin(this.last);
  }

  /** As limits do, the numbers' place only widens in a movement: the controls below stay where they are. */
  keepTall() {
    this.readout.style.minHeight = `${this.tall}px`;
  }

  move(changes, byPlay = false) {
    if (!byPlay) this.stopPlaying();
    this.begin();
    if (fits(changes, this.values)) return;
    this.values = { ...this.values, ...changes };
    this.showControls();
    this.dirty = true;
    this.pump();
  }

  /** The hand has let go; soon after, limits settle, and what stands is marked and read out. */
  rest() {
    this.moving = false;
    if (this.last) this.showNumbers();
    this.picture.release();
    this.settle();
  }

  settle() {
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      if (this.moving) return;
      this.readout.style.minHeight = "";
      this.leave("rests");
      this.sayNumbers();
    }, REST);
  }

  pump() {
    if (!this.dirty || this.sent > this.answered) return;
    this.dirty = false;
    this.sent += 1;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.silent(), SILENCE);
    this.send(this.values, this.sent);
  }

  silent() {
    this.alert.textContent = "No answer from Python: the kernel is busy, or it is off. Once it runs, run this cell again.";
    this.answered = this.sent; // the next movement asks anew
  }

  /** Show what came from Python; `mine` is the number of the question that it answers. */
  answer({ values, frame, fields, error, mine }) {
    if (mine !== undefined) {
      this.answered = Math.max(this.answered, mine);
      clearTimeout(this.silence);
    }
    if (!this.dirty && this.answered >= this.sent) {
      if (values !== this.values) {
        this.values = values;
        this.showControls();
      }
    }
    if (fields?.data && fields !== this.packedFields) {
      this.packedFields = fields;
      this.fields = unpack(fields, Uint8Array);
    }
    if (frame && (frame.data || frame.arrays) && frame !== this.packedFrame) {
      this.packedFrame = frame;
      const first = !this.last;
      const arrays = new Values(this.still, this.fields ?? {}, frame.arrays ?? unpack(frame, Float32Array), frame.words);
      this.last = { arrays, frame, values };
      this.picture.update(arrays);
      this.showNumbers();
      this.leave("moves");
      if (first) this.leave("rests");
      else if (!this.moving) this.settle(); // an answer that came late, or not to this hand
    }
    write([this.alert], [error ?? ""]);
    this.pump();
    this.playOn();
  }

  reset() {
    this.byHand = false;
    this.pin(null);
    for (const plot of this.picture.plots) plot.trails.clear();
    this.move(this.spec.start);
    this.pin(null);
    this.rest();
  }

  play(name) {
    const stopped = this.playing?.name === name;
    this.stopPlaying();
    if (stopped) return;
    const control = this.controls[name];
    const last = control.stepped(this.values[name], Infinity);
    const steps = control.spec.kind === "Slider" ? (control.spec.high - control.spec.low) / control.spec.step : control.values.length;
    this.playing = { name, last, stride: Math.max(1, Math.round(steps / (PLAY * 25))), wait: Math.max(40, (PLAY * 1000) / steps) };
    control.playing(true);
    if (this.values[name] === last) this.move({ [name]: control.stepped(last, -Infinity) }, true);
    else this.playOn();
  }

  playOn() {
    clearTimeout(this.clock);
    if (!this.playing || this.sent > this.answered) return;
    const { name, last, stride, wait } = this.playing;
    if (this.values[name] === last) this.stopPlaying();
    else this.clock = setTimeout(() => this.move({ [name]: this.controls[name].stepped(this.values[name], stride) }, true), wait);
  }

  stopPlaying() {
    clearTimeout(this.clock);
    if (!this.playing) return;
    this.controls[this.playing.name].playing(false);
    this.playing = null;
    this.rest();
  }

  // What it compares

  togglePin() {
    this.byHand = !this.byHand;
    this.pin(this.byHand ? this.last : null);
  }

  pin(state) {
    this.pinned = state;
    this.picture.pin(state?.arrays ?? null);
    this.pinner.setAttribute("aria-pressed", String(Boolean(this.byHand)));
    this.pinner.textContent = this.byHand ? "Unpin" : "Pin";
    if (this.last) this.showNumbers();
  }

  /** Leave marks where a trail is; kind is "moves" or "rests". */
  leave(kind) {
    if (!this.last || !this.guessed) return;
    for (const view of this.picture.plots) view.leave(kind);
    this.picture.request();
  }

  // What it asks

  ask() {
    const { question } = this.spec;
    this.picture.secret = !this.guessed;
    if (!question) return;
    const guess = (words) => {
      this.guessed = true;
      this.picture.secret = false;
      this.asking.replaceChildren();
      this.asking.focus({ preventScroll: true }); // the button that had it is gone
      this.showNumbers();
      this.picture.request();
      if (!words) return;
      this.byHand = true;
      this.pin(this.last);
      this.move(question.then);
      this.rest();
      const verdict = words === question.right ? "as you said" : `not “${words}”`;
      this.asking.append(element("p", { class: "won-question" }, `${question.words} “${question.right}”, ${verdict}.`));
    };
    // buttons: of radio buttons the first arrow key would choose, before one has come to the last
    const button = (label, words) => element("button", { type: "button", onclick: () => guess(words) }, label);
    const options = question.options.map((words) => button(words, words));
    this.asking.tabIndex = -1;
    this.asking.append(element("fieldset", { class: "won-question" }, element("legend", {}, question.words), ...options, button("Show it", null)));
  }

  // What it says

  showControls() {
    for (const [name, control] of Object.entries(this.controls)) {
      if (this.onShow?.[name] !== this.values[name]) control.show(this.values[name]);
    }
    this.onShow = this.values;
    if (!this.presets) return;
    const found = Object.entries(this.spec.presets).find(([, preset]) => fits(preset, this.values));
    const name = found?.[0] ?? CUSTOM;
    if (this.presets.value !== name) this.presets.value = name;
  }

  showNumbers() {
    clearTimeout(this.writing);
    const wait = this.moving ? this.wrote + READING - performance.now() : 0;
    if (wait > 0) {
      this.writing = setTimeout(() => this.showNumbers(), wait);
      return;
    }
    this.wrote = performance.now();
    const { headline, numbers, details } = this.last.frame.readout;
    const hidden = !this.guessed;
    this.readout.style.visibility = hidden ? "hidden" : "visible";
    const said = JSON.stringify([this.last.frame.readout, this.pinned?.frame.readout, hidden]);
    if (said === this.shownNumbers) return;
    this.shownNumbers = said;
    write([this.headline], [headline]);
    const before = this.pinned?.frame.readout.numbers;
    // the table is built anew where its words change, not where its numbers do
    const table = JSON.stringify([numbers.map(([label]) => label), Boolean(before)]);
    if (table !== this.table) {
      this.table = table;
      this.numbers.replaceChildren(...numbers.map(([label]) => {
        const old = before ? [element("td", { class: "won-before" })] : [];
        return element("tr", {}, element("th", { scope: "row" }, label), ...old, element("td"));
      }));
    }
    write(this.numbers.querySelectorAll("td"), numbers.flatMap(([, value], i) => {
      const old = before?.[i]?.[1];
      return before ? [old === value ? "" : `${old} →`, value] : [value];
    }));
    this.more.hidden = !details.length;
    if (details.length !== this.details.children.length) {
      this.details.replaceChildren(...details.map(() => element("li")));
    }
    write(this.details.children, details);
  }

  sayNumbers() {
    if (!this.last || !this.guessed) return;
    const { headline, numbers } = this.last.frame.readout;
    this.said.textContent = [headline, ...numbers.map((pair) => pair.join(" "))].join("; ");
  }

  destroy() {
    this.stopPlaying();
    clearTimeout(this.resting);
    clearTimeout(this.silence);
    clearTimeout(this.writing);
    this.stopTheme();
    this.sizes.disconnect();
    this.picture.destroy();
    this.root.remove();
  }
}
