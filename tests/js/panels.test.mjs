// The arithmetic of the panels' module: limits, scales, ticks, layout, and what a drag makes of a
// control's value. Run by tests/test_panels_js.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeControl } from "../../course_utils/widgets/js/controls.js";
import { extent, follow, layout, readable, scaleOf, snapped, ticksOf, trace, Values, wanted } from "../../course_utils/widgets/js/draw.js";
import { unpack } from "../../course_utils/widgets/js/panel.js";

const linear = { scale: "linear", linear: 1, ticks: null };
const axis = (more) => ({ ...linear, label: "x", ...more });
const plot = (more) => ({ title: "a plot", x: axis(), y: axis(), width: 1, cursor: "", items: [], ...more });

test("a scale and its inverse agree, and a movement is in the axis's own units", () => {
  for (const [scale, low, high] of [["linear", -3, 5], ["log", 0.01, 100], ["asinh", -50, 400], ["sqrt", 0, 5]]) {
    const s = scaleOf({ ...linear, scale }, [low, high], [40, 240]);
    assert.ok(Math.abs(s.to(low) - 40) < 1e-9 && Math.abs(s.to(high) - 240) < 1e-9, scale);
    for (const pixel of [40, 77, 150, 240]) assert.ok(Math.abs(s.to(s.from(pixel)) - pixel) < 1e-6, scale);
  }
  const log = scaleOf({ ...linear, scale: "log" }, [0.01, 100], [40, 240]);
  assert.ok(Math.abs(log.move(40, 90) - 1) < 1e-12); // a decade is 50 pixels
  const downwards = scaleOf(linear, [0, 10], [200, 0]);
  assert.equal(downwards.move(200, 100), 5);
});

test("limits stand still in the hand, widen when something leaves, and settle afterwards", () => {
  const own = [0, 1];
  assert.deepEqual(wanted(linear, own, [0.2, 0.9]), [0, 1]);
  const wide = wanted(linear, own, [0.2, 2.6]);
  assert.deepEqual(wide, [0, 3]);
  assert.deepEqual(follow([0, 3], wanted(linear, own, [0, 0.5]), true), [0, 3]);
  assert.deepEqual(follow([0, 3], wanted(linear, own, [0, 6]), true), [0, 7]);
  assert.deepEqual(follow([0, 3], wanted(linear, own, [0, 0.5]), false), [0, 1]);
  assert.deepEqual(follow(undefined, [0, 1], true), [0, 1]);
  assert.deepEqual(wanted(linear, [-1, 1], [-4.5, 0]), [-5, 1]);
  const log = wanted({ ...linear, scale: "log" }, [0.01, 1], [3e-4, 20]);
  assert.ok(Math.abs(log[0] - 1e-4) < 1e-15 && log[1] === 100);
  assert.deepEqual(wanted({ ...linear, scale: "log" }, [0.01, 1], [0, 0.5]), [0.01, 1]);
});

test("round numbers are above, and not far", () => {
  for (let value = 1e-6; value < 1e6; value *= 1.07) {
    const limit = snapped(value);
    assert.ok(limit >= 0.998 * value && limit <= 1.7 * value, `${value} ${limit}`);
    assert.equal(snapped(-value), -limit);
  }
});

test("what an item shows", () => {
  const values = new Values({ y: { shape: [3], data: Float32Array.of(2, NaN, -1, Infinity, -1e39) }, one: { shape: [], data: [4] } });
  const line = { kind: "Line", x: "one", y: "y" };
  assert.deepEqual(extent(line, values, "y"), [-1, 2]);
  assert.deepEqual(extent({ kind: "Area", x: "one", y: "one" }, values, "y"), [0, 4]);
  assert.deepEqual(extent({ kind: "Bars", edges: "y", heights: "one", start: 0, sideways: true }, values, "x"), [0, 4]);
  assert.equal(extent({ kind: "Words" }, values, "y"), null);
  assert.deepEqual(values.array(["one", 7]), [4, 7]);
});

test("numbers are read without powers of e, with a true minus", () => {
  const cases = [[0, "0"], [-1.5, "−1.5"], [12345, "12,345"], [0.001, "0.001"], [1e-6, "10⁻⁶"], [-2e7, "−2·10⁷"]];
  for (const [value, words] of cases) assert.equal(readable(value), words);
});

test("ticks are inside the limits, and a decade apart on a log axis", () => {
  const words = (a, limits, room) => ticksOf(a, limits, room, 50).map(([, w]) => w);
  assert.deepEqual(words({ ...linear, scale: "log" }, [0.01, 100], 400), ["0.01", "0.1", "1", "10", "100"]);
  assert.deepEqual(words({ ...linear, ticks: [0, [1, "one"], 5] }, [0, 2], 400), ["0", "one"]);
  assert.deepEqual(words({ ...linear, ticks: [] }, [0, 2], 400), []);
});

test("a line keeps its corners and gaps, and goes by every point within a tenth of a pixel", () => {
  const traced = (xs, ys) => {
    const parts = [];
    const c = { moveTo: (x, y) => parts.push([[x, y]]), lineTo: (x, y) => parts.at(-1).push([x, y]) };
    trace(c, xs.length, (i) => xs[i], (i) => ys[i]);
    return parts;
  };
  const xs = Array.from({ length: 401 }, (_, i) => 0.75 * i);
  const ys = xs.map((x) => 100 * Math.exp(-(((x - 150) / 20) ** 2)) + (x > 250 ? 40 : 0));
  const [line] = traced(xs, ys);
  assert.ok(line.length < 120, `${line.length}`);
  xs.forEach((x, i) => {
    const k = Math.max(1, line.findIndex(([a]) => a >= x));
    const [[a, b], [c, d]] = [line[k - 1], line[k]];
    assert.ok(Math.abs(b + ((d - b) * (x - a)) / (c - a) - ys[i]) < 0.101, `${x}`);
  });
  assert.deepEqual(traced([0, 1, 2, 3, 4, 5], [1, 1, 1, NaN, 2, 2]), [[[0, 1], [2, 1]], [[4, 2], [5, 2]]]);
  const back = [[5, 0], [3, 1], [4, 2], [4, 3]]; // where x does not grow, every point
  const [all] = traced(back.map(([x]) => x), back.map(([, y]) => y));
  for (const point of back) assert.ok(all.some(([x, y]) => x === point[0] && y === point[1]), `${point}`);
});

test("three plots in a row, then two, then one; none outside, none on another", () => {
  const plots = [plot({ width: 2 }), plot({ y: axis({ ticks: [] }) }), plot({ items: [{ kind: "Line", label: "a line" }] })];
  const scene = { rows: [plots, [plot(), null, null]], height: [300, 150] };
  const columns = {};
  for (const width of [940, 600, 390]) {
    const { height, boxes } = layout(scene, width);
    const all = [...boxes.values()];
    assert.equal(all.length, 4);
    columns[width] = new Set(all.map((b) => b.x)).size;
    for (const a of all) {
      assert.ok(a.x >= 0 && a.x + a.w <= width && a.y >= 0 && a.y + a.h <= height && a.w > 100, `${width}`);
      for (const b of all) {
        const apart = a === b || a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        assert.ok(apart, `${width}`);
      }
    }
  }
  assert.deepEqual(columns, { 940: 3, 600: 2, 390: 1 });
  const wide = [plot({ width: 3 }), plot({ title: "a title that needs some room of its own" })];
  for (const [width, shares] of [[1700, 3], [600, 1]]) { // where the title would leave its plot, both are as wide
    const [a, b] = layout({ rows: [wide], height: [200] }, width).boxes.values();
    assert.ok(Math.abs((a.w + 70) / (b.w + 70) - shares) < 0.1 && b.w > 200, `${width}`);
  }
  const { boxes } = layout({ rows: [[plots[0], plots[2]], [plots[0], null]], height: [200, 100] }, 940);
  assert.ok(boxes.size === 2);
});

test("a drag adds to what was grabbed, rounds to steps and stops at the ends", () => {
  globalThis.document = { createElement: () => element() };
  const sliding = { kind: "Slider", label: "t", low: 0, high: 1, step: 0.05, decimals: 2, unit: "s", value: 0 };
  const slider = makeControl("t", sliding, {});
  assert.equal(slider.value(0.5, 0.13, false), 0.65);
  assert.equal(slider.value(0.5, 9, false), 1);
  assert.equal(slider.value(0.1, 0.5, true), 0.3); // 0.1 · 10^0.5
  assert.equal(slider.stepped(0.5, -2), 0.4);
  assert.equal(slider.stepped(0.5, Infinity), 1);
  assert.equal(slider.describe(0.5).text, "0.50 s");
  const listed = { kind: "Choice", label: "N", slide: true, options: [20, 40, 80, 200].map((n) => [`${n}`, n]) };
  const choice = makeControl("n", listed, {});
  assert.equal(choice.value(40, 0.35, true), 80); // 40 · 10^0.35 = 89.5
  assert.equal(choice.value(40, -25, false), 20);
  assert.equal(choice.stepped(80, 10), 200);
  const row = { kind: "Bars", label: "gain", labels: ["a", "b"], low: -2, high: 2, step: 0.1, decimals: 1, unit: "dB" };
  const bars = makeControl("g", row, {});
  assert.deepEqual(bars.value([0, 0.5], 0.31, false, 1), [0, 0.8]);
  assert.deepEqual(bars.stepped([0, 0.5], -1, 0), [-0.1, 0.5]);
  assert.equal(bars.describe([0, 0.5], 1).label, "gain, b");
});

function element() {
  const node = { dataset: {}, classList: { add() {} }, addEventListener() {}, setAttribute() {}, append() {} };
  return node;
}

test("arrays come one after another, wherever they lie in a larger buffer", () => {
  const whole = new ArrayBuffer(40);
  new Float32Array(whole).set([9, 1, 2, 3, 4]);
  const part = { shapes: { a: [], b: [1, 2] }, data: new DataView(whole, 4, 12) };
  const found = unpack(part, Float32Array);
  assert.deepEqual([...found.a.data, ...found.b.data], [1, 2, 3]);
  assert.deepEqual(found.b.shape, [1, 2]);
});
