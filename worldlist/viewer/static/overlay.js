// @ts-check
// Overlays: what networks drew over images, as outlines. A fill is the reader's wish:
// on gray it hides what it marks. What a reader may not see yet never comes here.

import { drawText } from './ink.js';

/**
 * @typedef {{key: string, text: string, model: string, frames: string[]}} Layer
 * @typedef {{x: number, y: number, dx: number, dy: number}} Grid
 * @typedef {{key: string, grid: Grid, runs: number[]}} Piece
 * @typedef {{key: string, grid: Grid, line: Path2D, area: Path2D, top: number[]}} Shape
 * @typedef {import('./picture.js').Place} Place
 * @typedef {{list: string, of: (key: string) => string, inks: string[], dash: number[], letter: (n: number) => string}} Manner where outlines come from, and how they are drawn
 */

/** Colors of the layers; each has its letter as well, for whoever can't tell them apart. */
export const inks = ['#59c9ff', '#ff9f5a', '#a5e66c', '#e79bff', '#ff8d99', '#7ff0d8'];

/** letterOf is what a layer is called on the image. @param {number} i */
export const letterOf = (i) => String.fromCharCode(65 + (i % 26));

const maxShapes = 400; // frames whose outlines are kept

/** outline is the edge of runs, in columns and rows of their grid. @param {number[]} runs */
export function outline(runs) {
  /** @type {Map<number, number[][]>} */
  const rows = new Map();
  for (let i = 0; i + 2 < runs.length; i += 3) {
    const all = rows.get(runs[i]) ?? [];
    all.push([runs[i + 1], runs[i + 2] + 1]);
    rows.set(runs[i], all);
  }
  const line = new Path2D();
  const area = new Path2D();
  const across = (/** @type {number} */ y, /** @type {number} */ a, /** @type {number} */ b) => { line.moveTo(a, y); line.lineTo(b, y); };
  for (const [y, all] of rows) {
    for (const [a, b] of all) {
      area.rect(a, y, b - a, 1);
      for (const x of [a, b]) { line.moveTo(x, y); line.lineTo(x, y + 1); }
      for (const [other, edge] of /** @type {[number[][], number][]} */ ([[rows.get(y - 1) ?? [], y], [rows.get(y + 1) ?? [], y + 1]])) {
        let from = a; // what no run of the row beside covers is an edge
        for (const [c, d] of other.toSorted((p, q) => p[0] - q[0])) {
          if (d <= from || c >= b) continue;
          if (c > from) across(edge, from, c);
          from = Math.max(from, d);
        }
        if (from < b) across(edge, from, b);
      }
    }
  }
  return { line, area };
}

export class Overlay {
  /** @param {string} study @param {() => void} changed @param {Partial<Manner>} [manner] */
  constructor(study, changed, manner) {
    this.study = study;
    this.changed = changed;
    /** @type {Manner} */ this.manner = { list: `/studies/${study}/masks`, of: (key) => `/studies/${study}/frames/${key}/masks`, inks, dash: [], letter: letterOf, ...manner };
    /** @type {Layer[]} */ this.layers = [];
    /** @type {Set<string>} */ this.where = new Set();
    /** @type {Map<string, Shape[]|null>} */ this.shapes = new Map(); // null: on its way
    /** @type {Set<string>} */ this.off = new Set();
    this.shown = true;
    this.fill = 0;
  }

  /** @returns {Promise<boolean>} whether anything was drawn that may be seen */
  async load() {
    const r = await fetch(this.manner.list);
    if (!r.ok) return false;
    this.take((await r.json()).layers);
    return this.layers.length > 0;
  }

  /** take takes layers that are here. @param {Layer[]} layers */
  take(layers) {
    this.layers = layers;
    this.where = new Set(layers.flatMap((l) => l.frames));
  }

  /** of gives the shapes on a frame, and fetches them first if need be. @param {string} key @returns {Shape[]} */
  of(key) {
    if (!this.where.has(key)) return [];
    const had = this.shapes.get(key);
    if (had !== undefined) return had ?? [];
    this.shapes.set(key, null);
    fetch(this.manner.of(key)).then(async (r) => {
      if (!r.ok) throw new Error(String(r.status));
      /** @type {Piece[]} */ const pieces = await r.json();
      this.shapes.set(key, pieces.map((p) => ({ key: p.key, grid: p.grid, ...outline(p.runs), top: [p.runs[1], p.runs[0]] })));
      for (const old of this.shapes.keys()) {
        if (this.shapes.size <= maxShapes) break;
        this.shapes.delete(old);
      }
      this.changed();
    }).catch(() => { setTimeout(() => this.shapes.delete(key), 5000); });
    return [];
  }

  /** draw draws what lies on a frame. @param {CanvasRenderingContext2D} to @param {string} key @param {Place} p @returns {number} how many layers */
  draw(to, key, p) {
    if (!this.shown) return 0;
    const shapes = this.of(key).filter((s) => !this.off.has(s.key));
    for (const s of shapes) {
      const n = Math.max(0, this.layers.findIndex((l) => l.key === s.key));
      const ink = this.manner.inks[n % this.manner.inks.length];
      const by = new DOMMatrix([s.grid.dx * p.sx, 0, 0, s.grid.dy * p.sy, p.left + s.grid.x * p.sx, p.top + s.grid.y * p.sy]);
      if (this.fill > 0) {
        const area = new Path2D();
        area.addPath(s.area, by);
        to.globalAlpha = this.fill;
        to.fillStyle = ink;
        to.fill(area);
        to.globalAlpha = 1;
      }
      const line = new Path2D();
      line.addPath(s.line, by);
      to.lineJoin = to.lineCap = 'round';
      to.strokeStyle = '#000';
      to.lineWidth = 3.5;
      to.stroke(line);
      to.strokeStyle = ink;
      to.lineWidth = 1.5;
      to.setLineDash(this.manner.dash);
      to.stroke(line);
      to.setLineDash([]);
      const at = by.transformPoint(new DOMPoint(s.top[0], s.top[1]));
      if (this.layers.length > 1 || this.manner.letter !== letterOf) drawText(to, this.manner.letter(n), at.x - 4, at.y - 6, ink);
    }
    return shapes.length;
  }
}
