// @ts-check
// Laws and phases: lists of the files that hold them, and the page of one.
import { to } from "./address.js";
import { Asked } from "./asking.js";
import { Blocks } from "./blocks.js";
import { html, many } from "./dom.js";

/** @type {Record<string, string>} */
const HINTS = {
  laws: "No file of laws is here. agentsoc laws RUNS --json > laws.json makes one below the directory that is shown.",
  phase: "No file of measurements is here. agentsoc calibrate makes one; agentsoc phase RUNS --json > phase.json does as well.",
};

/** @param {any} props */
export function Results({ page }) {
  return html`<h1 id="title" tabindex="-1">${page === "laws" ? "Laws" : "Phase"}</h1><${Asked} what="results" at=${{}}>${(/** @type {any} */ data) => {
    const files = data.rows.filter((/** @type {any} */ one) => one.kind === page);
    return html`${files.length ? html`<ul>${files.map((/** @type {any} */ one) => html`<li><a href=${to("result", { file: one.file })}>${one.file}</a></li>`)}</ul>` : html`<p>${HINTS[page]}</p>`}${data.passed_over ? html`<p class="muted">${many(data.passed_over, "file")} more ${data.passed_over === 1 ? "was" : "were"} not looked at: they are too large or too many. Show the directory that holds the one you want.</p>` : null}`;
  }}<//>`;
}

/** @param {any} props */
export function Result({ at }) {
  return html`<${Asked} what="result" at=${{ file: at.file }}>${(/** @type {any} */ found) => html`<h1 id="title" tabindex="-1">${found.title}</h1><p class="muted">${at.file}</p><${Blocks} blocks=${found.blocks} />`}<//>`;
}
