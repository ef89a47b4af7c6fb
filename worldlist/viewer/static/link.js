// @ts-check
// Links: which frame of one stack belongs beside a frame of another.

/** @typedef {import('./frames.js').Stack} Stack */

/** placed reports whether the frames of two stacks lie in one frame of reference and are parallel. @param {Stack} a @param {Stack} b */
export function placed(a, b) {
  if (!a.ref || a.ref !== b.ref || !a.normal || !b.normal || !a.z || !b.z) return false;
  const dot = a.normal[0] * b.normal[0] + a.normal[1] * b.normal[1] + a.normal[2] * b.normal[2];
  return dot > 0.99;
}

/** nearest is the frame of b that lies nearest to a place along the normal, mm. @param {Stack} b @param {number} z */
function nearest(b, z) {
  let best = 0;
  const all = /** @type {number[]} */ (b.z);
  for (let i = 1; i < all.length; i++) if (Math.abs(all[i] - z) < Math.abs(all[best] - z)) best = i;
  return best;
}

/**
 * beside gives the frame of b beside frame at of a: by place where both lie in one
 * frame of reference, else by the share of the way through the stack.
 * @param {Stack} a @param {number} at @param {Stack} b
 */
export function beside(a, at, b) {
  if (placed(a, b)) return nearest(b, /** @type {number[]} */ (a.z)[at]);
  const way = a.frames.length > 1 ? at / (a.frames.length - 1) : 0;
  return Math.round(way * (b.frames.length - 1));
}
