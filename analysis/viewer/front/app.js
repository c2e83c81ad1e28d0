// @ts-check
// Begins the browser's side: finds the page of the address and shows it.
import { here, to } from "./address.js";
import { Component, html, render } from "./dom.js";
import { Runs } from "./runs.js";
import { Run } from "./run.js";
import { EpisodePage } from "./episode.js";
import { Events } from "./events.js";
import { Compare } from "./compare.js";
import { Pair } from "./pair.js";
import { Result, Results } from "./result.js";

/** @type {Record<string, any>} */
const PAGES = { runs: Runs, run: Run, episode: EpisodePage, events: Events, compare: Compare, pair: Pair, result: Result, laws: Results, phase: Results };
/** @type {Record<string, string>} */
const NAMES = { runs: "Runs", run: "Run", episode: "Episode", events: "Events", compare: "Comparison", pair: "Side by side", result: "Result", laws: "Laws", phase: "Phase" };

class App extends Component {
  constructor() {
    super();
    this.state = { address: here() };
    addEventListener("hashchange", () => {
      const before = this.state.address.page;
      const address = here();
      this.setState({ address }, () => { if (address.page !== before) document.getElementById("title")?.focus(); });
    });
  }
  render() {
    const { page, at } = this.state.address;
    const Page = Object.hasOwn(PAGES, page) ? PAGES[page] : Runs;
    document.title = `${Object.hasOwn(NAMES, page) ? NAMES[page] : "Runs"}${at.place ? ` ${at.place}` : ""} - agentsoc view`;
    return html`<header class="top"><button type="button" class="skip" onClick=${skip}>to the content</button><b>agentsoc</b><nav aria-label="pages">${["runs", "laws", "phase"].map((one) => html`<a href=${to(one)} aria-current=${one === page ? "page" : null}>${NAMES[one]}</a>`)}</nav></header>
      <main id="main" tabindex="-1"><${Page} key=${`${page} ${at.place || ""} ${at.file || ""}`} page=${page} at=${at} /></main>`;
  }
}

function skip() {
  document.getElementById("main")?.focus();
}

// the token has done its work: the cookie is set, and nobody shall copy it from the address
if (location.search) history.replaceState(null, "", `${location.pathname}${location.hash}`);
const place = document.getElementById("app");
if (place) render(html`<${App} />`, place);
