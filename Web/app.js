// Reeve's page in the browser. The server draws every page; this keeps it live, sends its actions to the JSON
// interface, and gives it a keyboard. It is loaded before the body so that the theme is right at first paint.
"use strict";

(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const store = {
    get(name) { try { return localStorage.getItem(name); } catch { return null; } },
    set(name, value) { try { localStorage.setItem(name, value); } catch { /* private windows refuse; nothing depends on it */ } },
  };

  // --- Theme ------------------------------------------------------------------------------------------------------
  const root = document.documentElement;
  const chosen = store.get("reeve-theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  function toggleTheme() {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    store.set("reeve-theme", root.dataset.theme);
    drawCharts(true);
  }

  // --- Times ------------------------------------------------------------------------------------------------------
  // The server writes the same words at first; here they are kept true while the page stays open.
  let clockSkew = 0;
  const now = () => Date.now() + clockSkew;

  function spanText(milliseconds) {
    const seconds = Math.floor(milliseconds / 1000);
    if (seconds < 60) return `${seconds}s`;
    if (seconds < 3600) return seconds < 600 && seconds % 60 ? `${Math.floor(seconds / 60)}m ${seconds % 60}s` : `${Math.floor(seconds / 60)}m`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)}h ${Math.floor(seconds % 3600 / 60)}m`;
    return `${Math.floor(seconds / 86400)}d ${Math.floor(seconds % 86400 / 3600)}h`;
  }

  function relativeText(time, style) {
    const age = now() - time;
    if (style === "span") return spanText(Math.max(0, age));
    if (age < -1000) return `in ${spanText(-age)}`;
    return age < 2000 ? "just now" : `${spanText(age)} ago`;
  }

  function refreshTimes() {
    for (const element of $$("time[data-rel]")) {
      const time = Date.parse(element.dateTime);
      if (Number.isNaN(time)) continue;
      const text = relativeText(time, element.dataset.rel);
      if (element.textContent !== text) element.textContent = text;
      const local = new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
      element.title = `${local} (${element.dateTime})`;
    }
  }

  // --- Morphing: the new page's nodes are laid over the old ones, so that focus, selection and open details stay ------
  const keyOf = (node) => node.nodeType === 1 ? node.id || node.getAttribute("data-task-id") || node.getAttribute("data-key-id") : "";
  const isSame = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  function morphAttributes(from, to) {
    const isCanvas = from.nodeName === "CANVAS";
    for (const { name, value } of [...to.attributes]) {
      if (name === "open" || (name === "value" && from === document.activeElement)) continue;
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      if (to.hasAttribute(name) || name === "open" || isCanvas || name === "aria-selected") continue;
      from.removeAttribute(name);
    }
  }

  function morph(from, to) {
    if (from.nodeType !== 1) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    if (from.hasAttribute("data-keep") && to.hasAttribute("data-keep")) {
      // A remark that was begun for one task must not end up at another.
      if (from.dataset.review !== to.dataset.review) return from.replaceWith(document.importNode(to, true));
      if (from.dataset.sha256 === to.dataset.sha256) return;
    }
    morphAttributes(from, to);
    if (from.nodeName === "TEXTAREA" || from.nodeName === "SELECT") return;
    const byKey = new Map();
    for (const child of from.childNodes) if (keyOf(child)) byKey.set(keyOf(child), child);
    let place = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const key = keyOf(wanted);
      let match = key ? byKey.get(key) : place;
      if (!match || !isSame(match, wanted)) match = null;
      if (!match) {
        from.insertBefore(document.importNode(wanted, true), place);
        continue;
      }
      if (match !== place) from.insertBefore(match, place);
      else place = place.nextSibling;
      morph(match, wanted);
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  // --- Staying live: one stream for the page; what it tells is fetched anew at most once a second ------------------
  const refreshEvery = 1000;
  const silenceMax = 45000; // the server writes at least every 15 s
  let lastSeq = 0;
  let lastRefresh = 0;
  let refreshTimer = 0;
  let isFrozen = false;
  let missed = 0;

  function setLive(state, text, title) {
    const element = $("#live-status");
    if (!element) return;
    element.dataset.live = state;
    element.firstElementChild.textContent = text;
    element.title = title;
  }

  // Takes the place of the browser's EventSource for htmx's extension: that one hears only event names it was told of,
  // and the log's are open; it goes on behind the last event by header, and notices a connection that died silently.
  class LiveSource {
    constructor(url) {
      this.readyState = EventSource.CONNECTING;
      this.abort = new AbortController();
      this.run(url);
    }

    addEventListener() { /* every event goes to heard() */ }

    close() {
      this.readyState = EventSource.CLOSED;
      this.abort.abort();
    }

    watch() {
      clearTimeout(this.watchdog);
      this.watchdog = setTimeout(() => this.abort.abort(), silenceMax);
    }

    async run(url) {
      try {
        const headers = lastSeq ? { "last-event-id": String(lastSeq) } : {};
        const reply = await fetch(url, { headers, credentials: "same-origin", cache: "no-store", signal: this.abort.signal });
        if (!reply.ok) throw new Error(String(reply.status));
        this.readyState = EventSource.OPEN;
        this.onopen?.(new Event("open"));
        const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = "";
        for (;;) {
          this.watch();
          const { value, done } = await reader.read();
          if (done) break;
          const frames = (text + value).split("\n\n");
          text = frames.pop();
          frames.forEach(hear);
        }
      } catch { /* said below, whatever it was */ }
      clearTimeout(this.watchdog);
      if (this.readyState === EventSource.CLOSED) return;
      this.readyState = EventSource.CLOSED;
      this.onerror?.(new Event("error"));
    }
  }

  let stream = null;

  function hear(frame) {
    let type = "";
    for (const line of frame.split("\n")) {
      if (line.startsWith("id:")) lastSeq = Math.max(lastSeq, Number(line.slice(3)) || 0);
      else if (line.startsWith("event:")) type = line.slice(6).trim();
    }
    if (type) heard(type);
  }

  // A stream for hidden pages would use up the few connections that a browser opens to one server.
  function connect() {
    const holder = $("#live");
    if (!holder || document.hidden || holder.firstElementChild) return;
    const source = document.createElement("div");
    source.setAttribute("sse-connect", "/api/v1/events/stream");
    holder.append(source);
    htmx.process(source);
  }

  // htmx only takes the element out of the page; the stream would stay open, also under a page that the browser keeps for
  // its back button, until six of them use up all connections to this server.
  function disconnect() {
    stream?.close();
    stream = null;
    const source = $("#live > div");
    if (source) htmx.remove(source);
  }

  function heard(type) {
    const topics = ($("#main")?.dataset.topics || "").split(" ");
    if (!topics.some((topic) => topic === "*" || type.startsWith(`${topic}.`))) return;
    if (isFrozen) {
      missed += 1;
      showFrozen();
      return;
    }
    scheduleRefresh();
  }

  function scheduleRefresh() {
    if (refreshTimer || !$("#main")?.dataset.page) return;
    const wait = Math.max(150, lastRefresh + refreshEvery - Date.now());
    refreshTimer = setTimeout(() => refresh(), wait);
  }

  // Nothing moves under a pressed pointer or an open menu: a click must meet what it was aimed at.
  let isPressed = false;
  const isBusy = () => isPressed || $("main details.menu[open]") !== null;

  async function refresh(isWanted = false) {
    clearTimeout(refreshTimer);
    refreshTimer = 0;
    if (!isWanted && isBusy()) {
      refreshTimer = setTimeout(() => refresh(), refreshEvery);
      return;
    }
    lastRefresh = Date.now();
    const address = location.pathname + location.search;
    try {
      const reply = await fetch(address, { headers: { accept: "text/html" }, credentials: "same-origin" });
      if (reply.redirected && new URL(reply.url).pathname === "/login") return location.assign("/login");
      if (!reply.ok || address !== location.pathname + location.search) return;
      const text = await reply.text();
      if (!isWanted && isBusy()) return scheduleRefresh();
      lay(new DOMParser().parseFromString(text, "text/html"));
    } catch {
      setLive("stale", "Stale", "Reeve cannot be reached; what you see may be old.");
    }
  }

  const focusable = () => $$("a[href], button, input, select, textarea, summary, [tabindex]")
    .filter((element) => element.tabIndex >= 0 && !element.disabled && element.getClientRects().length > 0);

  // A row that moves loses the keyboard's focus, and one that goes takes it along: whoever walks through the page would
  // start again at its top. So it stays on what it was on, or on what stands in its place.
  function keepFocus(change) {
    const held = document.activeElement;
    const place = focusable().indexOf(held);
    change();
    if (place < 0 || document.activeElement === held) return;
    const all = focusable();
    const next = all.includes(held) ? held
      : all.find((element) => held.href && element.href === held.href) || all[Math.min(place, all.length - 1)];
    next?.focus({ preventScroll: true });
  }

  function morphAll(page) {
    for (const id of ["main", "side", "tabs"]) {
      const from = document.getElementById(id);
      const to = page.getElementById(id);
      if (from && to) morph(from, to);
    }
  }

  function lay(page) {
    const known = new Set($$("#tail > li").map((item) => item.id));
    keepFocus(() => morphAll(page));
    if (known.size) {
      for (const item of $$("#tail > li")) if (!known.has(item.id)) item.classList.add("fresh");
    }
    if (page.title) document.title = page.title;
    htmx.process($("#main"));
    settle();
  }

  // --- Actions ----------------------------------------------------------------------------------------------------
  function toast(text, detail = "", isBad = false) {
    const element = document.createElement("div");
    element.className = isBad ? "toast bad" : "toast";
    element.textContent = text;
    if (detail) {
      const small = document.createElement("small");
      small.textContent = detail;
      element.append(small);
    }
    $("#toasts").append(element);
    setTimeout(() => element.remove(), isBad ? 9000 : 3500);
  }

  // `ifMatch` keeps two people from overwriting each other's words.
  async function send(method, path, body, ifMatch) {
    const guard = ifMatch === undefined ? {} : { "if-match": ifMatch };
    const reply = await fetch(path, {
      method, credentials: "same-origin",
      headers: body === undefined ? guard : { "content-type": "application/json", "idempotency-key": newKey(), ...guard },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await reply.text();
    let document = {};
    try { document = text ? JSON.parse(text) : {}; } catch { /* an empty or foreign body says nothing more */ }
    if (!reply.ok) throw Object.assign(new Error(document.detail || document.errors?.join?.(" ") || `The server answered ${reply.status}.`), { hint: document.hint || "", status: reply.status });
    return document;
  }

  const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

  async function act(element, method, path, body, ifMatch) {
    if (element.dataset.confirm && !confirm(element.dataset.confirm)) return null;
    element.setAttribute("aria-busy", "true");
    try {
      const reply = await send(method, path, body, ifMatch);
      toast(element.dataset.done || "Done");
      element.closest("details.menu")?.removeAttribute("open");
      await refresh(true);
      return reply;
    } catch (error) {
      toast(error.message, error.hint, true);
      // Somebody else was faster: what is there now is what the next try begins with.
      if (error.status === 412) await refresh(true);
      return null;
    } finally {
      element.removeAttribute("aria-busy");
    }
  }

  function formBody(form) {
    const body = {};
    for (const [name, value] of new FormData(form)) {
      if (value !== "") body[name] = form.elements[name]?.hasAttribute?.("data-json") ? parsed(value) : value;
    }
    return body;
  }

  // What is no JSON is the text that it is: nobody has to quote a model's name.
  function parsed(text) {
    try { return JSON.parse(text); } catch { return text; }
  }

  async function submitForm(form) {
    if (form.dataset.put) {
      // One field is the end of the address; the others, if there are any, are what is sent there.
      const { [form.dataset.putName]: name, ...body } = formBody(form);
      const isEmpty = Object.keys(body).length === 0;
      if (await act(form, "PUT", form.dataset.put + encodeURIComponent(name), isEmpty ? undefined : body)) form.reset();
      return;
    }
    const reply = await act(form, form.dataset.method || "POST", form.dataset.post, formBody(form), form.dataset.ifMatch);
    if (!reply) return;
    // What was edited stays to be edited further, unless nobody may see it again.
    if (!form.dataset.method || form.hasAttribute("data-forget")) form.reset();
    if (form.dataset.secret && reply[form.dataset.secret]) showSecret($("[data-secret-slot]", form), reply[form.dataset.secret]);
  }

  function showSecret(slot, secret) {
    const note = document.createElement("p");
    note.textContent = "Copy it now: it is shown this once.";
    const row = document.createElement("div");
    row.className = "secret";
    const field = document.createElement("input");
    field.readOnly = true;
    field.value = secret;
    field.id = "new-key";
    field.setAttribute("aria-label", "The new key");
    row.append(field);
    slot.replaceChildren(note, row);
    field.select();
  }

  // --- Reviews ----------------------------------------------------------------------------------------------------
  async function verdict(name) {
    const form = $("#verdict");
    if (!form) return;
    const comment = $("#comment").value.trim();
    if (name === "changes" && !comment) {
      $("#comment").focus();
      return toast("Say what should change, then press Ctrl-Enter.");
    }
    const button = $(`[data-verdict="${name}"]`, form);
    if (button.dataset.confirm && !confirm(button.dataset.confirm)) return;
    const following = neighbour(1) || neighbour(-1);
    try {
      await send("POST", form.dataset.review, { verdict: name, sha256: form.dataset.sha256, ...(comment ? { comment } : {}) });
      toast({ approve: "Approved", changes: "Sent back with your remark", reject: "Rejected" }[name]);
      location.assign(following ? following.href : "/reviews");
    } catch (error) {
      toast(error.message, error.hint, true);
      refresh(true);
    }
  }

  // --- Selections -------------------------------------------------------------------------------------------------
  const picked = new Set();

  function showPicked() {
    const bar = $("#bulk");
    if (!bar) return picked.clear();
    for (const box of $$("[data-pick]")) box.checked = picked.has(box.dataset.pick);
    $("[data-picked]", bar).textContent = String(picked.size);
    bar.hidden = picked.size === 0;
    const all = $("[data-pick-all]");
    const boxes = $$("[data-pick]");
    if (all) all.checked = boxes.length > 0 && boxes.every((box) => box.checked);
  }

  async function bulk(verb) {
    if (verb === "cancel" && !confirm(`Cancel ${picked.size} tasks? What depends on them will not run.`)) return;
    let failures = 0;
    let last = null;
    for (const id of [...picked]) {
      try { await send("POST", `/api/v1/tasks/${encodeURIComponent(id)}/${verb}`, {}); picked.delete(id); } catch (error) { failures += 1; last = error; }
    }
    if (failures) toast(`${failures} could not be changed: ${last.message}`, last.hint, true);
    else toast(verb === "cancel" ? "Canceled" : "Ready again");
    showPicked();
    refresh(true);
  }

  // --- Keyboard ---------------------------------------------------------------------------------------------------
  const places = { f: "/", n: "/agents", t: "/tasks", q: "/queues", r: "/reviews", e: "/events", a: "/audit", s: "/schedules", k: "/keys", c: "/calls", m: "/costs", o: "/models", b: "/budgets", w: "/flags", y: "/secrets", x: "/traces", v: "/overview", l: "/logs", i: "/incidents" };
  let isGoing = false;

  const rows = () => $$("[data-row]");
  const currentRow = () => rows().findIndex((row) => row.getAttribute("aria-selected") === "true");

  function neighbour(step) {
    const list = $$(".inbox-list a");
    const index = list.findIndex((link) => link.hasAttribute("aria-current"));
    return list[index + step];
  }

  function move(step) {
    if ($(".inbox-list")) return neighbour(step)?.click();
    const list = rows();
    if (!list.length) return;
    const index = Math.min(list.length - 1, Math.max(0, currentRow() + step));
    for (const row of list) row.removeAttribute("aria-selected");
    list[index].setAttribute("aria-selected", "true");
    list[index].scrollIntoView({ block: "nearest" });
  }

  const keys = {
    "/": () => $("#search")?.focus(),
    "?": () => $("#help")?.showModal(),
    t: toggleTheme,
    j: () => move(1),
    k: () => move(-1),
    p: () => freeze(),
    g: () => { isGoing = true; setTimeout(() => { isGoing = false; }, 1200); },
    a: () => verdict("approve"),
    r: () => { const box = $("#comment"); if (box) box.value.trim() ? verdict("changes") : box.focus(); },
    x: () => { const box = rows()[currentRow()]?.querySelector("[data-pick]"); box?.click(); },
    Enter: () => rows()[currentRow()]?.querySelector("a.open")?.click(),
  };

  function onKey(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "comment") {
      event.preventDefault();
      return verdict("changes");
    }
    if (event.key === "Escape") {
      if (event.target.matches?.("input, textarea")) event.target.blur();
      for (const menu of $$("details.menu[open], .tabs details[open]")) menu.open = false;
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, textarea, select, [contenteditable]")) return;
    if ($("#help")?.open) return;
    if (event.key === "Enter" && event.target.matches?.("a, button, summary")) return;
    if (isGoing && places[event.key]) {
      isGoing = false;
      event.preventDefault();
      return location.assign(places[event.key]);
    }
    const action = keys[event.key];
    if (!action || !$("#main")) return;
    event.preventDefault();
    action();
  }

  // --- Holding still, digest, charts ------------------------------------------------------------------------------
  function freeze() {
    isFrozen = !isFrozen;
    missed = 0;
    showFrozen();
    if (!isFrozen) refresh(true);
  }

  function showFrozen() {
    const button = $("[data-action=freeze]");
    if (button) {
      button.setAttribute("aria-pressed", String(isFrozen));
      $("[data-freeze-label]", button).textContent = isFrozen ? `Go on${missed ? ` (${missed} new)` : ""}` : "Hold still";
    }
    if (isFrozen) setLive("stale", missed ? `Held, ${missed} new` : "Held", "The page is held still; press p to go on.");
    else if ($("#live > div")) setLive("live", "Live", "The page follows the event log.");
  }

  function leave() {
    if (lastSeq) store.set("reeve-left", JSON.stringify({ seq: lastSeq, at: now() }));
  }

  async function showDigest() {
    const slot = $("#digest");
    let left = null;
    try { left = JSON.parse(store.get("reeve-left") || "null"); } catch { /* written by something else: no digest */ }
    if (!slot || slot.childElementCount || !left || now() - left.at < 300000) return;
    const reply = await fetch(`/ui/digest?after=${left.seq}&since=${Math.round(left.at)}`, { credentials: "same-origin" });
    if (!reply.ok) return;
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    slot.replaceChildren(...[...page.body.childNodes].map((node) => document.importNode(node, true)));
    htmx.process(slot);
    refreshTimes();
  }

  const charts = new WeakMap();

  function drawCharts(isNew = false) {
    const canvases = $$("canvas[data-chart]");
    if (!canvases.length) return;
    if (!window.Chart) return loadChart();
    for (const canvas of canvases) {
      const data = canvas.dataset.chart;
      const known = charts.get(canvas);
      if (known && !isNew && known.data === data) continue;
      const { labels, series, unit } = JSON.parse(data);
      if (known && !isNew && known.chart.data.datasets.length === series.length) {
        known.data = data;
        known.chart.data.labels = labels;
        series.forEach((line, index) => Object.assign(known.chart.data.datasets[index], { label: line.label, data: line.values }));
        known.chart.update("none");
        continue;
      }
      known?.chart.destroy();
      charts.set(canvas, { data, chart: makeChart(canvas, labels, series, unit) });
    }
  }

  // Custom properties are not resolved when read as such, so the colours are read off an element that wears them.
  function colour(state, alpha) {
    const probe = document.createElement("span");
    probe.className = "state";
    probe.dataset.state = state;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return alpha ? value.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`) : value;
  }

  const dollars = (value) => `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: value < 0.1 ? 6 : 2 })}`;

  function makeChart(canvas, labels, series, unit) {
    const isMoney = unit === "usd";
    const ticks = isMoney ? { callback: dollars } : { precision: 0 };
    const tooltip = isMoney ? { callbacks: { label: (item) => `${item.dataset.label}: ${dollars(item.parsed.y)}` } } : {};
    const text = getComputedStyle($(".muted") || document.body).color;
    const grid = colour("grey", 0.16);
    return new Chart(canvas, {
      type: "bar",
      data: { labels, datasets: series.map((line) => ({ label: line.label, data: line.values, backgroundColor: colour(line.state, 0.8), borderRadius: 2, maxBarThickness: 14 })) },
      options: {
        animation: false, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
        plugins: { tooltip, legend: { display: series.length > 1, position: "bottom", labels: { color: text, boxWidth: 10, boxHeight: 10 } } },
        scales: {
          x: { stacked: true, grid: { display: false }, ticks: { color: text, maxRotation: 0, autoSkipPadding: 24 } },
          y: { stacked: true, beginAtZero: true, grid: { color: grid, drawBorder: false }, ticks: { color: text, maxTicksLimit: 5, ...ticks } },
        },
      },
    });
  }

  function loadChart() {
    if ($("script[data-chart-library]")) return;
    const script = document.createElement("script");
    script.src = $("meta[name=reeve-chart]").content;
    script.dataset.chartLibrary = "";
    script.onload = () => drawCharts();
    document.head.append(script);
  }

  // --- Wiring -----------------------------------------------------------------------------------------------------
  // A page with a script of its own names it; the script looks at the page at each of these events.
  function loadScripts() {
    for (const { dataset } of $$("main [data-script]")) {
      if ($$("script[src]").some((script) => script.getAttribute("src") === dataset.script)) continue;
      const script = document.createElement("script");
      script.src = dataset.script;
      script.async = false; // in the order in which they are named
      document.head.append(script);
    }
    document.dispatchEvent(new Event("reeve:settle"));
  }

  function settle() {
    refreshTimes();
    loadScripts();
    showPicked();
    drawCharts();
    if (isFrozen) showFrozen();
  }

  function onClick(event) {
    const element = event.target.closest("[data-action], [data-post], [data-delete], [data-verdict], [data-bulk]");
    for (const menu of $$("details.menu[open], .tabs details[open]")) if (!menu.contains(event.target)) menu.open = false;
    if (!element || element.matches("form, summary")) return;
    if (element.dataset.verdict) return verdict(element.dataset.verdict);
    if (element.dataset.bulk) return bulk(element.dataset.bulk);
    if (element.dataset.delete) return act(element, "DELETE", element.dataset.delete);
    if (element.dataset.post) return act(element, element.dataset.method || "POST", element.dataset.post, element.dataset.body ? JSON.parse(element.dataset.body) : {});
    switch (element.dataset.action) {
      case "theme": return toggleTheme();
      case "help": return $("#help").showModal();
      case "freeze": return freeze();
      case "unpick": picked.clear(); return showPicked();
      case "dismiss": leave(); return $("#digest").replaceChildren();
    }
  }

  function onChange(event) {
    const box = event.target;
    if (box.matches("[data-pick]")) box.checked ? picked.add(box.dataset.pick) : picked.delete(box.dataset.pick);
    else if (box.matches("[data-pick-all]")) for (const each of $$("[data-pick]")) box.checked ? picked.add(each.dataset.pick) : picked.delete(each.dataset.pick);
    else return;
    showPicked();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const stamp = Number($("meta[name=reeve-now]")?.content);
    if (stamp) clockSkew = stamp - Date.now();
    htmx.createEventSource = (url) => (stream = new LiveSource(url));
    document.addEventListener("click", onClick);
    document.addEventListener("change", onChange);
    for (const name of ["pointerdown", "pointerup", "pointercancel"]) {
      addEventListener(name, () => { isPressed = name === "pointerdown"; }, true);
    }
    document.addEventListener("keydown", onKey);
    document.addEventListener("submit", (event) => {
      if (!event.target.dataset.post && !event.target.dataset.put && !event.target.dataset.review) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.target.dataset.post || event.target.dataset.put) submitForm(event.target);
    }, true);
    document.body.addEventListener("htmx:sseOpen", () => {
      setLive("live", "Live", "The page follows the event log.");
      // Whatever happened while nobody listened.
      if (lastRefresh || lastSeq) scheduleRefresh();
      lastRefresh = lastRefresh || Date.now();
    });
    document.body.addEventListener("htmx:sseError", () => {
      setLive("stale", "Stale", "The live connection is lost; what you see may be old. It is tried again by itself.");
    });
    document.body.addEventListener("htmx:afterSettle", settle);
    document.body.addEventListener("htmx:beforeSwap", (event) => {
      if (new URL(event.detail.xhr.responseURL || location.href).pathname === "/login") { event.detail.shouldSwap = false; location.assign("/login"); }
    });
    document.body.addEventListener("htmx:responseError", (event) => {
      toast(`The server answered ${event.detail.xhr.status}.`, "", true);
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { leave(); disconnect(); } else { connect(); scheduleRefresh(); }
    });
    addEventListener("pagehide", () => { leave(); disconnect(); });
    addEventListener("pageshow", (event) => { if (event.persisted) { connect(); scheduleRefresh(); } });
    if ($("#main")) {
      connect();
      showDigest();
      settle();
      setInterval(refreshTimes, 1000);
      // States that come with time alone, such as a silent agent, send no event.
      setInterval(() => { if (!document.hidden && !isFrozen) scheduleRefresh(); }, 15000);
      // Model calls are too many to leave an event each.
      setInterval(() => { if (!document.hidden && !isFrozen && $("main [data-poll]")) scheduleRefresh(); }, 2000);
    }
  });
})();
