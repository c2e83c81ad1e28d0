// @ts-check
// What the other modules build elements with. Every text goes into the page as text: nothing here takes markup.
import * as preact from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

const { Component, Fragment, h, render } = /** @type {any} */ (preact);
/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = /** @type {any} */ (htm).bind(h);
export { Component, Fragment, h, render };

/** @param {unknown} value @returns {string} */
export function words(value) {
  return value === null || value === undefined || value === "" ? "-" : String(value);
}

/** @param {number | null | undefined} value @returns {string} */
export function whole(value) {
  return value === null || value === undefined ? "-" : Math.round(value).toLocaleString("en-US");
}

/** @param {number | null | undefined} value @param {number} [digits] @returns {string} */
export function number(value, digits = 3) {
  if (value === null || value === undefined) return "-";
  return Number.isInteger(value) ? whole(value) : String(Number(value.toPrecision(digits)));
}

/** A number with its noun. @param {number} n @param {string} noun @returns {string} */
export function many(n, noun) {
  return `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;
}
