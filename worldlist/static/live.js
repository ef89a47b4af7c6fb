// @ts-check
// The notice of an open page of a study that it shows what no longer holds. The page
// never loads itself anew, and nothing on it moves: the reader asks for it, and finds
// what they had typed again. Of a page that nobody looks at nothing is asked; it asks
// when it is looked at again.

const notice = /** @type {HTMLElement|null} */ (document.getElementById('changed'));
const d = notice?.dataset ?? {};
/** The texts that are kept over a reload, by this page and the one who reads. */
const texts = () => /** @type {NodeListOf<HTMLTextAreaElement|HTMLInputElement>} */ (document.querySelectorAll('.right textarea[id], .right input[type=text][id], #missed-text'));
const place = `typed ${d.study} ${document.querySelector('.who .name')?.textContent ?? ''}`;

/** keep notes what was typed, for the page that follows. */
function keep() {
  const typed = [...texts()].filter((t) => t.value).map((t) => [t.id, t.value]);
  if (typed.length) sessionStorage.setItem(place, JSON.stringify(typed));
}

/** restore writes it where it stood, and forgets it. */
function restore() {
  const kept = sessionStorage.getItem(place);
  sessionStorage.removeItem(place);
  for (const [id, value] of kept ? JSON.parse(kept) : []) {
    const t = /** @type {HTMLTextAreaElement|null} */ (document.getElementById(id));
    if (t && !t.value) {
      t.value = value;
      const folded = t.closest('details');
      if (folded) folded.open = true;
    }
  }
}

/** lapse takes the questions from whatever a stopped model said; what was typed stays to be read and copied. */
function lapse(/** @type {HTMLElement} */ section) {
  section.classList.add('lapsed');
  for (const f of /** @type {NodeListOf<HTMLInputElement>} */ (section.querySelectorAll('.judge input'))) f.disabled = true;
  const form = /** @type {HTMLFormElement|null} */ (document.querySelector('#verdict'));
  if (!form) return;
  form.dataset.lapsed = '';
  for (const f of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('input:not([type=hidden]), button'))) f.disabled = true;
}

// No key sends a form whose question was taken away.
document.addEventListener('submit', (e) => {
  if (/** @type {HTMLElement} */ (e.target).dataset.lapsed !== undefined) {
    e.preventDefault();
    notice?.querySelector('button')?.focus();
  }
}, true);
document.addEventListener('varde:reload', keep);

function line(/** @type {string} */ text, strong = false) {
  const p = document.createElement('p');
  const at = strong ? p.appendChild(document.createElement('b')) : p;
  at.textContent = text;
  return p;
}

/** tell says that the page is old, and which of its models were stopped. */
function tell(/** @type {string[]} */ stopped) {
  if (!notice) return;
  const lines = [];
  for (const section of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll('[data-model]'))) {
    if (!stopped.includes(section.dataset.model ?? '')) continue;
    lapse(section);
    lines.push(line((d.stopped ?? '').replace('{0}', section.dataset.name ?? ''), true));
  }
  lines.push(line(d.changed ?? ''));
  const had = notice.contains(document.activeElement);
  const box = document.createElement('div');
  box.className = 'panel';
  const again = document.createElement('button');
  again.type = 'button';
  again.textContent = d.again ?? '';
  again.addEventListener('click', () => {
    keep();
    location.reload();
  });
  box.append(...lines, again);
  notice.replaceChildren(box);
  if (had) again.focus();
}

let events = /** @type {EventSource|null} */ (null);
/** listen holds a connection while the page is looked at: a browser has few of them. */
function listen() {
  events?.close();
  events = null;
  if (!notice || document.hidden) return;
  events = new EventSource(`/studies/${d.study}/changes?page=${d.page}&shown=${encodeURIComponent(d.shown ?? '')}`);
  events.addEventListener('open', () => { notice.dataset.listens = ''; });
  events.addEventListener('changed', (e) => tell(JSON.parse(e.data).stopped));
}

restore();
document.addEventListener('visibilitychange', listen);
addEventListener('pageshow', listen); // also of a page that was gone back to
addEventListener('pagehide', () => events?.close());
