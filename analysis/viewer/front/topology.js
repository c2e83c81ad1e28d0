// @ts-check
// Agents and links on a canvas: places come from the server, links of all rounds are drawn once into a bitmap.
import { Component, html, words } from "./dom.js";
import { Table } from "./blocks.js";
import { MARKS } from "./reading.js";

const SIZE = 460, MARGIN = 26, LETTERS_MAX = 60, BUTTONS_MAX = 400;

export class Topology extends Component {
  constructor() {
    super();
    /** @type {HTMLCanvasElement | null} */
    this.canvas = null;
    /** @type {{key: string, bitmap: HTMLCanvasElement} | null} */
    this.under = null;
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.draw = this.draw.bind(this);
  }
  componentDidMount() { this.scheme.addEventListener("change", this.draw); addEventListener("resize", this.draw); this.draw(); }
  componentWillUnmount() { this.scheme.removeEventListener("change", this.draw); removeEventListener("resize", this.draw); }
  componentDidUpdate() { this.draw(); }
  get map() { return this.props.society.map; }
  /** @param {number} agent @returns {[number, number]} */
  place(agent) { return [MARGIN + this.map.x[agent] * (SIZE - 2 * MARGIN), MARGIN + this.map.y[agent] * (SIZE - 2 * MARGIN)]; }
  /** @param {CSSStyleDeclaration} style @param {number} scale */
  links(style, scale) {
    const key = `${scale} ${style.getPropertyValue("--grid")}`;
    if (this.under?.key === key) return this.under.bitmap;
    const bitmap = document.createElement("canvas");
    bitmap.width = bitmap.height = SIZE * scale;
    const pen = bitmap.getContext("2d");
    if (pen) {
      pen.scale(scale, scale); pen.strokeStyle = style.getPropertyValue("--grid"); pen.lineWidth = 1; pen.beginPath();
      for (const [u, v] of this.props.society.links) { if (u < this.map.n && v < this.map.n) { pen.moveTo(...this.place(u)); pen.lineTo(...this.place(v)); } }
      pen.stroke();
    }
    this.under = { key, bitmap };
    return bitmap;
  }
  draw() {
    const { canvas } = this, { page, round, stands, agent, lit } = this.props;
    const pen = canvas?.getContext("2d");
    if (!canvas || !pen || !this.map.x.length) return;
    const scale = Math.min(Math.max(devicePixelRatio, 1), 3), style = getComputedStyle(document.body);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    canvas.width = canvas.height = SIZE * scale;
    pen.drawImage(this.links(style, scale), 0, 0);
    pen.scale(scale, scale);
    const placed = (/** @type {number} */ one) => one >= 0 && one < this.map.x.length;
    pen.strokeStyle = colour("--c2"); pen.lineWidth = 3; pen.beginPath();
    for (const one of page.spoke) if (one.round === round && placed(one.author) && placed(one.reader)) { pen.moveTo(...this.place(one.author)); pen.lineTo(...this.place(one.reader)); }
    pen.stroke();
    const acting = new Set(page.rounds.find((/** @type {any} */ line) => line.round === round)?.speakers);
    const many = page.agents.length > LETTERS_MAX, radius = many ? Math.max(3, 60 / Math.sqrt(page.agents.length)) : 13;
    pen.textAlign = "center"; pen.textBaseline = "middle"; pen.font = "11px system-ui, sans-serif";
    for (const one of page.agents) {
      if (!placed(one)) continue;
      const [x, y] = this.place(one), stand = stands.get(one);
      pen.globalAlpha = lit && !lit.agents.has(one) ? 0.25 : 1;
      pen.beginPath(); pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fillStyle = stand ? colour(MARKS[stand.stand].colour) : colour("--paper"); pen.fill();
      pen.lineWidth = one === agent ? 4 : acting.has(one) ? 2.5 : 1; pen.strokeStyle = colour(one === agent || acting.has(one) ? "--ink" : "--muted"); pen.stroke();
      if (!many) { pen.fillStyle = colour(stand ? "--paper" : "--ink"); pen.fillText(`${one}${stand ? MARKS[stand.stand].letter : ""}`, x, y); }
    }
    pen.globalAlpha = 1;
  }
  /** @param {MouseEvent} event */
  click(event) {
    if (!this.canvas) return;
    const box = this.canvas.getBoundingClientRect(), factor = SIZE / box.width;
    const x = (event.clientX - box.left) * factor, y = (event.clientY - box.top) * factor;
    let best = -1, far = 18;
    for (const one of this.props.page.agents) {
      if (one >= this.map.x.length) continue;
      const [px, py] = this.place(one), d = Math.hypot(px - x, py - y);
      if (d < far) { far = d; best = one; }
    }
    if (best >= 0) this.props.pick(best);
  }
  render() {
    const { page, stands, agent, pick, round } = this.props;
    const said = (/** @type {number} */ one) => { const stand = stands.get(one); return stand ? MARKS[stand.stand].said : "no answer yet"; };
    const label = (/** @type {number} */ one) => `${one}${stands.get(one) ? ` ${MARKS[stands.get(one).stand].letter}` : ""}`;
    const spoke = page.spoke.filter((/** @type {any} */ one) => one.round === round);
    return html`<h2>Who stands for what</h2>
      ${this.map.x.length ? html`<canvas ref=${(/** @type {any} */ made) => { this.canvas = made; }} width=${SIZE} height=${SIZE} role="img" aria-label=${`society of ${this.map.n} agents in round ${round}; the table below says the same`} onClick=${(/** @type {any} */ event) => this.click(event)}></canvas>
        <p class="muted">R right, W the commonest wrong answer, O another one, ? not scored. A line is lit where a claim was built on in this round; thick rims acted in it.</p>` : html`<p class="muted">There are too many agents to place them.</p>`}
      <div class="agents" role="group" aria-label="agents" tabindex="0">${page.agents.slice(0, BUTTONS_MAX).map((/** @type {number} */ one) => html`<button type="button" aria-pressed=${String(one === agent)} aria-label=${`agent ${label(one)}: ${said(one)}`} onClick=${() => pick(one)}>${label(one)}</button>`)}</div>
      ${page.agents.length > BUTTONS_MAX ? html`<p class="muted">The first ${BUTTONS_MAX} agents are listed; the picture and the address reach all.</p>` : null}
      <details><summary>the figures as a table</summary>
        <${Table} label="who stands for what" head=${["agent", "stands for", "answer"]} rows=${page.agents.slice(0, 200).map((/** @type {number} */ one) => [`agent ${one}`, said(one), words(stands.get(one)?.answer)])} more=${Math.max(page.agents.length - 200, 0)} />
        <${Table} label="who built on whom in this round" head=${["built on", "by", "claims"]} rows=${spoke.slice(0, 200).map((/** @type {any} */ one) => [`agent ${one.author}`, `agent ${one.reader}`, one.claims])} more=${Math.max(spoke.length - 200, 0)} /></details>`;
  }
}
