// @ts-check
// Asks the server for data, shows that it is under way, and what went wrong; asks again where a run goes on.
import { Component, html, many } from "./dom.js";

/** @param {string} what @param {Record<string, unknown>} at @returns {string} */
export function question(what, at) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(at)) {
    if (value !== null && value !== undefined && value !== "") found.set(name, String(value));
  }
  return `data/${what}?${found}`;
}

/** @param {string} what @param {Record<string, unknown>} at @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function ask(what, at, signal) {
  let answer;
  try {
    answer = await fetch(question(what, at), { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The server does not answer. Was agentsoc view ended?");
  }
  const kind = answer.headers.get("content-type") || "";
  if (!kind.startsWith("application/json")) throw new Error((await answer.text()).slice(0, 500));
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.hint ? `${data.error}\n${data.hint}` : data.error);
  return data;
}

/** @param {{error: string}} props */
export function Failed({ error }) {
  return html`<p class="error" role="alert">${error}</p>`;
}

/**
 * Shows what the child makes of the answer. Props: `what` and `at` are the question; another `again` asks it anew and
 * keeps what is shown until then; `got` hears of each answer; the child is a function of the data.
 */
export class Asked extends Component {
  constructor() {
    super();
    /** @type {{data: any, error: string | null}} */
    this.state = { data: null, error: null };
    /** @type {AbortController | null} */
    this.under = null;
    this.asked = "";
  }
  componentDidMount() { this.ask(); }
  componentDidUpdate() { this.ask(); }
  componentWillUnmount() { this.under?.abort(); }
  ask() {
    const { what, at, again } = this.props;
    const key = `${question(what, at)} ${again ?? ""}`;
    if (key === this.asked) return;
    const same = this.asked.split(" ")[0] === key.split(" ")[0];
    this.asked = key;
    this.under?.abort();
    this.under = new AbortController();
    const { signal } = this.under;
    if (!same && this.state.data !== null && !this.props.keep) this.setState({ data: null, error: null });
    ask(what, at, signal).then(
      (data) => { if (!signal.aborted) { this.setState({ data, error: null }); this.props.got?.(data); } },
      (error) => { if (!signal.aborted) this.setState({ error: String(error.message || error) }); });
  }
  render() {
    const { data, error } = this.state;
    if (error !== null && data === null) return html`<${Failed} error=${error} />`;
    if (data === null) return html`<p class="busy" role="status">${this.props.busy || "reading ..."}</p>`;
    const child = [this.props.children].flat()[0];
    return html`${error !== null ? html`<${Failed} error=${error} />` : null}${child(data)}`;
  }
}

/** Seconds without a change after which it is said: a run that was killed is never told to have ended. */
const QUIET_S = 60;

/** Looks once a second whether a run has changed, as long as it goes on. Props: `place`, `stamp`, `changed`. */
export class Watch extends Component {
  constructor() {
    super();
    /** @type {number | undefined} */
    this.timer = undefined;
    this.busy = false;
    /** @type {{error: string | null, quiet: number, resume: string}} */
    this.state = { error: null, quiet: 0, resume: "" };
  }
  componentDidMount() { this.timer = window.setInterval(() => this.look(), 1000); }
  componentWillUnmount() { window.clearInterval(this.timer); }
  async look() {
    if (this.busy || document.hidden) return;
    this.busy = true;
    try {
      const found = await ask("state", { place: this.props.place });
      const quiet = found.quiet_s > QUIET_S ? Math.floor(found.quiet_s / 60) : 0;
      if (this.state.error !== null || this.state.quiet !== quiet) this.setState({ error: null, quiet, resume: found.resume });
      if (String(found.stamp) !== String(this.props.stamp)) this.props.changed(String(found.stamp) || "gone");
    } catch (error) { this.setState({ error: String(/** @type {Error} */ (error).message || error) }); } finally { this.busy = false; }
  }
  render() {
    const { error, quiet, resume } = this.state;
    if (error !== null) return html`<${Failed} error=${error} />`;
    if (quiet) return html`<p role="status">Nothing was written for ${many(quiet, "minute")}. A call may take long; if the program that ran it was ended, this goes on with it: <code>${resume}</code></p>`;
    return html`<p class="muted" role="status">This run goes on; new rounds appear by themselves.</p>`;
  }
}
