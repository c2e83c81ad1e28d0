// @ts-check
// What an agent was sent and said, turn by turn, what was read out of it, and what came of it.
import { Asked } from "./asking.js";
import { html, number, whole, words } from "./dom.js";

/** @param {any} props */
export function Transcript({ place, task, agent, again, link }) {
  return html`<section aria-label=${`transcript of agent ${agent}`}><h2 id="transcript">Agent ${agent}, turn by turn</h2>
    <${Asked} what="transcript" at=${{ place, task, agent }} again=${again} keep=${true} busy="writing the prompts again ...">${(/** @type {any} */ page) => html`
      ${page.why ? html`<p class="muted">${page.why}</p>` : null}
      ${page.turns.length ? null : html`<p class="muted">It has not acted.</p>`}
      ${page.turns.map((/** @type {any} */ turn) => html`<div class="turn"><h3>round ${turn.round}</h3>
        ${turn.calls.map((/** @type {any} */ call) => html`<${Call} call=${call} />`)}
        ${turn.acts.map((/** @type {any} */ act) => html`<${Act} act=${act} link=${link} replied=${turn.calls.some((/** @type {any} */ call) => call.reply !== null)} />`)}
        ${turn.tools.map((/** @type {any} */ tool) => html`<div><p class="muted">${tool.kind}${tool.rewards === null ? "" : `, reward ${number(tool.rewards)}`}</p><pre tabindex="0" aria-label="call with its arguments">${words(tool.answer)}</pre><pre tabindex="0" aria-label="what it gave">${words(tool.text)}</pre></div>`)}</div>`)}`}<//></section>`;
}

/** @param {any} props */
function Call({ call }) {
  const spent = `${whole(call.tokens_in)} tokens in, ${whole(call.tokens_out)} out, ${call.latency_ms === null ? "no time known" : `${whole(call.latency_ms)} ms`}`;
  const seen = call.claims_shown === null || !call.claims_due ? "" : `; ${call.claims_shown} of ${call.claims_due} claims were shown`;
  return html`<div><p class="muted">${call.model}${call.purpose ? `, ${call.purpose}` : ""}, attempt ${call.attempt}: ${spent}${seen}${call.as_sent === false ? "; not word for word what was sent" : ""}</p>
    ${call.messages.map((/** @type {any} */ message) => html`<details><summary>${message.role}, as sent</summary><pre tabindex="0">${message.content}</pre></details>`)}
    ${call.failure ? html`<p class="error">failed: ${call.failure}</p>` : null}
    ${call.reply === null ? null : html`<pre tabindex="0" aria-label="reply">${call.reply}</pre>`}
    ${call.reasoning === null ? null : html`<details><summary>reasoning</summary><pre tabindex="0">${call.reasoning}</pre></details>`}
    ${call.fault ? html`<p class="error">its form is wrong: ${call.fault}</p>` : null}
    ${call.read === null ? null : html`<details><summary>what was read from it</summary><pre tabindex="0">${JSON.stringify(call.read, null, 1)}</pre></details>`}</div>`;
}

/** @param {any} props */
function Act({ act, link, replied }) {
  const claims = (/** @type {string[]} */ ids) => ids.map((id, at) => html`${at ? ", " : ""}<a href=${link({ claim: id })}>${id}</a>`);
  const target = act.target === null ? null : act.target.startsWith("agent ") ? html`, to ${act.target}` : html`, disputes <a href=${link({ claim: act.target })}>${act.target}</a>`;
  const used = act.parents.filter((/** @type {string} */ id) => id !== act.target);  // what it disputes is among its parents, too
  const worth = act.correct === null ? "" : act.correct >= 1 ? " (right)" : ` (score ${number(act.correct)})`;
  return html`<p><b>${words(act.kind)}</b> ${act.claim === null ? null : html`<a href=${link({ claim: act.claim })}>${act.claim}</a>`} ${words(act.answer)}${worth}${used.length ? html`, uses ${claims(used)}` : null}${target}</p>
    ${replied || !act.text || act.text === act.answer ? null : html`<pre tabindex="0" aria-label="what it said">${act.text}</pre>`}`;
}
