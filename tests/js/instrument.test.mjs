// What a hand writes into the instrument's state, and what is read there; what is computed of it is
// compared with Python in tests/panels/test_instrument.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import { asDrawn, FINE, fixed, penned, stroked, weighting } from "../../course_utils/widgets/js/arithmetic.js";
import { formatted, fromAddress, known } from "../../course_utils/widgets/js/instrument.js";

const STATE = {
  objective: "elbo", shift: 0, gains: [0, 0, 0, 0, 0, 0, 0], brush: [], drawn: [],
  unit_variance: false, monotone_lock: false, log_snr_min: -10, log_snr_max: 10,
};
const close = (a, b, tolerance = 1e-9) => assert.ok(Math.abs(a - b) <= tolerance, `${a} and ${b}`);

test("a stroke lifts w where it is, by what the hand says", () => {
  const brush = stroked([], 2.5, 0.7, 1);
  const w = weighting({ ...STATE, brush }).at;
  close(Math.log10(w(2.5)), 0.7, 1e-4);
  close(Math.log10(w(3.5)), 0.7 * Math.exp(-0.5), 1e-3);
  close(w(-8), 1, 1e-6);
});

test("the pencil draws between two points and nowhere else", () => {
  const before = asDrawn(STATE);
  const drawn = penned(before, { x: -2, y: 1 }, { x: 2, y: 0.01 });
  FINE.forEach((x, i) => {
    if (Math.abs(x) <= 2) close(drawn[i], -(x + 2) / 2, 1e-3);
    else if (Math.abs(x) > 2.1) close(drawn[i], before[i]);
  });
  close(Math.log10(weighting({ ...STATE, objective: "drawn", drawn }).at(0)), -1, 1e-3);
  const rising = { ...STATE, gains: [-2, -1, 0, 0, 0, 0, 0] }; // a lock raises it, and is none of the drawing
  assert.deepEqual(asDrawn({ ...rising, monotone_lock: true }), asDrawn(rising));
});

test("Python's format strings", () => {
  const values = { a: 0.9481893, b: -0.00001, n: 2211.4, share: 0.99678, words: "w" };
  assert.equal(formatted("{a:.6f} = {a:.3f} nats", values), "0.948189 = 0.948 nats");
  assert.equal(formatted("{b:z.2f}", values), "0.00");
  assert.equal(formatted("{n:,.0f} km/s, {share:.2%}, {words}", values), "2,211 km/s, 99.68%, w");
  assert.deepEqual([fixed(-3.31, 1), fixed(1.25, 1), fixed(-0.01, 1)], ["−3.3", "1.2", "0.0"]);
});

test("the state of an address", () => {
  assert.deepEqual(fromAddress(`#w=${encodeURIComponent('{"shift":2}')}`), { shift: 2 });
  assert.deepEqual(fromAddress("#w=%7Bbroken"), {});
  assert.deepEqual(fromAddress(""), {});
  const controls = {
    shift: { kind: "Slider", low: -6, high: 6 }, objective: { kind: "Choice", options: [["EDM", "edm"]] },
    drawn: { kind: "Curve", n: 3 },
  };
  const good = { shift: 2, objective: "edm", drawn: [1, 2, 3] };
  assert.deepEqual(known({ controls }, good), good);
  const bad = { shift: 7, objective: "nothing", drawn: [1, "x", 3], more: 1 };
  assert.deepEqual(known({ controls }, bad), {});
});
