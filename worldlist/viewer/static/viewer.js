// @ts-check
// The viewer: one to four viewports on the images of a study and of earlier exams,
// and the tools beside them. It is for looking at what the AI saw, not for diagnosis.
// No key and no drag of its own records a judgment: that is the form's, and the form
// has no shortcut here. What marks something as missed asks before it is kept.

import { offer, Others, tell } from './foreign.js';
import { Frames } from './frames.js';
import { drawText } from './ink.js';
import { noKey } from './keys.js';
import { beside, placed } from './link.js';
import { inks, letterOf, Overlay } from './overlay.js';
import { fill, Pane } from './pane.js';

/**
 * @typedef {import('./frames.js').Stack} Stack
 * @typedef {import('./ink.js').Mark} Mark
 * @typedef {{study: string, date: string, text: string, stacks: Stack[]}} Prior
 */

/** @template {HTMLElement} T @param {string} id @returns {T} */
const $ = (id) => /** @type {T} */ (document.getElementById(id));
const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ ($(id));

/** @type {{study: string, stacks: Stack[], marks: Mark[], missed: Mark[], start: number}} */
const view = JSON.parse($('view').textContent ?? '{}');
const words = $('controls').dataset;
view.stacks.forEach((s, index) => Object.assign(s, { study: view.study, index, own: true, label: [words.thisexam, words.thisdate].join(' ') }));
const own = view.stacks.filter((s) => !s.slide && s.frames.length);
/** @type {Prior[]} */ let priors = [];

const frames = new Frames();
const overlay = new Overlay(view.study, () => draw());
const others = new Others(view.study, () => draw());
const hidden = /** @type {Set<string>} */ (new Set()); // findings that the reader took away

/** @type {Pane[]} */ const panes = [];
let active = /** @type {Pane} */ (/** @type {unknown} */ (null));
let layout = 1;
let tool = 'window';
/** @type {Map<Pane, number>} */ const offsets = new Map(); // of linked panes without a common frame of reference
const still = matchMedia('(prefers-reduced-motion: reduce)').matches;

const seen = () => panes.slice(0, layout);
const draw = () => seen().forEach((p) => p.draw());

let spoken = 0;
const speak = (/** @type {string} */ text) => {
  clearTimeout(spoken);
  spoken = window.setTimeout(() => { $('readout').textContent = text; }, 500);
};

frames.spots = () => seen().filter((p) => p.stack).sort((a, b) => Number(b === active) - Number(a === active))
  .map((p) => ({ stack: /** @type {Stack} */ (p.stack), at: p.at }));

/** newPane makes a viewport; the first bears the names by which the page is known. */
function newPane() {
  const t = /** @type {HTMLTemplateElement} */ ($('pane'));
  const root = /** @type {HTMLElement} */ (/** @type {HTMLElement} */ (t.content.cloneNode(true)).firstElementChild);
  const n = panes.length + 1;
  for (const e of root.querySelectorAll('[data-el]')) {
    const name = /** @type {HTMLElement} */ (e).dataset.el;
    e.id = n === 1 ? `${name}` : `${name}${n}`;
  }
  const stage = /** @type {HTMLElement} */ (root.querySelector('[data-el=stage]'));
  stage.setAttribute('aria-label', `${fill(words.pane, n)}. ${stage.getAttribute('aria-label')}`);
  stage.setAttribute('aria-describedby', 'readout');
  const select = /** @type {HTMLSelectElement} */ (root.querySelector('select'));
  select.setAttribute('aria-label', fill(words.choose, n));
  $('panes').append(root);
  const p = new Pane(root, {
    frames, words, marks: view.marks, missed: view.missed, overlay, others, hidden, rings: () => input('show').checked,
    changed: (one) => { if (one === active) control(); }, spoken: (text) => speak(text),
  });
  panes.push(p);
  select.addEventListener('change', () => { const s = stackOf(select.value); if (s) join(p, s); });
  root.addEventListener('focusin', () => activate(p));
  mouse(p);
  return p;
}

/** stackOf finds a stack by its name in a list. @param {string} value */
function stackOf(value) {
  const [study, series] = value.split('/');
  return [...own, ...priors.flatMap((p) => p.stacks)].find((s) => s.study === study && s.series === series);
}

/** fillPickers lists the series of the study and of earlier exams in every viewport. */
function fillPickers() {
  for (const p of panes) {
    const select = /** @type {HTMLSelectElement} */ (p.root.querySelector('select'));
    const group = (/** @type {string} */ label, /** @type {Stack[]} */ all) => {
      const g = document.createElement('optgroup');
      g.label = label;
      g.append(...all.map((s) => new Option(`${s.text} (${s.frames.length})`, `${s.study}/${s.series}`)));
      return g;
    };
    select.replaceChildren(group(words.thisexam ?? '', own), ...priors.map((o) => group(labelOf(o), o.stacks)));
    select.hidden = !select.querySelector('option'); // there is nothing to choose from
    select.value = p.stack ? `${p.stack.study}/${p.stack.series}` : ''; // none is chosen
  }
}

/** labelOf is what stands on the images of an earlier exam. @param {Prior} o */
const labelOf = (o) => fill(words.prior, o.date, o.text);

const learned = (async () => {
  try {
    const r = await fetch(`/studies/${view.study}/priors`);
    if (r.ok) priors = (await r.json()).priors;
  } catch {
    return; // no earlier exam is offered
  }
  for (const o of priors) o.stacks.forEach((s, index) => Object.assign(s, { study: o.study, index, own: false, label: labelOf(o) }));
  fillPickers();
  $('panes').dataset.priors = String(priors.length);
})();

/** activate makes a viewport the one that the tools act on. @param {Pane} p */
function activate(p) {
  if (p === active) return;
  if (active) {
    active.cross(false);
    active.root.classList.remove('active');
  }
  active = p;
  p.root.classList.add('active');
  if (marking()) p.cross(true);
  control();
}

/** marking reports whether the tool is one that sets points. */
const marking = () => tool === 'length' || tool === 'missed';

/** open shows a frame of a stack in a viewport. @param {Pane} p @param {Stack} s @param {number} at */
function open(p, s, at) {
  const fresh = p.stack !== s;
  const done = p.show(s, at, !playing);
  if (fresh) {
    offsets.delete(p);
    /** @type {HTMLSelectElement} */ (p.root.querySelector('select')).value = `${s.study}/${s.series}`;
    if (p === active) control();
  }
  follow(p);
  return done;
}

/** join opens a stack beside what the other viewports show, and moves none of them. @param {Pane} p @param {Stack} s */
function join(p, s) {
  const other = linked() && !views(s) ? seen().find((o) => o !== p && o.stack && !views(o.stack)) : undefined;
  offsets.delete(p);
  /** @type {HTMLSelectElement} */ (p.root.querySelector('select')).value = `${s.study}/${s.series}`;
  p.show(s, other?.stack ? beside(other.stack, other.at, s) : s.start);
  control();
}

/** step moves through the stack of a viewport. @param {Pane} p @param {number} by */
function step(p, by) {
  if (p.stack) open(p, p.stack, p.at + by);
}

/** views reports whether the images of a stack are views of their own, as of a mammogram, and no way through a body. @param {Stack} s */
const views = (s) => !s.z && !s.cine && s.frames.length <= 8;

/** linked reports whether viewports move together. */
const linked = () => layout > 1 && input('together').checked;

/** follow moves the other viewports along with one, and says by what. @param {Pane} p */
function follow(p) {
  for (const other of seen()) {
    if (other === p || !other.stack || !p.stack) continue;
    const by = placed(p.stack, other.stack);
    if (linked() && (by || !views(p.stack) && !views(other.stack))) {
      const from = Math.max(0, Math.min(p.stack.frames.length - 1, p.at - (by ? 0 : offsets.get(p) ?? 0)));
      const to = beside(p.stack, from, other.stack) + (by ? 0 : offsets.get(other) ?? 0);
      const at = Math.max(0, Math.min(other.stack.frames.length - 1, to));
      if (at !== other.at || !other.shown) other.show(other.stack, at);
    }
  }
  tellLinks();
}

/** tellLinks says on each viewport how it is linked to the one in use. */
function tellLinks() {
  for (const p of panes) {
    let text = '';
    if (linked() && active?.stack && p.stack && p !== active && !views(active.stack) && !views(p.stack)) text = (placed(active.stack, p.stack) ? words.byplace : words.byorder) ?? '';
    p.texts.link.textContent = text;
  }
}

/** anchor keeps how far apart viewports without a common frame of reference are, so that they move on from there. */
function anchor() {
  offsets.clear();
  if (!active?.stack) return;
  for (const p of seen()) {
    if (p !== active && p.stack && !placed(active.stack, p.stack)) offsets.set(p, p.at - beside(active.stack, active.at, p.stack));
  }
}

/** arrange shows one, two or four viewports. @param {number} n */
async function arrange(n) {
  layout = n;
  $('panes').dataset.layout = String(n);
  while (panes.length < n) {
    newPane();
    fillPickers();
  }
  panes.forEach((p, i) => { p.root.hidden = i >= n; });
  if (!seen().includes(active)) activate(panes[0]);
  for (const b of document.querySelectorAll('[data-layout-of]')) b.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (b).dataset.layoutOf === String(n)));
  $('c-link').hidden = n < 2;
  if (n > 1) await learned;
  for (const p of seen()) {
    if (p.stack) continue;
    const first = panes[0].stack;
    const view = first && views(first) ? first.frames.findIndex((_, i) => !seen().some((o) => o.stack === first && o.at === i)) : -1;
    if (first && view >= 0) { // the other views of the same exam come first
      p.show(first, view);
      continue;
    }
    const s = proposal();
    if (s) join(p, s);
    else p.trouble(words.pick);
  }
  tellLinks();
  control();
  draw();
}

/** hang shows up to four views of a mammogram beside each other, in their order, and takes up the one to begin with. @param {Stack} begin @returns {boolean} whether there are several */
function hang(begin) {
  const all = view.hang && views(begin) ? own.filter(views).flatMap((s) => s.frames.map((_, at) => ({ s, at }))) : [];
  const starts = (/** @type {{s: Stack, at: number}} */ o) => o.s === begin && o.at === begin.start;
  const spots = all.slice(0, 4);
  if (spots.length < 2) return false;
  if (!spots.some(starts)) spots[0] = { s: begin, at: begin.start };
  arrange(spots.length > 2 ? 4 : 2); // first, for what no viewport shows is not waited for
  spots.forEach(({ s, at }, i) => {
    /** @type {HTMLSelectElement} */ (panes[i].root.querySelector('select')).value = `${s.study}/${s.series}`;
    panes[i].show(s, at);
  });
  activate(panes[spots.findIndex(starts)]);
  return true;
}

/** proposal is what an empty viewport shows: the latest earlier exam of the kind, then the series of the study, then the other earlier ones. */
function proposal() {
  const first = panes[0].stack;
  const taken = new Set(seen().map((p) => p.stack));
  const free = (/** @type {Stack[]} */ all) => all.filter((s) => !taken.has(s));
  const like = (/** @type {Stack[]} */ all) => free(all).filter((s) => s.presets === first?.presets && s.color === first?.color)
    .sort((a, b) => Number(b.text === first?.text) - Number(a.text === first?.text) || b.frames.length - a.frames.length)[0];
  const shown = new Set(seen().map((p) => p.stack?.study));
  for (const o of priors) if (!shown.has(o.study) && like(o.stacks)) return like(o.stacks);
  return free(own)[0] ?? free(priors.flatMap((o) => o.stacks))[0];
}

/** control fits the tools to the viewport in use. */
function control() {
  const s = active?.stack;
  if (!s) return;
  const g = active.geometry;
  const colored = active.colored();
  input('slice').max = String(Math.max(1, s.frames.length));
  input('slice').value = String(active.at + 1);
  $('c-slice').hidden = s.frames.length < 2;
  for (const id of ['c-level', 'c-width', 'c-looks', 'full']) $(id).hidden = colored;
  $('presets').hidden = !s.presets;
  $('play').hidden = !s.cine;
  if (g && !colored) {
    const span = Math.max(1, g.high - g.low);
    const [level, width] = [input('level'), input('width')];
    [level.min, level.max, level.step] = [String(g.low - span * 0.1), String(g.high + span * 0.1), span > 100 ? '1' : 'any'];
    [width.min, width.max, width.step] = ['1', String(Math.max(span * 1.2, g.width)), span > 100 ? '1' : 'any'];
    level.value = String(active.center);
    width.value = String(active.width);
    showLooks(s, g);
  }
  input('scale').value = String(active.zoom);
  $('erase').hidden = !active.lines.has(active.key);
  $('invert').setAttribute('aria-pressed', String(active.inverted));
  for (const b of document.querySelectorAll('#series button')) {
    b.setAttribute('aria-pressed', String(s.own && /** @type {HTMLElement} */ (b).dataset.stack === String(s.index)));
  }
  tellLinks();
}

const usual = /** @type {[string, number, number][]} */ ([['lung', -600, 1500], ['soft', 40, 400], ['bone', 400, 1800]]);
let looksOf = ''; // what the list of windows was made of

/** showLooks lists the windows and tables that the frame brings along, and the usual ones. @param {Stack} s @param {import('./frames.js').Geometry} g */
function showLooks(s, g) {
  const select = /** @type {HTMLSelectElement} */ ($('looks'));
  const made = JSON.stringify([g.windows, g.tables, s.presets]);
  if (made !== looksOf) {
    looksOf = made;
    const all = (g.windows ?? []).map((w, n) => new Option(`${w.text || fill(words.ownwindow, n + 1)} (${fill(words.window, Math.round(w.w), Math.round(w.c))})`, `own:${n}`));
    all.push(...(g.tables ?? []).map((t, n) => new Option(fill(words.table, t || n + 1), `table:${n}`)));
    if (s.presets) all.push(...usual.map(([name, c, w]) => new Option(words[name] ?? '', `set:${c}:${w}`)));
    if (!all.length || (!g.windows?.length && !g.tables?.length)) all.unshift(new Option(words.auto ?? '', 'auto'));
    all.push(new Option(words.full ?? '', 'full'), new Option(words.byhand ?? '', 'hand'));
    select.replaceChildren(...all);
  }
  const look = active.look;
  const first = g.windows?.length ? 'own:0' : g.tables?.length ? 'table:0' : 'auto';
  const value = !look ? first : look.kind === 'set' ? `set:${look.c}:${look.w}` : `${look.kind}:${look.n}`;
  select.value = [...select.options].some((o) => o.value === value) ? value : 'hand';
}

/** choose shows the image as the list of windows says. @param {string} value */
function choose(value) {
  const [kind, a, b] = value.split(':');
  if (kind === 'own' || kind === 'table') active.relook({ kind, n: Number(a) });
  else if (kind === 'set') active.windowed(Number(a), Number(b));
  else if (kind === 'auto') active.relook(null);
  else if (kind === 'full') active.full();
}

/** preset is the one of a number key: for CT the usual windows, for others those that the image brings along. @param {number} n */
function preset(n) {
  if (active.stack?.presets) choose(`set:${usual[n][1]}:${usual[n][2]}`);
  else if (active.geometry?.windows?.[n]) choose(`own:${n}`);
  else if (active.geometry?.tables?.[n - (active.geometry.windows?.length ?? 0)] !== undefined) choose(`table:${n - (active.geometry.windows?.length ?? 0)}`);
}

// ---- findings ----

const found = [...new Set(view.marks.map((m) => m.key))];
let finding = -1;

/** goTo shows a finding: its frame, in the viewport in use. @param {string} key */
function goTo(key) {
  const m = view.marks.find((one) => one.key === key);
  if (!m) return;
  finding = found.indexOf(key);
  const p = active.stack?.own ? active : panes[0];
  activate(p);
  open(p, view.stacks[m.stack], m.frame);
  for (const e of document.querySelectorAll('[data-go]')) {
    if (/** @type {HTMLElement} */ (e).dataset.go === key) e.setAttribute('aria-current', 'true');
    else e.removeAttribute('aria-current');
  }
}

function next(/** @type {number} */ by) {
  if (found.length) goTo(found[finding < 0 && by < 0 ? found.length - 1 : (finding + by + found.length) % found.length]);
}

// ---- other systems ----

/** find finds a frame of an exam by its name. @param {string} study @param {string} frame @returns {{stack: Stack, at: number}|null} */
function find(study, frame) {
  for (const stack of study === view.study ? own : priors.find((o) => o.study === study)?.stacks ?? []) {
    const at = stack.frames.findIndex((f) => `${f.i}/${f.n}` === frame);
    if (at >= 0) return { stack, at };
  }
  return null;
}

/** goOther shows a frame that another system names: one of an earlier exam beside this one. @param {string} study @param {string} frame */
async function goOther(study, frame) {
  await learned;
  const to = find(study, frame);
  if (!to) return;
  let p = seen().find((o) => o.stack?.study === study) ?? panes[0];
  if (!to.stack.own && p.stack?.own) {
    if (layout < 2) await arrange(2);
    p = seen().find((o) => o.stack?.study === study) ?? panes[1];
  }
  activate(p);
  await open(p, to.stack, to.at);
}

/** learnOthers asks for what other systems found, in this exam and in earlier ones. */
async function learnOthers() {
  const section = $('others');
  if (!section) return;
  const exams = await tell(section, view.study);
  const keys = (await Promise.all(exams.map((e) => others.load(e)))).flat();
  offer(section, keys);
  $('panes').dataset.others = String(keys.length);
}

// ---- tools ----

/** take takes a tool up. @param {string} name */
function take(name) {
  if (name === 'missed' && !$('tool-missed')) return;
  tool = name;
  for (const b of document.querySelectorAll('button[data-tool]')) b.setAttribute('aria-pressed', String(/** @type {HTMLElement} */ (b).dataset.tool === name));
  $('panes').dataset.tool = name;
  for (const p of panes) p.cross(false);
  active.cross(marking());
  hint();
}

/** hint says how the tool in hand is used. */
function hint() {
  $('hint').textContent = (tool === 'length' ? words.lengthhint : tool === 'missed' ? words.missedhint : '') ?? '';
}

/** place sets a point with the tool in hand. @param {Pane} p @param {import('./measure.js').Dot} d */
function place(p, d) {
  if (!p.inside(d) || !p.seen) return;
  if (tool === 'length') {
    const text = p.end(d);
    if (text) $('hint').textContent = fill(words.islength, text);
  }
  if (tool === 'missed') ask(p, d);
}

/** @type {{instance: string, frame: number, x: number, y: number, stack: number, at: number}|null} */
let asked = null;

/** ask shows where something was missed and asks what it is, before it is kept. @param {Pane} p @param {import('./measure.js').Dot} d */
function ask(p, d) {
  if (!p.seen?.stack.own) {
    $('hint').textContent = words.notprior ?? '';
    return;
  }
  const { stack, at } = p.seen;
  asked = { instance: stack.frames[at].i, frame: stack.frames[at].n, x: Math.round(d.x * 100) / 100, y: Math.round(d.y * 100) / 100, stack: stack.index, at };
  p.cursor = d;
  p.crossed = true; // it is seen what is asked about
  p.draw();
  $('hint').textContent = '';
  $('missed-where').textContent = fill(words.missedwhere, stack.text, at + 1, Math.floor(d.x), Math.floor(d.y));
  $('missed').hidden = false;
  input('missed-text').value = '';
  input('missed-text').focus();
  // The key that set the point, held a moment too long, must not keep it as well.
  const save = /** @type {HTMLButtonElement} */ ($('missed').querySelector('button[type=submit]'));
  save.disabled = true;
  setTimeout(() => { save.disabled = false; }, 400);
}

/** dismiss ends the question without an answer. */
function dismiss() {
  asked = null;
  if ($('missed')) $('missed').hidden = true;
  active.stage.focus();
}

$('missed')?.addEventListener('submit', async (e) => {
  e.preventDefault();
  if (!asked) return;
  const { stack, at, ...body } = asked;
  const text = input('missed-text').value;
  const save = /** @type {HTMLButtonElement} */ ($('missed').querySelector('button[type=submit]'));
  save.disabled = true;
  try {
    const r = await fetch(`/api/v1/studies/${view.study}/missed`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...body, text }) });
    if (!r.ok) throw new Error(String(r.status));
    view.missed.push({ key: 'missed', number: view.missed.length + 1, stack, frame: at, shape: 'POINT', points: [body.x, body.y] });
    dismiss();
    take('window');
    $('hint').textContent = words.missedkept ?? '';
    draw();
  } catch (e) {
    $('hint').textContent = fill(words.missedlost, /** @type {Error} */ (e).message);
  } finally {
    save.disabled = false;
  }
});
$('missed-cancel')?.addEventListener('click', dismiss);
$('missed')?.addEventListener('keydown', (e) => { if (e.key === 'Enter' && e.repeat) e.preventDefault(); });

// ---- cine ----

let playing = 0;

/** play plays the frames of the viewport in use, or stops. Whoever asks for less motion gets four a second at most. */
function play() {
  if (playing) {
    halt();
    return;
  }
  const p = active;
  if (!p.stack?.cine) return;
  $('play').setAttribute('aria-pressed', 'true');
  if (still) $('hint').textContent = words.slowed ?? '';
  const turn = async () => {
    const s = p.stack;
    if (!s?.cine || p !== active) { halt(); return; }
    const began = performance.now();
    await p.show(s, (p.at + 1) % s.frames.length, false);
    follow(p);
    const every = Math.max(still ? 250 : 20, p.geometry?.millis || 66);
    if (playing) playing = window.setTimeout(turn, Math.max(0, every - (performance.now() - began)));
  };
  playing = window.setTimeout(turn);
}

function halt() {
  clearTimeout(playing);
  playing = 0;
  $('play').setAttribute('aria-pressed', 'false');
  if (still) hint();
}

// ---- keys ----

const series = (/** @type {number} */ by) => {
  const i = own.findIndex((s) => s === active.stack) + by;
  if (own[i]) open(active, own[i], own[i].start);
};
const cross = (/** @type {number} */ dx, /** @type {number} */ dy, /** @type {boolean} */ shift, /** @type {() => void} */ otherwise) => {
  if (marking()) active.nudge(dx * (shift ? 10 : 1), dy * (shift ? 10 : 1));
  else otherwise();
};

/** @type {Record<string, (shift: boolean) => void>} */
const keys = {
  ArrowUp: (shift) => cross(0, -1, shift, () => { if (shift) active.pan(0, 40); else step(active, -1); }),
  ArrowDown: (shift) => cross(0, 1, shift, () => { if (shift) active.pan(0, -40); else step(active, 1); }),
  ArrowLeft: (shift) => cross(-1, 0, shift, () => active.pan(40, 0)),
  ArrowRight: (shift) => cross(1, 0, shift, () => active.pan(-40, 0)),
  Enter: () => { if (marking() && active.cursor) place(active, active.cursor); },
  Escape: () => take('window'),
  Delete: () => active.erase(),
  PageUp: () => step(active, -10), PageDown: () => step(active, 10),
  Home: () => active.stack && open(active, active.stack, 0),
  End: () => active.stack && open(active, active.stack, active.stack.frames.length - 1),
  ',': () => step(active, -1), '.': () => step(active, 1),
  '+': () => active.zoomTo(active.zoom + 0.25), '=': () => active.zoomTo(active.zoom + 0.25), '-': () => active.zoomTo(active.zoom - 0.25),
  0: () => active.reset(),
  '[': () => active.windowed(active.center - 20, active.width), ']': () => active.windowed(active.center + 20, active.width),
  '{': () => active.windowed(active.center, active.width - 50), '}': () => active.windowed(active.center, active.width + 50),
  1: () => preset(0), 2: () => preset(1), 3: () => preset(2), 4: () => active.full(),
  f: () => { input('show').checked = !input('show').checked; draw(); },
  g: () => arrange({ 1: 2, 2: 4, 4: 1 }[layout] ?? 1),
  i: () => active.invert(),
  k: () => { input('together').checked = !input('together').checked; relink(); },
  l: () => take(tool === 'length' ? 'window' : 'length'),
  m: () => take(tool === 'missed' ? 'window' : 'missed'),
  n: (shift) => next(shift ? -1 : 1),
  o: (shift) => {
    const box = input(shift ? 'others-on' : 'layers-on');
    if (!box) return;
    box.checked = !box.checked;
    if (shift) reother();
    else relayer();
  },
  p: () => take(tool === 'pan' ? 'window' : 'pan'),
  s: (shift) => series(shift ? -1 : 1),
  w: () => take('window'),
  ' ': () => play(),
  '?': () => help(),
};

/** single reports whether keys without Ctrl do anything: a reader can switch them off, WCAG 2.1.4. */
const single = () => input('keys-on').checked;

document.addEventListener('keydown', (e) => {
  if (noKey(e)) return;
  const to = /** @type {HTMLElement} */ (e.target);
  if (e.ctrlKey || e.metaKey || e.altKey || /** @type {HTMLDialogElement} */ ($('keys')).open) return;
  if (e.key === 'Escape' && asked) { dismiss(); return; }
  if (to.closest('input:not([type=range], [type=checkbox]), textarea, select, summary')) return;
  const pressed = e.key === 'Enter' || e.key === ' ';
  if (to.closest('input') && (e.key.length > 1 || pressed) || to.closest('button, a') && pressed) return; // they are the control's own
  const name = e.key.length === 1 ? e.key.toLowerCase() : e.key;
  // Without single keys those of the image in focus are left: arrows, Enter, Escape.
  if (!single() && (name.length === 1 || !to.closest('[data-el=stage]'))) return;
  const act = keys[name];
  if (!act || !active) return;
  e.preventDefault();
  act(e.shiftKey);
});

/** help shows all keys, and the switch that turns them off. */
function help() {
  /** @type {HTMLDialogElement} */ ($('keys')).showModal();
}

input('keys-on').checked = document.documentElement.dataset.keys !== 'off';
input('keys-on').addEventListener('change', () => { // it is one of the visitor's settings
  const keys = single() ? 'on' : 'off';
  document.documentElement.dataset.keys = keys;
  fetch('/settings', { method: 'POST', redirect: 'manual', body: new URLSearchParams({ keys, next: '/' }) }).catch(() => {});
});

// ---- the mouse ----

/** mouse lets a viewport be used by a pointer. @param {Pane} p */
function mouse(p) {
  /** @type {{x: number, y: number, pan: boolean, far: boolean}|null} */ let drag = null;
  let rolled = 0;
  const { stage } = p;
  stage.addEventListener('pointerdown', (e) => {
    activate(p);
    if (!p.stack || e.button > 1) return;
    stage.setPointerCapture(e.pointerId);
    drag = { x: e.clientX, y: e.clientY, pan: e.shiftKey || e.button === 1 || tool === 'pan' || p.colored(), far: false };
  });
  stage.addEventListener('pointermove', (e) => {
    if (!drag || marking()) {
      const d = p.dotAt(e.clientX, e.clientY);
      if (!asked) p.cursor = p.inside(d) || marking() ? d : null;
      if (marking() && !asked) p.crossed = false; // the mouse shows where it is
      p.writeValue();
      if (p.from || marking()) p.drawMarks();
    }
    if (!drag) return;
    const [dx, dy] = [e.clientX - drag.x, e.clientY - drag.y];
    if (marking() && !drag.pan) {
      drag.far ||= Math.hypot(dx, dy) > 4;
      return;
    }
    [drag.x, drag.y] = [e.clientX, e.clientY];
    if (drag.pan) p.pan(dx, dy);
    else {
      const by = Math.max(p.width, 50) / 400;
      p.windowed(p.center + dy * by, p.width + dx * by);
    }
  });
  stage.addEventListener('pointerup', (e) => {
    if (drag && marking() && !drag.pan) {
      // A click sets an end. A drag sets both.
      if (drag.far && tool === 'length' && !p.from) place(p, p.dotAt(drag.x, drag.y));
      place(p, p.dotAt(e.clientX, e.clientY));
    }
    drag = null;
  });
  stage.addEventListener('pointercancel', () => { drag = null; });
  stage.addEventListener('pointerleave', () => {
    if (drag || marking()) return;
    p.cursor = null;
    p.writeValue();
  });
  stage.addEventListener('wheel', (e) => {
    e.preventDefault();
    activate(p);
    const box = stage.getBoundingClientRect();
    if (e.ctrlKey) {
      p.zoomTo(p.zoom - e.deltaY / 400, e.clientX - box.left, e.clientY - box.top);
      return;
    }
    rolled += e.deltaY;
    const steps = Math.trunc(rolled / 50);
    if (steps) {
      rolled -= steps * 50;
      step(p, steps);
    }
  }, { passive: false });
}

// ---- controls ----

const on = (/** @type {string} */ id, /** @type {string} */ event, /** @type {() => void} */ act) => $(id)?.addEventListener(event, act);
on('slice', 'input', () => { if (active.stack) open(active, active.stack, Number(input('slice').value) - 1); });
on('level', 'input', () => active.windowed(Number(input('level').value), active.width));
on('width', 'input', () => active.windowed(active.center, Number(input('width').value)));
on('scale', 'input', () => active.zoomTo(Number(input('scale').value)));
on('looks', 'change', () => choose(input('looks').value));
on('show', 'change', draw);
on('reset', 'click', () => active.reset());
on('full', 'click', () => active.full());
on('invert', 'click', () => active.invert());
on('play', 'click', play);
on('before', 'click', () => next(-1));
on('after', 'click', () => next(1));
on('help', 'click', help);
on('erase', 'click', () => active.erase());
on('together', 'change', () => relink());
on('layers-on', 'change', () => relayer());
on('opacity', 'input', () => { overlay.fill = Number(input('opacity').value); draw(); });

function relink() {
  if (input('together').checked) anchor();
  tellLinks();
}

function relayer() {
  overlay.shown = input('layers-on').checked;
  draw();
}

function reother() {
  others.shown = input('others-on').checked;
  draw();
}

document.addEventListener('click', (e) => {
  const b = /** @type {HTMLElement} */ (e.target).closest('button');
  if (!b || !active) return;
  const d = b.dataset;
  if (d.stack) open(active, view.stacks[Number(d.stack)], view.stacks[Number(d.stack)].start);
  if (d.go) goTo(d.go);
  if (d.w) active.windowed(Number(d.c), Number(d.w));
  if (d.tool) take(d.tool);
  if (d.layoutOf) arrange(Number(d.layoutOf));
  if (d.pan) active.pan(...(/** @type {[number, number]} */ (d.pan.split(',').map(Number))));
});
document.addEventListener('click', (e) => {
  const a = /** @type {HTMLElement} */ (e.target).closest('a');
  const { otherGo, otherStudy } = a?.dataset ?? {};
  if (!otherGo || !otherStudy || !active || e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  goOther(otherStudy, otherGo);
});
document.addEventListener('change', (e) => {
  const box = /** @type {HTMLInputElement} */ (e.target);
  if (box.id === 'others-on') {
    reother();
  }
  if (box.dataset.other) {
    if (box.checked) others.off.delete(box.dataset.other);
    else others.off.add(box.dataset.other);
    draw();
  }
  if (box.dataset.layer) {
    if (box.checked) overlay.off.delete(box.dataset.layer);
    else overlay.off.add(box.dataset.layer);
    draw();
  }
  if (!box.dataset.mark) return;
  if (box.checked) hidden.delete(box.dataset.mark);
  else hidden.add(box.dataset.mark);
  draw();
});

/** legend lists what was drawn, with the color and the letter of each. */
function legend() {
  $('layers').hidden = !overlay.layers.length;
  $('legend').replaceChildren(...overlay.layers.map((l, i) => {
    const label = document.createElement('label');
    label.className = 'check';
    const box = document.createElement('input');
    Object.assign(box, { type: 'checkbox', checked: true });
    box.dataset.layer = l.key;
    const swatch = document.createElement('canvas');
    Object.assign(swatch, { width: 22, height: 16 });
    swatch.setAttribute('aria-hidden', 'true');
    const to = /** @type {CanvasRenderingContext2D} */ (swatch.getContext('2d'));
    to.strokeStyle = inks[i % inks.length];
    to.lineWidth = 2;
    to.strokeRect(2, 2, 18, 12);
    if (overlay.layers.length > 1) drawText(to, letterOf(i), 6, 13, inks[i % inks.length]);
    label.append(box, swatch, ` ${l.text}`);
    label.title = l.model;
    return label;
  }));
}

$('c-findings').hidden = !found.length;
const first = view.stacks[view.start];
const begin = first && !first.slide && first.frames.length ? first : own[0];
if (begin) {
  active = newPane();
  active.root.classList.add('active');
  fillPickers();
  arrange(1);
  take('window');
  const asked = find(view.study, new URLSearchParams(location.search).get('frame') ?? ''); // by a link to a place
  if (asked) open(active, asked.stack, asked.at);
  else if (!hang(begin)) open(active, begin, begin.start);
  // Outlines are asked for after the image: they are nothing without it.
  overlay.load().then((some) => { if (some) { legend(); draw(); } $('panes').dataset.layers = String(overlay.layers.length); }, () => {});
  learnOthers().catch(() => {}); // what came with the page stays
} else {
  $('controls').hidden = true;
  $('tools').hidden = true;
  const p = newPane();
  fillPickers();
  p.trouble(words.empty);
}
