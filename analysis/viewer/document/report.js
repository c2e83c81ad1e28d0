"use strict";
// The episodes of a report: everything from the data goes into the page as text, never as markup.
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const DASH = { propose_claim: "", revise_claim: "", endorse_claim: "2 3", contradict_claim: "7 3", merge_claims: "9 3 2 3" };
  const CLAIMS = new Set(["propose_claim", "revise_claim", "contradict_claim", "merge_claims"]);
  const SCORED = new Set([...CLAIMS, "endorse_claim"]);
  const kinds = { right: "c1", wrong: "c2", other: "c4", "?": "c7" }, letters = { right: "R", wrong: "W", other: "O", "?": "?" };
  const PAGE = 200, CLAIMS_MAX = 1500, PARENTS_MAX = 8, WORD_MAX = 24;

  function el(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    for (const child of children) if (child !== null && child !== undefined) made.append(child);
    return made;
  }
  function svg(name, attributes, text) {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  function cell(text) {
    const parts = text.trim().split(/\s+/);
    return el("td", { class: parts.some((word) => word.length > WORD_MAX) ? "long" : parts.length > 1 ? "word" : "whole" }, text);
  }
  function words(value) { return value === null || value === undefined || value === "" ? "-" : String(value); }

  async function read(id) {
    const text = document.getElementById(id).textContent.trim();
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  class Episodes {
    constructor(place, data) {
      this.place = place; this.data = data; this.name = place.id;
      this.task = data.tasks[0].task; this.round = 0; this.agent = null; this.claim = null; this.offset = 0;
      this.timer = null; this.filter = { kind: "", text: "" };
      this.build(); this.fromAddress(); this.open();
      addEventListener("hashchange", () => { if (this.fromAddress()) this.open(); });
    }
    build() {
      this.select = el("select", { "aria-label": "task" });
      for (const one of this.data.tasks) this.select.append(el("option", { value: one.task }, `task ${one.task}` + (one.score === null ? "" : `, score ${one.score}`)));
      this.select.addEventListener("change", () => { this.task = Number(this.select.value); this.round = 0; this.claim = null; this.open(); this.toAddress(); });
      this.range = el("input", { type: "range", min: 0, value: 0, step: 1, "aria-label": "round" });
      this.range.addEventListener("input", () => { this.round = Number(this.range.value); this.draw(); this.toAddress(); });
      this.said = el("output", {});
      this.play = el("button", { type: "button" }, "play");
      this.play.addEventListener("click", () => this.toggle());
      this.head = el("div", {}); this.map = el("div", {}); this.dag = el("div", { class: "wide" });
      this.talk = el("div", { "aria-live": "polite" }); this.events = el("div", { class: "wide", tabindex: "0" });
      this.place.replaceChildren(
        el("div", { class: "bar" }, el("label", {}, "Task ", this.select), el("label", {}, "Round ", this.range), this.said, this.play),
        this.head, el("div", { class: "side" }, this.map, this.dag), this.talk, this.events);
    }
    toggle() {
      if (this.timer !== null) { clearInterval(this.timer); this.timer = null; this.play.textContent = "play"; return; }
      if (this.round >= this.last) this.round = -1;
      this.play.textContent = "stop";
      this.timer = setInterval(() => {
        if (this.round >= this.last) { this.toggle(); return; }
        this.round += 1; this.range.value = this.round; this.draw();
      }, 700);
    }
    fromAddress() {
      const [name, rest] = location.hash.slice(1).split("/");
      if (name !== this.name || !rest) return false;
      const found = new URLSearchParams(rest);
      const number = (key) => (/^\d{1,9}$/.test(found.get(key) || "") ? Number(found.get(key)) : null);
      const task = number("task");
      if (task !== null && this.data.tasks.some((one) => one.task === task)) this.task = task;
      this.round = number("round") || 0; this.agent = number("agent"); this.claim = found.get("claim");
      return true;
    }
    toAddress() {
      const parts = [`task=${this.task}`, `round=${this.round}`];
      if (this.agent !== null) parts.push(`agent=${this.agent}`);
      if (this.claim !== null) parts.push(`claim=${encodeURIComponent(this.claim)}`);
      history.replaceState(null, "", `#${this.name}/${parts.join("&")}`);
    }
    open() {
      const { columns, words: told } = this.data;
      const text = (name, at) => (columns[name][at] === null ? null : told[columns[name][at]]);
      this.rows = [];
      for (let at = 0; at < columns.task.length; at++) {
        if (columns.task[at] !== this.task) continue;
        this.rows.push({ round: columns.round[at], agent: columns.agent[at], kind: text("kind", at), claim: columns.claim[at],
          parents: columns.parents[at] || [], target: columns.target[at], answer: text("answer", at), correct: columns.correct[at],
          text: text("text", at), calls: columns.calls[at], tokens: columns.tokens_in[at] + columns.tokens_out[at], rewards: columns.rewards[at] });
      }
      this.about = this.data.tasks.find((one) => one.task === this.task);
      this.last = this.rows.reduce((most, row) => Math.max(most, row.round), 0);
      this.round = Math.min(this.round, this.last);
      this.select.value = this.task; this.range.max = this.last; this.range.value = this.round; this.offset = 0;
      const wrong = new Map();
      for (const row of this.rows) if (SCORED.has(row.kind) && row.correct !== null && row.correct < 1) wrong.set(row.answer, (wrong.get(row.answer) || 0) + 1);
      this.commonest = [...wrong].sort((a, b) => b[1] - a[1])[0]?.[0];
      const list = el("dl", {});
      for (const [name, value] of [["question", this.about.question], ["reference answer", this.about.truth], ["answer", this.about.answer], ["score", this.about.score], ["ended by", this.about.stop]])
        if (value !== null && value !== undefined && value !== "") list.append(el("dt", { class: "muted" }, name), el("dd", {}, el("pre", {}, String(value))));
      this.head.replaceChildren(list);
      this.draw();
    }
    mark(row) { return row.correct === null ? "?" : row.correct >= 1 ? "right" : row.answer === this.commonest ? "wrong" : "other"; }
    standing() {
      const found = new Map();
      for (const row of this.rows) {
        if (row.round > this.round || row.agent < 0 || !SCORED.has(row.kind) || row.answer === null) continue;
        found.set(row.agent, { answer: row.answer, mark: this.mark(row) });
      }
      return found;
    }
    draw() {
      this.said.textContent = `${this.round} of ${this.last}`;
      this.drawMap(); this.drawClaims(); this.drawTalk(); this.drawEvents();
    }
    pick(agent) { this.agent = agent; this.drawMap(); this.drawTalk(); this.toAddress(); }
    button(node, act) {
      node.setAttribute("tabindex", "0"); node.setAttribute("role", "button");
      node.addEventListener("click", act);
      node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); } });
    }
    drawMap() {
      const { x, y, links } = this.data.society;
      const agents = [...new Set(this.rows.map((row) => row.agent))].filter((agent) => agent >= 0).sort((a, b) => a - b);
      const standing = this.standing(), acting = new Set(this.rows.filter((row) => row.round === this.round).map((row) => row.agent));
      const lit = this.lit();
      if (!x.length || x.length > 400) {
        const list = el("div", { class: "bar" });
        for (const agent of agents.slice(0, 400)) { const b = el("button", { type: "button" }, `${agent}: ${standing.get(agent)?.mark || "-"}`); b.addEventListener("click", () => this.pick(agent)); list.append(b); }
        const more = agents.length - 400;
        this.map.replaceChildren(el("h3", {}, "Agents"), list, more > 0 ? el("p", { class: "muted" }, `${more} agents are left out.`) : ""); return;
      }
      const picture = svg("svg", { viewBox: "0 0 460 470", class: "live", role: "group", "aria-label": "society in this round" });
      const place = (agent) => [34 + x[agent] * 392, 34 + y[agent] * 392];
      const spoke = new Set();
      const authors = new Map(this.rows.filter((row) => row.claim !== null).map((row) => [row.claim, row.agent]));
      for (const row of this.rows) if (row.round === this.round) for (const parent of row.parents) if (authors.has(parent)) spoke.add(`${authors.get(parent)}>${row.agent}`);
      for (const [u, v] of links) {
        const on = spoke.has(`${u}>${v}`), [x1, y1] = place(u), [x2, y2] = place(v);
        picture.append(svg("line", { x1, y1, x2, y2, class: on ? "s c2" : "s grid", stroke: on ? "#d55e00" : "#dddddd", "stroke-width": on ? 3 : 1 }));
      }
      for (const agent of agents) {
        if (agent >= x.length) continue;
        const [cx, cy] = place(agent), stand = standing.get(agent), small = agents.length > 60;
        const group = svg("g", { class: "node" + (lit && !lit.agents.has(agent) ? " dim" : "") });
        group.append(svg("circle", { cx, cy, r: small ? 6 : 14, class: stand ? `f ${kinds[stand.mark]}` : "r c7", stroke: "#5b5b5b", "stroke-width": agent === this.agent ? 4 : acting.has(agent) ? 2 : 0.5 }));
        group.append(svg("text", { x: cx, y: cy + (small ? 3 : 4), "text-anchor": "middle", "font-size": small ? 8 : 11, class: stand ? "f paper" : "f ink" }, `${small ? "" : agent}${stand ? letters[stand.mark] : ""}`));
        group.append(svg("title", {}, `agent ${agent}` + (stand ? `: ${stand.mark}, ${stand.answer}` : "")));
        group.setAttribute("aria-label", `agent ${agent}` + (stand ? `, ${stand.mark}` : ""));
        this.button(group, () => this.pick(agent));
        picture.append(group);
      }
      this.map.replaceChildren(el("h3", {}, "Who stands for what"), picture,
        el("p", { class: "muted" }, "R right, W the commonest wrong answer, O another one, ? not scored. Lines that are lit: a claim was built on in this round. Choose an agent for what it was sent and said."));
    }
    lit() {
      if (this.claim === null) return null;
      const up = new Map(), down = new Map(), authors = new Map();
      for (const row of this.rows) {
        if (row.claim === null) continue;
        authors.set(row.claim, row.agent); up.set(row.claim, row.parents);
        for (const parent of row.parents) { if (!down.has(parent)) down.set(parent, []); down.get(parent).push(row.claim); }
      }
      if (!authors.has(this.claim)) return null;
      const claims = new Set([this.claim]);
      for (const next of [up, down]) {
        const todo = [this.claim], seen = new Set();
        while (todo.length) { const one = todo.pop(); if (seen.has(one)) continue; seen.add(one); claims.add(one); todo.push(...(next.get(one) || [])); }
      }
      const agents = new Set([...claims].map((one) => authors.get(one)).filter((one) => one !== undefined));
      for (const row of this.rows) if (row.kind === "endorse_claim" && row.parents.some((parent) => claims.has(parent))) agents.add(row.agent);
      return { claims, agents };
    }
    drawClaims() {
      const made = this.rows.filter((row) => row.claim !== null && CLAIMS.has(row.kind) && row.round <= this.round), minted = made.slice(0, CLAIMS_MAX);
      if (!minted.length) { this.dag.replaceChildren(el("h3", {}, "Claims"), el("p", { class: "muted" }, "No claim up to this round.")); return; }
      const column = new Map(), place = new Map(), lit = this.lit();
      const rounds = [...new Set(minted.map((row) => row.round))].sort((a, b) => a - b);
      for (const row of minted) { const at = column.get(row.round) || 0; column.set(row.round, at + 1); place.set(row.claim, [40 + rounds.indexOf(row.round) * 74, 34 + at * 26]); }
      const width = 60 + rounds.length * 74, height = 40 + Math.max(...column.values()) * 26;
      const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, class: "live", role: "group", "aria-label": "claims by round" });
      for (const round of rounds) picture.append(svg("text", { x: 40 + rounds.indexOf(round) * 74, y: 14, "text-anchor": "middle", "font-size": 11, class: "f muted" }, `round ${round}`));
      for (const row of minted) for (const parent of row.parents) {
        if (!place.has(parent)) continue;
        const [x1, y1] = place.get(parent), [x2, y2] = place.get(row.claim), on = !lit || (lit.claims.has(row.claim) && lit.claims.has(parent));
        picture.append(svg("line", { x1, y1, x2, y2, class: `s ${row.kind === "contradict_claim" ? "c2" : "c7"}${on ? "" : " dim"}`, stroke: "#5b5b5b", "stroke-width": 1.2, "stroke-dasharray": DASH[row.kind] || "" }));
      }
      for (const row of minted) {
        const [cx, cy] = place.get(row.claim), mark = this.mark(row), who = `${row.agent < 0 ? "S" : row.agent}${letters[mark]}`;
        const group = svg("g", { class: "node" + (lit && !lit.claims.has(row.claim) ? " dim" : "") });
        group.append(svg("circle", { cx, cy, r: 9, class: `f ${kinds[mark]}`, stroke: "#1b1b1b", "stroke-width": row.claim === this.claim ? 3 : 0 }), svg("text", { x: cx, y: cy + 4, "text-anchor": "middle", "font-size": 10, class: "f paper" }, who),
          svg("title", {}, `${row.claim} ${row.kind} by ${row.agent}: ${words(row.answer)}`));
        group.setAttribute("aria-label", `claim ${row.claim} of ${who}`);
        this.button(group, () => { this.claim = this.claim === row.claim ? null : row.claim; this.draw(); this.toAddress(); });
        picture.append(group);
      }
      this.dag.replaceChildren(el("h3", {}, "Claims up to this round"), picture,
        el("p", { class: "muted" }, "Columns are rounds, numbers are agents, S is the society; letters say whether an answer is right (R), the commonest wrong one (W), another (O) or not scored (?). Lines: solid revises, dashed disputes, dashes and dots merge. Choose a claim to light what it rests on and what rests on it." + (made.length > minted.length ? ` ${made.length - minted.length} claims are left out.` : "")));
    }
    drawTalk() {
      if (this.agent === null) { this.talk.replaceChildren(); return; }
      const calls = (this.data.calls[this.task] || []).filter((call) => call.agent === this.agent);
      const rows = this.rows.filter((row) => row.agent === this.agent);
      const rounds = [...new Set([...calls.map((call) => call.round), ...rows.map((row) => row.round)])].sort((a, b) => a - b);
      const found = [el("h3", {}, `Agent ${this.agent} in task ${this.task}`)];
      if (!calls.length) found.push(el("p", { class: "muted" }, words(this.data.why[this.task] || this.data.no_calls)));
      for (const round of rounds) {
        const turn = el("div", { class: "turn" }, el("strong", {}, `round ${round}`));
        for (const call of calls.filter((one) => one.round === round)) {
          const cost = `${words(call.model)}, ${words(call.purpose)}, attempt ${call.attempt}: ${words(call.tokens_in)} tokens in, ${words(call.tokens_out)} out, ${words(call.latency_ms)} ms` + (call.as_sent === false ? "; not word for word what was sent" : "");
          turn.append(el("p", { class: "muted" }, cost));
          for (const message of call.messages) turn.append(el("details", {}, el("summary", {}, `${message.role}, as sent`), el("pre", {}, message.content)));
          if (call.reasoning) turn.append(el("details", {}, el("summary", {}, "reasoning"), el("pre", {}, call.reasoning)));
          if (call.reply !== null) turn.append(el("pre", {}, call.reply));
          if (call.failure || call.fault) turn.append(el("p", {}, `failed: ${words(call.failure || call.fault)}`));
          if (call.read) turn.append(el("p", { class: "muted" }, `read: ${JSON.stringify(call.read)}`));
        }
        for (const row of rows.filter((one) => one.round === round)) {
          const line = el("p", {}, `${row.kind} ${words(row.answer)}` + (row.correct === null ? "" : ` [${row.correct}]`) + (row.rewards === null ? "" : `, reward ${row.rewards}`));
          for (const parent of row.parents) { const link = el("button", { type: "button" }, `on ${parent}`); link.addEventListener("click", () => { this.claim = parent; this.draw(); this.toAddress(); }); line.append(" ", link); }
          turn.append(line);
          if (row.text && row.text !== row.answer) turn.append(el("pre", {}, row.text));
        }
        found.push(turn);
      }
      this.talk.replaceChildren(...found);
    }
    drawEvents() {
      const needle = this.filter.text.toLowerCase();
      const rows = this.rows.filter((row) => (!this.filter.kind || row.kind === this.filter.kind) && (!needle || `${row.answer}\n${row.text}`.toLowerCase().includes(needle)));
      const kind = el("select", { "aria-label": "kind of event" }, el("option", { value: "" }, "all kinds"));
      for (const one of [...new Set(this.rows.map((row) => row.kind))].sort()) kind.append(el("option", { value: one }, one));
      kind.value = this.filter.kind;
      kind.addEventListener("change", () => { this.filter.kind = kind.value; this.offset = 0; this.drawEvents(); });
      const text = el("input", { type: "search", placeholder: "text", "aria-label": "text in events" });
      text.value = this.filter.text;
      text.addEventListener("change", () => { this.filter.text = text.value; this.offset = 0; this.drawEvents(); });
      const bar = el("div", { class: "bar" }, kind, text, el("span", {}, `${rows.length} events`));
      for (const [name, step] of [["before", -PAGE], ["next", PAGE]]) {
        const to = this.offset + step, turn = el("button", { type: "button" }, name);
        if (to < 0 || to >= rows.length) turn.setAttribute("disabled", "");
        turn.addEventListener("click", () => { this.offset = to; this.drawEvents(); });
        bar.append(turn);
      }
      const table = el("table", {}, el("thead", {}, el("tr", {}, ...["round", "agent", "kind", "claim", "on", "answer", "score", "tokens", "text"].map((name) => el("th", { scope: "col" }, name)))));
      const body = el("tbody", {});
      for (const row of rows.slice(this.offset, this.offset + PAGE))
        body.append(el("tr", {}, ...[row.round, row.agent < 0 ? "society" : row.agent, row.kind, row.claim, row.parents.slice(0, PARENTS_MAX).join(", ") + (row.parents.length > PARENTS_MAX ? ` and ${row.parents.length - PARENTS_MAX} more` : ""), row.answer, row.correct, row.tokens || "", row.text === row.answer ? "" : row.text].map((value) => cell(value === null ? "" : String(value)))));
      table.append(body);
      this.events.replaceChildren(el("h3", {}, "Events of this task"), bar, table);
    }
  }

  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.setAttribute("open", ""); });
  for (const place of document.querySelectorAll(".episodes")) {
    read(place.getAttribute("data-source")).then((data) => new Episodes(place, data)).catch((error) => { place.textContent = `The episodes cannot be shown: ${error}`; });
  }
})();
