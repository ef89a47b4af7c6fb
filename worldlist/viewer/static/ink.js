// @ts-check
// Marks over images and slides: a dashed yellow line on a wider black one, which is
// seen on every gray and every stain, for what the AI found; white for the reader's.

/**
 * @typedef {{key: string, number: number, stack: number, frame: number, shape: string, points: number[]}} Mark
 * @typedef {{left: number, top: number, sx: number, sy: number}} Place
 */

const yellow = '#ffe14d';
const ringMin = 13; // screen pixels: a finding of one pixel has a ring that is seen
const ringGap = 5; // between a finding's edge and its ring

/** @param {CanvasRenderingContext2D} to @param {Path2D} path @param {string} label @param {number} x @param {number} y */
function stroke(to, path, label, x, y) {
  to.lineJoin = 'round';
  to.strokeStyle = '#000';
  to.lineWidth = 5;
  to.stroke(path);
  to.strokeStyle = yellow;
  to.lineWidth = 2;
  to.setLineDash([7, 4]);
  to.stroke(path);
  to.setLineDash([]);
  if (!label) return;
  to.font = '600 14px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
  to.lineWidth = 4;
  to.strokeStyle = '#000';
  to.strokeText(label, x + 5, y - 5);
  to.fillStyle = yellow;
  to.fillText(label, x + 5, y - 5);
}

/** drawMark draws a finding with its number, or where a map beside it says how far it reaches its number alone.
 * @param {CanvasRenderingContext2D} to @param {Mark} m @param {Place} p */
export function drawMark(to, m, p, whole = true) {
  const at = (/** @type {number} */ i) => [p.left + m.points[i] * p.sx, p.top + m.points[i + 1] * p.sy];
  const path = new Path2D();
  let [x, y] = at(0);
  if (m.shape === 'POLYLINE') {
    path.moveTo(x, y);
    for (let i = 2; i + 1 < m.points.length; i += 2) {
      const [px, py] = at(i);
      path.lineTo(px, py);
      if (px - py > x - y) [x, y] = [px, py];
    }
  } else {
    const [ex, ey] = m.points.length > 3 ? at(2) : [x, y];
    const r = Math.max(ringMin, Math.hypot(ex - x, ey - y) + ringGap);
    path.arc(x, y, r, 0, 2 * Math.PI);
    [x, y] = [x + r * 0.75, y - r * 0.75];
  }
  if (whole) {
    stroke(to, path, String(m.number), x, y);
    return;
  }
  const xs = m.points.filter((_, i) => i % 2 === 0);
  const ys = m.points.filter((_, i) => i % 2 === 1);
  const middle = (/** @type {number[]} */ v) => (Math.min(...v) + Math.max(...v)) / 2;
  const box = to.measureText(String(m.number)).width;
  stroke(to, new Path2D(), String(m.number), p.left + middle(xs) * p.sx - 5 - box / 2, p.top + middle(ys) * p.sy + 10);
}

/** drawTarget draws corners around the area that was gone to, so that nothing of it is covered.
 * @param {CanvasRenderingContext2D} to @param {{x: number, y: number, w: number, h: number}} a @param {Place} p */
export function drawTarget(to, a, p) {
  const gap = 6;
  const [l, t] = [p.left + a.x * p.sx - gap, p.top + a.y * p.sy - gap];
  const [r, b] = [p.left + (a.x + a.w) * p.sx + gap, p.top + (a.y + a.h) * p.sy + gap];
  const arm = Math.max(8, Math.min(28, (r - l) / 3, (b - t) / 3));
  const path = new Path2D();
  for (const [x, y, dx, dy] of [[l, t, 1, 1], [r, t, -1, 1], [r, b, -1, -1], [l, b, 1, -1]]) {
    path.moveTo(x + dx * arm, y);
    path.lineTo(x, y);
    path.lineTo(x, y + dy * arm);
  }
  to.lineCap = 'round';
  for (const [ink, width] of /** @type {[string, number][]} */ ([['#000', 5], [yellow, 2.2]])) {
    to.strokeStyle = ink;
    to.lineWidth = width;
    to.stroke(path);
  }
}

const white = '#ffffff';

/** @param {CanvasRenderingContext2D} to @param {Path2D} path @param {number} width */
function cased(to, path, width) {
  to.lineJoin = to.lineCap = 'round';
  for (const [ink, w] of /** @type {[string, number][]} */ ([['#000', width + 2.5], [white, width]])) {
    to.strokeStyle = ink;
    to.lineWidth = w;
    to.stroke(path);
  }
}

/** @param {CanvasRenderingContext2D} to @param {string} text @param {number} x @param {number} y */
export function drawText(to, text, x, y, color = white) {
  to.font = '600 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
  to.lineWidth = 4;
  to.lineJoin = 'round';
  to.strokeStyle = '#000';
  to.strokeText(text, x, y);
  to.fillStyle = color;
  to.fillText(text, x, y);
}

/** drawCross draws where a reader marked something. @param {CanvasRenderingContext2D} to @param {number} x @param {number} y @param {string} label */
export function drawCross(to, x, y, label) {
  const path = new Path2D(`M${x - 9} ${y}L${x} ${y - 9}L${x + 9} ${y}L${x} ${y + 9}Z`);
  cased(to, path, 1.8);
  drawText(to, label, x + 12, y - 7);
}

/** drawCursor draws the cross that keys move. @param {CanvasRenderingContext2D} to @param {number} x @param {number} y */
export function drawCursor(to, x, y) {
  cased(to, new Path2D(`M${x - 16} ${y}H${x - 4}M${x + 4} ${y}H${x + 16}M${x} ${y - 16}V${y - 4}M${x} ${y + 4}V${y + 16}`), 1.5);
}

/**
 * drawLine draws a measured line with its length.
 * @param {CanvasRenderingContext2D} to @param {number} x @param {number} y @param {number} x2 @param {number} y2 @param {string} text
 */
export function drawLine(to, x, y, x2, y2, text) {
  const long = Math.hypot(x2 - x, y2 - y) || 1;
  const [dx, dy] = [(-5 * (y2 - y)) / long, (5 * (x2 - x)) / long];
  cased(to, new Path2D(`M${x} ${y}L${x2} ${y2}M${x - dx} ${y - dy}L${x + dx} ${y + dy}M${x2 - dx} ${y2 - dy}L${x2 + dx} ${y2 + dy}`), 1.6);
  if (long < 3) return; // nothing is measured yet
  const right = x2 > x ? [x2, y2] : [x, y];
  drawText(to, text, right[0] + 8, right[1] + 4);
}
