// @ts-check
// The upload island: files may be dropped on the page, and are then sent as the
// form would send them. Without this script the form works by itself.

const form = /** @type {HTMLFormElement} */ (document.getElementById('upload'));
const input = /** @type {HTMLInputElement} */ (document.getElementById('files'));
const drop = /** @type {HTMLElement} */ (document.getElementById('drop'));
const word = /** @type {HTMLElement} */ (document.getElementById('word'));

for (const kind of ['dragenter', 'dragover']) {
  document.addEventListener(kind, (e) => {
    e.preventDefault();
    drop.classList.add('over');
  });
}
document.addEventListener('dragleave', (e) => {
  if (!e.relatedTarget) drop.classList.remove('over');
});
document.addEventListener('drop', (e) => {
  e.preventDefault();
  drop.classList.remove('over');
  if (!e.dataTransfer || !e.dataTransfer.files.length) return;
  input.files = e.dataTransfer.files;
  form.requestSubmit();
});
form.addEventListener('submit', () => {
  word.textContent = form.dataset.sending ?? '';
});
