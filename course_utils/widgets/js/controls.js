/**
 * Native inputs for the controls that a panel declares (see ../controls.py).
 *
 *     const control = makeControl(name, spec, {input(name, value), release(name)});
 *     control.root, control.show(value), control.text(value), control.value(start, amount, times)
 */
import { fixed } from "./arithmetic.js";

/** Make the inputs of one control. */
export function makeControl(name, spec, hand) {
  return new KINDS[spec.kind](name, spec, hand);
}

/** Make an element with attributes and children. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

class Control {
  constructor(name, spec, hand) {
    Object.assign(this, { name, spec, hand });
    this.root = element("div", { class: "won-control" });
    this.root.dataset.control = name;
  }

  /** The words for a value. */
  text(value) {
    return String(value);
  }

  /** What a screen reader is told about the value. */
  describe(value) {
    return { label: this.spec.label, low: 0, high: 1, now: Number(value), text: this.text(value) };
  }

  input(value) {
    this.hand.input(this.name, value);
  }

  range(attributes, onInput) {
    const node = element("input", { type: "range", ...attributes });
    node.addEventListener("input", () => onInput(Number(node.value)));
    // without a change, too: a value may have come back to where it was taken
    for (const end of ["change", "pointerup", "pointercancel"]) node.addEventListener(end, () => this.hand.release(this.name));
    return node;
  }

  /** A line with words, an input, and the value. */
  line(input) {
    this.out = element("span", { class: "won-value" });
    const words = element("span", {}, this.spec.label);
    input.setAttribute("aria-label", this.spec.label); // without the value, which is its own
    const label = element("label", {}, words, this.out, input);
    this.root.append(label);
    if (this.spec.play) this.root.append((this.player = this.playButton()));
    if (this.spec.play) this.root.classList.add("won-plays");
  }

  playButton() {
    const node = element("button", { type: "button", class: "won-play" });
    node.addEventListener("click", () => this.hand.play(this.name));
    this.playing = (on) => {
      node.textContent = on ? "❚❚" : "▶";
      node.setAttribute("aria-label", `${on ? "stop" : "play"}: ${this.spec.label}`);
    };
    this.playing(false);
    return node;
  }
}

class Slider extends Control {
  constructor(name, spec, hand) {
    super(name, spec, hand);
    const { low, high, step } = spec;
    this.node = this.range({ min: low, max: high, step }, (value) => this.input(value));
    this.line(this.node);
  }

  show(value) {
    this.node.value = value;
    this.out.textContent = this.text(value);
    this.node.setAttribute("aria-valuetext", this.text(value));
  }

  text(value) {
    return said(this.spec, value);
  }

  describe(value) {
    const { low, high } = this.spec;
    return { ...super.describe(value), low, high };
  }

  value(start, amount, times) {
    return nearest(this.spec, times ? start * 10 ** amount : start + amount);
  }

  stepped(value, steps) {
    return nearest(this.spec, value + steps * this.spec.step);
  }
}

/** A number of a slider or of bars in words. */
const said = ({ decimals, unit }, number) => fixed(number, decimals, true) + (unit && ` ${unit}`);

/** The allowed value nearest to a number. */
function nearest({ low, high, step, decimals }, number) {
  const within = Math.min(high, Math.max(low, number));
  return Number(Math.min(high, low + step * Math.round((within - low) / step)).toFixed(decimals));
}

class Choice extends Control {
  constructor(name, spec, hand) {
    super(name, spec, hand);
    this.values = spec.options.map(([, value]) => value);
    if (spec.slide) {
      this.node = this.range({ min: 0, max: this.values.length - 1, step: 1 }, (i) => this.input(this.values[i]));
    } else {
      this.node = element("select", {});
      let group = this.node;
      spec.options.forEach(([words, value], i) => {
        const heading = spec.groups?.[value];
        if (heading) this.node.append((group = element("optgroup", { label: heading })));
        group.append(element("option", { value: i }, words));
      });
      this.node.addEventListener("change", () => {
        this.input(this.values[Number(this.node.value)]);
        this.hand.release(this.name);
      });
    }
    this.line(this.node);
    if (!spec.slide) this.out.hidden = true;
  }

  index(value) {
    return this.values.indexOf(value);
  }

  show(value) {
    this.node.value = this.index(value);
    this.out.textContent = this.text(value);
    if (this.spec.slide) this.node.setAttribute("aria-valuetext", this.text(value));
  }

  text(value) {
    return this.spec.options[this.index(value)]?.[0] ?? "";
  }

  describe(value) {
    return { ...super.describe(value), high: this.values.length - 1, now: this.index(value) };
  }

  value(start, amount, times) {
    const aim = times ? start * 10 ** amount : start + amount;
    const far = (v) => (times ? Math.abs(Math.log(v / aim)) : Math.abs(v - aim));
    return this.values.reduce((best, v) => (far(v) < far(best) ? v : best));
  }

  stepped(value, steps) {
    const last = this.values.length - 1;
    return this.values[Math.min(last, Math.max(0, this.index(value) + steps))];
  }
}

class Switch extends Control {
  constructor(name, spec, hand) {
    super(name, spec, hand);
    this.node = element("input", { type: "checkbox" });
    this.node.addEventListener("change", () => {
      this.input(this.node.checked);
      this.hand.release(this.name);
    });
    this.root.append(element("label", { class: "won-switch" }, this.node, spec.label));
  }

  show(value) {
    this.node.checked = value;
  }

  text(value) {
    return value ? "on" : "off";
  }
}

class Bars extends Control {
  constructor(name, spec, hand) {
    super(name, spec, hand);
    this.root.classList.add("won-bars");
    const { low, high, step, unit, label } = spec;
    const legend = element("legend", {}, unit ? `${label} (${unit})` : label);
    this.nodes = spec.labels.map((words, i) => {
      const named = { min: low, max: high, step, "aria-label": `${label}, ${words}` };
      return this.range(named, (value) => this.input(this.now.with(i, value)));
    });
    this.outs = this.nodes.map(() => element("span", { class: "won-value" }));
    const columns = this.nodes.map((node, i) =>
      element("div", { class: "won-bar" }, this.outs[i], node, element("span", { "aria-hidden": "true" }, spec.labels[i])));
    this.root.append(element("fieldset", {}, legend, element("div", { class: "won-row" }, ...columns)));
  }

  show(value) {
    value.forEach((number, i) => {
      if (number === this.now?.[i]) return;
      this.nodes[i].value = number;
      this.outs[i].textContent = said(this.spec, number).split(" ")[0];
      this.nodes[i].setAttribute("aria-valuetext", said(this.spec, number));
    });
    this.now = value;
  }

  describe(value, index) {
    const { label, labels, low, high } = this.spec;
    return { label: `${label}, ${labels[index]}`, low, high, now: value[index], text: said(this.spec, value[index]) };
  }

  value(start, amount, times, index) {
    return start.with(index, nearest(this.spec, start[index] + amount));
  }

  stepped(value, steps, index) {
    return value.with(index, nearest(this.spec, value[index] + steps * this.spec.step));
  }
}

/** Numbers that the hand on the picture moves: nothing stands for them among the controls. */
class Curve extends Control {
  constructor(name, spec, hand) {
    super(name, spec, hand);
    this.root.hidden = true;
  }

  show() {}
}

class Dice extends Control {
  constructor(name, spec, hand) {
    super(name, spec, hand);
    this.node = element("button", { type: "button" }, element("span", { "aria-hidden": "true" }, "⚄ "), spec.label);
    this.node.addEventListener("click", () => {
      this.input(this.now + 1);
      this.hand.release(this.name);
    });
    this.root.append(this.node);
  }

  show(value) {
    this.now = value;
  }
}

const KINDS = { Slider, Choice, Switch, Bars, Curve, Dice };
