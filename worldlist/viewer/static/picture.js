// @ts-check
// Pictures: values become brightness by one table of 65,536 entries, which a graphics
// card applies where there is one, and the processor where there is none. Both give
// the same, so that a thin client sees what a workstation sees.

/**
 * @typedef {import('./frames.js').Frame} Frame
 * @typedef {import('./frames.js').Geometry} Geometry
 * @typedef {{first: number, most: number, entries: number[]}} Table
 * @typedef {{c: number, w: number, f: string}} Window
 * @typedef {{left: number, top: number, sx: number, sy: number}} Place
 */

/**
 * level is the brightness of a value, 0 to 1: PS3.3 §C.11.2.1.2.1 (LINEAR),
 * §C.11.2.1.3.1 (SIGMOID), §C.11.2.1.3.2 (LINEAR_EXACT), or a table, §C.11.1.1.
 * @param {number} v @param {Window|Table} look
 */
export function level(v, look) {
  if ('entries' in look) {
    const i = Math.max(0, Math.min(look.entries.length - 1, Math.round(v) - look.first));
    return look.entries[i] / look.most;
  }
  if (look.f === 'SIGMOID') return 1 / (1 + Math.exp((-4 * (v - look.c)) / look.w));
  const exact = look.f === 'LINEAR_EXACT';
  const [c, w] = exact ? [look.c, look.w] : [look.c - 0.5, look.w - 1];
  if (v <= c - w / 2) return 0;
  if (v > c + w / 2) return 1;
  return (v - c) / w + 0.5;
}

/**
 * brightness gives the 8 bits of every sample, beginning with −32,768.
 * @param {Geometry} g @param {Window|Table} look @param {boolean} invert by the reader's wish
 */
export function brightness(g, look, invert) {
  const table = new Uint8Array(65536);
  for (let s = 0; s < 65536; s++) {
    const y = Math.max(0, Math.min(1, level((s - 32768) * g.scale + g.offset, look)));
    table[s] = Math.round((g.invert !== invert ? 1 - y : y) * 255);
  }
  return table;
}

const vertex = `#version 300 es
in vec2 at;
void main() { gl_Position = vec4(at, 0.0, 1.0); }`;

// Between the pixels of a magnified image values are interpolated, and of one that is
// shrunk the mean is taken over all that lies under a pixel of the screen: no
// calcification falls between two of them.
const fragment = `#version 300 es
precision highp float;
precision highp int;
precision highp isampler2D;
uniform isampler2D image;
uniform sampler2D table;
uniform vec4 place;
uniform vec2 size;
uniform float height;
out vec4 color;
float sampleAt(ivec2 p) { return float(texelFetch(image, clamp(p, ivec2(0), ivec2(size) - 1), 0).r); }
void main() {
  vec2 at = (vec2(gl_FragCoord.x, height - gl_FragCoord.y) - place.xy) / place.zw;
  if (any(lessThan(at, vec2(0.0))) || any(greaterThanEqual(at, size))) { color = vec4(0.0); return; }
  vec2 foot = 1.0 / place.zw;
  float v;
  if (max(foot.x, foot.y) > 1.0) {
    ivec2 a = ivec2(ceil(at - foot * 0.5 - 0.5));
    ivec2 b = max(a, ivec2(floor(at + foot * 0.5 - 0.5)));
    b = min(b, a + 31);
    float sum = 0.0;
    for (int y = a.y; y <= b.y; y++) for (int x = a.x; x <= b.x; x++) sum += sampleAt(ivec2(x, y));
    v = sum / float((b.x - a.x + 1) * (b.y - a.y + 1));
  } else {
    vec2 q = at - 0.5;
    ivec2 i = ivec2(floor(q));
    vec2 f = q - vec2(i);
    v = mix(mix(sampleAt(i), sampleAt(i + ivec2(1, 0)), f.x), mix(sampleAt(i + ivec2(0, 1)), sampleAt(i + ivec2(1, 1)), f.x), f.y);
  }
  int s = int(floor(v + 0.5)) + 32768;
  float y = texelFetch(table, ivec2(s & 255, s >> 8), 0).r;
  color = vec4(y, y, y, 1.0);
}`;

const maxTextures = 12;

/** A Card draws with WebGL 2: one for all viewports. */
class Card {
  /** @param {WebGL2RenderingContext} gl @param {HTMLCanvasElement} canvas */
  constructor(gl, canvas) {
    this.gl = gl;
    this.canvas = canvas;
    this.lost = false;
    canvas.addEventListener('webglcontextlost', () => { this.lost = true; });
    const program = /** @type {WebGLProgram} */ (gl.createProgram());
    for (const [kind, text] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]])) {
      const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? 'shader');
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
    const at = gl.getAttribLocation(program, 'at');
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, 2, gl.FLOAT, false, 0, 0);
    this.where = Object.fromEntries(['image', 'table', 'place', 'size', 'height'].map((n) => [n, gl.getUniformLocation(program, n)]));
    gl.uniform1i(this.where.image, 0);
    gl.uniform1i(this.where.table, 1);
    this.table = this.texture(1);
    /** @type {Uint8Array|null} */ this.loaded = null;
    /** @type {Map<Frame, WebGLTexture>} */ this.textures = new Map();
    this.most = gl.getParameter(gl.MAX_TEXTURE_SIZE);
  }

  /** @param {number} unit */
  texture(unit) {
    const { gl } = this;
    const t = /** @type {WebGLTexture} */ (gl.createTexture());
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, t);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    return t;
  }

  /** load puts a frame onto the card, once. @param {Frame} frame */
  load(frame) {
    const { gl } = this;
    let t = this.textures.get(frame);
    gl.activeTexture(gl.TEXTURE0);
    if (t) {
      this.textures.delete(frame); // to the end: the one used longest ago goes first
      gl.bindTexture(gl.TEXTURE_2D, t);
    } else {
      t = this.texture(0);
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 2);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16I, frame.geometry.columns, frame.geometry.rows, 0, gl.RED_INTEGER, gl.SHORT, frame.samples ?? null);
    }
    this.textures.set(frame, t);
    for (const [old, gone] of this.textures) {
      if (this.textures.size <= maxTextures) break;
      gl.deleteTexture(gone);
      this.textures.delete(old);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} to @param {Frame} frame @param {Uint8Array} table @param {Place} p in pixels of the screen
   * @returns {boolean} false: it could not
   */
  draw(to, frame, table, p) {
    const { gl, canvas } = this;
    const g = frame.geometry;
    if (this.lost || gl.isContextLost() || Math.max(g.columns, g.rows) > this.most) return false;
    const [w, h] = [to.canvas.width, to.canvas.height];
    if (canvas.width < w || canvas.height < h) [canvas.width, canvas.height] = [Math.max(canvas.width, w), Math.max(canvas.height, h)];
    gl.viewport(0, 0, w, h);
    this.load(frame);
    if (this.loaded !== table) {
      gl.activeTexture(gl.TEXTURE1);
      gl.bindTexture(gl.TEXTURE_2D, this.table);
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, 256, 256, 0, gl.RED, gl.UNSIGNED_BYTE, table);
      this.loaded = table;
    }
    gl.uniform4f(this.where.place, p.left, p.top, p.sx, p.sy);
    gl.uniform2f(this.where.size, g.columns, g.rows);
    gl.uniform1f(this.where.height, h);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    to.drawImage(canvas, 0, canvas.height - h, w, h, 0, 0, w, h);
    return true;
  }
}

/** An Easel draws the frames of one viewport. */
export class Easel {
  constructor() {
    this.own = document.createElement('canvas'); // a frame at its own size
    /** @type {Frame|null} */ this.frame = null;
    /** @type {Uint8Array|null} */ this.table = null;
  }

  /**
   * draw draws a frame; the context counts in pixels of the screen.
   * @param {CanvasRenderingContext2D} to @param {Frame} frame @param {Uint8Array|null} table none: colors @param {Place} p @param {boolean} invert of colors
   * @returns {string} by what it was drawn
   */
  draw(to, frame, table, p, invert) {
    const g = frame.geometry;
    const [w, h] = [g.columns * p.sx, g.rows * p.sy];
    to.imageSmoothingQuality = 'medium';
    if (frame.bitmap || !table) {
      if (frame.bitmap) to.drawImage(frame.bitmap, p.left, p.top, w, h);
      if (invert) {
        to.globalCompositeOperation = 'difference';
        to.fillStyle = '#fff';
        to.fillRect(p.left, p.top, w, h);
        to.globalCompositeOperation = 'source-over';
      }
      return 'picture';
    }
    if (card()?.draw(to, frame, table, p)) return 'webgl';
    this.paint(frame, table);
    to.drawImage(this.own, p.left, p.top, w, h);
    return 'canvas';
  }

  /** paint makes the picture of a frame at its own size. @param {Frame} frame @param {Uint8Array} table */
  paint(frame, table) {
    if (this.frame === frame && this.table === table) return;
    [this.frame, this.table] = [frame, table];
    const g = frame.geometry;
    if (this.own.width !== g.columns || this.own.height !== g.rows) [this.own.width, this.own.height] = [g.columns, g.rows];
    const to = /** @type {CanvasRenderingContext2D} */ (this.own.getContext('2d'));
    const picture = to.createImageData(g.columns, g.rows);
    const out = new Uint32Array(picture.data.buffer);
    const samples = /** @type {Int16Array} */ (frame.samples);
    for (let i = 0; i < out.length; i++) out[i] = 0xff000000 | (table[samples[i] + 32768] * 0x010101);
    to.putImageData(picture, 0, 0);
  }
}

/** @type {Card|null|undefined} */
let shared;

/** card is the one that all viewports draw with; null where there is none, or where it would be slower than the processor. */
function card() {
  if (shared?.lost) shared = null;
  if (shared !== undefined) return shared;
  shared = null;
  const wish = new URLSearchParams(location.search).get('draw'); // webgl or canvas, for whoever looks for a driver's fault
  if (wish === 'canvas') return shared;
  try {
    const canvas = document.createElement('canvas');
    const gl = canvas.getContext('webgl2', { failIfMajorPerformanceCaveat: wish !== 'webgl', antialias: false, depth: false, preserveDrawingBuffer: false });
    const about = gl?.getExtension('WEBGL_debug_renderer_info');
    const soft = about && /swiftshader|llvmpipe|softpipe|basic render/i.test(String(gl?.getParameter(about.UNMASKED_RENDERER_WEBGL)));
    if (gl && (!soft || wish === 'webgl')) shared = new Card(gl, canvas);
  } catch {
    shared = null;
  }
  return shared;
}
