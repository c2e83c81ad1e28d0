// @ts-check
// The graph of claims up to a round: columns are rounds, dashes say how a claim builds on another.
import { Table } from "./blocks.js";
import { html, words } from "./dom.js";
import { MARKS, markOf } from "./reading.js";

/** @type {Record<string, string>} */
const DASHES = { contradict_claim: "7 3", merge_claims: "9 3 2 3", endorse_claim: "2 3" };
/** @type {Record<string, string>} */
const FILLS = { right: "c1", wrong: "c2", other: "c4", unscored: "c7" };
const NODES_MAX = 600, COLUMN = 74, ROW = 26;

/** @param {any} props */
export function Claims({ page, round, claim, lit, choose }) {
  const all = page.claims.nodes.filter((/** @type {any} */ node) => node.kind !== null && node.round <= round);
  const nodes = all.slice(0, NODES_MAX);
  if (!nodes.length) return html`<h2>Claims</h2><p class="muted">No claim up to this round.</p>`;
  const rounds = [...new Set(nodes.map((/** @type {any} */ node) => node.round))].sort((a, b) => a - b);
  /** @type {Map<string, [number, number]>} */
  const places = new Map(nodes.map((/** @type {any} */ node) => [node.id, [40 + rounds.indexOf(node.round) * COLUMN, 34 + node.row * ROW]]));
  const width = 70 + (rounds.length - 1) * COLUMN + 20, height = 44 + Math.max(...nodes.map((/** @type {any} */ node) => node.row)) * ROW + 14;
  const edges = page.claims.edges.filter((/** @type {any} */ edge) => edge.claim !== null && places.has(edge.claim) && places.has(edge.parent));
  const left = all.length - nodes.length + page.claims.left_out;
  return html`<h2>Claims up to this round</h2>
    <div class="wide"><svg viewBox=${`0 0 ${width} ${height}`} width=${width} class="live" role="group" aria-label="claims by round">
      ${rounds.map((one, at) => html`<text x=${40 + at * COLUMN} y="14" text-anchor="middle" font-size="11" class="f muted">round ${one}</text>`)}
      ${edges.map((/** @type {any} */ edge) => html`<${Edge} edge=${edge} from=${places.get(edge.parent)} to=${places.get(edge.claim)} dim=${lit && !(lit.claims.has(edge.claim) && lit.claims.has(edge.parent))} />`)}
      ${nodes.map((/** @type {any} */ node) => html`<${Node} node=${node} at=${places.get(node.id)} mark=${markOf(node, page)} chosen=${node.id === claim} dim=${lit && !lit.claims.has(node.id)} choose=${choose} />`)}
    </svg></div>
    <p class="muted">Columns are rounds, numbers are agents, S is the society; letters say whether an answer is right (R), the commonest wrong one (W), another (O) or not scored (?). Lines: solid revises, dashed disputes, dashes and dots merge. Choose a claim to light what it rests on and what rests on it.${left > 0 ? ` ${left} claims are left out.` : ""}</p>
    <details open=${claim !== null}><summary>the figures as a table</summary><${Table} label="claims" head=${["claim", "round", "agent", "act", "answer", "is", "builds on", "text"]}
      rows=${nodes.filter((/** @type {any} */ node) => !lit || lit.claims.has(node.id)).slice(0, 200).map((/** @type {any} */ node) => [node.id, node.round, `agent ${node.agent}`, node.kind, words(node.answer), MARKS[markOf(node, page)].said,
        edges.filter((/** @type {any} */ edge) => edge.claim === node.id).map((/** @type {any} */ edge) => edge.parent).join(", ") || "-", words(node.text)])} more=${Math.max((lit ? lit.claims.size : nodes.length) - 200, 0)} /></details>`;
}

/** @param {any} props */
function Edge({ edge, from, to, dim }) {
  return html`<line x1=${from[0]} y1=${from[1]} x2=${to[0]} y2=${to[1]} class=${`s ${edge.act === "contradict_claim" ? "c2" : "c7"}${dim ? " dim" : ""}`} stroke-width="1.2" stroke-dasharray=${DASHES[edge.act] || null} />`;
}

/** @param {any} props */
function Node({ node, at, mark, chosen, dim, choose }) {
  /** @param {KeyboardEvent} event */
  const key = (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(node.id); } };
  const who = `${node.agent < 0 ? "S" : node.agent}${MARKS[mark].letter}`;
  return html`<g class=${`node${dim ? " dim" : ""}`} tabindex="0" role="button" aria-pressed=${String(chosen)} aria-label=${`claim ${node.id} of ${who}: ${MARKS[mark].said}`} onClick=${() => choose(node.id)} onKeyDown=${key}>
    <circle cx=${at[0]} cy=${at[1]} r="10" class=${`f ${FILLS[mark]}`} stroke="currentColor" stroke-width=${chosen ? 3 : 0} />
    <text x=${at[0]} y=${at[1] + 4} text-anchor="middle" font-size="10" class="f paper" aria-hidden="true">${who}</text></g>`;
}
