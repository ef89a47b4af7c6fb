// @ts-check
// Frames: fetched, kept for a while, and turned into pixels by a table of 65,536
// entries, without WebGL, so that a thin client sees what a workstation sees.

/**
 * @typedef {{rows: number, columns: number, scale: number, offset: number,
 *   center: number, width: number, low: number, high: number, invert: boolean,
 *   spacing_mm: [number, number], spacing_kind: string, unit: string}} Geometry
 * @typedef {{i: string, n: number}} FrameRef
 * @typedef {{series: string, slide: boolean, color: boolean, frames: FrameRef[], presets: boolean, start: number}} Stack
 * @typedef {{geometry: Geometry, samples?: Int16Array, bitmap?: ImageBitmap, bytes: number}} Frame
 */

const keepBytes = 256 << 20; // a chest CT of 500 slices, or eight mammograms

export class Frames {
  /** @param {string} study */
  constructor(study) {
    this.study = study;
    /** @type {Map<string, Promise<Frame>>} */
    this.kept = new Map();
    /** @type {Map<string, number>} */
    this.sizes = new Map();
    this.bytes = 0;
    this.wish = 0;
  }

  /** @param {Stack} stack @param {number} at @returns {Promise<Frame>} */
  get(stack, at) {
    const key = stack.frames[at].i + '/' + stack.frames[at].n;
    const had = this.kept.get(key);
    if (had) {
      this.kept.delete(key); // to the end: the one used longest ago goes first
      this.kept.set(key, had);
      return had;
    }
    const coming = this.fetch(stack, at);
    this.kept.set(key, coming);
    coming.then((f) => this.count(key, f.bytes), () => this.kept.delete(key));
    return coming;
  }

  /** @param {string} key @param {number} bytes */
  count(key, bytes) {
    this.sizes.set(key, bytes);
    this.bytes += bytes;
    for (const old of this.kept.keys()) {
      if (this.bytes <= keepBytes || old === key) break;
      this.bytes -= this.sizes.get(old) ?? 0;
      this.sizes.delete(old);
      this.kept.delete(old);
    }
  }

  /** @param {Stack} stack @param {number} at @returns {Promise<Frame>} */
  async fetch(stack, at) {
    const { i, n } = stack.frames[at];
    const r = await fetch(`/studies/${this.study}/frames/${i}/${n}`);
    if (!r.ok) throw new Refusal(r.status);
    const geometry = JSON.parse(r.headers.get('Varde-Frame') ?? '{}');
    if (r.headers.get('Content-Type') === 'image/jpeg') {
      const bitmap = await createImageBitmap(await r.blob());
      return { geometry, bitmap, bytes: 4 * bitmap.width * bitmap.height };
    }
    const body = await r.arrayBuffer();
    const samples = new Int16Array(body);
    if (samples.length !== geometry.rows * geometry.columns) throw new Refusal(0);
    return { geometry, samples, bytes: body.byteLength };
  }

  /**
   * ahead fetches the neighbors of a frame, outward and one at a time, until
   * something else is wished for or the room is used up.
   * @param {Stack} stack @param {number} at
   */
  async ahead(stack, at) {
    const mine = ++this.wish;
    for (let d = 1; d < stack.frames.length; d++) {
      for (const n of [at + d, at - d]) {
        if (mine !== this.wish || this.bytes > keepBytes / 2) return;
        if (n < 0 || n >= stack.frames.length) continue;
        try {
          await this.get(stack, n);
        } catch {
          return;
        }
      }
    }
  }
}

/** A Refusal is an answer of the server that is no frame. */
export class Refusal extends Error {
  /** @param {number} status */
  constructor(status) {
    super('status ' + status);
    this.status = status;
  }
}

/**
 * paint draws a frame into a canvas of its own size, through the window of
 * PS3.3 §C.11.2.1.2.1: y = (v − (c − 0.5)) / (w − 1) + 0.5, held in 0 to 1.
 * @param {HTMLCanvasElement} canvas @param {Frame} frame @param {number} center @param {number} width
 */
export function paint(canvas, frame, center, width) {
  const g = frame.geometry;
  const to = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  if (frame.bitmap) {
    canvas.width = frame.bitmap.width;
    canvas.height = frame.bitmap.height;
    to.drawImage(frame.bitmap, 0, 0);
    return;
  }
  const samples = /** @type {Int16Array} */ (frame.samples);
  canvas.width = g.columns;
  canvas.height = g.rows;
  const table = new Uint32Array(65536);
  const w = Math.max(width, 1.0001) - 1;
  for (let s = 0; s < 65536; s++) {
    const v = (s - 32768) * g.scale + g.offset;
    let y = Math.max(0, Math.min(1, (v - (center - 0.5)) / w + 0.5));
    if (g.invert) y = 1 - y;
    table[s] = 0xff000000 | (Math.round(y * 255) * 0x010101);
  }
  const picture = to.createImageData(g.columns, g.rows);
  const out = new Uint32Array(picture.data.buffer);
  for (let i = 0; i < out.length; i++) out[i] = table[samples[i] + 32768];
  to.putImageData(picture, 0, 0);
}
