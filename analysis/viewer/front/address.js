// @ts-check
// The address of what is shown stands after the # : it stays in the browser, and a link leads to the place.

/** @typedef {{page: string, at: Record<string, string>}} Address */

/** @returns {Address} */
export function here() {
  const [page, rest] = location.hash.slice(1).split(/\?(.*)/s);
  return { page: page || "runs", at: Object.fromEntries(new URLSearchParams(rest || "")) };
}

/** @param {string} page @param {Record<string, unknown>} at @returns {string} */
export function to(page, at = {}) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(at)) {
    if (value !== null && value !== undefined && value !== "") found.set(name, String(value));
  }
  const rest = found.toString();
  return `#${page}${rest ? `?${rest}` : ""}`;
}

/** Change the address without a new place in the history. @param {string} page @param {Record<string, unknown>} at */
export function replace(page, at) {
  history.replaceState(null, "", to(page, at));
}

/** States of pages that were left, by what they show: whoever comes back finds the filter and the place. @type {Map<string, any>} */
const LEFT = new Map();
const LEFT_MAX = 50;

/** @param {string} key @param {any} fresh @returns {any} */
export function left(key, fresh) {
  return LEFT.get(key) ?? fresh;
}

/** @param {string} key @param {any} state */
export function leave(key, state) {
  LEFT.delete(key);
  LEFT.set(key, state);
  for (const oldest of LEFT.keys()) { if (LEFT.size <= LEFT_MAX) break; LEFT.delete(oldest); }
}

/** @param {string | undefined} text @returns {number | null} */
export function digits(text) {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
