// @ts-check
// Two runs side by side, at a task of each.
import { digits, to } from "./address.js";
import { Asked } from "./asking.js";
import { Blocks, Table } from "./blocks.js";
import { html } from "./dom.js";
import { Episode } from "./episode.js";

/** @param {any} props */
export function Pair({ at }) {
  const ta = digits(at.ta) ?? 0, tb = digits(at.tb) ?? ta;
  const next = (/** @type {number} */ by) => to("pair", { a: at.a, ta: Math.max(ta + by, 0), b: at.b, tb: Math.max(tb + by, 0) });
  return html`<h1 id="title" tabindex="-1">Side by side</h1>
    <div class="bar"><a href=${next(-1)}>task before, in both</a><a href=${next(1)}>next task, in both</a></div>
    <div class="pair">${[{ place: at.a, task: ta }, { place: at.b, task: tb }].map((one) => html`<section aria-label=${`task ${one.task} of ${one.place}`} key=${`${one.place} ${one.task}`}>
      <${Asked} what="run" at=${{ place: one.place }}>${(/** @type {any} */ run) => html`<p class="muted">${one.place}</p><${Blocks} blocks=${run.first} /><details><summary>what there is to say</summary><${Table} head=${["", ""]} rows=${run.facts} label="what there is to say" /></details>`}<//>
      <${Episode} place=${one.place} task=${one.task} at=${at} level="h2" /></section>`)}</div>`;
}
