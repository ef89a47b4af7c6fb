// @ts-check
// The viewer: one image, its window, and the marks of the findings on it. It is
// for looking at what the AI saw, not for diagnosis. No key and no drag of its
// own records a judgment: that is the form's, and the form has no shortcut.

import { Frames, paint } from './frames.js';
import { drawMark } from './ink.js';

/**
 * @typedef {import('./frames.js').Stack} Stack
 * @typedef {import('./frames.js').Frame} Frame
 * @typedef {import('./ink.js').Mark} Mark
 */

/** @template {HTMLElement} T @param {string} id @returns {T} */
const $ = (id) => /** @type {T} */ (document.getElementById(id));

/** @type {{study: string, stacks: Stack[], marks: Mark[], start: number}} */
const view = JSON.parse($('view').textContent ?? '{}');
const stage = $('stage');
/** @type {HTMLCanvasElement} */ const imageCanvas = $('image');
/** @type {HTMLCanvasElement} */ const markCanvas = $('marks');
/** @type {HTMLInputElement} */ const sliceInput = $('slice');
/** @type {HTMLInputElement} */ const levelInput = $('level');
/** @type {HTMLInputElement} */ const widthInput = $('width');
/** @type {HTMLInputElement} */ const scaleInput = $('scale');
/** @type {HTMLInputElement} */ const showInput = $('show');
const words = $('controls').dataset;
const frames = new Frames(view.study);
const picture = document.createElement('canvas'); // the frame at its own size

const state = {
  stack: -1,
  frame: 0,
  center: 0,
  width: 1,
  chosen: false, // the reader chose the window; otherwise each frame brings its own
  zoom: 0, // powers of two beyond the whole image
  x: 0, // pan, in screen pixels
  y: 0,
  /** @type {Frame|null} */ shown: null,
  wanted: 0, // number of the latest frame asked for
  /** @type {Set<string>} */ off: new Set(), // marks that the reader took away
};

const stack = () => view.stacks[state.stack];
const fill = (/** @type {string|undefined} */ text, /** @type {unknown[]} */ ...args) =>
  (text ?? '').replace(/\{(\d)\}/g, (_, n) => String(args[Number(n)]));

/** placing gives the scales and the corner by which image pixels lie on the screen. */
function placing() {
  const g = state.shown?.geometry;
  const box = stage.getBoundingClientRect();
  if (!g) return { sx: 1, sy: 1, left: 0, top: 0, box };
  const [between, along] = g.spacing_mm ?? [0, 0];
  const tall = between > 0 && along > 0 ? between / along : 1;
  const s = Math.min(box.width / g.columns, box.height / (g.rows * tall)) * 2 ** state.zoom;
  const sx = s;
  const sy = s * tall;
  return { sx, sy, box, left: (box.width - g.columns * sx) / 2 + state.x, top: (box.height - g.rows * sy) / 2 + state.y };
}

let drawn = 0;
/** draw asks for one drawing in the next frame of the screen. */
function draw() {
  if (drawn) return;
  drawn = requestAnimationFrame(() => {
    drawn = 0;
    drawImage();
    drawMarks();
    write();
  });
}

/** @param {HTMLCanvasElement} c */
function fresh(c) {
  const dots = devicePixelRatio || 1;
  const { width, height } = stage.getBoundingClientRect();
  const w = Math.max(1, Math.round(width * dots));
  const h = Math.max(1, Math.round(height * dots));
  if (c.width !== w || c.height !== h) {
    c.width = w;
    c.height = h;
  }
  const to = /** @type {CanvasRenderingContext2D} */ (c.getContext('2d'));
  to.setTransform(dots, 0, 0, dots, 0, 0);
  to.clearRect(0, 0, width, height);
  return to;
}

function drawImage() {
  const to = fresh(imageCanvas);
  const g = state.shown?.geometry;
  if (!g) return;
  const { sx, sy, left, top } = placing();
  to.imageSmoothingQuality = 'high';
  to.drawImage(picture, left, top, g.columns * sx, g.rows * sy);
  stage.dataset.shown = state.stack + '/' + state.frame;
}

/** here are the marks on the frame in view. */
const here = () => view.marks.filter((m) => m.stack === state.stack && m.frame === state.frame && !state.off.has(m.key));

function drawMarks() {
  const to = fresh(markCanvas);
  if (!state.shown) return;
  const p = placing();
  if (showInput.checked) for (const m of here()) drawMark(to, m, p);
  drawScale(to, p);
}

/** drawScale draws a length that is known: none where a spacing is only the detector's. */
function drawScale(/** @type {CanvasRenderingContext2D} */ to, /** @type {ReturnType<typeof placing>} */ p) {
  const g = state.shown?.geometry;
  if (!g || g.spacing_kind !== 'pixel' || !(g.spacing_mm?.[1] > 0)) return;
  const perMM = p.sx / g.spacing_mm[1];
  const steps = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];
  const mm = steps.findLast((s) => s * perMM <= 130);
  if (!mm) return;
  const long = mm * perMM;
  const x = (p.box.width - long) / 2;
  const y = p.box.height - 12;
  const path = new Path2D(`M${x} ${y - 5}V${y}H${x + long}V${y - 5}`);
  const text = mm >= 10 ? mm / 10 + ' cm' : mm >= 0.1 ? mm + ' mm' : mm * 1000 + ' µm';
  to.font = '12.5px system-ui, sans-serif';
  to.textAlign = 'center';
  for (const [color, width] of /** @type {[string, number][]} */ ([['#000', 4], ['#dde3e8', 1.5]])) {
    to.strokeStyle = color;
    to.lineWidth = width;
    to.stroke(path);
  }
  to.lineWidth = 3;
  to.strokeStyle = '#000';
  to.strokeText(text, p.box.width / 2, y - 8);
  to.fillStyle = '#dde3e8';
  to.fillText(text, p.box.width / 2, y - 8);
  to.textAlign = 'start';
}

let spoken = 0;
function write() {
  const s = stack();
  const g = state.shown?.geometry;
  if (!s || !g) return;
  const window = s.color ? '' : fill(words.window, Math.round(state.width), Math.round(state.center));
  const where = s.frames.length > 1 ? fill(words.slice, state.frame + 1, s.frames.length) : '';
  $('window').textContent = window;
  $('where').textContent = where;
  $('zoom').textContent = fill(words.zoom, Math.round(2 ** state.zoom * 100) + ' %');
  sliceInput.value = String(state.frame + 1);
  levelInput.value = String(state.center);
  widthInput.value = String(state.width);
  scaleInput.value = String(state.zoom);
  clearTimeout(spoken);
  spoken = setTimeout(() => { $('readout').textContent = [where, window].filter(Boolean).join(', '); }, 500);
}

function trouble(/** @type {string} */ text) {
  $('trouble').textContent = text;
  $('trouble').hidden = !text;
}

/** open shows a frame of a stack. */
async function open(/** @type {number} */ index, /** @type {number} */ at) {
  const s = view.stacks[index];
  if (!s) return;
  if (s.slide) { // slides have a page of their own
    location.assign(`/studies/${view.study}/slides/${s.series}`);
    return;
  }
  if (!s.frames.length) return;
  const fresh = index !== state.stack;
  state.stack = index;
  state.frame = Math.max(0, Math.min(at, Math.max(0, s.frames.length - 1)));
  if (fresh) {
    Object.assign(state, { zoom: 0, x: 0, y: 0, chosen: false });
    setUp(s, index);
  }
  const mine = ++state.wanted;
  const late = setTimeout(() => mine === state.wanted && trouble(words.loading ?? ''), 400);
  try {
    const f = await frames.get(s, state.frame);
    if (mine !== state.wanted) return;
    state.shown = f;
    const g = f.geometry;
    if (!state.chosen) [state.center, state.width] = [g.center, g.width];
    const span = Math.max(1, g.high - g.low);
    [levelInput.min, levelInput.max, levelInput.step] = [String(g.low), String(g.high), span > 100 ? '1' : 'any'];
    [widthInput.min, widthInput.max, widthInput.step] = ['1', String(Math.max(span * 1.2, g.width)), span > 100 ? '1' : 'any'];
    paint(picture, f, state.center, state.width);
    trouble('');
    draw();
    frames.ahead(s, state.frame);
  } catch (e) {
    if (mine !== state.wanted) return;
    state.shown = null;
    draw();
    const status = /** @type {any} */ (e).status;
    trouble((status === 415 ? words.unsupported : words.failed) ?? '');
  } finally {
    clearTimeout(late);
  }
}

/** setUp fits the controls to a stack. */
function setUp(/** @type {Stack} */ s, /** @type {number} */ index) {
  sliceInput.max = String(Math.max(1, s.frames.length));
  $('c-slice').hidden = s.frames.length < 2;
  for (const id of ['c-level', 'c-width', 'full']) $(id).hidden = s.color;
  $('presets').hidden = !s.presets;
  for (const b of document.querySelectorAll('#series button')) {
    b.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (b).dataset.stack === String(index)));
  }
}

/** windowed changes the window by the reader's wish. */
function windowed(/** @type {number} */ center, /** @type {number} */ width) {
  const s = stack();
  if (!state.shown || s.color) return;
  Object.assign(state, { center, width: Math.max(1, width), chosen: true });
  paint(picture, state.shown, state.center, state.width);
  draw();
}

function zoomTo(/** @type {number} */ zoom, /** @type {number|undefined} */ px = undefined, /** @type {number|undefined} */ py = undefined) {
  const { box } = placing();
  const to = Math.max(-2, Math.min(5, zoom));
  const by = 2 ** (to - state.zoom);
  const cx = (px ?? box.width / 2) - box.width / 2;
  const cy = (py ?? box.height / 2) - box.height / 2;
  state.x = cx - (cx - state.x) * by;
  state.y = cy - (cy - state.y) * by;
  state.zoom = to;
  draw();
}

/** goTo shows a finding: its frame, and its place in the middle. */
async function goTo(/** @type {string} */ key) {
  const m = view.marks.find((one) => one.key === key);
  if (!m) return;
  await open(m.stack, m.frame);
  for (const e of document.querySelectorAll('[data-go]')) {
    if (/** @type {HTMLElement} */ (e).dataset.go === key) e.setAttribute('aria-current', 'true');
    else e.removeAttribute('aria-current');
  }
}

const found = [...new Set(view.marks.map((m) => m.key))];
let at = -1;
function next(/** @type {number} */ by) {
  if (!found.length) return;
  at = (at + by + found.length) % found.length;
  goTo(found[at]);
}

function reset() {
  Object.assign(state, { zoom: 0, x: 0, y: 0, chosen: false });
  const f = state.shown;
  if (!f) return;
  [state.center, state.width] = [f.geometry.center, f.geometry.width];
  paint(picture, f, state.center, state.width);
  draw();
}

function full() {
  const g = state.shown?.geometry;
  if (g) windowed((g.low + g.high) / 2, g.high - g.low + 1);
}

const preset = (/** @type {number} */ i) => /** @type {HTMLElement|undefined} */ (document.querySelectorAll('#presets button')[i])?.click();
const pan = (/** @type {number} */ x, /** @type {number} */ y) => { state.x += x; state.y += y; draw(); };

/** @type {Record<string, (shift: boolean) => void>} */
const keys = {
  ArrowUp: () => open(state.stack, state.frame - 1),
  ArrowDown: () => open(state.stack, state.frame + 1),
  PageUp: () => open(state.stack, state.frame - 10),
  PageDown: () => open(state.stack, state.frame + 10),
  ArrowLeft: () => pan(40, 0),
  ArrowRight: () => pan(-40, 0),
  '+': () => zoomTo(state.zoom + 0.25),
  '-': () => zoomTo(state.zoom - 0.25),
  0: reset,
  '[': () => windowed(state.center - 20, state.width),
  ']': () => windowed(state.center + 20, state.width),
  '{': () => windowed(state.center, state.width - 50),
  '}': () => windowed(state.center, state.width + 50),
  1: () => stack()?.presets && preset(0),
  2: () => stack()?.presets && preset(1),
  3: () => stack()?.presets && preset(2),
  4: full,
  f: () => { showInput.checked = !showInput.checked; draw(); },
  n: (shift) => next(shift ? -1 : 1),
};

document.addEventListener('keydown', (e) => {
  const to = /** @type {HTMLElement} */ (e.target);
  if (e.ctrlKey || e.metaKey || e.altKey || to.closest('input, textarea, select, summary')) return;
  const act = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key];
  if (!act) return;
  e.preventDefault();
  act(e.shiftKey);
});

/** @type {{x: number, y: number, pan: boolean}|null} */
let drag = null;
stage.addEventListener('pointerdown', (e) => {
  const s = stack();
  if (!s || e.button > 1) return;
  stage.setPointerCapture(e.pointerId);
  drag = { x: e.clientX, y: e.clientY, pan: e.shiftKey || e.button === 1 || s.color };
});
stage.addEventListener('pointermove', (e) => {
  if (!drag) return;
  const [dx, dy] = [e.clientX - drag.x, e.clientY - drag.y];
  [drag.x, drag.y] = [e.clientX, e.clientY];
  if (drag.pan) pan(dx, dy);
  else {
    const step = Math.max(state.width, 50) / 400;
    windowed(state.center + dy * step, state.width + dx * step);
  }
});
for (const end of ['pointerup', 'pointercancel']) stage.addEventListener(end, () => { drag = null; });
let rolled = 0;
stage.addEventListener('wheel', (e) => {
  e.preventDefault();
  const s = stack();
  const box = stage.getBoundingClientRect();
  if (!s) return;
  if (e.ctrlKey) {
    zoomTo(state.zoom - e.deltaY / 400, e.clientX - box.left, e.clientY - box.top);
    return;
  }
  rolled += e.deltaY;
  const steps = Math.trunc(rolled / 50);
  if (steps) {
    rolled -= steps * 50;
    open(state.stack, state.frame + steps);
  }
}, { passive: false });

sliceInput.addEventListener('input', () => open(state.stack, Number(sliceInput.value) - 1));
levelInput.addEventListener('input', () => windowed(Number(levelInput.value), state.width));
widthInput.addEventListener('input', () => windowed(state.center, Number(widthInput.value)));
scaleInput.addEventListener('input', () => zoomTo(Number(scaleInput.value)));
showInput.addEventListener('change', draw);
$('reset').addEventListener('click', reset);
$('full').addEventListener('click', full);
document.addEventListener('click', (e) => {
  const b = /** @type {HTMLElement} */ (e.target).closest('button');
  if (!b) return;
  if (b.dataset.stack) open(Number(b.dataset.stack), view.stacks[Number(b.dataset.stack)].start);
  if (b.dataset.go) { at = found.indexOf(b.dataset.go); goTo(b.dataset.go); }
  if (b.dataset.w) windowed(Number(b.dataset.c), Number(b.dataset.w));
});
document.addEventListener('change', (e) => {
  const box = /** @type {HTMLInputElement} */ (e.target);
  if (!box.dataset.mark) return;
  if (box.checked) state.off.delete(box.dataset.mark);
  else state.off.add(box.dataset.mark);
  draw();
});
new ResizeObserver(() => { draw(); }).observe(stage);

const first = view.stacks[view.start]?.slide ? view.stacks.findIndex((s) => !s.slide) : view.start;
if (view.stacks[first]) {
  open(first, view.stacks[first].start);
} else {
  $('controls').hidden = true;
  trouble(words.empty ?? '');
}
