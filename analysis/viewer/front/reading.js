// @ts-check
// What follows from the data of an episode: who stands for what, what hangs together.

/** @typedef {{stand: string, answer: string}} Stand */

/** What each agent stands for in a round: its last change up to there. @param {any} page @param {number} round @returns {Map<number, Stand>} */
export function standings(page, round) {
  const found = new Map();
  for (const one of page.standings) if (one.round <= round) found.set(one.agent, one);
  return found;
}

/** The claims that a claim rests on and that rest on it, with the agents behind them; null without a claim.
 * @param {any} page @param {string | null} claim @returns {{claims: Set<string>, agents: Set<number>} | null} */
export function kin(page, claim) {
  if (claim === null) return null;
  const authors = new Map(page.claims.nodes.map((/** @type {any} */ node) => [node.id, node.agent]));
  if (!authors.has(claim)) return null;
  /** @type {Map<string, string[]>} */
  const up = new Map(), down = new Map();
  const add = (/** @type {Map<string, string[]>} */ map, /** @type {string} */ key, /** @type {string} */ value) => { const list = map.get(key); if (list) list.push(value); else map.set(key, [value]); };
  for (const edge of page.claims.edges) if (edge.claim !== null) { add(up, edge.claim, edge.parent); add(down, edge.parent, edge.claim); }
  const claims = new Set([claim]);
  for (const next of [up, down]) {
    const todo = [claim], seen = new Set();
    while (todo.length) {
      const one = /** @type {string} */ (todo.pop());
      if (seen.has(one)) continue;
      seen.add(one); claims.add(one); todo.push(...(next.get(one) || []));
    }
  }
  const agents = new Set([...claims].map((one) => authors.get(one)).filter((one) => one >= 0));
  for (const edge of page.claims.edges) if (edge.claim === null && claims.has(edge.parent)) agents.add(edge.agent);
  return { claims, agents };
}

/** How a stand is marked, beside its colour. @type {Record<string, {letter: string, colour: string, said: string}>} */
export const MARKS = {
  right: { letter: "R", colour: "--c1", said: "right" },
  wrong: { letter: "W", colour: "--c2", said: "the commonest wrong answer" },
  other: { letter: "O", colour: "--c4", said: "another wrong answer" },
  unscored: { letter: "?", colour: "--c7", said: "not scored" },
};

/** How a claim is marked. @param {any} node @param {any} page @returns {string} */
export function markOf(node, page) {
  if (node.correct === null) return "unscored";
  if (node.correct >= 1) return "right";
  return page.standings.some((/** @type {any} */ one) => one.stand === "wrong" && one.answer === node.answer) ? "wrong" : "other";
}
