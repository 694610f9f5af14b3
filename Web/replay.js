// A session, or a trace, step by step: what a model saw and said, what tools were called with and gave back, and what
// was written to the log meanwhile. The server sends the steps; the body of each comes when it is looked at.
"use strict";

(() => {
  const { make, count, brief, took, dollars, body, describe } = window.reeveSpan;
  const logsMax = 50; // records of one step
  const stepsAround = 200; // steps that the list shows on each side of the present one

  class Replay {
    constructor(root, session) {
      this.root = root;
      this.session = session;
      this.steps = session.steps;
      this.began = Date.parse(session.startTime);
      this.sums = [];
      let [tokens, cost] = [0, null];
      for (const step of this.steps) {
        tokens += step.tokens;
        if (step.costUSD !== null) cost = (cost ?? 0) + step.costUSD;
        this.sums.push({ tokens, cost });
      }
      this.slider = root.querySelector("[data-replay=seek]");
      this.slider.max = Math.max(1, this.steps.length);
      this.slider.addEventListener("input", () => this.go(Number(this.slider.value) - 1));
      root.querySelector("[data-replay=back]").addEventListener("click", () => this.go(this.step - 1));
      root.querySelector("[data-replay=on]").addEventListener("click", () => this.go(this.step + 1));
      this.list = root.querySelector(".replay-steps");
      this.list.addEventListener("click", (event) => {
        const link = event.target.closest("a");
        if (!link) return;
        event.preventDefault();
        this.go(Number(link.dataset.step));
      });
      addEventListener("hashchange", () => { if (root.isConnected) this.go(Replay.asked()); });
      this.go(Replay.asked());
    }

    // Each step has an address.
    static asked() { return (Number(/^#step-(\d+)$/.exec(location.hash)?.[1]) || 1) - 1; }

    summary() {
      const { session } = this;
      const parts = [`${count(session.turns)} ${session.turns === 1 ? "turn" : "turns"}`];
      if (session.toolCalls) parts.push(`${count(session.toolCalls)} ${session.toolCalls === 1 ? "tool call" : "tool calls"}`);
      if (session.errors) parts.push(`${count(session.errors)} ${session.errors === 1 ? "error" : "errors"}`);
      if (session.tokens) parts.push(`${brief(session.tokens)} tokens`);
      if (session.costUSD !== null) parts.push(dollars(session.costUSD) + (session.unpricedCalls ? " at least" : ""));
      parts.push(took(Math.round(session.durationMs * 1000)));
      if (session.state !== "ended") parts.push(session.state);
      if (session.truncated) parts.push("cut");
      return parts.join(" · ");
    }

    meter(name, text) { this.root.querySelector(`[data-meter=${name}]`).textContent = text; }

    async go(wanted) {
      const place = this.root.querySelector(".replay-step");
      if (!this.steps.length) return place.replaceChildren(make("div", "empty", "Nothing was done in it."));
      this.step = Math.max(0, Math.min(this.steps.length - 1, wanted));
      const step = this.steps[this.step];
      this.slider.value = this.step + 1;
      this.root.querySelector("[data-replay=back]").disabled = this.step === 0;
      this.root.querySelector("[data-replay=on]").disabled = this.step === this.steps.length - 1;
      this.tell(step);
      this.mark();
      history.replaceState(history.state, "", `#step-${this.step + 1}`);
      try {
        const [span, logs] = await Promise.all([body(`/api/v1/traces/${step.traceId}/spans/${step.spanId}`), this.logs(step)]);
        if (this.steps[this.step] !== step) return;
        const parts = describe(span);
        // What was said stands before the facts, which only some readers need.
        const [head, facts, ...rest] = parts;
        const [said, other] = [[], []];
        for (const part of rest) (part.querySelector?.(".conversation") ? said : other).push(part);
        place.replaceChildren(head, ...said, ...logs, facts, ...other);
        const next = this.steps[this.step + 1];
        if (next) body(`/api/v1/traces/${next.traceId}/spans/${next.spanId}`).catch(() => {});
      } catch (error) {
        if (this.steps[this.step] === step) place.replaceChildren(make("div", "empty", error.message));
      }
    }

    tell(step) {
      const sum = this.sums[this.step];
      this.meter("step", `Step ${count(this.step + 1)} of ${count(this.steps.length)}`);
      this.root.querySelector("[data-meter=step]").href = `#step-${this.step + 1}`;
      this.meter("turn", `Turn ${count(step.turn)} of ${count(Math.max(1, this.session.turns))}`);
      this.meter("time", `after ${took(Math.max(0, Date.parse(step.startTime) - this.began) * 1000)}`);
      this.meter("tokens", `${brief(sum.tokens)} tokens so far`);
      this.meter("cost", sum.cost === null ? "" : `${dollars(sum.cost)} so far`);
      this.meter("context", step.contextUtilization === null ? "" : `context ${Math.round(step.contextUtilization * 100)} % full`);
    }

    mark() {
      const first = Math.max(0, this.step - stepsAround);
      const last = Math.min(this.steps.length, this.step + stepsAround + 1);
      if (first !== this.first || last !== this.last) {
        [this.first, this.last] = [first, last];
        this.list.replaceChildren(...this.steps.slice(first, last).map((step, index) => this.line(step, first + index)));
      }
      for (const link of this.list.querySelectorAll("a")) {
        const isHere = Number(link.dataset.step) === this.step;
        link.toggleAttribute("aria-current", isHere);
        if (isHere) { link.setAttribute("aria-current", "step"); link.scrollIntoView({ block: "nearest" }); }
      }
    }

    line(step, index) {
      const item = make("li");
      const link = make("a");
      link.href = `#step-${index + 1}`;
      link.dataset.step = index;
      if (step.status === "error") link.dataset.state = "failed";
      const kind = make("span", "kind", step.operation);
      kind.dataset.kind = step.operation;
      link.append(make("span", "turn", index === 0 || this.steps[index - 1].turn !== step.turn ? String(step.turn) : ""), kind, make("span", "clip", step.tool || step.model || step.name || "no name"));
      item.append(link);
      return item;
    }

    // What was logged under the same correlation id while the step ran, by whomever.
    async logs(step) {
      const until = step.endTime ?? new Date().toISOString();
      // The end itself is within: times are told to the microsecond.
      const query = new URLSearchParams({ correlationId: step.correlationId, since: step.startTime, until: new Date(Date.parse(until) + 1).toISOString(), order: "asc", limit: logsMax });
      const reply = await fetch(`/api/v1/logs?${query}`, { credentials: "same-origin" });
      if (!reply.ok) return [make("p", "pad muted", `The log could not be read: the server answered ${reply.status}.`)];
      const { items } = await reply.json();
      if (!items?.length) return [];
      const details = make("details", "file");
      details.open = true;
      const summary = make("summary", "pad");
      summary.append(make("h3", "", `Log: ${count(items.length)} ${items.length === 1 ? "record" : "records"}${items.length === logsMax ? ", the first" : ""}`));
      const list = make("ol", "replay-log");
      for (const record of items) {
        const line = make("li");
        line.dataset.level = String(record.level ?? "").toLowerCase();
        line.append(make("time", "", String(record.timestamp).slice(11, 23)), make("b", "", record.level ?? ""), make("span", "", record.message ?? ""));
        list.append(line);
      }
      details.append(summary, list);
      return [details];
    }

    key(event) {
      const turn = this.steps[this.step]?.turn;
      return {
        ArrowRight: () => this.go(this.step + 1), ArrowLeft: () => this.go(this.step - 1), j: () => this.go(this.step + 1),
        k: () => this.go(this.step - 1), Home: () => this.go(0), End: () => this.go(this.steps.length - 1),
        ArrowDown: () => this.seek((step) => step.turn === turn + 1), ArrowUp: () => this.seek((step) => step.turn === turn - 1),
        e: () => this.seekError(),
      }[event.key];
    }

    seek(isMeant) {
      const index = this.steps.findIndex(isMeant);
      if (index >= 0) this.go(index);
    }

    seekError() {
      for (let moved = 1; moved <= this.steps.length; moved += 1) {
        const index = (this.step + moved) % this.steps.length;
        if (this.steps[index].status === "error") return this.go(index);
      }
    }
  }

  // --- Wiring -----------------------------------------------------------------------------------------------------
  let shown = null;

  async function settle() {
    const root = document.querySelector("#replay");
    if (!root || root.dataset.isBegun) return;
    root.dataset.isBegun = "yes";
    const sub = document.querySelector("#replay-sub");
    const begun = performance.now();
    try {
      const reply = await fetch(root.dataset.source, { credentials: "same-origin" });
      const session = await reply.json().catch(() => ({}));
      if (!reply.ok) throw new Error(session.detail || `The server answered ${reply.status}.`);
      shown = new Replay(root, session);
      sub.textContent = shown.summary();
      requestAnimationFrame(() => { root.dataset.openedMs = Math.round(performance.now() - begun); });
    } catch (error) {
      sub.textContent = "";
      root.replaceChildren(make("div", "empty", error.message));
      root.setAttribute("role", "alert");
    }
  }

  document.addEventListener("keydown", (event) => {
    if (!shown?.root.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("#help")?.open || event.target.matches?.("input, textarea, select")) return;
    const action = shown.key(event);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }, true);
  document.addEventListener("reeve:settle", settle);
  settle();
})();
