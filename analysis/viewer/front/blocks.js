// @ts-check
// Shows blocks that the server made: the same words, tables and pictures as in the document of agentsoc report.
import { h, html, many, whole } from "./dom.js";

const ELEMENTS = new Set(["svg", "title", "desc", "line", "path", "circle", "rect", "text", "g"]);
const ATTRIBUTES = /^(aria-[a-z]+|role|id|class|viewBox|width|height|x|y|x1|y1|x2|y2|cx|cy|r|rx|d|fill|fill-opacity|stroke|stroke-[a-z]+|text-anchor|font-[a-z]+|transform|opacity|focusable|tabindex)$/;

/** Builds a picture from its tree of elements; what is not on the lists is left out. @param {any} tree @returns {any} */
export function picture(tree) {
  if (typeof tree === "string") return tree;
  const [name, attributes, inside] = tree;
  if (!ELEMENTS.has(name)) return null;
  const taken = Object.fromEntries(Object.entries(attributes).filter(([key]) => ATTRIBUTES.test(key)));
  return h(name, taken, ...inside.map(picture));
}

/** @param {{label: string, children?: any}} props */
export function Wide({ label, children }) {
  return html`<div class="wide" tabindex="0" role="group" aria-label=${label}>${children}</div>`;
}

const WORD_MAX = 24;

/** The class of a cell: short words alone are not broken, others have room to be. @param {any} cell @returns {string | null} */
function kind(cell) {
  if (typeof cell !== "string") return typeof cell === "number" ? "whole" : null;
  const parts = cell.trim().split(/\s+/);
  return parts.some((word) => word.length > WORD_MAX) ? "long" : parts.length > 1 ? "word" : "whole";
}

/** A table; a cell is a text or an element. @param {{head: any[], rows: any[][], more?: number, label?: string}} props */
export function Table({ head, rows, more = 0, label = "table" }) {
  const named = head.some((name) => name !== "");
  return html`<${Wide} label=${label}><table>
    ${named ? html`<thead><tr>${head.map((name) => (name === "" ? html`<td></td>` : html`<th scope="col">${name}</th>`))}</tr></thead>` : null}
    <tbody>${rows.map((row) => html`<tr>${row.map((cell, at) => (at === 0 && !named ? html`<th scope="row">${cell}</th>` : html`<td class=${kind(cell)}>${cell}</td>`))}</tr>`)}</tbody>
  </table><//>${more ? html`<p class="muted">... and ${whole(more)} more rows</p>` : null}`;
}

/** @param {{figure: any}} props */
export function Figure({ figure }) {
  return html`<figure>${picture(figure.picture)}<figcaption><b>${figure.title}.</b> ${figure.description}</figcaption>
    <details><summary>the figures as a table</summary><${Table} ...${figure.table} label=${figure.title} /></details></figure>`;
}

/** @param {{blocks: any[]}} props */
export function Blocks({ blocks }) {
  return html`${blocks.map((one) => html`<${Block} one=${one} />`)}`;
}

/** @param {{one: any}} props */
function Block({ one }) {
  switch (one.block) {
    case "paragraph": return html`<p class=${one.style}>${one.words}</p>`;
    case "heading": return html`<h2>${one.words}</h2>`;
    case "table": return html`<${Table} head=${one.head} rows=${one.rows} more=${one.more} />`;
    case "figure": return html`<${Figure} figure=${one} />`;
    case "list": return html`<ul>${one.items.map((/** @type {string} */ item) => html`<li>${item}</li>`)}</ul>`;
    case "verbatim": return html`<pre tabindex="0">${one.words}</pre>`;
    case "folded": return html`<details><summary>${one.words}</summary><${Blocks} blocks=${one.blocks} /></details>`;
    default: return null;
  }
}

/** Goes through rows page by page. @param {{offset: number, total: number, n: number, go: (offset: number) => void, what: string}} props */
export function Pager({ offset, total, n, go, what }) {
  if (total <= n && offset === 0) return html`<p class="muted">${many(total, what.slice(0, -1))}</p>`;
  return html`<div class="bar pager" role="group" aria-label=${`pages of ${what}`}>
    <button type="button" disabled=${offset <= 0} onClick=${() => go(Math.max(offset - 200, 0))}>before</button>
    <span>${total === 0 ? "none" : `${whole(offset + 1)} to ${whole(offset + n)} of ${whole(total)}`} ${what}</span>
    <button type="button" disabled=${offset + n >= total} onClick=${() => go(offset + 200)}>after</button></div>`;
}
