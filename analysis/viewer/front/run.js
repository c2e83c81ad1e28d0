// @ts-check
// The page of a run: what came out, what it cost, its tasks, its society, what stopped or failed.
import { leave, left, to } from "./address.js";
import { ask, Asked, Watch } from "./asking.js";
import { Blocks, Pager, Table } from "./blocks.js";
import { Component, html, many, number, whole, words } from "./dom.js";

export class Run extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    this.state = { again: "", ...left(`run ${props.at.place}`, { which: "all", offset: 0 }) };
  }
  componentWillUnmount() { const { which, offset } = this.state; leave(`run ${this.props.at.place}`, { which, offset }); }
  render() {
    const { place } = this.props.at;
    const { again, which, offset } = this.state;
    return html`<${Asked} what="run" at=${{ place }} again=${again}>${(/** @type {any} */ run) => html`
      <h1 id="title" tabindex="-1">Run ${run.name}</h1>
      ${run.status === "running" ? html`<${Watch} place=${place} stamp=${run.stamp} changed=${(/** @type {string} */ next) => this.setState({ again: next })} />` : null}
      <${Blocks} blocks=${run.first} />
      ${run.live ? html`<${Live} live=${run.live} place=${place} />` : null}
      <${Table} head=${["", ""]} rows=${run.facts} label="what there is to say" />
      <${Replay} place=${place} can=${run.can_replay} why=${run.no_replay} />
      <h2>Tasks</h2>
      <${Blocks} blocks=${run.strip} />
      <div class="bar"><label>Show <select value=${which} onChange=${(/** @type {any} */ event) => this.setState({ which: event.target.value, offset: 0 })}>
        ${["all", "wrong", "right", "unfinished"].map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
        <${GoTo} place=${place} tasks=${run.tasks_in_all} /></div>
      <${Asked} what="tasks" at=${{ place, which, offset }} again=${again} keep=${true}>${(/** @type {any} */ data) => html`
        <${Table} label="tasks" head=${["task", "score", "answer", "ended by", "rounds", "tokens", "events"]} rows=${data.rows.map((/** @type {any} */ one) => [
          html`<a href=${to("episode", { place, task: one.task })}>task ${one.task}</a>`, number(one.score), words(one.answer), words(one.stop), one.rounds, whole(one.tokens), whole(one.events)])} />
        <${Pager} offset=${data.offset} total=${data.total} n=${data.rows.length} what="tasks" go=${(/** @type {number} */ next) => this.setState({ offset: next })} />`}<//>
      <h2>Where the tokens went</h2>
      <${Asked} what="rounds" at=${{ place }} again=${again} busy="adding up rounds ...">${(/** @type {any} */ data) => html`<${Blocks} blocks=${data.figure} />
        ${data.figure.length ? null : html`<p class="muted">${run.status === "imported" ? "The log does not say what was spent." : run.status === "running" ? "No event that is written yet spent tokens." : "No tokens were spent."}</p>`}
        <h2>Stops, failures and flags</h2>
        <${Counts} place=${place} title="Stops" rows=${data.stops} /><${Counts} place=${place} title="Failures" rows=${run.failures.map((/** @type {any} */ one) => ({ ...one, kind: data.kinds.call_failed ? one.kind : "" }))} /><${Counts} place=${place} title="Flags" rows=${data.flags} />
        ${run.failures.length ? (data.kinds.call_failed ? null : html`<p class="muted">No event tells of them: the run ended first. Each stands with its agent, on the page of its task.</p>`) : run.status === "imported" ? null : html`<p class="muted">No call failed${run.status === "running" ? " as far as events are written" : ""}.</p>`}
        <${Counts} place=${place} title="All events" rows=${Object.entries(data.kinds).map(([kind, count]) => ({ name: kind, kind, count, text: "" }))} />`}<//>
      <h2>Society</h2>
      <${Asked} what="society" at=${{ place }} again=${again} busy="placing agents ...">${(/** @type {any} */ data) => html`<${Blocks} blocks=${data.figure} /><${Blocks} blocks=${data.note} />`}<//>
      <h3>Cited most</h3>
      <${Asked} what="cited" at=${{ place }} again=${again} busy="reading who built on whom ...">${(/** @type {any} */ data) => data.cited.length
        ? html`<${Table} label="cited most" head=${["agent", "times that others built on or disputed a claim of it"]} rows=${data.cited.map((/** @type {any} */ one) => [`agent ${one[0]}`, whole(one[1])])} />`
        : html`<p class="muted">Nobody built on a claim of another.</p>`}<//>
      <h2>How it was made</h2>
      <${Blocks} blocks=${run.last} />`}<//>`;
  }
}

/** @param {any} props */
function Counts({ place, title, rows }) {
  if (!rows.length) return null;
  const link = (/** @type {any} */ row) => to("events", { place, kind: row.kind, answer: row.kind === row.name || row.kind === "call_failed" ? "" : row.name });
  return html`<h3>${title}</h3><${Table} label=${title} head=${["what", "count", "said most often"]} rows=${rows.map((/** @type {any} */ row) => [row.kind ? html`<a href=${link(row)}>${row.name}</a>` : row.name, whole(row.count), row.text])} />`;
}

/** How far a run that goes on has got. @param {any} props */
function Live({ live, place }) {
  const sum = (/** @type {string} */ name) => live.rounds.reduce((/** @type {number} */ all, /** @type {any} */ one) => all + one[name], 0);
  return html`<section aria-label="under way"><p>${many(sum("done"), "call")} answered, ${whole(sum("started"))} in flight, ${whole(sum("failed"))} failed; ${whole(sum("tokens_in") + sum("tokens_out"))} tokens so far.</p>
    <${Table} label="calls by round" head=${["round", "answered", "in flight", "failed", "tokens"]} rows=${live.rounds.slice(-20).map((/** @type {any} */ one) => [one.round, whole(one.done), whole(one.started), whole(one.failed), whole(one.tokens_in + one.tokens_out)])} />
    <${Table} label="tasks under way" head=${["task", "round", "calls", "tokens"]} rows=${live.tasks.slice(-20).reverse().map((/** @type {any} */ one) => [html`<a href=${to("episode", { place, task: one.task })}>task ${one.task}</a>`, one.round, whole(one.calls), whole(one.tokens)])} /></section>`;
}

class GoTo extends Component {
  render() {
    const { place, tasks } = this.props;
    /** @param {any} event */
    const go = (event) => { event.preventDefault(); location.hash = to("episode", { place, task: Math.min(Math.max(Number(new FormData(event.target).get("task")) || 0, 0), Math.max(tasks - 1, 0)) }); };
    return html`<form onSubmit=${go}><label>Task <input name="task" type="number" min="0" max=${Math.max(tasks - 1, 0)} value="0" /></label> <button>go</button></form>`;
  }
}

class Replay extends Component {
  constructor() {
    super();
    /** @type {{said: string | null, busy: boolean}} */
    this.state = { said: null, busy: false };
  }
  async replay() {
    this.setState({ busy: true, said: null });
    try {
      this.setState({ said: (await ask("replay", { place: this.props.place })).said, busy: false });
    } catch (error) { this.setState({ said: String(/** @type {Error} */ (error).message), busy: false }); }
  }
  render() {
    if (!this.props.can) return html`<p class="muted">${this.props.why}</p>`;
    return html`<div class="bar"><button type="button" disabled=${this.state.busy} onClick=${() => this.replay()}>replay it</button>
      <output>${this.state.busy ? "replaying ..." : this.state.said || "A replay computes the run again from its journal and calls no model."}</output></div>`;
  }
}
