// All of a span, as the pages of traces and of replays show it: its facts, its messages, its attributes.
"use strict";

(() => {
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

  const dollars = (amount) => amount === 0 ? "$0" : amount < 0.01 ? `$${amount.toPrecision(2)}` : `$${amount.toFixed(amount < 1 ? 4 : 2)}`;

  // --- Bodies, on demand -----------------------------------------------------------------------------------------
  const bodies = new Map();
  const bodiesMax = 200;

  async function body(address) {
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

  // --- All of a span ----------------------------------------------------------------------------------------------
  const textMax = 200000; // characters of a value that are shown
  const longMin = 1200; // characters from which on a text is folded
  const foldedLength = 360;

  function pretty(value) {
    let text = value;
    if (typeof value === "string") {
      if (/^\s*[[{]/.test(value)) try { text = JSON.stringify(JSON.parse(value), null, 2); } catch { /* it only looks like JSON */ }
    } else text = JSON.stringify(value, null, 2);
    return text.length > textMax ? `${text.slice(0, textMax)}…` : text;
  }

  // What is long is folded: its beginning says what it is.
  function folded(text, className) {
    const shown = text.length > textMax ? `${text.slice(0, textMax)}…` : text;
    if (shown.length < longMin) return make("pre", className, shown);
    const details = make("details", "long");
    const summary = make("summary");
    summary.append(make("span", className, `${shown.slice(0, foldedLength)}…`), make("span", "more", `all ${count(text.length)} characters`));
    details.append(summary, make("pre", className, shown));
    return details;
  }

  function piece(part) {
    const block = make("div", "part");
    block.dataset.part = part.type;
    const label = (text) => block.append(make("span", "label", text));
    switch (part.type) {
      case "text": block.append(folded(part.content, "said")); break;
      case "reasoning": case "refusal": label(part.type); block.append(folded(part.content, "said")); break;
      case "tool_call": label(`calls ${part.name || "a tool"}`); block.append(folded(pretty(part.arguments), "code")); break;
      case "tool_call_response": label("answers"); block.append(folded(pretty(part.response), "code")); break;
      case "uri": label(part.modality || "reference"); block.append(make("span", "said", part.uri)); break;
      case "blob": label([part.modality || "data", part.mimeType].filter(Boolean).join(" ")); block.append(make("span", "said", `${count(Math.floor(part.content.length * 3 / 4))} bytes`)); break;
      case "file": label(part.modality || "file"); block.append(make("span", "said", part.fileId)); break;
      default: block.append(folded(pretty(part), "code"));
    }
    return block;
  }

  function conversation(messages) {
    const list = make("ol", "conversation");
    for (const message of messages) {
      const item = make("li", "message");
      item.dataset.role = message.role;
      item.append(make("b", "role", message.name ? `${message.role} ${message.name}` : message.role));
      for (const each of message.parts) item.append(piece(each));
      if (!message.parts.length) item.append(make("span", "muted", "nothing"));
      list.append(item);
    }
    return list;
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
      ["Tokens", usage], ["Cost", span.costUSD === null || span.costUSD === undefined ? "" : dollars(span.costUSD)],
      ["Told by", span.dialect], ["Service", span.service], ["Agent", span.agent && link(`/agents/${encodeURIComponent(span.agent)}`, span.agent)],
      ["Task", span.taskId && link(`/tasks/${encodeURIComponent(span.taskId)}`, span.taskId)], ["Session", span.sessionId],
      ["Correlation", span.correlationId], ["Span", span.spanId],
    ])];
    const messages = (list) => `${count(list.length)} ${list.length === 1 ? "message" : "messages"}`;
    if (span.input) parts.push(part(`In: ${messages(span.input)}`, conversation(span.input), true));
    if (span.output) parts.push(part(`Out: ${messages(span.output)}${span.finishReasons.length ? `, ${span.finishReasons.join(", ")}` : ""}`, conversation(span.output), true));
    if (span.truncated) parts.push(make("p", "pad muted", "This is not all of it: the attributes below are as they were sent."));
    for (const event of span.events || []) parts.push(part(`Event: ${event.name}`, code({ time: event.time, ...event.attributes }), event.name === "exception"));
    if (Object.keys(span.attributes || {}).length) parts.push(part("Attributes", code(span.attributes)));
    if (Object.keys(span.resource || {}).length) parts.push(part("Resource", code(span.resource)));
    if (span.links?.length) parts.push(part("Links", code(span.links)));
    return parts;
  }

  window.reeveSpan = { make, count, brief, took, dollars, body, describe, link };
})();
