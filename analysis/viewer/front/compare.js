// @ts-check
// The page of a comparison: verdict first, then differences, score against tokens, and task by task.
import { leave, left, to } from "./address.js";
import { Asked } from "./asking.js";
import { Blocks, Pager, Wide } from "./blocks.js";
import { Component, html } from "./dom.js";

export class Compare extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    /** @type {{offset: number, chosen: {place: string, task: number, said: string}[]}} */
    this.state = left(`compare ${props.at.place}`, { offset: 0, chosen: [] });
  }
  componentWillUnmount() { leave(`compare ${this.props.at.place}`, this.state); }
  /** @param {{place: string, task: number, said: string}} cell */
  choose(cell) {
    const same = (/** @type {any} */ one) => one.place === cell.place && one.task === cell.task;
    const { chosen } = this.state;
    this.setState({ chosen: chosen.some(same) ? chosen.filter((/** @type {any} */ one) => !same(one)) : [...chosen, cell].slice(-2) });
  }
  render() {
    const { place } = this.props.at;
    const { offset, chosen } = this.state;
    return html`<${Asked} what="compare" at=${{ place, offset }} keep=${true}>${(/** @type {any} */ page) => html`
      <h1 id="title" tabindex="-1">Comparison ${page.name}</h1>
      <${Blocks} blocks=${page.blocks} />
      ${page.matrix ? html`<h2>Task by task</h2><p>${page.said}</p>
        <div class="bar" role="status">${chosen.length === 2
          ? html`<a class="chip" href=${to("pair", { a: chosen[0].place, ta: chosen[0].task, b: chosen[1].place, tb: chosen[1].task })}>${chosen[0].said} beside ${chosen[1].said}</a>`
          : html`<span class="muted">A score leads to its episode; tick two to see them side by side.</span>`}</div>
        <${MatrixTable} matrix=${page.matrix} chosen=${chosen} choose=${(/** @type {any} */ cell) => this.choose(cell)} />
        <${Pager} offset=${page.matrix.offset} total=${page.matrix.total} n=${page.matrix.rows.length} what="tasks" go=${(/** @type {number} */ next) => this.setState({ offset: next })} />` : null}
      <${Blocks} blocks=${page.notes} />`}<//>`;
  }
}

/** @param {any} props */
function MatrixTable({ matrix, chosen, choose }) {
  const isOn = (/** @type {any} */ cell, /** @type {any} */ row) => chosen.some((/** @type {any} */ one) => one.place === cell.place && one.task === row.task);
  return html`<${Wide} label="scores task by task"><table><thead><tr>${["tasks", "seed", "task", ...matrix.labels].map((name) => html`<th scope="col">${name}</th>`)}<th scope="col">differ</th></tr></thead>
    <tbody>${matrix.rows.map((/** @type {any} */ row) => html`<tr><td>${row.tasks}</td><td>${row.seed}</td><th scope="row">${row.task}</th>
      ${row.cells.map((/** @type {any} */ cell, /** @type {number} */ at) => html`<td class="cell">${cell.place === null ? cell.score : html`<input type="checkbox" aria-label=${`tick ${matrix.labels[at]}, task ${row.task}`} checked=${isOn(cell, row)} onChange=${() => choose({ place: cell.place, task: row.task, said: `${matrix.labels[at]}, task ${row.task}` })} />
        ${" "}<a href=${to("episode", { place: cell.place, task: row.task })} aria-label=${`${matrix.labels[at]}, task ${row.task}: ${cell.score}`}>${cell.score}</a>`}</td>`)}
      <td>${row.differ ? "yes" : ""}</td></tr>`)}</tbody></table><//>`;
}
