import Kernel

/// How a call was decided and what became of it, in words for people and in data for programs.
///
/// The words come from the call itself and from those members of its decision record that are known here:
/// `candidates` (`[{target, breaker, reason}]`, in the order in which they were considered), `steps`
/// (`[{at, kind, reason, target, failure, waitMs}]` with the kinds `attempt`, `wait`, `skip`, `give_up` and `failure`)
/// and `priceVersion`. Other members are shown as they are.
public struct CallExplanation: Sendable {
    public struct Step: Sendable, Equatable {
        /// Milliseconds since the call began; `nil` where it is not known.
        public let afterMs: Int64?
        /// `asked`, `candidate`, `held`, `refused`, `cache`, `attempt`, `wait`, `skip`, `give_up`, `failure`, `usage`,
        /// `cost`, `ended`.
        public let kind: String
        public let text: String
    }

    public let call: Call
    public let summary: String
    public let steps: [Step]

    public init(_ call: Call) {
        self.call = call
        summary = CallWords.ending(call)
        steps = CallWords.steps(call)
    }
}

extension CallExplanation: JSONConvertible {
    public var json: JSONValue {
        [
            "id": call.id.json, "status": .string(call.status.rawValue), "summary": .string(summary),
            "steps": .array(
                steps.map { step in
                    ["afterMs": .of(step.afterMs), "kind": .string(step.kind), "text": .string(step.text)]
                }), "decision": call.decision,
        ]
    }
}

/// The words of ``CallExplanation``.
enum CallWords {
    typealias Step = CallExplanation.Step

    /// Steps of a record that are put in words; more are in the data.
    private static let stepsMax = 200

    static func steps(_ call: Call) -> [Step] {
        var steps = [asked(call)]
        steps += candidates(call)
        if !call.holds.isEmpty {
            steps.append(
                Step(
                    afterMs: nil, kind: "held",
                    text: "Reserved before it was sent: \(call.holds.map(hold).joined(separator: "; "))."))
        }
        if let refusal = call.refusal {
            steps.append(
                Step(
                    afterMs: nil, kind: "refused", text: "The budget \(refusal.scope) refused it: \(refusal.detail)"))
        }
        if let cache = call.cache { steps.append(Step(afterMs: nil, kind: "cache", text: cacheText(cache, call))) }
        if let batch = batch(call) { steps.append(batch) }
        steps += course(call)
        if let usage = usage(call) { steps.append(usage) }
        if let cost = cost(call) { steps.append(cost) }
        steps.append(Step(afterMs: call.durationMs, kind: "ended", text: ending(call)))
        if let judge = judge(call) { steps.append(judge) }
        return steps
    }

    private static func asked(_ call: Call) -> Step {
        let who = call.agent.map { "The agent \"\($0)\"" } ?? call.keyID.map { "The key \($0)" } ?? "Somebody"
        let task = call.taskID.map { " for the task \($0)" } ?? ""
        var tier = call.tier.map { " (tier \($0))" } ?? ""
        if let asked = call.decision["asked"]?.string { tier = " by the name \"\(asked)\"" }
        let stream = call.isStream ? ", as a stream" : ""
        return Step(
            afterMs: 0, kind: "asked",
            text: "\(who) asked for \"\(call.model)\"\(tier) through \(call.door)\(stream)\(task).")
    }

    private static func candidates(_ call: Call) -> [Step] {
        (call.decision["candidates"]?.array ?? []).prefix(stepsMax).compactMap { candidate in
            guard let target = candidate["target"]?.string else { return nil }
            var notes: [String] = []
            if let breaker = candidate["breaker"]?.string { notes.append("its breaker was \(breaker)") }
            if let reason = candidate["reason"]?.string { notes.append(words(reason)) }
            let text = notes.isEmpty ? "" : ": \(notes.joined(separator: ", "))"
            return Step(afterMs: nil, kind: "candidate", text: "\(target) was a candidate\(text).")
        }
    }

    private static func hold(_ hold: CallHold) -> String {
        let amounts = [
            hold.nanoUSD.map { "up to \(PageText.dollars(nano: $0))" },
            hold.tokens.map { "up to \(PageText.plural($0, "token"))" },
        ].compactMap(\.self)
        return "\(hold.scope) \(amounts.isEmpty ? "one call" : amounts.joined(separator: ", "))"
    }

    private static func cacheText(_ verdict: String, _ call: Call) -> String {
        let saved = call.savedNanoUSD > 0 ? " That saved \(PageText.dollars(nano: call.savedNanoUSD))." : ""
        return switch verdict {
        case "hit": "The same call was answered before: the cache gave that answer.\(saved)"
        case "semantic":
            "A question that means the same was answered before (similarity "
                + "\(call.decision["semantic"]?["similarity"]?.double ?? 1)): the cache gave that answer.\(saved)"
        case "miss": "The cache had no answer to the same call."
        case "shared": "The same call was under way: both got its answer.\(saved)"
        default: "The cache said: \(verdict).\(saved)"
        }
    }

    /// What another model thought of the answer.
    private static func judge(_ call: Call) -> Step? {
        guard let judge = call.decision["judge"], let model = judge["model"]?.string else { return nil }
        let by = judge["call"]?.string.map { " (\($0))" } ?? ""
        let text =
            switch judge["outcome"]?.string {
            case "scored": "\(model) judged the answer\(by): \(judge["score"]?.double ?? 0) of 1."
            case "unreadable": "\(model) was to judge the answer\(by), and said no score."
            case "refused": "\(model) was to judge the answer\(by); a budget refused that."
            default: "\(model) was to judge the answer\(by), and did not."
            }
        return Step(afterMs: nil, kind: "judge", text: text)
    }

    /// That it was sent together with others.
    private static func batch(_ call: Call) -> Step? {
        guard let batch = call.decision["batch"], let calls = batch["calls"]?.int else { return nil }
        let inputs = batch["inputs"]?.int ?? 0
        let all = batch["inputsOfAll"]?.int ?? 0
        let others = PageText.plural(calls - 1, "other call")
        let text = "It was sent as one with \(others): \(inputs) of \(all) inputs were its own."
        return Step(afterMs: nil, kind: "batch", text: text)
    }

    /// The steps of the record; the attempts where it has none.
    private static func course(_ call: Call) -> [Step] {
        let recorded = (call.decision["steps"]?.array ?? []).prefix(stepsMax).compactMap { step in
            Self.recorded(step, call)
        }
        return recorded.isEmpty ? call.attempts.enumerated().map { attempt($0.element, $0.offset + 1, call) } : recorded
    }

    private static func recorded(_ step: JSONValue, _ call: Call) -> Step? {
        guard let kind = step["kind"]?.string else { return nil }
        let target = step["target"]?.string ?? "a target"
        let because = step["reason"]?.string.map { ": \(words($0))" } ?? ""
        let failure = step["failure"]?.string.map(words) ?? "it failed"
        let wait = step["waitMs"]?.int.map { "\($0) ms" } ?? "a moment"
        let text =
            switch kind {
            case "attempt": "Sent to \(target)\(because)."
            case "wait": "Waited \(wait)\(because)."
            case "skip": "Passed over \(target)\(because)."
            case "give_up": "Gave up\(because)."
            case "failure": "\(target) failed: \(failure)."
            default: "\(label(kind))\(because)."
            }
        let at = step["at"]?.string.flatMap(Timestamp.init(rfc3339:))
        return Step(afterMs: at.map { after($0, call) }, kind: kind, text: text)
    }

    private static func attempt(_ attempt: CallAttempt, _ number: Int, _ call: Call) -> Step {
        let took = attempt.durationMs.map { " after \($0) ms" } ?? ""
        let status = attempt.status.map { " with \($0)" } ?? ""
        let result =
            attempt.failure.map { "failed\(took)\(status): \(words($0))" }
            ?? (attempt.durationMs == nil ? "is under way" : "answered\(took)\(status)")
        return Step(
            afterMs: after(attempt.startedAt, call), kind: "attempt",
            text: "Attempt \(number), at \(attempt.target), \(result).")
    }

    private static func after(_ time: Timestamp, _ call: Call) -> Int64 {
        max(0, (time - call.startedAt).microseconds / 1_000)
    }

    private static func usage(_ call: Call) -> Step? {
        let tokens = call.usage.tokens
        guard tokens.total > 0 else { return nil }
        let parts: [(Int64, String)] = [
            (tokens.input, "input"), (tokens.cacheRead, "read from the provider's cache"),
            (tokens.cacheWrite, "written to it"), (tokens.output, "output"), (tokens.reasoning, "reasoning"),
        ]
        let list = parts.filter { $0.0 > 0 }.map { "\(PageText.count($0.0)) \($0.1)" }.joined(separator: ", ")
        let guess = call.usage.isEstimated ? " The provider did not say so: this is an estimate." : ""
        return Step(
            afterMs: nil, kind: "usage", text: "It used \(PageText.plural(tokens.total, "token")): \(list).\(guess)")
    }

    private static func cost(_ call: Call) -> Step? {
        var text: String
        if let cost = call.cost {
            let version = cost.priceFrom ?? call.decision["priceVersion"]?.string
            text = "It cost \(exact(cost.nanoUSD))" + (version.map { ", by the prices from \($0)." } ?? ".")
        } else if call.usage.tokens.total > 0 {
            text = "What it cost is not known: there is no price for what it used."
        } else {
            return nil
        }
        if let repricedAt = call.repricedAt {
            let booked = call.bookedCost.map { exact($0.nanoUSD) } ?? "no known cost"
            text += " It was priced anew on \(repricedAt.rfc3339.prefix(10)); booked was \(booked)."
        }
        if call.attempts.count > 1, call.attempts.contains(where: { $0.costNanoUSD != nil }) {
            text += " \(parts(call.attempts))"
        }
        return Step(afterMs: nil, kind: "cost", text: text)
    }

    /// What each of several attempts had of the cost.
    private static func parts(_ attempts: [CallAttempt]) -> String {
        let parts = attempts.prefix(partsMax).enumerated().map { index, attempt in
            "attempt \(index + 1) \(attempt.costNanoUSD.map(exact) ?? "an unknown amount")"
        }
        let more = attempts.count > partsMax ? ", and so on" : ""
        return "Of that went to \(parts.joined(separator: ", "))\(more)."
    }

    private static let partsMax = 16

    /// To the nano-dollar, as money is kept; without zeros that say nothing.
    static func exact(_ nanoUSD: Int64) -> String {
        var text = CostCSV.dollars(nanoUSD)
        while text.hasSuffix("0"), !text.hasSuffix(".00") { text.removeLast() }
        return "$" + text
    }

    static func ending(_ call: Call) -> String {
        let took = call.durationMs.map { " after \($0) ms" } ?? ""
        let first = call.ttftMs.map { ", the first words after \($0) ms" } ?? ""
        let own = call.overheadMicroseconds.map { " Reeve's own part of that: \($0) µs." } ?? ""
        let tries = call.attempts.count > 1 ? " at attempt \(call.attempts.count)" : ""
        switch call.status {
        case .running: return "It is under way."
        case .done:
            let who =
                call.target.map { "\($0) answered" } ?? (call.cache == nil ? "Answered" : "Answered from the cache")
            return "\(who)\(tries)\(took)\(first).\(own)"
        case .canceled: return "It was canceled\(took)\(first).\(own)"
        case .failed:
            if let refusal = call.refusal { return "The budget \(refusal.scope) refused it.\(own)" }
            let why = call.failure.map { ": \(words($0))" } ?? ""
            let status = call.httpStatus.map { " The caller got \($0)." } ?? ""
            return "It failed\(took)\(why).\(status)\(own)"
        }
    }

    /// `first_choice` as words; what is not known here is shown without its underscores.
    static func words(_ word: String) -> String { known[word] ?? label(word).lowercased() }

    private static func label(_ word: String) -> String { PageText.label(Call.text(word, bytes: 200)) }

    private static let known: [String: String] = [
        // Reasons.
        "first_choice": "the first of the model's targets", "next_target": "the next of the model's targets",
        "other_key": "the same target with another key",
        "same_target_retry": "the same target once more", "retry_after_waited": "the provider asked for this wait",
        "continued": "it goes on with the stream that broke", "breaker_open": "its breaker is open",
        "limited": "its provider asked to be left alone for a while", "paced": "its rate limit is used up",
        "failed_for_good": "nothing can come of it in this call any more",
        "provider_silent": "its provider has just been silent", "withdrawn": "its breaker let nobody in after all",
        "callers_fault": "the request itself is at fault", "stream_broken": "the stream had begun before it broke",
        "no_target_left": "no target is left", "all_open": "all breakers are open",
        "all_limited": "all providers asked to be left alone",
        "client_left": "the client went away", "loop_detected": "its run went in circles",
        "stream_diverged": "another target went on with other words",
        "input_refused": "its input is not allowed", "deadline": "the time for the whole call is over",
        "too_many_steps": "it took too many steps",
        // Failures.
        "rate_limited": "the provider limits the rate", "quota_exhausted": "the provider's account is used up",
        "overloaded": "the provider is overloaded", "server_error": "the provider had an error",
        "silent": "nothing came before the deadline", "connection_refused": "no connection could be made",
        "reset": "the connection broke before the first byte", "stalled": "the stream fell silent",
        "cut": "the stream ended before its end", "malformed": "what came was not understood",
        "context_length": "the prompt is longer than the model takes", "too_large": "the request is too large",
        "content_filter": "the provider refused the content",
        "invalid_request": "the provider found the request invalid",
        "unauthorized": "the provider does not take Reeve's key",
        "forbidden": "the provider does not allow this to Reeve's key",
        "not_found": "the provider does not have the model", "budget_exceeded": "a budget is used up",
        "budget_in_flight": "what is left of a budget is reserved for other calls",
    ]
}
