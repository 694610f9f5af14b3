// The page of a trace: its spans as a tree beside their times, and one after the other. The server sends the rows as
// columns, from the roots downwards, each with how many lie beneath it; here only what is in sight is in the page.
"use strict";

(() => {
  const rowHeight = 28; // as in app.css
  const spare = 12; // rows beyond what is in sight
  const unfoldedMax = 2000; // rows that are shown at first
  const indentMax = 24;
  const flag = { error: 1, ok: 2, running: 4, lost: 8, orphan: 16 };

  const make = (name, className = "", text = "") => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== "") element.textContent = text;
    return element;
  };
  const count = (number) => number.toLocaleString("en");
  const brief = (number) => number < 10000 ? count(number) : number < 1e6 ? `${(number / 1e3).toFixed(1)}k` : `${(number / 1e6).toFixed(1)}M`;

  function took(microseconds) {
    if (microseconds < 1000) return `${microseconds} µs`;
    if (microseconds < 1e6) return `${(microseconds / 1e3).toFixed(microseconds < 1e4 ? 1 : 0)} ms`;
    if (microseconds < 6e7) return `${(microseconds / 1e6).toFixed(microseconds < 1e7 ? 2 : 1)} s`;
    const seconds = Math.round(microseconds / 1e6);
    return seconds < 3600 ? `${Math.floor(seconds / 60)}m ${seconds % 60}s` : `${Math.floor(seconds / 3600)}h ${Math.floor(seconds % 3600 / 60)}m`;
  }

  // --- The rows ---------------------------------------------------------------------------------------------------
  class Rows {
    constructor(data) {
      this.columns = data;
      for (const name of ["duration", "spans", "errorSum", "tokenSum", "running", "lost", "names", "operations", "rows"]) this[name] = data[name];
      this.bytes = atob(data.ids);
    }

    // A column whose values are all the same is that value.
    at(column, row) { const values = this.columns[column]; return typeof values === "number" ? values : values[row]; }
    is(row, bit) { return (this.at("flags", row) & bit) !== 0; }
    isGroup(row) { return this.at("members", row) > 0; }
    name(row) { return this.names[this.at("name", row)] || "no name"; }
    kind(row) { return this.operations[this.at("operation", row)]; }

    id(row) {
      let text = "";
      for (let byte = row * 8; byte < row * 8 + 8; byte += 1) text += this.bytes.charCodeAt(byte).toString(16).padStart(2, "0");
      return text;
    }

    state(row) {
      if (this.is(row, flag.running)) return "running";
      if (this.is(row, flag.lost)) return "lost";
      return this.is(row, flag.error) ? "failed" : "";
    }

    summary() {
      const parts = [`${count(this.spans)} ${this.spans === 1 ? "span" : "spans"}`, took(this.duration)];
      if (this.errorSum) parts.push(`${count(this.errorSum)} ${this.errorSum === 1 ? "error" : "errors"}`);
      if (this.tokenSum) parts.push(`${brief(this.tokenSum)} tokens`);
      if (this.running) parts.push(`${count(this.running)} running`);
      if (this.lost) parts.push(`${count(this.lost)} lost`);
      return parts.join(" · ");
    }
  }

  async function load(root) {
    const reply = await fetch(root.dataset.source, { credentials: "same-origin" });
    if (!reply.ok) {
      const problem = await reply.json().catch(() => ({}));
      throw new Error(problem.detail || `The server answered ${reply.status}.`);
    }
    const text = await reply.text();
    root.dataset.arrived = performance.now();
    return new Rows(JSON.parse(text));
  }

  const bodies = new Map();
  const bodiesMax = 200;

  async function body(root, id) {
    const address = root.dataset.spans + id;
    if (!bodies.has(address)) {
      if (bodies.size >= bodiesMax) bodies.clear();
      bodies.set(address, fetch(address, { credentials: "same-origin" }).then((reply) => {
        if (!reply.ok) throw new Error(`The server answered ${reply.status}.`);
        return reply.json();
      }));
      bodies.get(address).catch(() => bodies.delete(address));
    }
    return bodies.get(address);
  }

  // --- Tree and times ---------------------------------------------------------------------------------------------
  class Waterfall {
    constructor(root, rows) {
      this.root = root;
      this.rows = rows;
      this.scroll = root.querySelector(".trace-scroll");
      this.space = root.querySelector(".trace-space");
      this.folded = new Uint8Array(rows.rows);
      this.shown = [];
      this.drawn = new Map();
      this.active = 0;
      this.foldAtFirst();
      this.list();
      this.axis();
      this.scroll.addEventListener("scroll", () => this.schedule(), { passive: true });
      new ResizeObserver(() => this.schedule()).observe(this.scroll);
      this.scroll.addEventListener("click", (event) => this.click(event));
      this.draw();
      for (const button of document.querySelectorAll("[data-trace-act$=error]")) button.disabled = rows.errorSum === 0;
    }

    // Groups are folded; where the rest is still too much, what lies deepest is folded first.
    foldAtFirst() {
      const { rows } = this;
      const byDepth = [];
      for (let row = 0; row < rows.rows; row += 1) {
        const depth = rows.at("depth", row);
        byDepth[depth] = (byDepth[depth] || 0) + 1;
        if (rows.isGroup(row)) this.folded[row] = 1;
      }
      let sum = 0;
      let deepest = byDepth.findIndex((each) => (sum += each) > unfoldedMax);
      if (deepest < 0) return;
      deepest = Math.max(1, deepest);
      for (let row = 0; row < rows.rows; row += 1) if (rows.at("depth", row) >= deepest - 1 && rows.at("size", row) > 0 && rows.at("depth", row) > 0) this.folded[row] = 1;
    }

    list() {
      this.shown = [];
      for (let row = 0; row < this.rows.rows; row += 1) {
        this.shown.push(row);
        if (this.folded[row]) row += this.rows.at("size", row);
      }
      this.space.style.height = `${this.shown.length * rowHeight}px`;
      this.scroll.setAttribute("aria-rowcount", String(this.shown.length));
      for (const element of this.drawn.values()) element.remove();
      this.drawn.clear();
    }

    axis() {
      const axis = this.root.querySelector(".trace-axis");
      axis.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((share) => {
        const tick = make("span", "", took(Math.round(this.rows.duration * share)));
        tick.style.left = `${share * 100}%`;
        return tick;
      }));
    }

    schedule() {
      if (this.isScheduled) return;
      this.isScheduled = true;
      requestAnimationFrame(() => { this.isScheduled = false; this.draw(); });
    }

    draw() {
      const first = Math.max(0, Math.floor(this.scroll.scrollTop / rowHeight) - spare);
      const last = Math.min(this.shown.length, Math.ceil((this.scroll.scrollTop + this.scroll.clientHeight) / rowHeight) + spare);
      for (const [place, element] of this.drawn) {
        if (place >= first && place < last) continue;
        element.remove();
        this.drawn.delete(place);
      }
      for (let place = first; place < last; place += 1) {
        if (this.drawn.has(place)) continue;
        const element = this.line(place);
        this.drawn.set(place, element);
        this.space.append(element);
      }
      this.mark();
    }

    line(place) {
      const { rows } = this;
      const row = this.shown[place];
      const line = make("div", "trace-row");
      const size = rows.at("size", row);
      const state = rows.state(row);
      line.id = `span-${row}`;
      line.dataset.place = place;
      if (state) line.dataset.state = state;
      line.setAttribute("role", "row");
      line.setAttribute("aria-level", String(rows.at("depth", row) + 1));
      line.setAttribute("aria-rowindex", String(place + 1));
      if (size) line.setAttribute("aria-expanded", String(!this.folded[row]));
      line.style.top = `${place * rowHeight}px`;
      line.append(this.cell(row, size, state), this.times(row));
      return line;
    }

    cell(row, size, state) {
      const { rows } = this;
      const cell = make("div", "trace-cell");
      cell.setAttribute("role", "gridcell");
      cell.style.paddingLeft = `${8 + Math.min(indentMax, rows.at("depth", row)) * 14}px`;
      cell.append(make("span", "twist", size ? this.folded[row] ? "▸" : "▾" : ""));
      if (rows.kind(row) !== "other") cell.append(this.kind(row));
      const name = make("span", "clip", rows.name(row));
      name.title = rows.name(row);
      cell.append(name);
      if (rows.isGroup(row)) cell.append(make("span", "times", `(${count(rows.at("well", row))}/${count(rows.at("members", row))})`));
      const badges = make("span", "badges");
      const errors = rows.at("errors", row);
      if (state && (state !== "failed" || errors < 2)) badges.append(this.badge(state, state === "failed" ? "error" : state));
      if (errors > 1 || (errors && state !== "failed")) badges.append(this.badge("failed", `${brief(errors)} ${errors === 1 ? "error" : "errors"}`));
      if (rows.is(row, flag.orphan)) badges.append(this.badge("held", "parent missing"));
      if (rows.at("tokens", row)) badges.append(make("span", "", `${brief(rows.at("tokens", row))} tok`));
      cell.append(badges);
      return cell;
    }

    kind(row) {
      const kind = make("span", "kind", this.rows.kind(row));
      kind.dataset.kind = this.rows.kind(row);
      return kind;
    }

    badge(state, text) {
      const badge = make("span", "state", text);
      badge.dataset.state = state;
      return badge;
    }

    times(row) {
      const { rows } = this;
      const cell = make("div", "trace-times");
      cell.setAttribute("role", "gridcell");
      const whole = Math.max(1, rows.duration);
      const bar = make("span", "trace-bar");
      bar.dataset.kind = rows.kind(row);
      const [from, width] = [rows.at("from", row) / whole * 100, rows.at("took", row) / whole * 100];
      bar.style.left = `${Math.min(from, 99.7)}%`;
      bar.style.width = `${Math.max(0.3, Math.min(width, 100 - from))}%`;
      const label = make("span", "trace-took", `${took(rows.at("took", row))}${rows.is(row, flag.running) ? " so far" : ""}`);
      if (from + width < 80) label.style.left = `calc(${from + Math.max(0.3, width)}% + 6px)`;
      else if (from > 20) { label.style.right = `calc(${100 - from}% + 6px)`; }
      else { label.style.right = "6px"; label.classList.add("inside"); }
      cell.append(bar, label);
      return cell;
    }

    mark() {
      for (const [place, element] of this.drawn) element.setAttribute("aria-selected", String(place === this.active));
      this.scroll.setAttribute("aria-activedescendant", `span-${this.shown[this.active]}`);
    }

    go(place) {
      this.active = Math.max(0, Math.min(this.shown.length - 1, place));
      const [top, height] = [this.active * rowHeight, this.scroll.clientHeight];
      if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
      else if (top + rowHeight > this.scroll.scrollTop + height) this.scroll.scrollTop = top + rowHeight - height;
      this.draw();
    }

    fold(place, isFolded) {
      const row = this.shown[place];
      if (!this.rows.at("size", row) || Boolean(this.folded[row]) === isFolded) return;
      this.folded[row] = isFolded ? 1 : 0;
      this.list();
      this.go(place);
    }

    foldAll(isFolded) {
      const kept = this.shown[this.active];
      for (let row = 0; row < this.rows.rows; row += 1) this.folded[row] = isFolded && this.rows.at("size", row) && this.rows.at("depth", row) ? 1 : 0;
      this.list();
      this.reveal(kept, isFolded);
    }

    // Brings a row into sight: unfolds what it lies beneath, or takes what it is folded into.
    reveal(row, isKept = false) {
      if (!isKept) {
        for (let above = 0; above < row;) {
          const end = above + this.rows.at("size", above);
          if (end >= row) { this.folded[above] = 0; above += 1; } else above = end + 1;
        }
        this.list();
      }
      let [low, high] = [0, this.shown.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.shown[middle] <= row) low = middle; else high = middle - 1;
      }
      this.go(low);
    }

    seekError(step) {
      const { rows } = this;
      for (let moved = 1, row = this.shown[this.active]; moved <= rows.rows; moved += 1) {
        row = (row + step + rows.rows) % rows.rows;
        if (!rows.isGroup(row) && rows.is(row, flag.error)) {
          this.reveal(row);
          return this.open();
        }
      }
    }

    click(event) {
      const line = event.target.closest(".trace-row");
      if (!line) return;
      const place = Number(line.dataset.place);
      this.active = place;
      if (event.target.closest(".twist") || this.rows.isGroup(this.shown[place])) return this.fold(place, !this.folded[this.shown[place]]);
      this.mark();
      this.open();
    }

    async open() {
      const row = this.shown[this.active];
      const panel = this.root.querySelector(".trace-detail");
      if (this.rows.isGroup(row)) return this.fold(this.active, !this.folded[row]);
      this.opened = row;
      const slow = setTimeout(() => panel.setAttribute("aria-busy", "true"), 150);
      try {
        const span = await body(this.root, this.rows.id(row));
        if (this.opened === row) panel.replaceChildren(...describe(span));
      } catch (error) {
        if (this.opened === row) panel.replaceChildren(make("div", "empty", error.message));
      } finally {
        clearTimeout(slow);
        panel.removeAttribute("aria-busy");
      }
    }

    key(event) {
      const page = Math.max(1, Math.floor(this.scroll.clientHeight / rowHeight) - 1);
      const row = this.shown[this.active];
      const moves = {
        ArrowDown: () => this.go(this.active + 1), j: () => this.go(this.active + 1),
        ArrowUp: () => this.go(this.active - 1), k: () => this.go(this.active - 1),
        PageDown: () => this.go(this.active + page), PageUp: () => this.go(this.active - page),
        Home: () => this.go(0), End: () => this.go(this.shown.length - 1),
        ArrowRight: () => this.folded[row] ? this.fold(this.active, false) : this.go(this.active + 1),
        ArrowLeft: () => this.rows.at("size", row) && !this.folded[row] ? this.fold(this.active, true) : this.goUp(),
        Enter: () => this.open(), " ": () => this.open(),
        e: () => this.seekError(1), E: () => this.seekError(-1),
      };
      return moves[event.key];
    }

    goUp() {
      const depth = this.rows.at("depth", this.shown[this.active]);
      for (let place = this.active - 1; place >= 0; place -= 1) if (this.rows.at("depth", this.shown[place]) < depth) return this.go(place);
    }

    act(name) {
      switch (name) {
        case "next-error": return this.seekError(1);
        case "previous-error": return this.seekError(-1);
        case "fold": return this.foldAll(true);
        case "unfold": return this.foldAll(false);
      }
    }
  }

  // --- All of a span ----------------------------------------------------------------------------------------------
  const inputs = ["gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.tool.call.arguments", "input.value", "traceloop.entity.input", "gen_ai.prompt", "ai.prompt", "langfuse.observation.input"];
  const outputs = ["gen_ai.output.messages", "gen_ai.tool.call.result", "output.value", "traceloop.entity.output", "gen_ai.completion", "ai.response.text", "langfuse.observation.output"];
  const textMax = 200000;

  function pretty(value) {
    let text = value;
    if (typeof value === "string") {
      if (/^\s*[[{]/.test(value)) try { text = JSON.stringify(JSON.parse(value), null, 2); } catch { /* it only looks like JSON */ }
    } else text = JSON.stringify(value, null, 2);
    return text.length > textMax ? `${text.slice(0, textMax)}…` : text;
  }

  // Flattened messages (`llm.input_messages.0.message.content`) stand under the beginning of their names.
  function said(span, field, names, beginning) {
    if (span[field] !== undefined && span[field] !== null) return [[field, span[field]]];
    const attributes = span.attributes || {};
    const found = names.filter((name) => attributes[name] !== undefined).map((name) => [name, attributes[name]]);
    const flat = Object.keys(attributes).filter((name) => name.startsWith(beginning));
    if (!found.length && flat.length) found.push([beginning, flat.map((name) => `${name.slice(beginning.length + 1)}: ${attributes[name]}`).join("\n")]);
    return found;
  }

  function facts(pairs) {
    const list = make("dl", "facts");
    for (const [name, value] of pairs) {
      if (value === null || value === undefined || value === "") continue;
      const term = make("dd");
      term.append(value instanceof Node ? value : String(value));
      list.append(make("dt", "", name), term);
    }
    return list;
  }

  function link(path, text) {
    const element = make("a", "link", text);
    element.href = path;
    return element;
  }

  function part(title, content, isOpen = false) {
    const details = make("details", "file");
    details.open = isOpen;
    const summary = make("summary", "pad");
    summary.append(make("h3", "", title));
    details.append(summary, content);
    return details;
  }

  const code = (value) => make("pre", "code plain", pretty(value));

  function describe(span) {
    const head = make("header");
    head.append(make("h2", "", span.name || "no name"));
    const kind = make("span", "kind", span.operation);
    kind.dataset.kind = span.operation;
    head.append(kind);
    const state = span.status === "error" ? "failed" : span.state !== "ended" ? span.state : span.status === "ok" ? "done" : "";
    if (state) {
      const badge = make("span", "state", span.status === "error" ? "error" : span.state !== "ended" ? span.state : "ok");
      badge.dataset.state = state;
      head.append(badge);
    }
    const usage = span.usage && Object.entries(span.usage).filter(([, tokens]) => tokens > 0)
      .map(([name, tokens]) => `${count(tokens)} ${name.replace("Tokens", "").replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`).join(", ");
    const milliseconds = span.durationMs ?? span.elapsedMs;
    const parts = [head, facts([
      ["Failure", span.statusMessage], ["Took", milliseconds === null || milliseconds === undefined ? "" : took(Math.round(milliseconds * 1000))],
      ["Began", span.startTime], ["Model", [span.provider, span.model].filter(Boolean).join(" / ")], ["Tool", span.tool],
      ["Tokens", usage], ["Service", span.service], ["Agent", span.agent && link(`/agents/${encodeURIComponent(span.agent)}`, span.agent)],
      ["Task", span.taskId && link(`/tasks/${encodeURIComponent(span.taskId)}`, span.taskId)], ["Session", span.sessionId],
      ["Correlation", span.correlationId], ["Span", span.spanId],
    ])];
    for (const [name, value] of said(span, "input", inputs, "llm.input_messages")) parts.push(part(`In: ${name}`, code(value), true));
    for (const [name, value] of said(span, "output", outputs, "llm.output_messages")) parts.push(part(`Out: ${name}`, code(value), true));
    for (const event of span.events || []) parts.push(part(`Event: ${event.name}`, code({ time: event.time, ...event.attributes }), event.name === "exception"));
    if (Object.keys(span.attributes || {}).length) parts.push(part("Attributes", code(span.attributes)));
    if (Object.keys(span.resource || {}).length) parts.push(part("Resource", code(span.resource)));
    if (span.links?.length) parts.push(part("Links", code(span.links)));
    return parts;
  }

  // --- Replay -----------------------------------------------------------------------------------------------------
  const stepKinds = new Set(["model", "tool", "retrieval", "memory", "guardrail", "evaluation", "embeddings"]);

  class Replay {
    constructor(root, rows) {
      this.root = root;
      this.rows = rows;
      const all = [];
      for (let row = 0; row < rows.rows; row += 1) if (!rows.isGroup(row)) all.push(row);
      const told = all.filter((row) => stepKinds.has(rows.kind(row)));
      // Where nobody says what spans are, every one is a step.
      this.steps = (told.length ? told : all).sort((left, right) => rows.at("from", left) - rows.at("from", right));
      this.tokens = [];
      let sum = 0;
      for (const row of this.steps) this.tokens.push(sum += rows.at("tokens", row));
      this.slider = root.querySelector("[data-replay=seek]");
      this.slider.max = this.steps.length;
      this.slider.addEventListener("input", () => this.go(Number(this.slider.value) - 1));
      root.querySelector("[data-replay=back]").addEventListener("click", () => this.go(this.step - 1));
      root.querySelector("[data-replay=on]").addEventListener("click", () => this.go(this.step + 1));
      this.step = 0;
      this.go(0);
    }

    meter(name, text) { this.root.querySelector(`[data-meter=${name}]`).textContent = text; }

    async go(step) {
      this.step = Math.max(0, Math.min(this.steps.length - 1, step));
      const row = this.steps[this.step];
      this.slider.value = this.step + 1;
      this.root.querySelector("[data-replay=back]").disabled = this.step === 0;
      this.root.querySelector("[data-replay=on]").disabled = this.step === this.steps.length - 1;
      this.meter("step", `Step ${count(this.step + 1)} of ${count(this.steps.length)}`);
      this.meter("time", `after ${took(this.rows.at("from", row))}`);
      this.meter("tokens", `${brief(this.tokens[this.step])} tokens so far`);
      const place = this.root.querySelector(".replay-step");
      try {
        const span = await body(this.root, this.rows.id(row));
        if (this.steps[this.step] === row) place.replaceChildren(...describe(span));
        const next = this.steps[this.step + 1];
        if (next !== undefined) body(this.root, this.rows.id(next)).catch(() => {});
      } catch (error) {
        place.replaceChildren(make("div", "empty", error.message));
      }
    }

    key(event) {
      return {
        ArrowRight: () => this.go(this.step + 1), ArrowLeft: () => this.go(this.step - 1), j: () => this.go(this.step + 1),
        k: () => this.go(this.step - 1), Home: () => this.go(0), End: () => this.go(this.steps.length - 1),
      }[event.key];
    }

    act() { /* its buttons are heard at themselves */ }
  }

  // --- Wiring -----------------------------------------------------------------------------------------------------
  let shown = null;

  async function settle() {
    const root = document.querySelector("#trace, #trace-replay");
    if (!root || root.dataset.isBegun) return;
    root.dataset.isBegun = "yes";
    const sub = document.querySelector("#trace-sub");
    const begun = performance.now();
    try {
      const rows = await load(root);
      shown = root.id === "trace" ? new Waterfall(root, rows) : new Replay(root, rows);
      sub.textContent = rows.summary();
      root.dataset.drawnMs = Math.round(performance.now() - Number(root.dataset.arrived));
      requestAnimationFrame(() => { root.dataset.openedMs = Math.round(performance.now() - begun); });
    } catch (error) {
      sub.textContent = "";
      root.replaceChildren(make("div", "empty", error.message));
      root.setAttribute("role", "alert");
    }
  }

  document.addEventListener("keydown", (event) => {
    if (!shown?.root.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("#help")?.open) return;
    if (event.target.matches?.("input, textarea, select, a, button, summary")) {
      const isOwn = event.key === "e" || event.key === "E";
      if (!isOwn || event.target.matches("input, textarea, select")) return;
    }
    const action = shown.key(event);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }, true);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-trace-act]");
    if (button && shown?.root.isConnected) shown.act(button.dataset.traceAct);
  });
  document.addEventListener("reeve:settle", settle);
  settle();
})();
