/**
 * The arithmetic of the instrument: pure functions of a state and of tables; nothing here draws.
 *
 * The tables come from Python: e(λ) from posterior variances, L(λ) from log densities. Neither is
 * ever computed from the other, so the two sides of S5 agree only if both are right.
 */

export const RANGE = [-10, 10]; // the course's levels λ
export const KNOTS = [-9, -6, -3, 0, 3, 6, 9]; // where `gains` bend w
export const FINE = levels(...RANGE, 161); // where `brush` bends w, and where a drawn curve is known
const SCAN = 4001; // levels on which w is judged and p_w is summed, as in Python
const DRAWN = 401; // levels that are drawn: every tenth of these
const LAYERS = 6; // levels of p_w at which the data are smoothed
const [LOWEST, FAINTEST] = [1e-4, 1e-8]; // of p and of w on their logarithmic axis
const ROUNDING = 1e-9; // of w's largest value: a total rise below this is no rise
const LN10 = Math.log(10);

/** `n` levels from `low` to `high`, both included. */
export function levels(low, high, n) {
  const step = (high - low) / (n - 1);
  const x = new Float64Array(n);
  for (let i = 0; i < n - 1; i++) x[i] = low + i * step;
  x[n - 1] = high;
  return x;
}

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const logCosh = (x) => softplus(2 * x) - x - Math.LN2;
const normal = (x, mean, sd) => -((x - mean) ** 2) / (2 * sd * sd);

/** Linear β from 0.1 to 20: log(−dt/dλ), up to a constant. It ends at t = 1, its noisiest level. */
const LINEAR_END = -Math.log(Math.expm1(10.05));
const linearBeta = (x) =>
  x < LINEAR_END ? -Infinity : -softplus(x) - Math.log(0.01 + 39.8 * softplus(-x)) / 2;
const cosine = (x) => -logCosh(x / 2);
const flow = (x) => -2 * logCosh(x / 4);

/**
 * Published objectives: log p(λ) and log w(λ), up to constants, with the parameters in `s`.
 * `breaks` are levels at which w has a corner or a jump. Python derives the same from schedule, prediction and
 * weight; the tests compare the two.
 */
export const OBJECTIVES = {
  elbo: { density: cosine, weight: () => 0 },
  ve_eps: { density: () => 0, weight: () => 0 },
  vp_linear_eps: {
    density: linearBeta,
    weight: linearBeta,
    breaks: () => [LINEAR_END - 1e-11, LINEAR_END + 1e-11],
  },
  cosine_eps: { density: cosine, weight: cosine },
  cosine_v: { density: cosine, weight: (x) => -x / 2 },
  cosine_x: { density: cosine, weight: (x) => cosine(x) - x },
  flow_matching: { density: flow, weight: (x) => -x / 2 },
  indi: { density: flow, weight: (x) => flow(x) - x },
  sd3: {
    density: (x) => normal(x, 0, 2),
    weight: (x) => normal(x, 0, 2) + 2 * softplus(-x / 2),
  },
  edm: { density: (x) => normal(x, 2.4, 2.4), weight: edm },
  edm_monotonic: { density: (x) => normal(x, 2.4, 2.4), weight: edm, monotone: true },
  p2: { density: cosine, weight: (x, s) => cosine(x) - s.p2_gamma * softplus(x) },
  min_snr: {
    density: cosine,
    weight: (x, s) => cosine(x) - x + Math.min(x, Math.log(s.min_snr_gamma)),
    breaks: (s) => [Math.log(s.min_snr_gamma)],
  },
  truncated_snr: {
    density: cosine,
    weight: (x) => cosine(x) - x + Math.max(x, 0),
    breaks: () => [0],
  },
  sigmoid: { density: cosine, weight: (x, s) => -softplus(x - s.sigmoid_bias) },
};

function edm(x, s) {
  return normal(x, 2.4, 2.4) + softplus(-x - 2 * Math.log(s.edm_data_sd));
}

/**
 * A smooth curve without overshoot through y at the evenly spaced x (PCHIP), constant outside.
 * @returns {(x: number) => number}
 */
export function pchip(x, y) {
  const n = x.length;
  const h = (x[n - 1] - x[0]) / (n - 1);
  const slope = (i) => (y[i + 1] - y[i]) / h;
  const end = (first, second) => {
    const d = (3 * first - second) / 2;
    if (d * first <= 0) return 0;
    return first * second < 0 && Math.abs(d) > 3 * Math.abs(first) ? 3 * first : d;
  };
  const d = new Float64Array(n);
  for (let i = 1; i < n - 1; i++) {
    const [before, after] = [slope(i - 1), slope(i)];
    d[i] = before * after > 0 ? (2 * before * after) / (before + after) : 0;
  }
  d[0] = end(slope(0), slope(1));
  d[n - 1] = end(slope(n - 2), slope(n - 3));
  return (at) => {
    const place = Math.min(Math.max((at - x[0]) / h, 0), n - 1);
    const i = Math.min(Math.floor(place), n - 2);
    const t = place - i;
    const rise = y[i + 1] - y[i];
    const a = h * d[i] - rise;
    const b = rise - h * d[i + 1];
    return y[i] + t * rise + t * (1 - t) * ((1 - t) * a + t * b);
  };
}

/** An objective that has no formula here: log₁₀ of its w and p at `FINE`, under a key of its own. */
export function tabulated(key, { w, p }) {
  const [weight, density] = [w, p].map((table) => pchip(FINE, decoded(table)));
  const breaks = () => [...FINE];
  OBJECTIVES[key] = { weight: (x) => LN10 * weight(x), density: (x) => LN10 * density(x), breaks };
}

/** The tables as Python packs them, numbers in base64, made ready for `compute`. */
export function unpacked(tables) {
  for (const [key, table] of Object.entries(tables.objectives)) tabulated(key, table);
  const curves = {};
  for (const [name, curve] of Object.entries(tables.curves)) curves[name] = decodedCurve(curve);
  return { ...tables, points: decoded(tables.points), places: levels(...tables.places), curves };
}

/** The tables of e and of L of one curve. */
export const decodedCurve = ({ e, L }) => ({ e: decoded(e), L: decoded(L) });

/** An array of 64-bit floats from `{dtype, data}`: little-endian, in base64. */
function decoded({ dtype, data }) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  return Float64Array.from(new (dtype === "float32" ? Float32Array : Float64Array)(bytes.buffer));
}

/** The values of `f` at all of `x`. */
function values(f, x) {
  const y = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) y[i] = f(x[i]);
  return y;
}

function largest(y) {
  let most = -Infinity;
  for (let i = 0; i < y.length; i++) if (y[i] > most) most = y[i];
  return most;
}

/**
 * The smallest monotone function nowhere below f on [low, high]: max f(s) over λ ≤ s ≤ high.
 *
 * Below the range it is constant, above it f itself. `breaks` are the corners it makes; `y`, given
 * and returned, are the values at the levels of the scan.
 */
export function runningMaximum(f, low, high, y = values(f, levels(low, high, SCAN))) {
  const x = levels(low, high, SCAN);
  const least = 1e-14 * largest(y);
  const summits = []; // from the data end, each higher than those before
  const breaks = [];
  let height = -Infinity;
  for (let i = SCAN - 1; i > 0; i--) {
    const top = y[i] - y[i - 1] > least && (i === SCAN - 1 || y[i + 1] - y[i] <= least);
    if (top) {
      const at = i === SCAN - 1 ? high : summit(f, x[i - 1], x[i + 1]);
      if (f(at) > height) {
        height = f(at);
        summits.push({ at, height });
        breaks.push(at);
      }
    }
    if (y[i - 1] > height && y[i] <= height) {
      breaks.push(crossing((s) => f(s) - height, x[i - 1], x[i]));
    }
  }
  const at = (level) => {
    const inside = Math.max(level, low);
    let highest = f(inside);
    for (const s of summits) if (s.at >= inside) highest = Math.max(highest, s.height);
    return highest;
  };
  const raised = y.slice();
  let [highest, next] = [-Infinity, 0];
  for (let i = SCAN - 1; i >= 0; i--) {
    while (next < summits.length && summits[next].at >= x[i]) ({ height: highest } = summits[next++]);
    raised[i] = Math.max(y[i], highest);
  }
  return { at, breaks, y: raised };
}

/** Where f is largest between a and b, by golden section. */
function summit(f, a, b) {
  const golden = (Math.sqrt(5) - 1) / 2;
  for (let k = 0; k < 44; k++) {
    const [left, right] = [b - golden * (b - a), a + golden * (b - a)];
    if (f(left) < f(right)) a = left;
    else b = right;
  }
  return (a + b) / 2;
}

/** Where f, positive at a and not at b, crosses zero. */
function crossing(f, a, b) {
  for (let k = 0; k < 44; k++) {
    const middle = (a + b) / 2;
    if (f(middle) > 0) a = middle;
    else b = middle;
  }
  return (a + b) / 2;
}

const isEdm = (s) => ["edm", "edm_monotonic"].includes(s.objective);

/** By how much λ moves when EDM's data are divided by their standard deviation. */
const toUnitVariance = (s) => (s.unit_variance && isEdm(s) ? 2 * Math.log(s.edm_data_sd) : 0);

/**
 * The objective's own w(λ) and p(λ), shifted: w with 1 as its largest value on the whole range.
 *
 * A curve drawn by hand is what it is: its values are the powers of ten in `s.drawn`.
 */
function unbent(s) {
  if (s.objective === "drawn" && !s.drawn.length) {
    return { at: () => 1, breaks: [], density: () => NaN };
  }
  if (s.objective === "drawn") {
    const curve = pchip(FINE, s.drawn);
    return { at: (x) => 10 ** curve(x), breaks: [], density: () => NaN };
  }
  const { density, weight, monotone, ...its } = OBJECTIVES[s.objective];
  const own = toUnitVariance(s);
  const moved = s.shift + own;
  let at = (x) => Math.exp(weight(x, s));
  let breaks = its.breaks?.(s) ?? [];
  if (monotone) ({ at, breaks } = runningMaximum(at, ...RANGE));
  const most = largest(values((x) => at(x - moved), levels(...RANGE, SCAN)));
  return {
    at: (x) => at(x - moved) / most,
    breaks: breaks.map((x) => x + moved),
    density: (x) => Math.exp(density(x - own)),
  };
}

let kept = [null, null]; // the unbent w of the last state: in a drag of the hand it stays

/**
 * The weighting that a state spells: `at(λ)`, its corners, and the same before it was bent.
 *
 * The gains, powers of ten, act on w as the objective has it, divided by the largest value of that
 * w: where the hand lifts the curve, it rises there and nowhere else.
 */
export function weighting(s) {
  if (spelled[0] !== s) spelled = [s, spell(s)];
  return spelled[1];
}

let spelled = [null, null]; // the last state, and its weighting

function spell(s) {
  const key = JSON.stringify({ ...s, gains: 0, brush: 0 });
  if (kept[0] !== key) kept = [key, unbent(s)];
  const before = kept[1];
  const gains = s.gains.some(Boolean) ? pchip(KNOTS, s.gains) : null;
  const brush = s.brush?.some(Boolean) ? pchip(FINE, s.brush) : null;
  const gain = (x) => (gains ? gains(x) : 0) + (brush ? brush(x) : 0);
  const bent = gains || brush ? (x) => before.at(x) * Math.exp(LN10 * gain(x)) : before.at;
  // at the levels of the scan, where w before it was bent is known already
  const x = levels(s.log_snr_min, s.log_snr_max, SCAN);
  const y = scanned(before.at, x).slice();
  if (gains || brush) for (let i = 0; i < SCAN; i++) y[i] *= Math.exp(LN10 * gain(x[i]));
  const w = { at: bent, breaks: before.breaks, before, x, y };
  if (!s.monotone_lock) return w;
  const locked = runningMaximum(bent, s.log_snr_min, s.log_snr_max, y);
  return { ...w, at: locked.at, breaks: [...w.breaks, ...locked.breaks], y: locked.y };
}

/**
 * A table over the range as a function of λ: the polynomial of degree 7 through the eight nearest.
 * @param {Float64Array} table values at evenly spaced levels
 */
export function interpolated(table) {
  const last = table.length - 1;
  const step = (RANGE[1] - RANGE[0]) / last;
  const weights = [-1, 7, -21, 35, -35, 21, -7, 1];
  const interpolant = (level) => {
    const place = (level - RANGE[0]) / step;
    const first = Math.min(Math.max(Math.floor(place) - 3, 0), last - 7);
    let [above, below] = [0, 0];
    for (let k = 0; k < 8; k++) {
      const far = place - first - k;
      if (Math.abs(far) < 1e-12) return table[first + k];
      const share = weights[k] / far;
      above += share * table[first + k];
      below += share;
    }
    return above / below;
  };
  return interpolant;
}

// Gauss's rule of four points on [−1, 1], for the loss; Lobatto's five, ends included, for the sum.
const GAUSS = [
  [-0.8611363115940526, 0.34785484513745385],
  [-0.33998104358485626, 0.6521451548625461],
  [0.33998104358485626, 0.6521451548625461],
  [0.8611363115940526, 0.34785484513745385],
];
const LOBATTO = [-1, -Math.sqrt(3 / 7), 0, Math.sqrt(3 / 7), 1];

/** M with ∫ f dg ≈ Σ f(x_i) M_ij (g(x_{j+1}) − g(x_j)): exact for polynomials through the points. */
const STIELTJES = (() => {
  const basis = (i, x, skip = -1) =>
    LOBATTO.reduce((p, b, k) => (k === i || k === skip ? p : p * (x - b)), 1);
  const slope = (j, x) => LOBATTO.reduce((sum, _, k) => (k === j ? sum : sum + basis(j, x, k)), 0);
  const norm = LOBATTO.map((a, i) => basis(i, a));
  const byValue = LOBATTO.map((_, i) =>
    LOBATTO.map((_, j) => {
      // of degree 7: Gauss's four points are exact
      const sum = GAUSS.reduce((total, [x, c]) => total + c * basis(i, x) * slope(j, x), 0);
      return sum / (norm[i] * norm[j]);
    }),
  );
  // a step from j to j + 1 raises every later value
  return byValue.map((row) => row.slice(1).map((_, j) => row.slice(j + 1).reduce((a, b) => a + b)));
})();

/** Edges of cells in which w is smooth and changes by less than a factor of e. */
function edges(w, low, high, extra = []) {
  const inside = (x) => x > low && x < high;
  const all = [low, ...[...FINE, ...w.breaks, ...extra].filter(inside), high].sort((a, b) => a - b);
  const found = [low];
  for (let i = 1; i < all.length; i++) {
    const [a, b] = [all[i - 1], all[i]];
    if (b - a < 1e-12) continue;
    const [before, after] = [w.at(a), w.at(b)];
    const parts = before * after > 0 ? Math.ceil(Math.abs(Math.log(after / before)) + 1e-9) : 1;
    for (let k = 1; k < parts; k++) found.push(a + ((b - a) * k) / parts);
    found.push(b);
  }
  return found;
}

/** ½ ∫ w e dλ from a to b, one cell. */
function lossIn(w, e, a, b) {
  const [middle, half] = [(a + b) / 2, (b - a) / 2];
  let sum = 0;
  for (let k = 0; k < GAUSS.length; k++) {
    const level = middle + half * GAUSS[k][0];
    sum += GAUSS[k][1] * w(level) * e(level);
  }
  return (sum * half) / 2;
}

const [WEIGHTS, TERMS] = [new Float64Array(5), new Float64Array(5)]; // of the cell at hand

/** −∫ L dw from a to b, one cell: increments of w, each with a mean of L. */
function elboIn(w, kl, a, b) {
  const [middle, half] = [(a + b) / 2, (b - a) / 2];
  for (let i = 0; i < 5; i++) {
    // the ends to the last digit, or the increments leave gaps
    const level = i === 0 ? a : i === 4 ? b : middle + half * LOBATTO[i];
    WEIGHTS[i] = w(level);
    TERMS[i] = kl(level);
  }
  let sum = 0;
  for (let j = 0; j < 4; j++) {
    let mean = 0;
    for (let i = 0; i < 5; i++) mean += TERMS[i] * STIELTJES[i][j];
    sum -= mean * (WEIGHTS[j + 1] - WEIGHTS[j]);
  }
  return sum;
}

/**
 * Both sides of S5 and what is read off them. `tables` are those of `unpacked`: `blur` (km/s at
 * λ = 0), `fine` (km/s), `points` (the data), `places` (where they are smoothed; null: they are
 * not), `curves`.
 * @returns {{numbers: object, arrays: object}}
 */
export function compute(s, tables) {
  const [low, high] = [s.log_snr_min, s.log_snr_max];
  const w = weighting(s);
  const { error, kl } = curves(tables.curves[`${s.model} ${s.galaxy}`]);
  const fine = 2 * Math.log(tables.blur / tables.fine); // its level
  const blur = (level) => tables.blur * Math.exp(-level / 2);

  const cells = edges(w, low, high, [fine]);
  let [loss, integral, coarse] = [0, 0, 0];
  const upTo = cells.map((b, i) => {
    if (i) {
      loss += lossIn(w.at, error, cells[i - 1], b);
      integral += elboIn(w.at, kl, cells[i - 1], b);
      if (b <= fine + 1e-12) coarse = loss;
    }
    return loss;
  });
  const ends = { noise: w.at(low), data: w.at(high) };
  const parts = { atom: ends.data * kl(high), constant: ends.noise * kl(low) };

  const { x, y } = w;
  const terms = scanned(kl, x);
  const most = largest(y);
  let [positive, negative, below, rise] = [ends.data, 0, 0, 0];
  for (let i = 1; i < SCAN; i++) {
    const mass = y[i - 1] - y[i];
    if (mass >= 0) positive += mass;
    else {
      negative -= mass;
      below -= (mass * (terms[i - 1] + terms[i])) / 2;
    }
    rise += Math.max(-mass, 0);
  }
  const monotone = rise <= ROUNDING * most;
  if (monotone) [negative, below] = [0, 0];
  const numbers = {
    weighted_loss: loss,
    sum_of_elbos: integral + parts.atom - parts.constant,
    ...parts,
    integral,
    below, // the part of the integral that counts against: where p_w is negative
    atom_mass: ends.data,
    positive,
    negative,
    negative_share: below / loss,
    monotone,
    verdict: verdict(x, y, monotone, most),
    peak: peak(w.at, x, y, most),
    ...convention(s),
    median: blur(medianLevel(w.at, error, cells, upTo, loss)),
    coarse: coarse / loss,
  };
  const gained = integral + below;
  // what the right side's bar is made of: ends of its parts, in nats
  const bar = { gained, with_atom: gained + parts.atom, kept: integral + parts.atom };
  const arrays = { ...drawn(s, w, x, y, error, terms, tables), ...bar, low, high };
  arrays.knots = KNOTS.map((x) => (x >= low && x <= high ? onPaper(w.at(x), FAINTEST) : NaN));
  const drawnLoss = sumOf(arrays.half, arrays.grid);
  arrays.share = arrays.half.map((height) => height / drawnLoss);
  return { numbers, arrays };
}

/** ∫ y dx by the trapezoid rule. */
function sumOf(y, x) {
  let sum = 0;
  for (let i = 1; i < x.length; i++) sum += ((y[i] + y[i - 1]) / 2) * (x[i] - x[i - 1]);
  return sum;
}

/** What is shown at one level: the weight, the error, the ELBO term, and p_w there. */
export function reading(s, tables, level) {
  const { error, kl } = curves(tables.curves[`${s.model} ${s.galaxy}`]);
  const w = weighting(s).at;
  const near = 0.01;
  const rate = (w(level - near) - w(level + near)) / (2 * near);
  return { blur: tables.blur * Math.exp(-level / 2), w: w(level), e: error(level), L: kl(level), rate };
}

/** A state's w as a curve drawn by hand: powers of ten at the levels `FINE`, before it is locked. */
export function asDrawn(s) {
  const w = weighting({ ...s, monotone_lock: false }).at;
  return Array.from(FINE, (x) => Number(Math.log10(Math.max(w(x), 1e-12)).toFixed(4)));
}

/**
 * Gains after a stroke of the brush that lifts w by `up` powers of ten at a level, and by less
 * around it: a bell of that width.
 */
export function stroked(gains, level, up, width) {
  const bounded = (gain) => Math.min(6, Math.max(-6, Number(gain.toFixed(4))));
  const before = gains.length ? gains : new Array(FINE.length).fill(0);
  return before.map((gain, i) => bounded(gain + up * Math.exp(-(((FINE[i] - level) / width) ** 2) / 2)));
}

/** A drawn curve after the pencil went from one point to another, {x, y}, y the weight. */
export function penned(curve, from, to) {
  const [left, right] = from.x <= to.x ? [from, to] : [to, from];
  const half = (FINE[1] - FINE[0]) / 2;
  const logs = [left, right].map(({ y }) => Math.min(30, Math.max(-30, Math.log10(Math.max(y, 1e-30)))));
  return curve.map((height, i) => {
    if (FINE[i] < left.x - half || FINE[i] > right.x + half) return height;
    const share = right.x > left.x ? Math.min(1, Math.max(0, (FINE[i] - left.x) / (right.x - left.x))) : 1;
    return Number((logs[0] + share * (logs[1] - logs[0])).toFixed(4));
  });
}

/** Say which λ EDM's is; nothing for other objectives. */
function convention(s) {
  if (!isEdm(s)) return {};
  const sd = Number(s.edm_data_sd.toPrecision(6));
  const moved = toUnitVariance(s);
  const words = moved
    ? `λ for data of variance 1: EDM's −2 ln σ moved by 2 ln ${sd} = ${fixed(moved, 2)}`
    : `λ = −2 ln σ as EDM has it, for data of standard deviation ${sd}`;
  return { convention: words };
}

const interpolants = new WeakMap();

/** e and L as functions of λ; the same table is not prepared twice. */
function curves(curve) {
  if (!interpolants.has(curve)) {
    interpolants.set(curve, { error: interpolated(curve.e), kl: interpolated(curve.L) });
  }
  return interpolants.get(curve);
}

const scans = new WeakMap();

/** f at the levels x; kept while range and curve stay. */
function scanned(f, x) {
  const known = scans.get(f);
  if (known && known.x[0] === x[0] && known.x[SCAN - 1] === x[SCAN - 1]) return known.y;
  const y = values(f, x);
  scans.set(f, { x, y });
  return y;
}

/** The level below which half of the loss lies. */
function medianLevel(w, e, cells, upTo, loss) {
  const i = upTo.findIndex((sum) => sum >= loss / 2);
  if (i <= 0) return cells[0];
  const missing = (b) => loss / 2 - upTo[i - 1] - lossIn(w, e, cells[i - 1], b);
  return crossing(missing, cells[i - 1], cells[i]);
}

/** Where w is largest: the lowest such level. */
function peak(w, x, y, most) {
  const i = y.findIndex((height) => height >= most * (1 - ROUNDING));
  return i === 0 || i === SCAN - 1 ? x[i] : summit(w, x[i - 1], x[i + 1]);
}

/** Say whether w is monotone and, if not, where it rises with λ. */
function verdict(x, y, monotone, most) {
  if (monotone) return "w is monotone";
  let steepest = 0;
  for (let i = 1; i < SCAN; i++) steepest = Math.max(steepest, y[i] - y[i - 1]);
  const least = Math.min(ROUNDING * most, steepest / 2);
  const places = []; // [first, last] of the levels between which w rises
  for (let i = 1; i < SCAN; i++) {
    if (y[i] - y[i - 1] <= least) continue;
    if (places.at(-1)?.[1] === i - 1) places.at(-1)[1] = i;
    else places.push([i - 1, i]);
  }
  if (places.length > 1) return `w is not monotone: it rises with λ in ${places.length} places`;
  const [from, to] = places[0].map((i) => fixed(x[i], 1));
  return `w is not monotone: it rises with λ from ${from} to ${to}`;
}

const FORMATS = {}; // making one takes a hundred times as long as using it

/** A number with that many decimals, rounded as Python does; a true minus, never −0. */
export function fixed(number, decimals, useGrouping = false) {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const format = (FORMATS[`${decimals} ${useGrouping}`] ??=
    new Intl.NumberFormat("en", { ...digits, useGrouping, roundingMode: "halfEven" }));
  return format.format(number).replace(/^-(?![0.]*$)/, "−").replace("-", "");
}

/** A value on a logarithmic axis, not a number below `least`. */
const onPaper = (value, least) => (value < least ? NaN : value);

/** What is drawn, at every tenth of the levels x. */
function drawn(s, w, x, y, error, terms, tables) {
  const every = (SCAN - 1) / (DRAWN - 1);
  const arrays = Object.fromEntries(
    ["grid", "heights", "before", "sampled", "half"].map((name) => [name, new Float64Array(DRAWN)]),
  );
  for (const name of ["centres", "rate", "product"]) arrays[name] = new Float64Array(DRAWN - 1);
  const masses = new Float64Array(DRAWN - 1); // of p_w between two levels
  const e = scanned(error, x);
  for (let i = 0; i < DRAWN; i++) {
    const k = i * every;
    arrays.grid[i] = x[k];
    arrays.heights[i] = onPaper(y[k], FAINTEST);
    arrays.before[i] = onPaper(w.before.at(x[k]), FAINTEST);
    arrays.sampled[i] = w.before.density(x[k]);
    arrays.half[i] = (y[k] * e[k]) / 2;
    if (!i) continue;
    const before = k - every;
    masses[i - 1] = y[before] - y[k];
    arrays.centres[i - 1] = (x[before] + x[k]) / 2;
    arrays.rate[i - 1] = masses[i - 1] / (x[k] - x[before]);
    arrays.product[i - 1] = (arrays.rate[i - 1] * (terms[before] + terms[k])) / 2;
  }
  const p = largest(values(w.before.density, FINE));
  arrays.sampled = arrays.sampled.map((height) => onPaper(height / p, LOWEST));
  return tables.places ? { ...arrays, ...layers(masses, y[SCAN - 1], arrays, tables) } : arrays;
}

/** The data smoothed at the middles of six equal parts of |p_w|, the noisiest first. */
function layers(masses, atom, { grid, centres }, tables) {
  const total = masses.reduce((sum, mass) => sum + Math.abs(mass), atom);
  const found = { layer_levels: [], layer_negative: [], layer_words: [], layers: [] };
  let [i, sum] = [0, Math.abs(masses[0])];
  for (let k = 0; k < LAYERS; k++) {
    const wanted = ((k + 0.5) / LAYERS) * total;
    while (sum < wanted && i < masses.length) {
      i += 1;
      sum += i < masses.length ? Math.abs(masses[i]) : atom;
    }
    const isAtom = i >= masses.length;
    const level = isAtom ? grid.at(-1) : centres[i];
    const sign = isAtom || masses[i] > 0 ? 1 : -1;
    found.layer_levels.push(level);
    found.layer_negative.push(Number(sign < 0));
    found.layer_words.push(layerWords(level, sign, isAtom, tables));
    found.layers.push(smoothed(tables.points, tables.places, Math.exp(-level / 2)));
  }
  return found;
}

function layerWords(level, sign, isAtom, tables) {
  const blur = Number((tables.blur * Math.exp(-level / 2)).toPrecision(2));
  const words = `${fixed(blur, 0, true)} km/s`;
  return isAtom ? `atom: ${words}` : `${sign > 0 ? "" : "− "}λ ${fixed(level, 1)}: ${words}`;
}

/**
 * The density (1/n) Σ N(x; m, b²) of the points m at evenly spaced x.
 *
 * Along such x a Gaussian is a product: each value is the one before times a factor that itself
 * falls by e^{−(step/b)²} a step, so no exponential is needed but at the middle of each kernel.
 */
export function smoothed(points, x, b) {
  const [n, sum] = [x.length, new Float64Array(x.length)];
  const step = (x[n - 1] - x[0]) / (n - 1);
  const fall = Math.exp(-((step / b) ** 2));
  for (let k = 0; k < points.length; k++) {
    const middle = Math.min(Math.max(Math.round((points[k] - x[0]) / step), 0), n - 1);
    const far = (x[0] + middle * step - points[k]) / b;
    const first = Math.exp((-far * far) / 2);
    let factor = Math.exp(-(far + step / b / 2) * (step / b));
    for (let i = middle, value = first; i < n && value > 1e-15; i++) {
      sum[i] += value;
      value *= factor;
      factor *= fall;
    }
    factor = Math.exp((far - step / b / 2) * (step / b));
    for (let i = middle - 1, value = first * factor; i >= 0 && value > 1e-15; i--) {
      sum[i] += value;
      factor *= fall;
      value *= factor;
    }
  }
  const scale = 1 / (points.length * b * Math.sqrt(2 * Math.PI));
  return sum.map((value) => value * scale);
}
