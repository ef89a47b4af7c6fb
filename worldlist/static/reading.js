// @ts-check
// The panel in which a reader judges. Its keys act only while focus is in a form or
// a finding of the panel, and then reach nothing else: no key that was meant for the
// image records a judgment, and none of the panel's moves the image.

import { noKey } from './keys.js';

/** forms are those that keep a judgment. */
const panelOf = (/** @type {EventTarget|null} */ e) =>
  /** @type {HTMLElement|null} */ (e instanceof Element ? e.closest('[data-panel], .judge') : null);

/** answers are the choices of the group that focus is in, or of the panel's first. */
function answers(/** @type {HTMLElement} */ from, /** @type {HTMLElement} */ panel) {
  const group = from.closest('[data-judge]') ?? panel.querySelector('[data-judge]');
  return group ? /** @type {HTMLInputElement[]} */ ([...group.querySelectorAll('input[type=radio]')]) : [];
}

document.addEventListener('keydown', (e) => {
  if (noKey(e)) return;
  const to = /** @type {HTMLElement} */ (e.target);
  const panel = panelOf(to);
  const typing = to.closest('textarea, select, input:not([type=radio]):not([type=checkbox])');
  if (e.key.toLowerCase() === 'v' && !e.ctrlKey && !e.metaKey && !e.altKey && !typing) {
    const first = /** @type {HTMLElement|null} */ (document.querySelector('[data-panel] input:not([type=hidden]), [data-panel] textarea'));
    first?.focus();
    first?.scrollIntoView({ block: 'nearest' });
    if (first) e.preventDefault();
    e.stopImmediatePropagation();
    return;
  }
  if (!panel) return;
  if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) {
    const radio = /** @type {HTMLInputElement|null} */ (panel.querySelector('input[form]'));
    const form = to.closest('form') ?? radio?.form;
    e.preventDefault();
    e.stopImmediatePropagation();
    /** @type {HTMLFormElement|null|undefined} */ (form)?.requestSubmit();
    return;
  }
  if (e.ctrlKey || e.metaKey || e.altKey || typing) return;
  const n = ['a', 'b', 'c'].indexOf(e.key.toLowerCase());
  if (n >= 0) {
    const one = answers(to, panel)[n];
    if (one) {
      one.checked = true;
      one.focus();
      one.dispatchEvent(new Event('change', { bubbles: true }));
    }
    e.preventDefault();
  }
  e.stopImmediatePropagation(); // a key in the panel is never the image's
}, true);

// What was locked is told to whoever sees no screen.
document.querySelector('p#answer')?.scrollIntoView({ block: 'nearest' });
