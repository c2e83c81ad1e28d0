// @ts-check
// The page of an episode: who stands for what round by round, the claims, and what an agent was sent and said.
import { digits, replace, to } from "./address.js";
import { Asked, Watch } from "./asking.js";
import { Claims } from "./claims.js";
import { Component, html, many, number, whole, words } from "./dom.js";
import { EventTable } from "./events.js";
import { kin, standings } from "./reading.js";
import { Topology } from "./topology.js";
import { Transcript } from "./transcript.js";

const PLAY_MS = 700;

/** The page with its address. @param {any} props */
export function EpisodePage({ at }) {
  const task = at.task ? digits(at.task) ?? at.task : 0;  // what is no number the server refuses in words
  return html`<${Episode} place=${at.place} task=${task} at=${at} level="h1" key=${task}
    address=${(/** @type {Record<string, unknown>} */ more) => replace("episode", { place: at.place, task, ...more })} />`;
}

/** Asks for an episode. Props: `place`, `task`, `at` (round, agent, claim as in an address), `address`, `level`. */
export class Episode extends Component {
  constructor() {
    super();
    this.state = { again: "" };
  }
  render() {
    const { place, task } = this.props;
    return html`<${Asked} what="episode" at=${{ place, task }} again=${this.state.again}>${(/** @type {any} */ page) => html`
      ${page.live && page.stop === null ? html`<${Watch} place=${place} stamp=${page.stamp} changed=${(/** @type {string} */ again) => this.setState({ again })} />` : null}
      ${page.behind ? html`<p class="muted" role="status">${page.behind}</p>` : null}
      <${Shown} ...${this.props} page=${page} again=${this.state.again} />`}<//>`;
  }
}

class Shown extends Component {
  /** @param {any} props */
  constructor(props) {
    super(props);
    this.state = this.from(props.at, props.page.rounds.length - 1);
    /** @type {number | undefined} */
    this.timer = undefined;
    this.onKey = this.onKey.bind(this);
  }
  /** @param {Record<string, string>} at @param {number} last */
  from(at, last) {
    return { round: Math.max(Math.min(digits(at?.round) ?? 0, last), 0), agent: digits(at?.agent), claim: at?.claim || null, playing: false };
  }
  componentDidMount() { if (this.props.level === "h1") addEventListener("keydown", this.onKey); }
  componentWillUnmount() { removeEventListener("keydown", this.onKey); window.clearInterval(this.timer); }
  /** @param {any} before */
  componentDidUpdate(before) {
    if (before.at !== this.props.at) this.setState(this.from(this.props.at, this.last));
  }
  get last() { return this.props.page.rounds.length - 1; }
  /** @param {Record<string, unknown>} next */
  change(next) {
    this.setState(next, () => {
      const { round, agent, claim } = this.state;
      this.props.address?.({ round, agent, claim });
    });
  }
  /** @param {number} round */
  go(round) { this.change({ round: Math.max(Math.min(round, this.last), 0) }); }
  /** @param {KeyboardEvent} event */
  onKey(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest("input, select, textarea, .wide, pre") || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); this.go(this.state.round + step); }
  }
  play() {
    window.clearInterval(this.timer);
    if (this.state.playing) { this.setState({ playing: false }); return; }
    if (this.state.round >= this.last) this.go(0);
    this.setState({ playing: true });
    this.timer = window.setInterval(() => {
      if (this.state.round >= this.last) { window.clearInterval(this.timer); this.setState({ playing: false }); } else this.go(this.state.round + 1);
    }, PLAY_MS);
  }
  render() {
    const { page, place, task, level, again } = this.props;
    const { round, agent, claim } = this.state;
    const shown = page.rounds[round]?.round ?? 0;
    const stands = standings(page, shown), lit = kin(page, claim);
    const pick = (/** @type {number} */ one) => this.change({ agent: one === agent ? null : one });
    const choose = (/** @type {string} */ one) => this.change({ claim: one === claim ? null : one });
    const link = (/** @type {Record<string, unknown>} */ more) => to("episode", { place, task, round, agent, claim, ...more });
    return html`<${About} page=${page} place=${place} task=${task} level=${level} />
      <div class="bar" role="group" aria-label="rounds"><label>Round <input type="range" min="0" max=${Math.max(this.last, 0)} step="1" value=${round} onInput=${(/** @type {any} */ event) => this.go(Number(event.target.value))} /></label>
        <output>${this.last < 0 ? "no round yet" : `round ${shown}, ${round + 1} of ${this.last + 1}`}</output>
        <button type="button" disabled=${this.last < 1} onClick=${() => this.play()}>${this.state.playing ? "stop" : "play"}</button>
        <span class="muted">arrow keys move through the rounds</span></div>
      <${RoundLine} line=${page.rounds[round]} />
      <div class="side"><div><${Asked} what="society" at=${{ place }} busy="placing agents ...">${(/** @type {any} */ society) => html`
          <${Topology} page=${page} society=${society} round=${shown} stands=${stands} agent=${agent} lit=${lit} pick=${pick} />`}<//></div>
        <div><${Claims} page=${page} round=${shown} claim=${claim} lit=${lit} choose=${choose} /></div></div>
      ${agent === null ? null : html`<${Transcript} place=${place} task=${task} agent=${agent} again=${again} link=${link} />`}
      <h2>Events of this task</h2><${EventTable} place=${place} fixed=${{ task }} again=${again} />`;
  }
}

/** @param {any} props */
function About({ page, place, task, level }) {
  const title = html`Task ${task} of <a href=${to("run", { place })}>${page.name}</a>`;
  const rows = [["question", page.question], ["options", page.options.join(", ")], ["reference answer", page.truth], ["answer", page.answer], ["score", page.score === null ? null : number(page.score)],
    ["ended by", page.stop ?? page.not_ended], ["wrong first", page.first_wrong], ["cited most", page.cited.length ? `agent ${page.cited[0][0]}, ${many(page.cited[0][1], "time")}` : null]];
  return html`${level === "h1" ? html`<h1 id="title" tabindex="-1">${title}</h1>` : html`<h2>${title}</h2>`}
    <div class="bar">${task > 0 ? html`<a href=${to("episode", { place, task: task - 1 })}>task before</a>` : null}${task + 1 < page.tasks ? html`<a href=${to("episode", { place, task: task + 1 })}>next task</a>` : null}</div>
    <dl class="about">${rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** @param {any} props */
function RoundLine({ line }) {
  if (!line) return null;
  const acts = Object.entries(line.acts).map(([kind, n]) => `${whole(/** @type {number} */ (n))} ${kind}`).join(", ");
  const spent = line.calls ? `; ${many(line.calls, "call")}, ${whole(line.tokens_in)} tokens in, ${whole(line.tokens_out)} out` : "";
  return html`<p aria-live="polite">In this round: ${words(acts)}${spent}${line.rewards === null ? "" : `; rewards ${number(line.rewards)}`}.</p>`;
}
