// @ts-check
// Measuring: lengths and values as the data allow them, and as what they are.

/** @typedef {import('./frames.js').Frame} Frame */
/** @typedef {{x: number, y: number}} Dot of the image: 0, 0 is its upper left corner */

const tongue = () => document.documentElement.lang || 'en';

/** @param {number} v @param {number} digits */
export const number = (v, digits) => new Intl.NumberFormat(tongue(), { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(v);

/**
 * lengthOf measures a line: in the patient where the spacing is the body's, at the
 * detector where it is the detector's, and in pixels where there is none, PS3.3
 * §10.7.1.3. Rows and columns may be spaced differently.
 * @param {Dot} a @param {Dot} b @param {Frame} f
 * @returns {{value: number, unit: 'mm'|'detector'|'pixels'}}
 */
export function lengthOf(a, b, f) {
  const [rows, columns] = f.geometry.spacing_mm ?? [0, 0];
  const kind = f.geometry.spacing_kind;
  if (!(rows > 0 && columns > 0) || (kind !== 'pixel' && kind !== 'imager')) return { value: Math.hypot(b.x - a.x, b.y - a.y), unit: 'pixels' };
  return { value: Math.hypot((b.x - a.x) * columns, (b.y - a.y) * rows), unit: kind === 'pixel' ? 'mm' : 'detector' };
}

/** valueAt is what lies under a point; null outside of the image, or where there are only colors. @param {Dot} p @param {Frame} f */
export function valueAt(p, f) {
  const g = f.geometry;
  const [x, y] = [Math.floor(p.x), Math.floor(p.y)];
  if (!f.samples || x < 0 || y < 0 || x >= g.columns || y >= g.rows) return null;
  return f.samples[y * g.columns + x] * g.scale + g.offset;
}

/** valueText writes a value with as many digits as it has. @param {number} v @param {Frame} f */
export function valueText(v, f) {
  const digits = f.geometry.scale === 1 && Number.isInteger(f.geometry.offset) ? 0 : Math.max(0, Math.min(6, Math.ceil(-Math.log10(f.geometry.scale))));
  return number(v, digits) + (f.geometry.unit ? ' ' + f.geometry.unit : '');
}
