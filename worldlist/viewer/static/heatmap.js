// @ts-check
// A heat map: what one model gave for each patch of one slide, on a grid of its
// own. Tissue that was not looked at is hatched, and never has the color of a low
// value. Bare glass stays plain where it is known which is which; a line goes round
// what was looked at, so that pale tissue is not taken for glass that was.

/**
 * @typedef {{columns: number, rows: number, x: number, y: number, step_x: number, step_y: number, w: number, h: number,
 *   low: number, high: number, threshold: number, seen: number, missed: number}} Grid
 * @typedef {{left: number, top: number, sx: number, sy: number, width: number, height: number}} Place where the slide lies on the screen
 * @typedef {{x: number, y: number, w: number, h: number, peak: number, px: number, py: number, count: number, below: boolean}} Area
 * @typedef {{fill: boolean, outline: boolean, opacity: number, threshold: number, unseen: boolean}} Look
 */

const maskSide = 1024;
const missedCell = 1;
const lowCell = 2;
const highCell = 65535;

// viridis (CC0), at nine places.
const ramp = [[68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140], [40, 174, 128], [94, 201, 98], [173, 220, 48], [253, 231, 37]];

/** color gives red, green and blue of a share of the scale. @param {number} share */
export function color(share) {
  const at = Math.max(0, Math.min(1, share)) * (ramp.length - 1);
  const i = Math.min(ramp.length - 2, Math.floor(at));
  return ramp[i].map((c, k) => Math.round(c + (ramp[i + 1][k] - c) * (at - i)));
}

/** @param {number} w @param {number} h */
function canvas(w, h) {
  const c = document.createElement('canvas');
  c.width = Math.max(1, w);
  c.height = Math.max(1, h);
  return c;
}

/**
 * tissue fetches where on a slide there is tissue: opaque there, clear elsewhere;
 * null where nobody has looked. @param {string} url
 */
export async function tissue(url) {
  const r = await fetch(url);
  if (r.status !== 200) return null;
  const m = await createImageBitmap(await r.blob());
  const scale = Math.min(1, maskSide / Math.max(m.width, m.height));
  const c = canvas(Math.round(m.width * scale), Math.round(m.height * scale));
  const to = /** @type {CanvasRenderingContext2D} */ (c.getContext('2d'));
  to.drawImage(m, 0, 0, c.width, c.height);
  const d = to.getImageData(0, 0, c.width, c.height);
  for (let i = 0; i < d.data.length; i += 4) d.data[i + 3] = d.data[i] > 0 ? 255 : 0;
  to.putImageData(d, 0, 0);
  return c;
}

/** hatch makes a pattern of slanted lines. @param {string} ink @param {number} width @param {number} pitch @param {boolean} up */
function hatch(ink, width, pitch, up) {
  const c = canvas(pitch, pitch);
  const to = /** @type {CanvasRenderingContext2D} */ (c.getContext('2d'));
  to.strokeStyle = ink;
  to.lineWidth = width;
  for (const off of [-pitch, 0, pitch]) {
    to.moveTo(off - 1, up ? pitch + 1 : -1);
    to.lineTo(off + pitch + 1, up ? -1 : pitch + 1);
  }
  to.stroke();
  return /** @type {CanvasPattern} */ (to.createPattern(c, 'repeat'));
}

export class Heat {
  /** @param {Grid} grid @param {Uint16Array} cells @param {number} width @param {number} height of the slide, pixels of its finest level */
  constructor(grid, cells, width, height) {
    this.grid = grid;
    this.cells = cells;
    // Patches that overlap are shown by their middles.
    this.x = grid.x + (grid.w - grid.step_x) / 2;
    this.y = grid.y + (grid.h - grid.step_y) / 2;
    this.width = width;
    this.height = height;
    this.unseen = this.veil(false);
    this.missed = grid.missed > 0 ? this.veil(true) : null;
    this.veilCanvas = canvas(1, 1);
    this.grayHatch = hatch('#5b6875', 1.1, 10, true);
    this.amberHatch = hatch('#9a4a00', 2, 7, false);
    this.drawnFor = NaN;
    /** @type {HTMLCanvasElement|null} where there is tissue, once it is known */ this.tissue = null;
    this.edge = this.outline((n) => n >= lowCell);
  }

  /** outline goes round the cells that it is asked for, in cells. @param {(n: number) => boolean} asked */
  outline(asked) {
    const { columns, rows } = this.grid;
    const path = new Path2D();
    const is = (/** @type {number} */ x, /** @type {number} */ y) => x >= 0 && y >= 0 && x < columns && y < rows && asked(this.cells[y * columns + x]);
    const line = (/** @type {number} */ x0, /** @type {number} */ y0, /** @type {number} */ x1, /** @type {number} */ y1) => {
      path.moveTo(x0, y0);
      path.lineTo(x1, y1);
    };
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        if (!is(x, y)) continue;
        if (!is(x, y - 1)) line(x, y, x + 1, y);
        if (!is(x, y + 1)) line(x, y + 1, x + 1, y + 1);
        if (!is(x - 1, y)) line(x, y, x, y + 1);
        if (!is(x + 1, y)) line(x + 1, y, x + 1, y + 1);
      }
    }
    return path;
  }

  /** get fetches a map, null while there is none. @param {string} url @param {number} width @param {number} height */
  static async get(url, width, height) {
    const r = await fetch(url);
    if (r.status === 204) return null;
    if (!r.ok) throw new Error(`${r.status}`);
    const grid = JSON.parse(r.headers.get('Varde-Heat') ?? '{}');
    return new Heat(grid, new Uint16Array(await r.arrayBuffer()), width, height);
  }

  /** cell is the cell's number for a value. @param {number} v */
  cell(v) {
    const share = (v - this.grid.low) / (this.grid.high - this.grid.low);
    return lowCell + Math.round(Math.max(0, Math.min(1, share)) * (highCell - lowCell));
  }

  /** value is the value of a cell's number. @param {number} n */
  value(n) {
    return this.grid.low + ((n - lowCell) / (highCell - lowCell)) * (this.grid.high - this.grid.low);
  }

  /** veil marks what was not looked at over the whole slide, or what was asked for and not seen. @param {boolean} asked */
  veil(asked) {
    const g = this.grid;
    const left = Math.max(0, Math.ceil(this.x / g.step_x));
    const top = Math.max(0, Math.ceil(this.y / g.step_y));
    const columns = left + Math.max(g.columns, Math.ceil((this.width - this.x) / g.step_x));
    const rows = top + Math.max(g.rows, Math.ceil((this.height - this.y) / g.step_y));
    const c = canvas(columns, rows);
    const to = /** @type {CanvasRenderingContext2D} */ (c.getContext('2d'));
    const d = to.createImageData(columns, rows);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const [i, j] = [x - left, y - top];
        const inside = i >= 0 && j >= 0 && i < g.columns && j < g.rows;
        const n = inside ? this.cells[j * g.columns + i] : 0;
        if (asked ? n === missedCell : n < missedCell) d.data[4 * (y * columns + x) + 3] = 255;
      }
    }
    to.putImageData(d, 0, 0);
    return { c, left, top };
  }

  /** prepare draws the map once for a threshold: one pixel for each patch, and its outline. @param {number} threshold */
  prepare(threshold) {
    if (threshold === this.drawnFor) return;
    this.drawnFor = threshold;
    const { columns, rows } = this.grid;
    const bar = Math.max(lowCell, this.cell(threshold));
    this.image = canvas(columns, rows);
    const to = /** @type {CanvasRenderingContext2D} */ (this.image.getContext('2d'));
    const d = to.createImageData(columns, rows);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const i = y * columns + x;
        if (this.cells[i] >= bar) d.data.set([...color((this.cells[i] - lowCell) / (highCell - lowCell)), 255], 4 * i);
      }
    }
    this.path = this.outline((n) => n >= bar);
    to.putImageData(d, 0, 0);
  }

  /** draw lays the map over the slide. @param {CanvasRenderingContext2D} to @param {Place} p @param {Look} look */
  draw(to, p, look) {
    const g = this.grid;
    this.prepare(look.threshold);
    const [w, h] = [g.step_x * p.sx, g.step_y * p.sy];
    const [left, top] = [p.left + this.x * p.sx, p.top + this.y * p.sy];
    if (look.unseen) {
      this.drawVeil(to, p, this.unseen, this.grayHatch, 0.42, this.tissue);
      if (this.tissue) {
        to.save();
        to.transform(w, 0, 0, h, left, top);
        Object.assign(to, { globalAlpha: 0.75, strokeStyle: '#5b6875', lineWidth: 1.2 / w });
        to.setLineDash([5 / w, 4 / w]);
        to.stroke(this.edge);
        to.restore();
      }
    }
    if (this.missed) this.drawVeil(to, p, this.missed, this.amberHatch, 0.9, null);
    to.imageSmoothingEnabled = false;
    if (look.fill && this.image) {
      to.globalAlpha = look.opacity;
      to.drawImage(this.image, left, top, g.columns * w, g.rows * h);
      to.globalAlpha = 1;
    }
    if (look.outline && this.path) {
      to.save();
      to.transform(w, 0, 0, h, left, top);
      to.lineCap = 'square';
      for (const [ink, width] of /** @type {[string, number][]} */ ([['#ffffff', 5], ['#13237f', 2.5]])) {
        to.strokeStyle = ink;
        to.lineWidth = width / w;
        to.stroke(this.path);
      }
      to.restore();
    }
  }

  /** @param {CanvasRenderingContext2D} to @param {Place} p @param {{c: HTMLCanvasElement, left: number, top: number}} veil @param {CanvasPattern} pattern @param {number} alpha @param {HTMLCanvasElement|null} within */
  drawVeil(to, p, veil, pattern, alpha, within) {
    const g = this.grid;
    const v = this.veilCanvas;
    [v.width, v.height] = [Math.max(1, Math.ceil(p.width)), Math.max(1, Math.ceil(p.height))];
    const on = /** @type {CanvasRenderingContext2D} */ (v.getContext('2d'));
    on.imageSmoothingEnabled = false;
    on.beginPath();
    on.rect(p.left, p.top, this.width * p.sx, this.height * p.sy);
    on.clip();
    const [w, h] = [g.step_x * p.sx, g.step_y * p.sy];
    on.drawImage(veil.c, p.left + this.x * p.sx - veil.left * w, p.top + this.y * p.sy - veil.top * h, veil.c.width * w, veil.c.height * h);
    if (within) {
      on.globalCompositeOperation = 'destination-in';
      on.drawImage(within, p.left, p.top, this.width * p.sx, this.height * p.sy);
    }
    on.globalCompositeOperation = 'source-in';
    pattern.setTransform(new DOMMatrix().translate(p.left % 70, p.top % 70)); // the lines go with the slide
    on.fillStyle = pattern;
    on.fillRect(0, 0, v.width, v.height);
    to.globalAlpha = alpha;
    to.drawImage(v, 0, 0);
    to.globalAlpha = 1;
  }

  /**
   * areas gives where to look, the most suspicious first: what hangs together at
   * or above the threshold, else the highest patches below it.
   * @param {number} threshold @returns {Area[]}
   */
  areas(threshold) {
    const { columns, rows } = this.grid;
    const bar = Math.max(lowCell, this.cell(threshold));
    const done = new Uint8Array(this.cells.length);
    /** @type {{cells: number[], peak: number}[]} */
    const groups = [];
    for (let i = 0; i < this.cells.length; i++) {
      if (done[i] || this.cells[i] < bar) continue;
      const group = { cells: [i], peak: i };
      done[i] = 1;
      for (let k = 0; k < group.cells.length; k++) {
        const at = group.cells[k];
        if (this.cells[at] > this.cells[group.peak]) group.peak = at;
        const [x, y] = [at % columns, Math.floor(at / columns)];
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) {
            const [nx, ny] = [x + dx, y + dy];
            const n = ny * columns + nx;
            if (nx < 0 || ny < 0 || nx >= columns || ny >= rows || done[n] || this.cells[n] < bar) continue;
            done[n] = 1;
            group.cells.push(n);
          }
        }
      }
      groups.push(group);
    }
    const below = groups.length === 0;
    if (below) {
      const order = [...this.cells.keys()].filter((i) => this.cells[i] >= lowCell).sort((a, b) => this.cells[b] - this.cells[a] || a - b);
      const far = (/** @type {number} */ a, /** @type {number} */ b) =>
        Math.abs((a % columns) - (b % columns)) > 2 || Math.abs(Math.floor(a / columns) - Math.floor(b / columns)) > 2;
      for (const i of order) {
        if (groups.length === 5) break;
        if (groups.every((g) => far(g.peak, i))) groups.push({ cells: [i], peak: i });
      }
    }
    groups.sort((a, b) => this.cells[b.peak] - this.cells[a.peak] || b.cells.length - a.cells.length || a.peak - b.peak);
    return groups.slice(0, 20).map((g) => this.area(g.cells, g.peak, below));
  }

  /** @param {number[]} cells @param {number} peak @param {boolean} below @returns {Area} */
  area(cells, peak, below) {
    const g = this.grid;
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const i of cells) {
      const [x, y] = [i % g.columns, Math.floor(i / g.columns)];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x + 1);
      box[3] = Math.max(box[3], y + 1);
    }
    return {
      x: this.x + box[0] * g.step_x, y: this.y + box[1] * g.step_y, w: (box[2] - box[0]) * g.step_x, h: (box[3] - box[1]) * g.step_y,
      px: this.x + ((peak % g.columns) + 0.5) * g.step_x, py: this.y + (Math.floor(peak / g.columns) + 0.5) * g.step_y,
      peak: this.value(this.cells[peak]), count: cells.length, below,
    };
  }
}
