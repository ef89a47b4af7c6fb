// @ts-check
// The worklist island: keys, paging, search as you type, and the word that new
// studies have come. Rows are the server's own: the page is fetched again and
// rows are taken out of it, so that there is one way to write a row. Without
// this script the list works by its links and its form.

import { noKey } from './keys.js';

const list = /** @type {HTMLElement} */ (document.getElementById('list'));
const news = /** @type {HTMLElement} */ (document.getElementById('news'));
const form = /** @type {HTMLFormElement} */ (document.getElementById('filter'));
const search = /** @type {HTMLInputElement} */ (document.getElementById('q'));
const pageRows = 20;
const debounceMS = 150;

let cur = -1;
let asked = 0; // number of the latest request: an answer to an older one is dropped

const rows = () => /** @type {HTMLTableRowElement[]} */ ([...document.querySelectorAll('#rows tr')]);
const link = (/** @type {string} */ id) => /** @type {HTMLAnchorElement} */ (document.getElementById(id));

/** select moves to row i and sets focus on its link, so that a screen reader follows. */
function select(/** @type {number} */ i) {
  const all = rows();
  if (!all.length) return;
  cur = Math.max(0, Math.min(i, all.length - 1));
  for (const r of all) r.classList.remove('cur');
  closeWhy(all[cur].querySelector('details'));
  const row = all[cur];
  row.classList.add('cur');
  row.querySelector('a')?.focus({ preventScroll: true });
  const box = row.getBoundingClientRect();
  if (box.top < 80 || box.bottom > innerHeight - 40) row.scrollIntoView({ block: 'center' });
}

/** fetchPage gives the page at url as a document, or null when a newer one was asked for. */
function fetchPage(/** @type {string} */ url) {
  const mine = ++asked;
  return new Promise((/** @type {(d: Document|null) => void} */ done) => {
    const x = new XMLHttpRequest();
    x.open('GET', url);
    x.responseType = 'document';
    x.setRequestHeader('Accept', 'text/html');
    x.onload = () => {
      if (x.status === 401) location.reload();
      done(mine === asked && x.status === 200 ? x.response : null);
    };
    x.onerror = () => done(null);
    x.send();
  });
}

/** take puts parts of another page in the place of ours. */
function take(/** @type {Document} */ page, /** @type {string[]} */ ids) {
  for (const id of ids) {
    const theirs = page.getElementById(id);
    const ours = document.getElementById(id);
    if (theirs && ours) ours.replaceWith(document.importNode(theirs, true));
  }
}

/** show puts the list at url in the place of ours, and selects the study kept where it is there, else row at. */
async function show(/** @type {string} */ url, /** @type {number} */ at, /** @type {string|undefined} */ kept = undefined) {
  const page = await fetchPage(url);
  if (!page) return;
  const theirs = page.getElementById('list');
  if (!theirs) return;
  list.replaceChildren(...[...theirs.childNodes].map((n) => document.importNode(n, true)));
  take(page, ['first', 'more', 'end', 'count']);
  news.dataset.total = page.getElementById('news')?.dataset.total ?? '0';
  news.replaceChildren();
  watch();
  cur = -1;
  const same = kept ? rows().findIndex((r) => r.dataset.uid === kept) : -1;
  if (same >= 0 || at >= 0) select(same >= 0 ? same : at);
}

/** append adds the rows that follow, and says whether there were any. */
async function append() {
  const more = link('more');
  if (more.hidden) return false;
  const page = await fetchPage(more.href);
  if (!page) return false;
  const body = document.getElementById('rows');
  const theirs = page.querySelectorAll('#rows tr');
  body?.append(...[...theirs].map((r) => document.importNode(r, true)));
  take(page, ['more', 'end']);
  return theirs.length > 0;
}

async function move(/** @type {number} */ to) {
  if (to >= rows().length) await append();
  select(to);
}

/** query is the address of the list as the form says now. */
function query() {
  const q = new URLSearchParams();
  for (const [k, v] of new FormData(form)) if (v) q.set(k, String(v));
  const s = q.toString();
  return s ? '/?' + s : '/';
}

/** closeWhy shuts whatever tells at length why a row stands where it stands. */
function closeWhy(/** @type {Element|null} */ but = null) {
  for (const d of document.querySelectorAll('#rows details[open]')) if (d !== but) /** @type {HTMLDetailsElement} */ (d).open = false;
}

const keys = /** @type {Record<string, () => void>} */ ({
  j: () => move(cur + 1),
  ArrowDown: () => move(cur + 1),
  k: () => move(cur - 1),
  ArrowUp: () => move(cur - 1),
  PageDown: () => move(cur + pageRows),
  PageUp: () => move(cur - pageRows),
  Home: () => (link('first').hidden ? select(0) : show(link('first').href, 0)),
  End: () => (link('end').hidden ? select(rows().length - 1) : show(link('end').href, Infinity)),
  Enter: () => rows()[cur]?.querySelector('a')?.click(),
  w: () => {
    const why = rows()[Math.max(cur, 0)]?.querySelector('details');
    if (!why) return;
    if (cur < 0) select(0);
    why.open = !why.open;
    if (why.open) why.querySelector('.whole')?.scrollIntoView({ block: 'nearest' });
  },
  Escape: () => closeWhy(),
  r: () => show(query(), cur < 0 ? -1 : cur, rows()[cur]?.dataset.uid), // Enter after it opens what was selected before it
  '/': () => { search.focus(); search.select(); },
});

document.addEventListener('keydown', (e) => {
  if (noKey(e)) return;
  const at = /** @type {HTMLElement} */ (e.target);
  if (e.ctrlKey || e.metaKey || e.altKey || at.closest('input, select, textarea, [contenteditable]')) {
    if (e.key === 'Escape') at.blur();
    return;
  }
  if (at.closest('button, a, summary') && e.key === 'Enter') return; // the browser does that
  const act = keys[e.key.length === 1 ? e.key.toLowerCase() : e.key];
  if (!act) return;
  e.preventDefault();
  act();
});

list.addEventListener('click', (e) => {
  const row = /** @type {HTMLElement} */ (e.target).closest('#rows tr');
  if (row && !(/** @type {HTMLElement} */ (e.target).closest('a'))) select(rows().indexOf(/** @type {any} */ (row)));
});

let timer = 0;
function filter() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    history.replaceState(null, '', query());
    show(query(), -1);
  }, debounceMS);
}
form.addEventListener('input', filter);
form.addEventListener('submit', (e) => { e.preventDefault(); filter(); });

/** held says by study who has it in hand. @type {Record<string, string>} */
let held = {};
/** markHeld writes that beside the patients; the rows stay where they are. */
function markHeld() {
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('#rows tr'))) {
    const at = row.querySelector('.held');
    const text = held[row.dataset.uid ?? ''] ?? '';
    if (at && at.textContent !== text) at.textContent = text;
  }
}
/** watch listens for new studies. It never touches a row: the reader asks for them. */
let events = /** @type {EventSource|null} */ (null);
function watch() {
  events?.close();
  events = new EventSource('/events?total=' + (news.dataset.total ?? '0'));
  events.addEventListener('claims', (e) => {
    held = JSON.parse(e.data);
    markHeld();
  });
  events.addEventListener('new', (e) => {
    const b = document.createElement('button');
    b.textContent = e.data;
    b.addEventListener('click', () => keys.r());
    news.replaceChildren(b);
  });
}
watch();
addEventListener('pagehide', () => events?.close());
document.documentElement.classList.add('ready');
