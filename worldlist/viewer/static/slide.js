// @ts-check
// The slide page: one slide at a time in OpenSeadragon, the heat map of one model
// over it, and the tray of the case. It is for looking at what the AI saw, not
// for diagnosis. No key records a judgment: that is the form's.

import { offer } from './foreign.js';
import { SlideOthers } from './foreignslide.js';
import { Heat, color, tissue } from './heatmap.js';
import { drawMark, drawTarget } from './ink.js';
import { noKey } from './keys.js';

/**
 * @typedef {import('./heatmap.js').Area} Area
 * @typedef {import('./ink.js').Mark} Mark
 * @typedef {{columns: number, rows: number, tile_w: number, tile_h: number}} Level
 * @typedef {{series: string, slide: boolean, name: string, levels?: Level[], thumb?: Level, microns: number[], version?: string, trouble?: string}} Slide
 * @typedef {{ai: string, word: string, note: string, seen: number, missed: number, planned: number}} Said
 * @typedef {{live: boolean, models: {key: string, name: string, version: string, sha256: string, ai: string, word: string, note: string, map: boolean}[],
 *   slides: {series: string, version: string, ai: string, word: string, notes: string[], first: boolean, says: Said[]}[]}} Tray
 */

/** @template {HTMLElement} T @param {string} id @returns {T} */
const $ = (id) => /** @type {T} */ (document.getElementById(id));
const input = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ ($(id));

/** @type {{study: string, stacks: Slide[], marks: Mark[], start: number, tray: Tray}} */
const view = JSON.parse($('view').textContent ?? '{}');
const words = $('controls').dataset;
const stage = $('stage');
const slides = view.stacks.map((s, i) => ({ ...s, index: i })).filter((s) => s.slide);
const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
const lang = document.documentElement.lang;
const number = (/** @type {number} */ v, digits = 2) => new Intl.NumberFormat(lang, { maximumSignificantDigits: digits }).format(v);
const whole = (/** @type {number} */ v) => new Intl.NumberFormat(lang, { maximumFractionDigits: 0 }).format(v);
const fill = (/** @type {string|undefined} */ text, /** @type {unknown[]} */ ...args) =>
  (text ?? '').replace(/\{(\d)\}/g, (_, n) => String(args[Number(n)]));
const wideMicrons = 1200; // an area that is larger is gone to where it is hottest
const detailPower = 10; // from here on the tissue is read, and a fill would hide it

const state = {
  slide: -1, // index in view.stacks
  model: '', // the key of the one whose map is shown
  /** @type {Heat|null} */ heat: null,
  heatFor: '', // what the map in view was fetched for
  threshold: NaN,
  chosen: false, // the reader chose the threshold
  style: 'auto',
  peeked: false, // H took the overlay away
  /** @type {Area[]} */ areas: [],
  at: -1, // the area or finding that was gone to last
  finding: '', // the finding that was gone to last
  wanted: 0, // number of the latest map asked for
  failed: 0, // tiles that did not come
  live: view.tray.live,
};
const here = () => view.stacks[state.slide];
const finest = () => here()?.levels?.[0];
const saidHere = () => {
  const s = view.tray.slides.find((one) => one.series === here()?.series);
  return s?.says[view.tray.models.findIndex((m) => m.key === state.model)];
};

// OpenSeadragon adds a style for touch screens unless there is one of that name.
// This one is no style, so the policy of the page stays as strict as elsewhere.
const standIn = document.createElementNS(null, 'style');
standIn.setAttribute('data-openseadragon-mobile-css', 'none');
document.head.append(standIn);

const OSD = /** @type {any} */ (window).OpenSeadragon;
const viewer = OSD({
  element: $('osd'), prefixUrl: '', drawer: 'canvas', showNavigationControl: false, tabIndex: '', keyboardNavEnabled: false,
  showNavigator: true, navigatorPosition: 'BOTTOM_RIGHT', navigatorSizeRatio: 0.17, navigatorOpacity: 1, navigatorBackground: '#fff',
  navigatorBorderColor: '#5d6b76', navigatorDisplayRegionColor: '#c4102f', preserveOverlays: true,
  animationTime: still ? 0 : 0.4, springStiffness: 12, zoomPerScroll: 1.3, maxZoomPixelRatio: 4, minZoomImageRatio: 0.8, visibilityRatio: 0.3,
  imageLoaderLimit: 6, timeout: 60000, gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
});
viewer.navigator.preserveOverlays = true; // it clears its overlays by making text into elements, which the policy forbids
for (const e of $('osd').querySelectorAll('[tabindex]')) e.removeAttribute('tabindex');
const sheet = document.createElement('canvas');
Object.assign(sheet.style, { position: 'absolute', inset: '0', width: '100%', height: '100%', pointerEvents: 'none' });
sheet.id = 'heat';
sheet.setAttribute('aria-hidden', 'true');
viewer.canvas.append(sheet);
const chart = /** @type {HTMLCanvasElement} */ (sheet.cloneNode());
chart.id = 'heat-small';
viewer.navigator.canvas.append(chart);

/** source describes a slide's own pyramid to OpenSeadragon, whose levels count from the coarsest. @param {Slide} s */
function source(s) {
  const levels = [...(s.levels ?? []), ...(s.thumb ? [s.thumb] : [])];
  const at = (/** @type {number} */ l) => levels[levels.length - 1 - l];
  return {
    width: levels[0].columns, height: levels[0].rows, minLevel: 0, maxLevel: levels.length - 1, tileOverlap: 0,
    tileWidth: levels[0].tile_w, tileHeight: levels[0].tile_h,
    getTileWidth: (/** @type {number} */ l) => at(l).tile_w,
    getTileHeight: (/** @type {number} */ l) => at(l).tile_h,
    getLevelScale: (/** @type {number} */ l) => at(l).columns / levels[0].columns,
    getNumTiles: (/** @type {number} */ l) => new OSD.Point(Math.ceil(at(l).columns / at(l).tile_w), Math.ceil(at(l).rows / at(l).tile_h)),
    getTileUrl: (/** @type {number} */ l, /** @type {number} */ x, /** @type {number} */ y) =>
      `/studies/${view.study}/slides/${s.series}/${s.thumb && l === 0 ? 'thumb' : `tiles/${levels.length - 1 - l}/${x}/${y}`}?v=${s.version}`,
  };
}

/** open shows a slide, at a place when one is named. @param {number} index @param {(() => void)|undefined} then */
function open(index, then = undefined) {
  const s = view.stacks[index];
  if (!s?.slide) return;
  if (index === state.slide) {
    then?.();
    return;
  }
  // A map that is still on its way is another slide's, and wanted no more.
  Object.assign(state, { slide: index, heat: null, heatFor: '', areas: [], at: -1, failed: 0, wanted: state.wanted + 1 });
  delete stage.dataset.shown;
  delete stage.dataset.loaded;
  for (const a of document.querySelectorAll('[data-slide]')) {
    const mine = /** @type {HTMLElement} */ (a).dataset.slide === String(index);
    if (mine) a.setAttribute('aria-current', 'true');
    else a.removeAttribute('aria-current');
    if (mine && !a.classList.contains('visited')) {
      a.classList.add('visited');
      // Which slides were opened is kept; where it is not, nothing is lost but that.
      if ('kept' in $('tray').dataset) void fetch(`/studies/${view.study}/slides/${s.series}/viewed`, { method: 'POST' }).catch(() => undefined);
    }
  }
  const seen = document.querySelectorAll('[data-slide].visited').length;
  $('viewed').textContent = slides.length > 1 ? fill($('viewed').dataset.text, seen, slides.length) : '';
  $('what').textContent = s.name;
  trouble(s.trouble ?? '');
  $('osd').hidden = !s.levels;
  $('scalebar').hidden = !s.levels;
  if (!s.levels) {
    stage.dataset.shown = String(index);
    $('power').textContent = '';
    setHeat(null);
    showState();
    return;
  }
  viewer.addOnceHandler('open', () => {
    then?.();
    fresh();
    lookOthers();
  });
  viewer.open(source(s));
  learnOthers(s);
}

/** others is what other systems drew over the slide in view. */
const others = new SlideOthers(view.study, () => draw());

/** learnOthers asks what that is, and offers it. @param {Slide} s */
async function learnOthers(s) {
  const section = document.getElementById('others');
  const f = s.levels?.[0];
  if (!section || !f) return;
  delete stage.dataset.others;
  const keys = await others.load(s.series, f.columns, f.rows);
  if (s.series !== others.series) return;
  offer(section, keys);
  lookOthers();
}

/** lookOthers asks for the outlines in view. */
function lookOthers() {
  const p = place();
  if (p) void others.look(p);
}

/** power is the magnification of a microscope that shows as much. */
function optics() {
  const item = viewer.world.getItemAt(0);
  const microns = here()?.microns?.[0] ?? 0;
  if (!item || !microns) return null;
  const zoom = item.viewportToImageZoom(viewer.viewport.getZoom(true));
  return { item, zoom, microns: microns / zoom, power: (10 * zoom) / microns };
}

/** place says where the slide lies in a viewer. */
function place(on = viewer, box = stage) {
  const item = on.world.getItemAt(0);
  const f = finest();
  if (!item || !f) return null;
  const a = item.imageToViewerElementCoordinates(new OSD.Point(0, 0));
  const b = item.imageToViewerElementCoordinates(new OSD.Point(f.columns, f.rows));
  const { width, height } = box.getBoundingClientRect();
  return { left: a.x, top: a.y, sx: (b.x - a.x) / f.columns, sy: (b.y - a.y) / f.rows, width, height };
}

/** look is how the map is drawn at this magnification. */
function look() {
  const o = optics();
  const near = (o?.power ?? 0) > detailPower;
  const style = state.peeked ? 'off' : state.style;
  return {
    fill: style === 'fill' || (style === 'auto' && !near),
    outline: style === 'outline' || style === 'auto',
    opacity: Number(input('opacity').value), threshold: state.threshold, unseen: style !== 'off' && input('unseen').checked,
  };
}

/** draw lays everything over the slide that is not the slide. */
function draw() {
  const p = place();
  if (!p) return;
  const to = clear(sheet, p);
  const l = look();
  const on = state.heat && !(state.peeked || state.style === 'off');
  if (on) state.heat?.draw(to, p, l);
  if (input('show').checked) for (const m of view.marks) if (m.stack === state.slide && !hidden.has(m.key)) drawMark(to, m, p, !on || m.key === state.finding);
  stage.dataset.others = String(others.draw(to, p));
  for (const [id, is] of Object.entries({ 'others-far': others.tooFine(), 'others-undrawn': others.undrawn() })) {
    const line = document.getElementById(id);
    if (line) line.hidden = !is;
  }
  if (state.heat && state.areas[state.at] && input('show').checked) drawTarget(to, state.areas[state.at], p);
  write(p);
  const small = place(viewer.navigator, chart);
  if (!small) return;
  const beside = clear(chart, small);
  if (on) state.heat?.draw(beside, small, { ...l, fill: true, outline: false, opacity: 0.9, unseen: false });
}

/** clear makes a canvas as large as what it lies over, and empty. @param {HTMLCanvasElement} c @param {{width: number, height: number}} p */
function clear(c, p) {
  const dots = devicePixelRatio || 1;
  const [w, h] = [Math.round(p.width * dots), Math.round(p.height * dots)];
  if (c.width !== w || c.height !== h) [c.width, c.height] = [w, h];
  const to = /** @type {CanvasRenderingContext2D} */ (c.getContext('2d'));
  to.setTransform(dots, 0, 0, dots, 0, 0);
  to.clearRect(0, 0, p.width, p.height);
  return to;
}

/** hidden are the findings that the reader took away. @type {Set<string>} */
const hidden = new Set();

/** write says where the view is and how large things are. @param {{left: number, top: number, sx: number, sy: number, width: number, height: number}} p */
function write(p) {
  const o = optics();
  if (!o) return;
  $('power').textContent = fill(words.power, number(o.microns, 3), number(o.power, 2));
  const step = niceLength(o.microns * 150);
  const bar = $('scalebar');
  bar.style.width = `${step / o.microns}px`;
  bar.dataset.microns = String(step);
  /** @type {HTMLElement} */ (bar.firstElementChild).textContent = step >= 1000 ? `${number(step / 1000)} mm` : `${number(step, 3)} µm`;
  const [low, high] = [viewer.viewport.getMinZoom(), viewer.viewport.getMaxZoom()];
  Object.assign(input('zoom'), { min: String(Math.log2(low)), max: String(Math.log2(high)), value: String(Math.log2(viewer.viewport.getZoom(true))) });
  input('zoom').setAttribute('aria-valuetext', $('power').textContent ?? '');
  stage.dataset.x = String(Math.round((p.width / 2 - p.left) / p.sx));
  stage.dataset.y = String(Math.round((p.height / 2 - p.top) / p.sy));
  stage.dataset.power = o.power.toPrecision(4);
}

/** niceLength is the longest of 1, 2 and 5 times a power of ten that is no longer. @param {number} most */
function niceLength(most) {
  const ten = 10 ** Math.floor(Math.log10(most));
  return (most >= 5 * ten ? 5 : most >= 2 * ten ? 2 : 1) * ten;
}

function trouble(/** @type {string} */ text) {
  $('trouble').textContent = text;
  $('trouble').hidden = !text;
}

let telling = 0;
/** tell says to a screen reader what came into view, once it rests. @param {string} text */
function tell(text) {
  clearTimeout(telling);
  telling = setTimeout(() => { $('readout').textContent = text; }, 300);
}

/** fresh fetches the map of the model in view over the slide in view. */
async function fresh() {
  showState();
  const model = view.tray.models.find((m) => m.key === state.model);
  const f = finest();
  const said = saidHere();
  if (!f || !model?.map) {
    setHeat(null);
    return;
  }
  const wantedFor = [state.slide, state.model, said?.seen, said?.missed, model.ai].join('/');
  if (wantedFor === state.heatFor) return;
  const mine = ++state.wanted;
  try {
    const q = new URLSearchParams({ model: state.model, v: here().version ?? '' });
    const heat = await Heat.get(`/studies/${view.study}/slides/${here().series}/heat?${q}`, f.columns, f.rows);
    if (mine !== state.wanted) return;
    state.heatFor = wantedFor;
    setHeat(heat);
    if (heat) mark(heat);
  } catch {
    if (mine !== state.wanted) return;
    setHeat(null);
    $('state').append(' · ', words.nomap ?? '');
  }
}

/** @type {Map<string, Promise<HTMLCanvasElement|null>>} */
const tissues = new Map();

/** mark tells a map where there is tissue, of which each slide is asked once. @param {Heat} heat */
async function mark(heat) {
  const s = here();
  const url = `/studies/${view.study}/slides/${s.series}/mask?v=${s.version ?? ''}`;
  const known = tissues.get(url) ?? tissue(url).catch(() => null);
  tissues.set(url, known);
  heat.tissue = await known;
  $('glass').hidden = !heat.tissue;
  if (!heat.tissue) tissues.delete(url); // everything that was not looked at stays hatched
  else if (state.heat === heat) draw();
}

/** setHeat takes a map, or the one in view further on. @param {Heat|null} heat */
function setHeat(heat) {
  state.heat = heat;
  $('overlay-controls').hidden = !heat;
  if (heat) {
    const g = heat.grid;
    const own = g.threshold > 0 ? g.threshold : g.low + (g.high - g.low) / 2;
    if (!state.chosen || !(state.threshold >= g.low && state.threshold <= g.high)) state.threshold = own;
    Object.assign(input('threshold'), { min: String(g.low), max: String(g.high), step: String((g.high - g.low) / 200) });
    $('own').textContent = g.threshold > 0 ? fill($('own').dataset.text, number(g.threshold, 3)) : '';
    $('low').textContent = number(g.low, 3);
    $('high').textContent = number(g.high, 3);
    stage.dataset.heat = `${g.seen}/${g.missed}`;
    stage.dataset.heatAt = String(Math.round(performance.now()));
  } else delete stage.dataset.heat;
  setThreshold(state.threshold);
}

/** setThreshold hides what is below, and finds the areas anew. @param {number} v */
function setThreshold(v) {
  state.threshold = v;
  const heat = state.heat;
  if (heat) {
    const g = heat.grid;
    input('threshold').value = String(v);
    $('threshold-value').textContent = number(v, 3);
    $('tick').style.left = `${(100 * (v - g.low)) / (g.high - g.low)}%`;
  }
  $('opacity-value').textContent = `${Math.round(100 * Number(input('opacity').value))} %`;
  const old = state.areas[state.at];
  state.areas = heat?.areas(v) ?? [];
  state.at = old ? state.areas.findIndex((a) => a.px === old.px && a.py === old.py) : -1;
  showAreas();
  draw();
}

/** showState says in words how far the model in view is with the slide in view. */
function showState() {
  const line = $('state');
  const model = view.tray.models.find((m) => m.key === state.model);
  const slide = view.tray.slides.find((s) => s.series === here()?.series);
  const said = saidHere();
  const ai = said ? said.ai : slide?.ai || 'running';
  line.replaceChildren();
  line.className = `state ai-${ai}`;
  const mark = /** @type {HTMLTemplateElement|null} */ (document.getElementById(`mark-${ai}`));
  if (mark) line.append(mark.content.cloneNode(true));
  const add = (/** @type {string|undefined} */ text, soft = false) => {
    if (!text) return;
    const e = document.createElement('span');
    e.textContent = text;
    if (soft) e.className = 'soft';
    line.append(e);
  };
  $('version').textContent = model ? `${model.version} · ${model.sha256.slice(0, 12)}` : '';
  if (!model) {
    add(ai === 'out_of_scope' ? words.didnotrun : words.waiting);
    return;
  }
  add(said?.word || model.word);
  add(said ? said.note : model.note, true);
  if (said?.missed && view.tray.live) add(fill(words.seen, whole(said.seen), whole(said.missed)), true);
  if (!model.map) add(words.nomap, true);
}

/** showAreas lists where to look. */
function showAreas() {
  $('areas-panel').hidden = !state.heat;
  const below = state.areas[0]?.below;
  $('areas-note').textContent = (state.areas.length ? (below ? words.below : '') : words.noareas) ?? '';
  const mm = (here()?.microns?.[0] ?? 0) / 1000;
  const g = state.heat?.grid;
  const items = state.areas.map((a, i) => {
    const b = document.createElement('button');
    b.type = 'button';
    b.className = 'go';
    b.dataset.area = String(i);
    if (i === state.at) b.setAttribute('aria-current', 'true');
    const n = document.createElement('b');
    n.textContent = String(i + 1);
    const text = document.createElement('span');
    text.textContent = number(a.peak, 3) + (g ? ` · ${number(a.count * g.step_x * g.step_y * mm * mm, 2)} mm²` : '');
    b.append(n, ' ', text);
    const li = document.createElement('li');
    li.append(b);
    return li;
  });
  const focus = /** @type {HTMLElement|null} */ (document.activeElement)?.dataset?.area;
  $('areas').replaceChildren(...items);
  if (focus) /** @type {HTMLElement|null} */ ($('areas').querySelector(`[data-area="${focus}"]`))?.focus();
  input('next').disabled = !state.areas.length && !found().length;
}

/** found are the findings on the slide in view, each once. */
const found = () => [...new Set(view.marks.filter((m) => m.stack === state.slide).map((m) => m.key))];

/** next goes to the next suspicious area: of the map, else of the findings. @param {number} by */
function next(by) {
  const keys = found();
  const n = state.areas.length || keys.length;
  if (!n) return;
  const at = state.at < 0 && by < 0 ? n - 1 : (state.at + by + n) % n;
  if (state.areas.length) goToArea(at);
  else {
    state.at = at;
    goToFinding(keys[at]);
  }
}

/** goToArea brings an area into the middle, with some of what is around it. @param {number} i */
function goToArea(i) {
  const a = state.areas[i];
  if (!a) return;
  state.at = i;
  if (Math.max(a.w, a.h) * here().microns[0] > wideMicrons) goTo(a.px, a.py, 0, 0); // its hottest place
  else goTo(a.x, a.y, a.w, a.h);
  for (const b of $('areas').querySelectorAll('button')) {
    if (b.dataset.area === String(i)) {
      b.setAttribute('aria-current', 'true');
      b.scrollIntoView({ block: 'nearest' });
    } else b.removeAttribute('aria-current');
  }
  tell(fill(words.area, i + 1, state.areas.length, number(a.peak, 3)) + (a.below ? ` – ${words.below}` : ''));
}

/** @param {number} x @param {number} y @param {number} w @param {number} h of the finest level */
function goTo(x, y, w, h) {
  const item = viewer.world.getItemAt(0);
  if (!item) return;
  const side = Math.max(1.7 * w, 1.7 * h, 700 / (here().microns[0] || 1)); // at least 700 µm: a place is judged in its surroundings
  const box = item.imageToViewportRectangle(x + w / 2 - side / 2, y + h / 2 - side / 2, side, side);
  viewer.viewport.fitBounds(box, still);
}

/** goToFinding shows a finding, on whichever slide it is. @param {string} key */
function goToFinding(key) {
  const m = view.marks.find((one) => one.key === key);
  if (!m) return;
  state.finding = key;
  open(m.stack, () => {
    const xs = m.points.filter((_, i) => i % 2 === 0);
    const ys = m.points.filter((_, i) => i % 2 === 1);
    const [l, t] = [Math.min(...xs), Math.min(...ys)];
    goTo(l, t, Math.max(...xs) - l, Math.max(...ys) - t);
  });
  for (const e of document.querySelectorAll('[data-go]')) {
    if (/** @type {HTMLElement} */ (e).dataset.go === key) e.setAttribute('aria-current', 'true');
    else e.removeAttribute('aria-current');
  }
}

/** showTray writes what has changed in the tray, and moves nothing. */
function showTray() {
  for (const s of view.tray.slides) {
    const index = view.stacks.findIndex((one) => one.series === s.series);
    const a = document.querySelector(`[data-slide="${index}"]`);
    const said = a?.querySelector('.said');
    if (!a || !said) continue;
    const mark = /** @type {HTMLTemplateElement|null} */ (document.getElementById(`mark-${s.ai}`));
    const word = document.createElement('span');
    word.className = 'word';
    word.textContent = s.word;
    said.className = `said ai-${s.ai}`;
    said.replaceChildren(...(mark ? [mark.content.cloneNode(true)] : []), ' ', word);
    /** @type {HTMLElement} */ (a.querySelector('.notes')).textContent = s.notes.join(' · ');
    /** @type {HTMLElement} */ (a.querySelector('.hint')).hidden = !s.first;
  }
}

/** showModels lists the models that were asked, and begins with the first that has a map. A study may be planned while its page is open. */
function showModels() {
  const all = view.tray.models;
  const select = /** @type {HTMLSelectElement} */ ($('model'));
  const known = [...select.options].map((o) => o.value).join(' ');
  if (known !== all.map((m) => m.key).join(' ')) {
    select.replaceChildren(...all.map((m) => new Option(`${m.name} ${m.version}`, m.key)));
  }
  if (!all.some((m) => m.key === state.model)) state.model = (all.find((m) => m.map) ?? all[0])?.key ?? '';
  select.value = state.model;
  $('models').hidden = !all.length;
}

/** reload shows the page as it is now; what was typed is kept first. */
function reload() {
  document.dispatchEvent(new Event('varde:reload'));
  location.reload();
}

/** listen asks how far the models are, for as long as more is to come. */
async function listen() {
  if (!state.live) return;
  try {
    const r = await fetch(`/studies/${view.study}/slides`);
    if (!r.ok) throw new Error(`${r.status}`);
    view.tray = await r.json();
    showTray();
    showModels();
    await fresh();
    if (view.tray.slides.some((s) => view.stacks.find((one) => one.series === s.series)?.version !== s.version)) {
      /** @type {HTMLElement} */ ($('news').firstElementChild).textContent = $('news').dataset.more ?? '';
      $('news').hidden = false;
    }
    if (!view.tray.live) {
      state.live = false;
      $('news').hidden = false;
      // The panel that said so when the page was made is no longer true.
      for (const h of document.querySelectorAll('.answer .ai-running')) /** @type {HTMLElement} */ (h.closest('.answer')).hidden = true;
      return;
    }
    setTimeout(listen, document.hidden ? 5000 : 1000);
  } catch {
    showState();
    $('state').append(` ${words.stale}`);
    setTimeout(listen, 5000);
  }
}

/** note keeps the place in the address, so that it can be come back to and passed on. */
function note() {
  const item = viewer.world.getItemAt(0);
  if (!item) return;
  const b = item.viewportToImageRectangle(viewer.viewport.getBounds(true));
  history.replaceState(null, '', `/studies/${view.study}/slides/${here().series}${location.search}#at=${[b.x, b.y, b.width, b.height].map(Math.round).join(',')}`);
}

/** recall goes to the place that the address names. */
function recall() {
  const m = /^#at=(-?\d+),(-?\d+),(\d+),(\d+)$/.exec(location.hash);
  const item = viewer.world.getItemAt(0);
  if (m && item && Number(m[3]) > 0 && Number(m[4]) > 0) {
    viewer.viewport.fitBounds(item.imageToViewportRectangle(Number(m[1]), Number(m[2]), Number(m[3]), Number(m[4])), true);
  }
}

const zoomBy = (/** @type {number} */ by) => { viewer.viewport.zoomBy(by); viewer.viewport.applyConstraints(); };
const pan = (/** @type {number} */ x, /** @type {number} */ y) => {
  viewer.viewport.panBy(viewer.viewport.deltaPointsFromPixels(new OSD.Point(x, y)));
  viewer.viewport.applyConstraints();
};
function setPower(/** @type {number} */ power) {
  const o = optics();
  const microns = here()?.microns?.[0];
  if (o && microns) viewer.viewport.zoomTo(o.item.imageToViewportZoom((power * microns) / 10));
}
function setStyle(/** @type {string} */ style) {
  Object.assign(state, { style, peeked: false });
  for (const r of document.querySelectorAll('[name=style]')) /** @type {HTMLInputElement} */ (r).checked = /** @type {HTMLInputElement} */ (r).value === style;
  draw();
}
const slideBy = (/** @type {number} */ by) => {
  const i = slides.findIndex((s) => s.index === state.slide) + by;
  if (slides[i]) open(slides[i].index);
};
function setModel(/** @type {string} */ key) {
  Object.assign(state, { model: key, chosen: false, threshold: NaN, heatFor: '', at: -1 });
  input('model').value = key;
  fresh();
}
function step(/** @type {string} */ id, /** @type {number} */ by) {
  const i = input(id);
  i.value = String(Number(i.value) + by * (Number(i.max) - Number(i.min)));
  i.dispatchEvent(new Event('input'));
}
const styles = ['auto', 'fill', 'outline', 'off'];

/** @type {Record<string, (shift: boolean) => void>} */
const keys = {
  n: (shift) => next(shift ? -1 : 1),
  h: () => { state.peeked = !state.peeked; draw(); },
  o: (shift) => (shift ? document.getElementById('others-on')?.click() : setStyle(styles[(styles.indexOf(state.style) + 1) % styles.length])),
  f: () => { input('show').checked = !input('show').checked; draw(); },
  m: () => { const i = view.tray.models.findIndex((m) => m.key === state.model); const all = view.tray.models; if (all.length > 1) setModel(all[(i + 1) % all.length].key); },
  r: () => { if (!$('news').hidden) reload(); },
  '[': () => state.heat && step('threshold', -0.05), ']': () => state.heat && step('threshold', 0.05),
  '{': () => step('opacity', -0.1), '}': () => step('opacity', 0.1),
  '+': () => zoomBy(1.5), '=': () => zoomBy(1.5), '-': () => zoomBy(1 / 1.5), 0: () => viewer.viewport.goHome(still),
  ArrowLeft: () => pan(-120, 0), ArrowRight: () => pan(120, 0), ArrowUp: () => pan(0, -120), ArrowDown: () => pan(0, 120),
  PageUp: () => slideBy(-1), PageDown: () => slideBy(1),
};

document.addEventListener('keydown', (e) => {
  if (noKey(e)) return;
  const to = /** @type {HTMLElement} */ (e.target);
  if (e.ctrlKey || e.metaKey || e.altKey || to.closest('input:not([type=range], [type=checkbox], [name=style]), textarea, select, summary')) return;
  if (to.closest('input') && e.key.length > 1) return; // arrows belong to the slider or the choice
  const act = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key];
  if (!act) return;
  e.preventDefault();
  act(e.shiftKey);
});
document.addEventListener('click', (e) => {
  const to = /** @type {HTMLElement} */ (e.target).closest('button, a');
  const d = /** @type {HTMLElement|null} */ (to)?.dataset;
  if (!d) return;
  if (d.slide && !e.ctrlKey && !e.metaKey && !e.shiftKey) {
    e.preventDefault();
    open(Number(d.slide));
  }
  if (d.area) goToArea(Number(d.area));
  if (d.go) goToFinding(d.go);
  if (d.power) setPower(Number(d.power));
});
document.addEventListener('change', (e) => {
  const box = /** @type {HTMLInputElement} */ (e.target);
  if (box.name === 'style') setStyle(box.value);
  if (box.id === 'others-on') others.shown = box.checked;
  if (box.dataset.other && box.checked) others.off.delete(box.dataset.other);
  else if (box.dataset.other) others.off.add(box.dataset.other);
  if (box.id === 'others-on' || box.dataset.other) draw();
  if (!box.dataset.mark) return;
  if (box.checked) hidden.delete(box.dataset.mark);
  else hidden.add(box.dataset.mark);
  draw();
});
$('out').addEventListener('click', () => zoomBy(1 / 1.5));
$('in').addEventListener('click', () => zoomBy(1.5));
$('home').addEventListener('click', () => viewer.viewport.goHome(still));
$('next').addEventListener('click', () => next(1));
$('reload').addEventListener('click', reload);
$('own').addEventListener('click', () => { state.chosen = false; setThreshold(state.heat?.grid.threshold ?? state.threshold); });
$('model').addEventListener('change', (e) => setModel(/** @type {HTMLSelectElement} */ (e.target).value));
input('zoom').addEventListener('input', () => viewer.viewport.zoomTo(2 ** Number(input('zoom').value)));
input('threshold').addEventListener('input', () => { state.chosen = true; setThreshold(Number(input('threshold').value)); });
input('opacity').addEventListener('input', () => { $('opacity-value').textContent = `${Math.round(100 * Number(input('opacity').value))} %`; draw(); });
for (const id of ['show', 'unseen']) input(id).addEventListener('change', draw);

viewer.addHandler('update-viewport', draw);
viewer.addHandler('resize', () => setTimeout(() => { draw(); lookOthers(); }));
viewer.addHandler('animation-finish', note);
viewer.addHandler('animation-finish', lookOthers);
window.addEventListener('hashchange', recall);
viewer.addHandler('tile-drawn', () => {
  if (stage.dataset.shown) return;
  stage.dataset.shown = String(state.slide);
  stage.dataset.shownAt = String(Math.round(performance.now()));
});
viewer.world.addHandler('add-item', (/** @type {any} */ e) => {
  e.item.addHandler('fully-loaded-change', (/** @type {any} */ f) => { stage.dataset.loaded = String(f.fullyLoaded); });
});
viewer.addHandler('tile-load-failed', (/** @type {any} */ e) => {
  if (/abort/i.test(String(e.message))) return;
  state.failed++;
  trouble(fill(words.missing, state.failed));
});
viewer.addHandler('open-failed', () => trouble(words.failed ?? ''));

// The colors of the scale, once.
const legend = /** @type {HTMLCanvasElement} */ ($('legend'));
const ink = /** @type {CanvasRenderingContext2D} */ (legend.getContext('2d'));
for (let x = 0; x < legend.width; x++) {
  ink.fillStyle = `rgb(${color(x / (legend.width - 1)).join(' ')})`;
  ink.fillRect(x, 0, 1, legend.height);
}
showModels();
if (slides.length) open(view.start, recall);
else trouble(words.empty ?? '');
if (state.live) setTimeout(listen, 500);
