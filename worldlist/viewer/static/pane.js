// @ts-check
// A pane is one viewport: a frame of a stack, how it is shown, and what lies on it.
// It knows nothing of the other panes.

import { keyOf } from './frames.js';
import { drawCross, drawCursor, drawLine, drawMark } from './ink.js';
import { lengthOf, number, valueAt, valueText } from './measure.js';
import { brightness, Easel } from './picture.js';

/**
 * @typedef {import('./frames.js').Stack} Stack
 * @typedef {import('./frames.js').Frame} Frame
 * @typedef {import('./frames.js').Frames} Frames
 * @typedef {import('./ink.js').Mark} Mark
 * @typedef {import('./measure.js').Dot} Dot
 * @typedef {import('./picture.js').Table} Table
 * @typedef {import('./picture.js').Window} Window
 * @typedef {{kind: 'own'|'table', n: number}|{kind: 'set', c: number, w: number}|null} Look what the reader chose; null: as the image wants to be shown
 * @typedef {{a: Dot, b: Dot}} Line
 * @typedef {{frames: Frames, words: DOMStringMap, marks: Mark[], missed: Mark[], overlay: import('./overlay.js').Overlay,
 *   others: import('./foreign.js').Others, rings: () => boolean, hidden: Set<string>, changed: (p: Pane) => void, spoken: (text: string) => void}} House
 */

/** @param {string|undefined} text @param {unknown[]} args */
export const fill = (text, ...args) => (text ?? '').replace(/\{(\d)\}/g, (_, n) => String(args[Number(n)]));

const lateMS = 400; // after which an image is said to be on its way
const zoomMin = -2;
const zoomMax = 5;

export class Pane {
  /** @param {HTMLElement} root @param {House} house */
  constructor(root, house) {
    this.root = root;
    this.house = house;
    const el = (/** @type {string} */ name) => /** @type {HTMLElement} */ (root.querySelector(`[data-el=${name}]`));
    this.stage = el('stage');
    this.image = /** @type {HTMLCanvasElement} */ (el('image'));
    this.ink = /** @type {HTMLCanvasElement} */ (el('marks'));
    this.texts = { what: el('what'), zoom: el('zoom'), value: el('value'), window: el('window'), where: el('where'), trouble: el('trouble'), link: el('link'), preview: el('preview') };
    this.easel = new Easel();
    /** @type {Stack|null} */ this.stack = null;
    this.at = 0; // the frame that is wanted
    /** @type {{stack: Stack, at: number}|null} */ this.seen = null; // the one that is shown
    this.center = 0;
    this.width = 1;
    /** @type {Look} */ this.look = null;
    this.inverted = false;
    this.zoom = 0; // powers of two beyond the whole image
    this.x = 0; // pan, in CSS pixels
    this.y = 0;
    /** @type {Frame|null} */ this.shown = null;
    /** @type {Uint8Array|null} */ this.table = null;
    /** @type {Window|Table|null} */ this.applied = null;
    /** @type {Map<string, Table>} */ this.tables = new Map();
    /** @type {AbortController|null} */ this.waiting = null;
    /** @type {Map<string, Line[]>} */ this.lines = new Map();
    /** @type {Dot|null} */ this.from = null; // where a length begins
    /** @type {Dot|null} */ this.cursor = null; // moved by keys or by the mouse
    this.crossed = false; // the cursor is drawn: keys move it
    this.drawn = 0;
    this.wish = 0;
    new ResizeObserver(() => this.draw()).observe(this.stage);
  }

  /** key names the frame that is shown. */
  get key() { return this.seen ? keyOf(this.seen.stack, this.seen.at) : ''; }

  get geometry() { return this.shown?.geometry; }

  /** placing is by which scales and from which corner image pixels lie on the screen, in CSS pixels. */
  placing() {
    const g = this.geometry;
    const box = this.stage.getBoundingClientRect();
    if (!g) return { sx: 1, sy: 1, left: 0, top: 0, box };
    const [between, along] = g.spacing_mm ?? [0, 0];
    const tall = between > 0 && along > 0 ? between / along : 1;
    const sx = Math.min(box.width / g.columns, box.height / (g.rows * tall)) * 2 ** this.zoom;
    const sy = sx * tall;
    return { sx, sy, box, left: (box.width - g.columns * sx) / 2 + this.x, top: (box.height - g.rows * sy) / 2 + this.y };
  }

  /** dotAt is the point of the image under a point of the window. @param {number} x @param {number} y @returns {Dot} */
  dotAt(x, y) {
    const p = this.placing();
    return { x: (x - p.box.left - p.left) / p.sx, y: (y - p.box.top - p.top) / p.sy };
  }

  /** inside reports whether a point lies on the image. @param {Dot} d */
  inside(d) {
    const g = this.geometry;
    return Boolean(g) && d.x >= 0 && d.y >= 0 && d.x < /** @type {any} */ (g).columns && d.y < /** @type {any} */ (g).rows;
  }

  /** draw asks for one drawing in the next frame of the screen. */
  draw() {
    if (this.drawn) return;
    this.drawn = requestAnimationFrame(() => {
      this.drawn = 0;
      this.drawImage();
      this.drawMarks();
      this.write();
    });
  }

  /** fresh gives an empty canvas as large as the stage. @param {HTMLCanvasElement} c @param {boolean} css counts in CSS pixels */
  fresh(c, css) {
    const dots = devicePixelRatio || 1;
    const { width, height } = this.stage.getBoundingClientRect();
    const w = Math.max(1, Math.round(width * dots));
    const h = Math.max(1, Math.round(height * dots));
    if (c.width !== w || c.height !== h) [c.width, c.height] = [w, h];
    const to = /** @type {CanvasRenderingContext2D} */ (c.getContext('2d'));
    to.setTransform(1, 0, 0, 1, 0, 0);
    to.clearRect(0, 0, w, h);
    if (css) to.scale(dots, dots);
    return to;
  }

  drawImage() {
    const to = this.fresh(this.image, false);
    if (!this.shown || !this.seen) return;
    const { stack, at } = this.seen;
    const p = this.placing();
    const dots = devicePixelRatio || 1;
    const how = this.easel.draw(to, this.shown, this.shown.bitmap ? null : this.table,
      { left: p.left * dots, top: p.top * dots, sx: p.sx * dots, sy: p.sy * dots }, this.inverted);
    const d = this.stage.dataset;
    d.drawn = how;
    d.quality = this.shown.quick ? 'quick' : 'full';
    if (this.shown.quick) {
      d.quickAt ??= String(Math.round(performance.now()));
      return;
    }
    d.shownAt ??= String(Math.round(performance.now()));
    d.shown = `${stack.own ? stack.index : stack.study}/${at}`;
  }

  drawMarks() {
    const to = this.fresh(this.ink, true);
    if (!this.shown || !this.seen) return;
    const { stack: s, at } = this.seen;
    const p = this.placing();
    const spot = (/** @type {Dot} */ d) => /** @type {[number, number]} */ ([p.left + d.x * p.sx, p.top + d.y * p.sy]);
    if (s.own) {
      this.stage.dataset.layers = String(this.house.overlay.draw(to, this.key, p));
      const here = (/** @type {Mark[]} */ all) => all.filter((m) => m.stack === s.index && m.frame === at);
      if (this.house.rings()) for (const m of here(this.house.marks)) if (!this.house.hidden.has(m.key)) drawMark(to, m, p);
      for (const m of here(this.house.missed)) drawCross(to, ...spot({ x: m.points[0], y: m.points[1] }), fill(this.house.words.missedmark, m.number));
    }
    this.stage.dataset.others = String(this.house.others.draw(to, /** @type {string} */ (s.study), this.key, p));
    for (const l of this.lines.get(this.key) ?? []) drawLine(to, ...spot(l.a), ...spot(l.b), this.lengthText(l));
    if (this.from && this.cursor) {
      const l = { a: this.from, b: this.cursor };
      drawLine(to, ...spot(l.a), ...spot(l.b), this.lengthText(l));
    }
    if (this.crossed && this.cursor) drawCursor(to, ...spot(this.cursor));
    this.drawScale(to, p);
  }

  /** lengthText says how long a line is, and where. @param {Line} l */
  lengthText(l) {
    if (!this.shown) return '';
    const { value, unit } = lengthOf(l.a, l.b, this.shown);
    const words = { mm: this.house.words.mm, detector: this.house.words.detector, pixels: this.house.words.pixels };
    return fill(words[unit], number(value, 1));
  }

  /** drawScale draws a length that is known: none where a spacing is only the detector's. @param {CanvasRenderingContext2D} to @param {ReturnType<Pane['placing']>} p */
  drawScale(to, p) {
    const g = this.geometry;
    if (!g || g.spacing_kind !== 'pixel' || !(g.spacing_mm?.[1] > 0)) return;
    const perMM = p.sx / g.spacing_mm[1];
    const mm = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].findLast((s) => s * perMM <= Math.min(130, p.box.width / 4));
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

  /** windowText says through which window the image is seen. */
  windowText() {
    const w = this.house.words;
    if (!this.shown || this.colored()) return '';
    if (this.applied && 'entries' in this.applied) {
      const n = this.look && this.look.kind === 'table' ? this.look.n : 0;
      return fill(w.table, this.shown.geometry.tables?.[n] || n + 1);
    }
    const short = (/** @type {number} */ v) => (this.width < 10 ? number(v, 2) : String(Math.round(v)));
    return fill(w.window, short(this.width), short(this.center));
  }

  colored() { return Boolean(this.seen?.stack.color || (this.shown?.bitmap && !this.shown.quick)); }

  write() {
    const w = this.house.words;
    if (!this.stack) return;
    const { stack: s, at } = this.seen ?? { stack: this.stack, at: this.at };
    const where = s.frames.length > 1 ? fill(w.slice, at + 1, s.frames.length) : '';
    const window = this.windowText();
    this.texts.window.textContent = window + (this.inverted ? ` · ${w.inverted}` : '');
    this.texts.where.textContent = where;
    this.texts.zoom.textContent = fill(w.zoom, Math.round(2 ** this.zoom * 100) + ' %');
    this.texts.what.textContent = s.label;
    this.texts.preview.textContent = this.shown?.quick ? w.preview ?? '' : '';
    this.texts.what.classList.toggle('prior', !s.own);
    const value = this.writeValue();
    this.house.changed(this);
    this.house.spoken(this.crossed ? value : [s.own ? '' : s.label, where, window].filter(Boolean).join(', '));
  }

  /** writeValue says what lies under the cursor. @returns {string} */
  writeValue() {
    let text = '';
    if (this.cursor && this.shown && !this.shown.quick && this.inside(this.cursor)) {
      const v = valueAt(this.cursor, this.shown);
      text = `${Math.floor(this.cursor.x)}, ${Math.floor(this.cursor.y)}` + (v === null ? '' : `: ${valueText(v, this.shown)}`);
    }
    this.texts.value.textContent = text;
    return text;
  }

  /** trouble says why there is no image. @param {string|undefined} text */
  trouble(text) {
    this.texts.trouble.textContent = text ?? '';
    this.texts.trouble.hidden = !text;
  }

  /** show shows a frame of a stack, as soon as it is here. @param {Stack} s @param {number} at @param {boolean} quick with a picture before its values */
  async show(s, at, quick = true) {
    if (!s.frames.length) return;
    const { frames, words } = this.house;
    const fresh = s !== this.stack;
    this.stack = s;
    this.at = Math.max(0, Math.min(at, s.frames.length - 1));
    this.from = null;
    if (fresh) Object.assign(this, { zoom: 0, x: 0, y: 0, look: null, inverted: false, cursor: null, shown: null, seen: null });
    const mine = ++this.wish;
    this.waiting?.abort();
    const stop = this.waiting = new AbortController();
    const spot = this.at;
    const here = frames.has(s, spot);
    if (this.seen?.stack !== s || this.seen.at !== spot) { // what is on the screen is not what was asked for
      delete this.stage.dataset.shown;
      delete this.stage.dataset.quality;
    }
    const late = setTimeout(() => mine === this.wish && !this.shown && this.trouble(words.loading), lateMS);
    if (!here && quick && !s.color) {
      const set = this.look?.kind === 'set' ? this.look : null;
      frames.quick(s, spot, set, stop.signal).then((f) => {
        if (mine !== this.wish || frames.has(s, spot)) return;
        this.put({ ...f, quick: true }, s, spot);
      }).catch(() => {}); // the values say what is wrong
    }
    try {
      const coming = frames.get(s, spot);
      frames.settle();
      const f = here ?? await coming;
      if (mine !== this.wish) return;
      stop.abort();
      this.trouble('');
      this.put(f, s, spot);
    } catch (e) {
      if (mine !== this.wish || /** @type {any} */ (e).name === 'AbortError') return;
      this.shown = this.seen = null;
      delete this.stage.dataset.shown;
      this.draw();
      this.trouble(/** @type {any} */ (e).status === 415 ? words.unsupported : words.failed);
    } finally {
      clearTimeout(late);
    }
  }

  /** put shows a frame that is here. @param {Frame} f @param {Stack} stack @param {number} at */
  put(f, stack, at) {
    this.shown = f;
    this.seen = { stack, at };
    this.apply();
    this.draw();
  }

  /** apply makes the table of brightness for the frame, by the reader's choice or the image's. */
  apply() {
    const f = this.shown;
    const g = this.geometry;
    if (!f || !g) return;
    const windows = g.windows ?? [];
    const tables = g.tables ?? [];
    const chosen = this.look;
    /** @type {Window|Table} */
    let look = { c: g.center, w: g.width, f: 'LINEAR' };
    if (chosen?.kind === 'set') look = { c: chosen.c, w: chosen.w, f: 'LINEAR' };
    else if (chosen?.kind === 'own' && windows[chosen.n]) look = windows[chosen.n];
    else if ((chosen?.kind === 'table' && tables[chosen.n] !== undefined) || (!chosen && !windows.length && tables.length)) {
      const n = chosen?.kind === 'table' ? chosen.n : 0;
      const had = this.tables.get(`${this.key}/${n}`);
      if (had) look = had;
      else this.fetchTable(n);
    } else if (windows.length) look = windows[0];
    this.applied = look;
    if (!('entries' in look)) [this.center, this.width] = [look.c, look.w];
    this.table = f.samples ? brightness(g, look, this.inverted) : null;
  }

  /** fetchTable gets a table of the frame in view, and applies it when it is here. @param {number} n */
  async fetchTable(n) {
    if (!this.seen || this.shown?.quick) return;
    const key = this.key;
    const { stack, at } = this.seen;
    try {
      const t = await this.house.frames.table(stack, at, n);
      this.tables.set(`${key}/${n}`, t);
      for (const old of this.tables.keys()) {
        if (this.tables.size <= 16) break;
        this.tables.delete(old);
      }
    } catch {
      this.look ??= { kind: 'set', c: this.center, w: this.width };
      return;
    }
    if (key === this.key) this.relook(this.look);
  }

  /** relook changes how the image is shown. @param {Look} look */
  relook(look) {
    this.look = look;
    this.apply();
    this.draw();
  }

  /** windowed changes the window by the reader's wish. @param {number} center @param {number} width */
  windowed(center, width) {
    if (!this.shown || this.colored()) return;
    this.relook({ kind: 'set', c: center, w: Math.max(1, width) });
  }

  /** full shows the whole range of the values. */
  full() {
    const g = this.geometry;
    if (g) this.windowed((g.low + g.high) / 2, g.high - g.low + 1);
  }

  invert() {
    this.inverted = !this.inverted;
    this.apply();
    this.draw();
  }

  /** @param {number} zoom @param {number} [px] the point that stays, in CSS pixels of the stage @param {number} [py] */
  zoomTo(zoom, px, py) {
    const { box } = this.placing();
    const to = Math.max(zoomMin, Math.min(zoomMax, zoom));
    const by = 2 ** (to - this.zoom);
    const cx = (px ?? box.width / 2) - box.width / 2;
    const cy = (py ?? box.height / 2) - box.height / 2;
    this.x = cx - (cx - this.x) * by;
    this.y = cy - (cy - this.y) * by;
    this.zoom = to;
    this.draw();
  }

  /** @param {number} x @param {number} y in CSS pixels */
  pan(x, y) {
    this.x += x;
    this.y += y;
    this.draw();
  }

  /** reset shows the whole image as it wants to be shown. */
  reset() {
    Object.assign(this, { zoom: 0, x: 0, y: 0, look: null, inverted: false });
    this.apply();
    this.draw();
  }

  /** cross shows the cursor that keys move, in the middle of what is seen. @param {boolean} on */
  cross(on) {
    this.crossed = on;
    if (on && (!this.cursor || !this.inside(this.cursor))) {
      const box = this.stage.getBoundingClientRect();
      const d = this.dotAt(box.left + box.width / 2, box.top + box.height / 2);
      this.cursor = { x: Math.floor(d.x) + 0.5, y: Math.floor(d.y) + 0.5 };
    }
    if (!on) this.from = null;
    this.draw();
  }

  /** nudge moves the cursor by pixels of the image. @param {number} dx @param {number} dy */
  nudge(dx, dy) {
    const g = this.geometry;
    if (!this.cursor || !g) return;
    this.cursor = { x: Math.max(0, Math.min(g.columns - 0.5, this.cursor.x + dx)), y: Math.max(0, Math.min(g.rows - 0.5, this.cursor.y + dy)) };
    this.draw();
  }

  /** end sets an end of a length: its first, then its second. @param {Dot} d @returns {string} the length, when it is whole */
  end(d) {
    if (!this.shown || this.shown.quick || !this.inside(d)) return '';
    if (!this.from) {
      this.from = d;
      this.cursor = d;
      this.draw();
      return '';
    }
    const line = { a: this.from, b: d };
    this.lines.set(this.key, [...(this.lines.get(this.key) ?? []), line]);
    this.from = null;
    this.draw();
    return this.lengthText(line);
  }

  /** erase takes the lengths of this frame away. */
  erase() {
    this.lines.delete(this.key);
    this.from = null;
    this.draw();
  }
}
