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

/** @param {string | undefined} text @returns {number | null} */
export function digits(text) {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
