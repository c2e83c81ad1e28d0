// Returns what is wrong with a page for those who do not see it, or use no mouse: names, labels, tables, contrast.
() => {
  const found = [];
  const all = (what) => [...document.querySelectorAll(what)];
  const shown = (e) => e.checkVisibility() && !e.closest("[aria-hidden=true]");
  const start = (e) => e.outerHTML.slice(0, 90);
  const byId = (e) => document.getElementById((e.getAttribute("aria-labelledby") || "").split(" ")[0])?.textContent;
  const name = (e) => (e.getAttribute("aria-label") || byId(e) || e.textContent || e.getAttribute("title") || "").trim();

  for (const e of all("a, button, [role=button], summary")) if (shown(e) && !name(e)) found.push(`no name: ${start(e)}`);
  for (const e of all("button[aria-label], a[aria-label]")) {
    if (shown(e) && /\w/.test(e.textContent) && !e.getAttribute("aria-label").includes(e.textContent.trim())) found.push(`name without what is seen: ${start(e)}`);
  }
  for (const e of all("th")) if (!e.textContent.trim()) found.push(`empty heading of a table: ${start(e)}`);
  for (const e of all("input, select, textarea")) {
    if (shown(e) && !e.getAttribute("aria-label") && !e.labels.length) found.push(`no label: ${start(e)}`);
  }
  for (const e of all("svg[role], canvas")) if (shown(e) && !name(e)) found.push(`picture without a name: ${start(e)}`);
  for (const e of all("figure")) if (!e.querySelector("details table")) found.push(`picture without its table: ${start(e)}`);
  for (const e of all("main *")) {
    const scrolls = /(auto|scroll)/.test(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1;
    if (scrolls && shown(e) && e.tabIndex < 0 && !e.querySelector('a, button, input, [tabindex="0"]')) {
      found.push(`no key scrolls: ${start(e)}`);
    }
  }
  const ids = all("[id]").map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) found.push(`id twice: ${id}`);
  if (all("h1").length !== 1) found.push("not one h1");
  if (!document.title || !document.documentElement.lang || !document.querySelector("main")) found.push("no title, language or main");
  let level = 1;
  for (const e of all("h1, h2, h3, h4")) {
    const here = Number(e.tagName[1]);
    if (here > level + 1) found.push(`a level of headings is left out: ${start(e)}`);
    level = here;
  }

  const parse = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const part = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const paper = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  for (const e of all("p, a, td, th, h1, h2, h3, button, summary, label, dt, dd, pre, span")) {
    if (!shown(e) || !e.textContent.trim() || e.closest("svg") || e.disabled) continue;
    const a = light(parse(getComputedStyle(e).color)), b = light(paper(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) { found.push(`contrast ${ratio.toFixed(1)}: ${start(e)}`); break; }
  }
  return found;
}
