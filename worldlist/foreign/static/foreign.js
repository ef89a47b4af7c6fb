// @ts-check
// What other makers found, over images: dotted, so that nobody takes it for Varde's,
// with the letter that its document has beside the image. What a reader may not see
// yet never comes here.

import { drawText } from './ink.js';
import { Overlay } from './overlay.js';

/**
 * @typedef {import('./overlay.js').Layer} Layer
 * @typedef {import('./picture.js').Place} Place
 * @typedef {{key: string, label: string, frame: string, line: boolean, points: number[]}} Ring
 */

/** Colors of what others drew. */
export const inks = ['#f4b6ff', '#9be8ff', '#ffd59b', '#b9f3b0'];
const dots = [1.5, 4];

export class Others {
  /** @param {string} study @param {() => void} changed */
  constructor(study, changed) {
    this.study = study;
    this.changed = changed;
    this.shown = true;
    /** @type {Map<string, {overlay: Overlay, rings: Map<string, Ring[]>}>} */ this.exams = new Map();
    /** @type {Set<string>} */ this.off = new Set();
  }

  /** load gets what was drawn over an exam. @param {string} study @returns {Promise<string[]>} the keys of what can be shown */
  async load(study) {
    const beside = study === this.study ? '' : `?with=${this.study}`; // an earlier exam of this one
    const r = await fetch(`/studies/${study}/others/view${beside}`);
    if (!r.ok) return [];
    /** @type {{layers: (Layer & {label: string})[], rings: Ring[]}} */ const all = await r.json();
    const overlay = new Overlay(study, this.changed, { of: (key) => `/studies/${study}/frames/${key}/others${beside}`, inks, dash: dots, letter: (n) => all.layers[n].label });
    overlay.take(all.layers);
    overlay.off = this.off;
    /** @type {Map<string, Ring[]>} */ const rings = new Map();
    for (const one of all.rings) rings.set(one.frame, [...(rings.get(one.frame) ?? []), one]);
    this.exams.set(study, { overlay, rings });
    this.changed();
    return [...all.layers, ...all.rings].map((one) => one.key);
  }

  /** draw draws what lies on a frame of an exam. @param {CanvasRenderingContext2D} to @param {string} study @param {string} key @param {Place} p @returns {number} how much */
  draw(to, study, key, p) {
    const exam = this.exams.get(study);
    if (!exam || !this.shown) return 0;
    let n = exam.overlay.draw(to, key, p);
    for (const one of exam.rings.get(key) ?? []) {
      if (this.off.has(one.key)) continue;
      drawRing(to, one, p);
      n++;
    }
    return n;
  }
}

/** drawRing draws a shape with its label. @param {CanvasRenderingContext2D} to @param {Ring} one @param {{left: number, top: number, sx: number, sy: number}} p */
export function drawRing(to, one, p) {
  const path = new Path2D();
  let [far, top] = [-Infinity, 0];
  for (let i = 0; i + 1 < one.points.length; i += 2) {
    const [x, y] = [p.left + one.points[i] * p.sx, p.top + one.points[i + 1] * p.sy];
    if (!one.line) {
      path.moveTo(x + 11, y);
      path.arc(x, y, 11, 0, 2 * Math.PI);
    } else if (i === 0) path.moveTo(x, y);
    else path.lineTo(x, y);
    if (x - y > far - top) [far, top] = [x, y];
  }
  to.lineJoin = to.lineCap = 'round';
  to.strokeStyle = '#000';
  to.lineWidth = 4.5;
  to.stroke(path);
  to.strokeStyle = inks[0];
  to.lineWidth = 2;
  to.setLineDash(dots);
  to.stroke(path);
  to.setLineDash([]);
  drawText(to, one.label, far + 6, top - 6, inks[0]);
}

/** read reads a page as the browser reads pages, and runs nothing of it. @param {string} url @returns {Promise<Document|null>} */
const read = (url) => new Promise((done) => {
  const r = new XMLHttpRequest();
  r.open('GET', url);
  r.responseType = 'document';
  r.setRequestHeader('Accept', 'text/html');
  r.onload = () => done(r.status === 200 ? r.responseXML : null);
  r.onerror = () => done(null);
  r.send();
});

/**
 * tell fills the section beside the image with earlier exams, and gives the exams that
 * it names. @param {HTMLElement} section @param {string} study @returns {Promise<string[]>}
 */
export async function tell(section, study) {
  const all = section.querySelector('#others-all');
  const page = (await read(`/studies/${study}/others`))?.querySelector('#others-all');
  const come = page ? [...page.querySelectorAll('[data-others-of]')] : [];
  const held = document.activeElement && all?.contains(document.activeElement); // nothing is taken from under the reader's hand
  if (page && all && !held && come.some((e) => !(/** @type {HTMLElement} */ (e).dataset.here !== undefined))) all.replaceChildren(...page.childNodes);
  const exams = [...section.querySelectorAll('[data-others-of]')].map((e) => /** @type {HTMLElement} */ (e).dataset.othersOf ?? '');
  section.hidden = exams.length === 0;
  return exams;
}

/** offer lets the reader switch on and off what can be drawn. @param {HTMLElement} section @param {string[]} keys */
export function offer(section, keys) {
  const drawn = new Set(keys);
  for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (section.querySelectorAll('[data-other]'))) {
    /** @type {HTMLElement} */ (box.closest('[data-other-box]')).hidden = !drawn.has(box.dataset.other ?? '');
  }
  const whole = section.querySelector('#c-others');
  if (whole) /** @type {HTMLElement} */ (whole).hidden = drawn.size === 0;
}
