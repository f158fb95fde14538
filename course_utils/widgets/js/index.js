/**
 * The panels in the browser, one module for all hosts.
 *
 * Default export: what anywidget wants. `mount(element, page)`: the instrument on a page without a
 * kernel. `host(element, recording)`: a panel on a page without a
 * kernel, from what ../panel.py recorded along some of its controls.
 */
import { InstrumentView } from "./instrument.js";
import { PanelView } from "./panel.js";

function render(context) {
  return context.model.get("spec").local ? instrument(context) : asking(context);
}

/** The instrument: it computes for itself, and tells Python when the hand has let go. */
function instrument({ model, el }) {
  let known = JSON.stringify(model.get("values"));
  const view = new InstrumentView(el, model.get("spec"), model.get("values"), {
    save: (values) => {
      known = JSON.stringify(values);
      model.set("values", values);
      model.save_changes();
    },
    table: (wanted) => model.send({ wanted }),
  });
  const assigned = () => {
    const values = model.get("values");
    if (JSON.stringify(values) !== known) view.assigned(values);
    known = JSON.stringify(values);
  };
  const brought = (message) => view.addTable(message.wanted, message.table);
  model.on("change:values", assigned);
  model.on("msg:custom", brought);
  return () => {
    model.off("change:values", assigned);
    model.off("msg:custom", brought);
    view.destroy();
  };
}

/**
 * Show the instrument on a page without a kernel, from the JSON of `Instrument.page`.
 * `state`: values to start with; `address`: keep the state in the page's address.
 */
export function mount(element, { spec, values }, state = {}, { address = false } = {}) {
  const own = { ...spec, still: decoded(spec.still) };
  return new InstrumentView(element, own, { ...values, ...state }, { address });
}

/** A panel whose arithmetic is Python's. */
function asking({ model, el }) {
  const id = Math.random().toString(36).slice(2);
  const send = (values, n) => model.send({ values, from: id, n });
  const panel = new PanelView(el, model.get("spec"), model.get("values"), send);
  const follow = () => {
    const [from, n] = model.get("answer");
    panel.answer({
      values: model.get("values"),
      frame: model.get("frame"),
      fields: model.get("fields"),
      error: model.get("error"),
      mine: from === id ? n : undefined,
    });
  };
  model.on("change", follow);
  follow();
  return () => {
    model.off("change", follow);
    panel.destroy();
  };
}

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const decoded = (part) => part?.data && { ...part, data: bytes(part.data) };

/**
 * Show a recorded panel, {spec, controls, states: [{values, frame, fields}]}; returns its end.
 * One control moves at a time: the others go back to where they started.
 */
export function host(element, { spec, controls, states }) {
  const own = { ...spec, still: decoded(spec.still), presets: {}, question: null };
  own.controls = Object.fromEntries(controls.map((name) => [name, spec.controls[name]]));
  const stays = (item) => item.kind !== "Handle" || controls.includes(item.control);
  const kept = (plot) => plot && { ...plot, items: plot.items.filter(stays) };
  own.rows = spec.rows.map((row) => row.map(kept));
  let fields = null; // of the state before, where a state has none
  const all = states.map((s) => {
    fields = s.fields ? decoded(s.fields) : fields;
    return { ...s, frame: decoded(s.frame), fields };
  });
  let shown = all[0];
  const far = (a, b) => (typeof a === "number" ? Math.abs(a - b) : Number(a !== b));
  const nearest = (values) => {
    const moved = controls.find((name) => values[name] !== shown.values[name]) ?? controls[0];
    const others = controls.filter((name) => name !== moved);
    const along = all.filter((s) => others.every((name) => s.values[name] === own.start[name]));
    const distance = (state) => far(state.values[moved], values[moved]);
    return along.reduce((best, state) => (distance(state) < distance(best) ? state : best));
  };
  const panel = new PanelView(element, own, own.start, (values, n) => {
    shown = nearest(values);
    queueMicrotask(() => panel.answer({ ...shown, mine: n }));
  });
  panel.answer(shown);
  return () => panel.destroy();
}

export default { render };
