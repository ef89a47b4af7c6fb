// @ts-check
// What other makers found, over a slide: rings and outlines, dotted as on images. The
// outlines of segmentations are asked for area by area, as fine as the view is. What a
// reader may not see yet never comes here.

import { drawRing, inks } from './foreign.js';
import { drawText } from './ink.js';
import { outline } from './overlay.js';

/**
 * @typedef {import('./foreign.js').Ring} Ring
 * @typedef {import('./overlay.js').Grid} Grid
 * @typedef {{left: number, top: number, sx: number, sy: number, width: number, height: number}} Place
 * @typedef {{key: string, label: string, line: boolean, each: number[][]}} Cloud
 * @typedef {{key: string, label: string}} Film
 * @typedef {{key: string, grid: Grid, line: Path2D, top: number[]}} Shape
 * @typedef {{x: number, y: number, w: number, h: number}} Area
 */

const dots = [1.5, 4];
const mostDrawn = 4000; // shapes of one label in view: beyond, each is a dot
const margin = 0.3; // of the view, on each side, that is fetched with it

export class SlideOthers {
  /** @param {string} study @param {() => void} changed */
  constructor(study, changed) {
    this.study = study;
    this.changed = changed;
    this.shown = true;
    this.series = '';
    this.size = [0, 0];
    /** @type {Ring[]} */ this.rings = [];
    /** @type {Cloud[]} */ this.clouds = [];
    /** @type {Film[]} */ this.films = [];
    /** @type {Shape[]} */ this.shapes = [];
    /** @type {string[]} */ this.far = [];
    /** @type {Area|null} */ this.had = null; // the area that the outlines are of
    this.wanted = 0;
    this.lost = false; // something did not come, and is not drawn
    /** @type {Set<string>} */ this.off = new Set();
  }

  /** load gets what was drawn over a slide. @param {string} series @param {number} columns @param {number} rows @returns {Promise<string[]>} the keys of what can be shown */
  async load(series, columns, rows) {
    Object.assign(this, { series, size: [columns, rows], rings: [], clouds: [], films: [], shapes: [], far: [], had: null, lost: false });
    const found = await fetch(`/studies/${this.study}/slides/${series}/others`).then((r) => (r.ok ? r.json() : null)).catch(() => null);
    if (series !== this.series) return [];
    this.lost = !found;
    Object.assign(this, found);
    this.changed();
    return [...this.rings, ...this.clouds, ...this.films].map((one) => one.key);
  }

  /** look fetches the outlines for a view, unless those that are here do for it. @param {Place} p */
  async look(p) {
    const [w, h] = [p.width / p.sx, p.height / p.sy];
    const view = { x: -p.left / p.sx, y: -p.top / p.sy, w, h };
    const had = this.had;
    if (!this.films.length || !(w > 0 && h > 0)) return;
    const inside = had && clip(view, this.size).every((v, i) => (i < 2 ? v >= [had.x, had.y][i] - 1 : v <= [had.x + had.w, had.y + had.h][i - 2] + 1));
    if (inside && had.w < 2.5 * w * (1 + 2 * margin)) return;
    const [l, t, r, b] = clip({ x: view.x - margin * w, y: view.y - margin * h, w: w * (1 + 2 * margin), h: h * (1 + 2 * margin) }, this.size).map(Math.round);
    if (r <= l || b <= t) return;
    const area = { x: l, y: t, w: r - l, h: b - t };
    const mine = ++this.wanted;
    const series = this.series;
    this.had = area;
    try {
      const answer = await fetch(`/studies/${this.study}/slides/${series}/others/area?${new URLSearchParams(Object.entries(area).map(([k, v]) => [k, String(v)]))}`);
      if (!answer.ok) throw new Error(String(answer.status));
      const films = await answer.json();
      if (mine !== this.wanted || series !== this.series) return;
      this.shapes = films.pieces.map((/** @type {{key: string, grid: Grid, runs: number[]}} */ one) => ({ key: one.key, grid: one.grid, line: outline(one.runs).line, top: [one.runs[1], one.runs[0]] }));
      this.far = films.far;
      this.lost = false;
      this.changed();
    } catch {
      if (mine !== this.wanted || series !== this.series) return;
      [this.shapes, this.far, this.lost] = [[], [], true];
      this.changed();
      setTimeout(() => { if (mine === this.wanted) this.had = null; }, 5000);
    }
  }

  /** tooFine reports whether something is not drawn because the view is too large for it. */
  tooFine() {
    return this.shown && this.far.some((key) => !this.off.has(key));
  }

  /** undrawn reports whether something is not drawn because it did not come. */
  undrawn() {
    return this.shown && this.lost;
  }

  /** draw draws what lies in the view. @param {CanvasRenderingContext2D} to @param {Place} p @returns {number} under how many keys there was something */
  draw(to, p) {
    if (!this.shown) return 0;
    const drawn = new Set();
    for (const s of this.shapes) {
      if (this.off.has(s.key)) continue;
      const n = Math.max(0, this.films.findIndex((f) => f.key === s.key));
      const by = new DOMMatrix([s.grid.dx * p.sx, 0, 0, s.grid.dy * p.sy, p.left + s.grid.x * p.sx, p.top + s.grid.y * p.sy]);
      const line = new Path2D();
      line.addPath(s.line, by);
      const at = by.transformPoint(new DOMPoint(s.top[0], s.top[1]));
      stroke(to, line, n + 1, this.films[n]?.label ?? '', at.x, at.y); // rings have the first color
      drawn.add(s.key);
    }
    this.clouds.forEach((c, n) => {
      if (!this.off.has(c.key) && drawCloud(to, c, n + 1 + this.films.length, p)) drawn.add(c.key);
    });
    for (const one of this.rings) {
      if (this.off.has(one.key)) continue;
      drawRing(to, one, p);
      drawn.add(one.key);
    }
    return drawn.size;
  }
}

/** clip keeps an area on the slide, as left, top, right and bottom. @param {Area} a @param {number[]} size */
const clip = (a, size) => [Math.max(0, a.x), Math.max(0, a.y), Math.min(size[0], a.x + a.w), Math.min(size[1], a.y + a.h)];

/** stroke draws a dotted line with its label. @param {CanvasRenderingContext2D} to @param {Path2D} line @param {number} n @param {string} label @param {number} x @param {number} y */
function stroke(to, line, n, label, x, y, width = 1.5) {
  to.lineJoin = to.lineCap = 'round';
  to.strokeStyle = '#000';
  to.lineWidth = 2 + width;
  to.stroke(line);
  to.strokeStyle = inks[n % inks.length];
  to.lineWidth = width;
  to.setLineDash(dots);
  to.stroke(line);
  to.setLineDash([]);
  drawText(to, label, x - 4, y - 6, inks[n % inks.length]);
}

/** drawCloud draws the shapes of one label that are in view. @param {CanvasRenderingContext2D} to @param {Cloud} c @param {number} n @param {Place} p */
function drawCloud(to, c, n, p) {
  const seen = c.each.filter((e) => {
    const [x, y] = [p.left + (e[0] / 10) * p.sx, p.top + (e[1] / 10) * p.sy];
    return x > -400 && y > -400 && x < p.width + 400 && y < p.height + 400; // where its first point is, and some more
  });
  if (!seen.length) return false;
  const path = new Path2D();
  const few = seen.length <= mostDrawn;
  for (const e of seen) {
    const [x, y] = [p.left + (e[0] / 10) * p.sx, p.top + (e[1] / 10) * p.sy];
    if (!few) path.rect(x, y, 1, 1);
    else if (!c.line) {
      path.moveTo(x + 4, y);
      path.arc(x, y, 4, 0, 2 * Math.PI);
    } else {
      path.moveTo(x, y);
      for (let i = 2; i + 1 < e.length; i += 2) path.lineTo(p.left + (e[i] / 10) * p.sx, p.top + (e[i + 1] / 10) * p.sy);
    }
  }
  const first = seen[0];
  stroke(to, path, n, c.label, p.left + (first[0] / 10) * p.sx, p.top + (first[1] / 10) * p.sy, 1.1);
  return true;
}
