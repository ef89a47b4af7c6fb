// @ts-check
// Shortcuts of a single character can be switched off (WCAG 2.1.4): the page then
// says so in <html data-keys="off">. Whatever listens for such keys asks here first.
// Arrows, Enter, Escape and the like are no such keys, nor is what Ctrl goes with.

/** @param {KeyboardEvent} e @returns {boolean} whether the key is one that was switched off */
export const noKey = (e) => document.documentElement.dataset.keys === 'off' && e.key.length === 1 && !e.ctrlKey && !e.metaKey && !e.altKey;
