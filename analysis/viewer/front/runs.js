// @ts-check
// The list of runs: filter, groups folded, two of them ticked to stand side by side.
import { leave, left, to } from "./address.js";
import { Asked } from "./asking.js";
import { Pager, Wide } from "./blocks.js";
import { Component, Fragment, html, number, whole, words } from "./dom.js";

export class Runs extends Component {
  constructor() {
    super();
    /** @type {{text: string, offset: number, open: Record<string, boolean>, ticked: string[]}} */
    this.state = left("runs", { text: "", offset: 0, open: {}, ticked: [] });
    /** @type {number | undefined} */
    this.timer = undefined;
  }
  componentWillUnmount() { window.clearTimeout(this.timer); leave("runs", this.state); }
  /** @param {string} text */
  filter(text) {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.setState({ text, offset: 0 }), 200);
  }
  /** @param {string} place */
  tick(place) {
    const { ticked } = this.state;
    this.setState({ ticked: ticked.includes(place) ? ticked.filter((/** @type {string} */ one) => one !== place) : [...ticked, place].slice(-2) });
  }
  render() {
    const { text, offset, open, ticked } = this.state;
    return html`<h1 id="title" tabindex="-1">Runs</h1>
      <div class="bar"><label>Filter <input type="search" value=${text} onInput=${(/** @type {any} */ event) => this.filter(event.target.value)} /></label>
        ${ticked.length === 2
          ? html`<a class="chip" href=${to("pair", { a: ticked[0], b: ticked[1] })}>compare ${ticked[0]} and ${ticked[1]}</a>`
          : html`<span class="muted">Tick two runs to see them side by side.</span>`}</div>
      <${Asked} what="runs" at=${{ text, offset }} keep=${true}>${(/** @type {any} */ data) => html`
        <p class="muted">below ${data.directory}</p>
        ${data.total === 0 ? html`<p>${data.n_groups ? "Nothing matches the filter." : "There is no run here yet."}</p>` : html`<${Wide} label="runs"><table>
          <thead><tr>${["tick", "run", "status", "failed calls", "score", "tokens", "stops", "model", "changed (UTC)"].map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
          <tbody>${data.rows.map((/** @type {any} */ group) => html`<${Group} key=${group.place} group=${group} open=${!!open[group.place]} ticked=${ticked}
            fold=${() => this.setState({ open: { ...open, [group.place]: !open[group.place] } })} tick=${(/** @type {string} */ place) => this.tick(place)} />`)}</tbody></table><//>`}
        <${Pager} offset=${data.offset} total=${data.total} n=${data.rows.length} what="rows" go=${(/** @type {number} */ next) => this.setState({ offset: next })} />`}<//>`;
  }
}

/** @param {any} props */
function Group({ group, open, ticked, fold, tick }) {
  if (group.runs_in_all === 1 && group.kind !== "comparison" && group.kind !== "calibration") {
    return html`<${Line} run=${group.runs[0]} ticked=${ticked} tick=${tick} />`;
  }
  const link = group.kind === "comparison" ? html`<a href=${to("compare", { place: group.place })}>${group.name}</a>`
    : group.kind === "calibration" ? html`<a href=${to("result", { file: group.place === "." ? "measurements.json" : `${group.place}/measurements.json` })}>${group.name}</a>` : group.name;
  const failed = group.runs.reduce((/** @type {number} */ sum, /** @type {any} */ run) => sum + run.calls_failed, 0);
  const tokens = group.runs.reduce((/** @type {number} */ sum, /** @type {any} */ run) => sum + run.tokens, 0);
  return html`<${Fragment}><tr><td></td>
      <td><button type="button" aria-expanded=${String(open)} aria-label=${`runs of ${group.place}`} onClick=${fold}>${open ? "-" : "+"}</button> ${link} <span class="muted">${group.kind} of ${whole(group.runs_in_all)} runs</span></td>
      <td class="word">${group.status}</td><td>${whole(failed)}</td><td></td><td>${whole(tokens)}</td><td></td><td></td><td></td></tr>
    ${open ? group.runs.map((/** @type {any} */ run) => html`<${Line} run=${run} ticked=${ticked} tick=${tick} inside=${true} columns=${group.columns} />`) : null}
    ${open && group.runs_in_all > group.runs.length ? html`<tr><td></td><td colspan="8" class="muted">... and ${whole(group.runs_in_all - group.runs.length)} more runs</td></tr>` : null}<//>`;
}

/** @param {any} props */
function Line({ run, ticked, tick, inside, columns }) {
  const varied = (columns || []).filter((/** @type {string} */ name) => run.varied[name] !== null).map((/** @type {string} */ name) => `${name} ${words(run.varied[name])}`).join(", ");
  const sound = run.status !== "damaged";
  return html`<tr class=${inside ? "indent" : ""}>
    <td>${sound ? html`<input type="checkbox" aria-label=${`tick ${run.place}`} checked=${ticked.includes(run.place)} onChange=${() => tick(run.place)} />` : null}</td>
    <td>${sound ? html`<a href=${to("run", { place: run.place })}>${run.place === "." ? run.name : run.place}</a>` : run.place} ${run.name !== run.place && !(inside && run.place.endsWith(`/${run.name}`)) ? html`<span class="muted">${run.name}${run.seed === null ? "" : `, seed ${run.seed}`}</span>` : null}
      ${varied ? html`<div class="muted">${varied}</div>` : null}${run.error ? html`<div>${run.error}</div>` : null}</td>
    <td class="word">${run.status}</td><td>${run.status === "imported" ? "-" : whole(run.calls_failed)}</td><td><${Score} run=${run} /></td><td>${run.status === "imported" ? "-" : html`<${Tokens} run=${run} />`}</td>
    <td class="word">${Object.entries(run.stops).map(([name, n]) => `${whole(/** @type {number} */ (n))} ${name}`).join(", ")}</td>
    <td class="word">${run.models.join(", ")}</td><td>${run.changed === null ? "" : new Date(run.changed * 1000).toISOString().slice(0, 16).replace("T", " ")}</td></tr>`;
}

/** The score as a dot on a line from 0 to 1, its interval as a bar. @param {any} props */
function Score({ run }) {
  if (run.score === null || run.low === null) return "-";
  const x = (/** @type {number} */ value) => 2 + 96 * Math.min(Math.max(value, 0), 1);
  return html`<span>${run.score.toFixed(3)} [${run.low.toFixed(2)}, ${run.high.toFixed(2)}]</span>
    <svg viewBox="0 0 100 10" width="100" height="10" aria-hidden="true"><rect x="2" y="4.5" width="96" height="1" class="f grid" />
      <rect x=${x(run.low)} y="3" width=${Math.max(x(run.high) - x(run.low), 1)} height="4" class="f c6" /><circle cx=${x(run.score)} cy="5" r="3" class="f c1" /></svg>`;
}

/** Tokens against the budget. @param {any} props */
function Tokens({ run }) {
  if (!run.budget) return whole(run.tokens);
  const share = Math.min(run.tokens / run.budget, 1);
  return html`<span>${whole(run.tokens)} of ${whole(run.budget)} (${number(100 * share)} %)</span>
    <svg viewBox="0 0 100 8" width="100" height="8" aria-hidden="true"><rect x="0" y="1" width="100" height="6" class="f grid" /><rect x="0" y="1" width=${100 * share} height="6" class="f c1" /></svg>`;
}
