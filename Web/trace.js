// The page of a trace: its spans as a tree beside their times. The server sends the rows as columns, from the roots
// downwards, each with how many lie beneath it; here only what is in sight is in the page.
"use strict";

(() => {
  const rowHeight = 28; // as in app.css
  const spare = 12; // rows beyond what is in sight
  const unfoldedMax = 2000; // rows that are shown at first
  const indentMax = 24;
  const flag = { error: 1, ok: 2, running: 4, lost: 8, orphan: 16 };

  const { make, count, brief, took, body, describe } = window.reeveSpan;

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
        const span = await body(this.root.dataset.spans + this.rows.id(row));
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

  // --- Wiring -----------------------------------------------------------------------------------------------------
  let shown = null;

  async function settle() {
    const root = document.querySelector("#trace");
    if (!root || root.dataset.isBegun) return;
    root.dataset.isBegun = "yes";
    const sub = document.querySelector("#trace-sub");
    const begun = performance.now();
    try {
      const rows = await load(root);
      shown = new Waterfall(root, rows);
      sub.textContent = rows.summary();
      root.dataset.drawnMs = Math.round(performance.now() - Number(root.dataset.arrived));
      requestAnimationFrame(() => {
        root.dataset.openedMs = Math.round(performance.now() - begun);
        root.dataset.interactiveMs = Math.round(performance.now()); // since the visit began
      });
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
