// The overview: asks Prometheus' interface of Reeve for what each panel is about, and draws the answers. Only panels that
// come into sight are asked for.
"use strict";

(() => {
  const every = 30000; // between two looks
  const together = 4; // questions at the same time
  const linesMax = 12;
  const states = ["running", "done", "held", "in_review", "waiting", "failed", "ready"];
  const make = (name, text) => Object.assign(document.createElement(name), { textContent: text });

  // --- Numbers in words -------------------------------------------------------------------------------------------
  const short = (value) => {
    const size = Math.abs(value);
    if (size >= 1e9) return `${(value / 1e9).toFixed(1)}G`;
    if (size >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
    if (size >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
    return value.toLocaleString("en", { maximumFractionDigits: size >= 100 ? 0 : size >= 1 ? 1 : 3 });
  };

  function span(seconds) {
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${Math.round(seconds % 60)}s`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${Math.floor(seconds % 3600 / 60)}m`;
    return `${Math.floor(seconds / 86400)}d ${Math.floor(seconds % 86400 / 3600)}h`;
  }

  const words = {
    count: short, tokens: (value) => `${short(value)}/s`, perSecond: (value) => `${short(value)}/s`, seconds: span,
    ratio: (value) => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`, bytes: (value) => `${short(value)}B`,
    dollars: (value) => `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: Math.abs(value) < 0.1 && value !== 0 ? 4 : 2 })}`,
  };

  // --- Questions --------------------------------------------------------------------------------------------------
  const waiting = [];
  let asking = 0;

  function ask(address) {
    return new Promise((resolve, reject) => { waiting.push({ address, resolve, reject }); next(); });
  }

  async function next() {
    if (asking >= together || !waiting.length) return;
    asking += 1;
    const { address, resolve, reject } = waiting.shift();
    try {
      const reply = await fetch(address, { credentials: "same-origin" });
      if (reply.status === 404) throw Object.assign(new Error("Reeve keeps no series here."), { isMissing: true });
      const document = await reply.json();
      if (document.status !== "success") throw new Error(document.error || document.detail || `The server answered ${reply.status}.`);
      resolve(document.data.result);
    } catch (error) {
      reject(error);
    } finally {
      asking -= 1;
      next();
    }
  }

  const named = (legend, labels) => legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? "") || "value";

  // --- Panels -----------------------------------------------------------------------------------------------------
  class Panel {
    constructor(element, page) {
      Object.assign(this, { element, page, isSeen: false, chart: null, lines: null });
      this.queries = JSON.parse(element.dataset.queries);
      this.words = words[element.dataset.unit] || short;
      this.isNumber = element.dataset.form === "number";
    }

    async look() {
      if (!this.isSeen) return;
      try {
        if (this.isNumber) this.showNumber(await this.number());
        else this.showLines(await this.range());
        this.element.dataset.looked = "";
      } catch (error) {
        this.say(error.isMissing ? "No data yet: Reeve keeps no series here." : error.message);
      }
    }

    async number() {
      const result = await ask(`${this.page.api}/query?${new URLSearchParams({ query: this.queries[0].expr })}`);
      const value = result.length ? Number(result[0].value[1]) : NaN;
      return Number.isFinite(value) ? value : null;
    }

    async range() {
      const { seconds, step, api } = this.page;
      const end = Math.floor(Date.now() / 1000 / step) * step;
      const times = { start: end - seconds, end, step };
      const results = await Promise.all(this.queries.map((query) => ask(`${api}/query_range?${new URLSearchParams({ query: query.expr, ...times })}`)));
      const places = Math.floor(seconds / step) + 1;
      const lines = results.flatMap((result, index) => result.map(({ metric, values }) => {
        const points = new Array(places).fill(null);
        for (const [time, text] of values) {
          const value = Number(text);
          const place = Math.round((time - times.start) / step);
          if (Number.isFinite(value) && place >= 0 && place < places) points[place] = value;
        }
        return { label: named(this.queries[index].legend, metric), points, sum: points.reduce((sum, value) => sum + (value || 0), 0) };
      })).filter((line) => line.points.some((value) => value !== null));
      const labels = Array.from({ length: places }, (_, place) => (times.start + place * step) * 1000);
      return { labels, lines: lines.sort((left, right) => right.sum - left.sum) };
    }

    say(text) {
      if (this.isNumber) {
        this.element.querySelector("[data-value]").textContent = "–";
        this.element.querySelector("[data-note]").textContent = text;
        return;
      }
      const empty = this.element.querySelector("[data-empty]");
      empty.textContent = text;
      empty.hidden = false;
      this.element.querySelector("canvas").hidden = true;
    }

    showNumber(value) {
      if (value === null) return this.say("no data yet");
      this.element.querySelector("[data-value]").textContent = this.words(value);
      this.element.querySelector("[data-note]").textContent = "";
      this.element.dataset.value = value;
    }

    showLines(found) {
      if (!found.lines.length) { this.chart?.destroy(); this.chart = null; return this.say(this.element.dataset.absent || "No data yet."); }
      this.found = found;
      const more = found.lines.length - linesMax;
      this.element.querySelector("[data-note]").textContent = more > 0 ? `${more} more` : "";
      this.element.querySelector("[data-empty]").hidden = true;
      this.element.querySelector("canvas").hidden = false;
      this.element.dataset.lines = found.lines.length;
      this.draw();
    }

    draw() {
      if (!this.found || !window.Chart) return;
      const canvas = this.element.querySelector("canvas");
      const { labels, lines } = this.found;
      const isStack = this.element.dataset.form === "stack";
      const isLong = this.page.seconds > 86400;
      const clock = labels.map((time) => new Date(time).toLocaleString("en-GB", isLong ? { day: "numeric", month: "short", hour: "2-digit" } : { hour: "2-digit", minute: "2-digit" }));
      const datasets = lines.slice(0, linesMax).map((line, index) => {
        const colour = this.page.colours[index % this.page.colours.length];
        return { label: line.label, data: line.points, borderColor: colour, backgroundColor: colour.replace(/^rgb\((.*)\)$/, "rgba($1, 0.35)"), borderWidth: 1.5, borderDash: index >= states.length ? [4, 3] : [], pointRadius: 0, fill: isStack, tension: 0, spanGaps: false };
      });
      const last = lines.slice(0, 4).map((line) => `${line.label} ${this.words([...line.points].reverse().find((value) => value !== null))}`);
      canvas.setAttribute("aria-label", `${this.element.querySelector("h3").textContent}: ${last.join(", ")}`);
      if (this.chart && this.theme === this.page.theme && this.chart.data.datasets.length === datasets.length) {
        this.chart.data.labels = clock;
        datasets.forEach((dataset, index) => Object.assign(this.chart.data.datasets[index], dataset));
        return this.chart.update("none");
      }
      this.chart?.destroy();
      this.theme = this.page.theme;
      const { text, grid } = this.page;
      this.chart = new Chart(canvas, {
        type: "line", data: { labels: clock, datasets },
        options: {
          animation: false, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
          plugins: {
            tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${this.words(item.parsed.y)}` } },
            legend: { display: datasets.length > 1, position: "bottom", labels: { color: text, boxWidth: 10, boxHeight: 10 } },
          },
          scales: {
            x: { grid: { display: false }, ticks: { color: text, maxRotation: 0, autoSkipPadding: 24 } },
            y: { stacked: isStack, beginAtZero: true, grid: { color: grid, drawBorder: false }, ticks: { color: text, maxTicksLimit: 5, callback: (value) => this.words(value) } },
          },
        },
      });
    }
  }

  class Overview {
    constructor(root) {
      Object.assign(this, { root, api: root.dataset.api, seconds: Number(root.dataset.seconds), step: Number(root.dataset.step) });
      this.readColours();
      this.panels = [...root.querySelectorAll("[data-panel]")].map((element) => new Panel(element, this));
      const byElement = new Map(this.panels.map((panel) => [panel.element, panel]));
      this.sight = new IntersectionObserver((entries) => {
        for (const { target, isIntersecting } of entries) {
          const panel = byElement.get(target);
          const isNew = isIntersecting && !panel.isSeen;
          panel.isSeen = isIntersecting;
          if (isNew) panel.look();
        }
      }, { rootMargin: "200px" });
      for (const { element } of this.panels) this.sight.observe(element);
      document.querySelector("#overview-sub").textContent = "";
    }

    // Custom properties are not resolved when read as such, so the colours are read off an element that wears them.
    readColours() {
      const probe = make("span", "");
      probe.className = "state";
      document.body.append(probe);
      this.colours = states.map((state) => { probe.dataset.state = state; return getComputedStyle(probe).color; });
      probe.dataset.state = "none";
      this.grid = getComputedStyle(probe).color.replace(/^rgb\((.*)\)$/, "rgba($1, 0.16)");
      probe.className = "muted";
      this.text = getComputedStyle(probe).color;
      this.theme = this.colours.join();
      probe.remove();
    }

    refresh() { for (const panel of this.panels) panel.look(); }

    redraw() {
      this.readColours();
      for (const panel of this.panels) panel.draw();
    }
  }

  // --- Wiring -----------------------------------------------------------------------------------------------------
  let shown = null;

  function loadChart() {
    if (window.Chart || document.querySelector("script[data-chart-library]")) return;
    const script = document.createElement("script");
    script.src = document.querySelector("meta[name=reeve-chart]").content;
    script.dataset.chartLibrary = "";
    script.onload = () => shown?.redraw();
    document.head.append(script);
  }

  function settle() {
    const root = document.querySelector("#overview");
    if (!root || root.dataset.isBegun) return;
    root.dataset.isBegun = "yes";
    loadChart();
    shown = new Overview(root);
  }

  setInterval(() => { if (!document.hidden && shown?.root.isConnected) shown.refresh(); }, every);
  new MutationObserver(() => shown?.root.isConnected && shown.redraw()).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shown?.root.isConnected && shown.redraw());
  document.addEventListener("reeve:settle", settle);
  settle();
})();
