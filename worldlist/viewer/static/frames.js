// @ts-check
// Frames: fetched, kept for a while, and let go. A quick picture comes first where a
// frame is not here yet. What nobody waits for any more is called off, and what lies
// far from what is looked at makes room.

/**
 * @typedef {{text: string, c: number, w: number, f: string}} Preset
 * @typedef {{rows: number, columns: number, scale: number, offset: number,
 *   center: number, width: number, low: number, high: number, invert: boolean,
 *   windows?: Preset[], tables?: string[], millis?: number,
 *   spacing_mm: [number, number], spacing_kind: string, unit: string}} Geometry
 * @typedef {{i: string, n: number}} FrameRef
 * @typedef {{study: string, series: string, slide: boolean, color: boolean, frames: FrameRef[], presets: boolean, start: number,
 *   text: string, cine: boolean, ref?: string, normal?: number[], z?: number[], index: number, own: boolean, label: string}} Stack
 * @typedef {{geometry: Geometry, samples?: Int16Array, bitmap?: ImageBitmap, bytes: number, quick?: boolean}} Frame
 * @typedef {{stack: Stack, at: number}} Spot what a viewport looks at
 */

const keepBytes = 256 << 20; // a chest CT of 500 slices, or eight mammograms
const ahead = 3; // frames that are fetched at once before they are asked for

/** @param {Stack} s @param {number} at */
export const keyOf = (s, at) => `${s.frames[at].i}/${s.frames[at].n}`;

/** @param {Stack} s @param {number} at */
const addressOf = (s, at) => `/studies/${s.study}/frames/${keyOf(s, at)}`;

/** @typedef {{stack: Stack, at: number, frame?: Frame, coming?: Promise<Frame>, stop?: AbortController}} Kept */

export class Frames {
  constructor() {
    /** @type {Map<string, Kept>} */ this.kept = new Map();
    this.bytes = 0;
    /** @type {() => Spot[]} */ this.spots = () => [];
    this.running = 0; // fetches ahead
  }

  /** has gives a frame that is here. @param {Stack} stack @param {number} at */
  has(stack, at) { return this.kept.get(keyOf(stack, at))?.frame; }

  /** @param {Stack} stack @param {number} at @returns {Promise<Frame>} */
  get(stack, at) {
    const key = keyOf(stack, at);
    const had = this.kept.get(key);
    if (had?.frame) return Promise.resolve(had.frame);
    if (had?.coming) return had.coming;
    const stop = new AbortController();
    /** @type {Kept} */ const one = { stack, at, stop };
    one.coming = load(addressOf(stack, at), stop.signal).then((f) => {
      one.frame = f;
      one.coming = one.stop = undefined;
      this.bytes += f.bytes;
      this.trim(key);
      return f;
    }, (e) => {
      if (this.kept.get(key) === one) this.kept.delete(key);
      throw e;
    });
    this.kept.set(key, one);
    return one.coming;
  }

  /**
   * quick gives a picture of a frame that is here before its values are.
   * @param {Stack} stack @param {number} at @param {{c: number, w: number}|null} window the reader's @param {AbortSignal} signal
   */
  quick(stack, at, window, signal) {
    const query = window ? `?c=${window.c}&w=${Math.max(1, window.w)}` : '';
    return load(addressOf(stack, at) + '/quick' + query, signal);
  }

  /** distance is how far a frame lies from what is looked at. @param {Kept} k @param {Spot[]} spots */
  distance(k, spots) {
    let d = Infinity;
    for (const s of spots) if (s.stack === k.stack) d = Math.min(d, Math.abs(s.at - k.at));
    return d;
  }

  /** trim lets go the frames that lie farthest, never the one that has just come. @param {string} fresh */
  trim(fresh) {
    if (this.bytes <= keepBytes) return;
    const spots = this.spots();
    const far = [...this.kept].filter(([key, k]) => k.frame && key !== fresh)
      .map(([key, k]) => ({ key, d: this.distance(k, spots), bytes: k.frame?.bytes ?? 0 }))
      .sort((a, b) => b.d - a.d);
    for (const one of far) {
      if (this.bytes <= keepBytes || one.d === 0) break;
      this.kept.delete(one.key);
      this.bytes -= one.bytes;
    }
  }

  /** settle calls off what nobody waits for any more, and fetches outward from what is looked at. */
  settle() {
    const spots = this.spots();
    for (const [key, k] of this.kept) {
      if (!k.stop || this.distance(k, spots) <= 2 * ahead) continue;
      this.kept.delete(key);
      k.stop.abort();
    }
    this.fetchAhead();
  }

  fetchAhead() {
    while (this.running < ahead) {
      const next = this.nearest();
      if (!next) return;
      this.running++;
      this.get(next.stack, next.at).then(() => { this.running--; this.fetchAhead(); }, (e) => {
        this.running--;
        if (e.name === 'AbortError') this.fetchAhead(); // what it was for has moved on
      });
    }
  }

  /** nearest is the frame to be fetched next, while there is room. @returns {Spot|null} */
  nearest() {
    if (this.bytes > keepBytes * 0.8) return null;
    const spots = this.spots();
    const most = Math.max(0, ...spots.map((s) => s.stack.frames.length));
    for (let d = 1; d < most; d++) {
      for (const s of spots) {
        for (const at of [s.at + d, s.at - d]) {
          if (at >= 0 && at < s.stack.frames.length && !this.kept.has(keyOf(s.stack, at))) return { stack: s.stack, at };
        }
      }
    }
    return null;
  }

  /** table gives one of the tables that a frame brings along. @param {Stack} stack @param {number} at @param {number} n */
  async table(stack, at, n) {
    const r = await fetch(`${addressOf(stack, at)}/tables/${n}`);
    if (!r.ok) throw new Refusal(r.status);
    return r.json();
  }
}

/** @param {string} address @param {AbortSignal} signal @returns {Promise<Frame>} */
async function load(address, signal) {
  const r = await fetch(address, { signal });
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

/** A Refusal is an answer of the server that is no frame. */
export class Refusal extends Error {
  /** @param {number} status */
  constructor(status) {
    super('status ' + status);
    this.status = status;
  }
}
