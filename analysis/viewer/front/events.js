// @ts-check
// The table of events: 200 rows at a time, filtered by the server.
import { digits, replace, to } from "./address.js";
import { Asked } from "./asking.js";
import { Pager, Table } from "./blocks.js";
import { Component, html, number, whole, words } from "./dom.js";

const KINDS = ["propose_claim", "revise_claim", "contradict_claim", "endorse_claim", "merge_claims", "delegate_subtask", "answer", "vote", "flag", "fault", "budget_exhausted", "call_failed", "stop", "tool_call", "action"];

/** The page of all events of a run. @param {any} props */
export function Events({ at }) {
  const { place } = at;
  return html`<h1 id="title" tabindex="-1">Events of <a href=${to("run", { place })}>${place || "the run"}</a></h1>
    <${EventTable} place=${place} start=${at} key=${JSON.stringify(at)} address=${(/** @type {any} */ more) => replace("events", { place, ...more })} />`;
}

/** Props: `place`; `fixed`, part of the filter that stays; `start`, the filter to begin with; `address` hears of changes. */
export class EventTable extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    const { kind, answer, text, task, round, agent } = props.start || {};
    /** @type {any} */
    this.state = { kind: kind || "", answer: answer || "", text: text || "", task: digits(task), round: digits(round), agent: digits(agent), offset: 0 };
    /** @type {number | undefined} */
    this.timer = undefined;
  }
  componentWillUnmount() { window.clearTimeout(this.timer); }
  /** @param {any} next */
  change(next) {
    this.setState({ offset: 0, ...next }, () => { const { offset, ...rest } = this.state; this.props.address?.(rest); });
  }
  /** @param {any} next */
  later(next) {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.change(next), 250);
  }
  render() {
    const { place, fixed, again } = this.props;
    const { offset, ...filter } = this.state;
    const field = (/** @type {string} */ name) => html`<label>${name} <input type="number" min="0" value=${filter[name] ?? ""} onInput=${(/** @type {any} */ event) => this.later({ [name]: digits(event.target.value) })} /></label>`;
    return html`<div class="bar">
        <label>kind <select value=${filter.kind} onChange=${(/** @type {any} */ event) => this.change({ kind: event.target.value, answer: "" })}><option value="">all</option>${KINDS.map((kind) => html`<option value=${kind}>${kind}</option>`)}</select></label>
        ${fixed ? null : field("task")}${field("round")}${field("agent")}
        <label>text <input type="search" maxlength="200" value=${filter.text} onInput=${(/** @type {any} */ event) => this.later({ text: event.target.value })} /></label>
        ${filter.answer ? html`<button type="button" onClick=${() => this.change({ answer: "" })}>only ${filter.answer}: show others too</button>` : null}</div>
      <${Asked} what="events" at=${{ place, ...filter, ...fixed, offset }} again=${again} keep=${true}>${(/** @type {any} */ data) => html`
        <${Pager} offset=${data.offset} total=${data.total} n=${data.rows.length} what="events" go=${(/** @type {number} */ next) => this.setState({ offset: next })} />
        <${Table} label="events" head=${["task", "round", "agent", "kind", "claim", "answer", "score", "builds on", "tokens", "text"]} rows=${data.rows.map((/** @type {any} */ row) => line(row, place))} />`}<//>`;
  }
}

/** @param {any} row @param {string} place */
function line(row, place) {
  const where = { place, task: row.task, round: row.round };
  const who = row.agent < 0 ? "society" : html`<a href=${to("episode", { ...where, agent: row.agent })}>agent ${row.agent}</a>`;
  const claim = row.claim === null ? "-" : html`<a href=${to("episode", { ...where, claim: row.claim })}>${row.claim}</a>`;
  const text = row.text === null ? "-" : row.chars > row.text.length ? `${row.text} ... (${whole(row.chars)} characters)` : row.text;
  return [html`<a href=${to("episode", where)}>${row.task}</a>`, row.round, who, words(row.kind), claim, words(row.answer), number(row.correct), row.parents.join(", ") || words(row.target), whole(row.tokens_in + row.tokens_out), text];
}
