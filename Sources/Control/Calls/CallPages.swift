import Kernel

/// Model calls as they run, and one of them with how it was decided.
public struct CallPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let calls: CallService
    let costs: CostService

    public init(shell: PageShell, storage: any Storage, calls: CallService, costs: CostService) {
        self.shell = shell
        self.storage = storage
        self.calls = calls
        self.costs = costs
    }

    public var routes: [Route] {
        [
            shell.route("/calls", .read, "The model calls", handler: list),
            shell.route("/calls/{id}", .read, "One model call", handler: show),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let page = try request.page()
        let filter = try CallRoutes.filter(request)
        try CallRoutes.check(cursor: page.after)
        var everyone = CallFilter()
        everyone.agent = request.principal.agent
        let running = calls.running(filter, after: page.after)
        let alive = calls.running(everyone).count { $0.status == .running }
        let query = CallListQuery(request)
        let view = try await storage.read { transaction in
            let found = try calls.list(filter, page: page, running: running, in: transaction)
            let rows = found.prefix(page.limit).map { CallRowView($0, now: now) }
            var days = CostFilter(since: costs.today, until: costs.today)
            days.agent = request.principal.agent
            let today = try costs.total(days, in: transaction)
            let last = found.count > page.limit ? rows.last?.id : nil
            return CallListView(
                subtitle: alive == 0 ? "none runs at this moment" : "\(PageText.count(Int64(alive))) running",
                numbers: CallNumberView.today(today, alive: alive), filters: query.filters(alive: alive),
                status: query.value("status"), agent: query.value("agent") ?? "", project: query.value("project") ?? "",
                model: query.value("model") ?? "", task: query.value("task") ?? "",
                session: query.value("session"), windowSince: query.value("since"),
                windowUntil: query.value("until"),
                tag: query.value("tag") ?? "", isFiltered: query.isFiltered,
                hasCalls: !rows.isEmpty, calls: rows, noCalls: Self.nothing(request, query),
                pager: PagerView(after: page.after, next: last) { query.path(after: $0) })
        }
        return try await shell.page(
            "Calls", at: .calls, template: "calls", view: view, topics: ["call", "budget"], request: request)
    }

    private static func nothing(_ request: APIRequest, _ query: CallListQuery) -> EmptyView {
        guard !query.isFiltered, query.value("status") == nil else {
            return EmptyView(headline: "No call is like that", explanation: "Change the filter, or clear it.")
        }
        return EmptyView(
            headline: "No calls yet",
            explanation: "Programs under `reeve run` ask their models through Reeve. Others do once their base address "
                + "is Reeve's:",
            command: """
                curl -X POST \(request.origin)/v1/chat/completions -H "Authorization: Bearer $REEVE_KEY" \\
                  -d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say hello"}]}'
                """)
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let call = try await calls.call(
            request.parameter("id"), agent: request.principal.agent, storage: storage)
        return try await shell.page(
            call.model, at: .calls, template: "call", view: CallPageView(call, now: shell.world.now), topics: ["call"],
            request: request)
    }
}

/// What the list's address asks for.
struct CallListQuery: Sendable {
    private static let names = ["agent", "project", "model", "task", "session", "tag", "since", "until"]

    private let request: APIRequest

    init(_ request: APIRequest) {
        self.request = request
    }

    func value(_ name: String) -> String? { request.queryValue(name).flatMap { $0.isEmpty ? nil : $0 } }

    var isFiltered: Bool { Self.names.contains { value($0) != nil } }

    func path(status: String?, after: String? = nil) -> String {
        PagePath.query("/calls", [("status", status)] + Self.names.map { ($0, value($0)) } + [("after", after)])
    }

    func path(after: String? = nil) -> String { path(status: value("status"), after: after) }

    func filters(alive: Int) -> [FilterView] {
        let status = value("status")
        let all = FilterView(path: path(status: nil), label: "All", state: "", isCurrent: status == nil)
        return [all]
            + Call.Status.allCases.map { each in
                FilterView(
                    path: path(status: each.rawValue), label: PageText.label(each.rawValue), state: each.rawValue,
                    count: each == .running ? PageText.count(Int64(alive)) : nil, isCurrent: status == each.rawValue)
            }
    }
}

/// Amounts as pages show them.
enum CallText {
    /// "$1.23"; what is less than a hundredth of a cent is not shown as nothing.
    static func money(_ nanoUSD: Int64) -> String {
        if nanoUSD == 0 { return "$0" }
        return (1..<50_000).contains(nanoUSD) ? "< $0.0001" : PageText.dollars(nano: nanoUSD)
    }

    static func milliseconds(_ count: Int64) -> String {
        if count < 1_000 { return "\(count) ms" }
        return count < 60_000
            ? "\(PageText.decimal(Double(count) / 1_000, digits: 1)) s" : PageText.span(.milliseconds(count))
    }
}

// MARK: - Views

struct CallListView: PageView {
    let subtitle: String
    let numbers: [CallNumberView]
    let filters: [FilterView]
    let status: String?
    let agent: String
    let project: String
    let model: String
    let task: String
    let session: String?
    // Under names that no row has: a row without them would take the list's.
    let windowSince: String?
    let windowUntil: String?
    let tag: String
    let isFiltered: Bool
    let hasCalls: Bool
    let calls: [CallRowView]
    let noCalls: EmptyView
    let pager: PagerView
}

/// One number above a list of calls or costs.
struct CallNumberView: PageView {
    let id: String
    let path: String
    let state: String
    let label: String
    let value: String
    let note: String
    var isAlarming = false

    static func today(_ sums: CostSums, alive: Int) -> [CallNumberView] {
        let broken = sums[.failed] + sums[.canceled]
        return [
            CallNumberView(
                id: "running", path: "/calls?status=running", state: "running", label: "Running",
                value: PageText.count(Int64(alive)), note: alive == 0 ? "no agent waits" : "at this moment"),
            CallNumberView(
                id: "calls", path: "/costs?by=agent&days=1", state: "done", label: "Calls today",
                value: PageText.count(sums[.calls]), note: "\(PageText.count(sums[.done])) answered"),
            CallNumberView(
                id: "spent", path: "/costs?by=agent&days=1", state: "ready", label: "Spent today",
                value: CallText.money(sums[.nanoUSD]),
                note: sums[.unpriced] > 0
                    ? "\(PageText.plural(sums[.unpriced], "call")) without a price" : "since 0:00 UTC",
                isAlarming: sums[.unpriced] > 0),
            CallNumberView(
                id: "tokens", path: "/costs?by=model&days=1", state: "in_review", label: "Tokens today",
                value: CallText.tokens(sums.tokens), note: CallText.cached(sums)),
            CallNumberView(
                id: "failed", path: "/calls?status=failed,canceled", state: broken > 0 ? "failed" : "done",
                label: "Ended badly today", value: PageText.count(broken),
                note: sums[.refused] > 0
                    ? "\(PageText.count(sums[.refused])) refused by a budget" : "failed or canceled"),
            CallNumberView(
                id: "lost", path: "/costs?by=day&days=30", state: "held", label: "Lost today",
                value: CallText.money(sums.lostNanoUSD), note: "in retries and broken calls"),
        ]
    }
}

extension CallText {
    /// `812`, `14.2k`, `3.1M`.
    static func tokens(_ count: Int64) -> String {
        if count < 10_000 { return PageText.count(count) }
        if count < 1_000_000 { return "\(PageText.decimal(Double(count) / 1e3, digits: 1))k" }
        return "\(PageText.decimal(Double(count) / 1e6, digits: 1))M"
    }

    /// How much of the input came from a provider's cache.
    static func cached(_ sums: CostSums) -> String {
        let input = sums[.input] + sums[.cacheRead] + sums[.cacheWrite]
        guard input > 0 else { return "none yet" }
        return "\(PageText.percent(Double(sums[.cacheRead]) / Double(input) * 100)) of input from caches"
    }
}

/// A call as a row of a list.
struct CallRowView: PageView {
    let id: String
    let path: String
    let model: String
    let target: String?
    let note: String?
    let state: String
    let stateLabel: String
    let agent: LinkView?
    let task: LinkView?
    let tokens: String
    let isEstimated: Bool
    let cost: String?
    let took: String?
    let since: TimeView?
    let started: TimeView

    init(_ call: Call, now: Timestamp) {
        id = call.id.text
        path = "/calls/\(PagePath.encoded(call.id.text))"
        model = call.model
        target = call.target ?? call.answeredModel
        note = Self.note(call)
        state = call.status.rawValue
        stateLabel = PageText.label(call.status.rawValue)
        agent = .agent(call.agent)
        task = call.taskID.map { LinkView(path: PagePath.task($0), label: PageText.clipped($0, 18)) }
        let total = call.usage.tokens.total
        tokens = total == 0 ? "–" : PageText.count(total)
        isEstimated = call.usage.isEstimated
        cost = call.cost.map { CallText.money($0.nanoUSD) }
        took = call.status == .running ? nil : call.durationMs.map(CallText.milliseconds)
        since = call.status == .running ? .span(call.startedAt, now: now) : nil
        started = .ago(call.startedAt, now: now)
    }

    /// What stands out about it.
    private static func note(_ call: Call) -> String? {
        if let refusal = call.refusal { return "refused by the budget \(refusal.scope)" }
        if let failure = call.failure { return CallWords.words(failure) }
        if call.attempts.count > 1 { return "\(call.attempts.count) attempts" }
        if call.cache == "semantic" { return "from the cache, by meaning" }
        return call.cache == "hit" ? "from the cache" : call.cache == "shared" ? "shared with another call" : nil
    }
}

/// The page of one call.
struct CallPageView: PageView {
    struct Step: PageView {
        let kind: String
        let at: String?
        let text: String
    }

    struct Attempt: PageView {
        let number: Int
        let state: String
        let stateLabel: String
        let target: String
        let message: String?
        let status: Int64?
        let took: String
        let cost: String?
        let begun: String
    }

    struct Tokens: PageView {
        let name: String
        let value: String
        let share: ShareView
    }

    let id: String
    let model: String
    let summary: String
    let state: String
    let stateLabel: String
    let isRunning: Bool
    let steps: [Step]
    let hasAttempts: Bool
    let attempts: [Attempt]
    let cost: String
    let hasTokens: Bool
    let tokens: [Tokens]
    let isEstimated: Bool
    let facts: [FactView]
    let raw: String?
    let decision: String?

    init(_ call: Call, now: Timestamp) {
        let explanation = CallExplanation(call)
        id = call.id.text
        model = call.model
        summary = explanation.summary
        state = call.status.rawValue
        stateLabel = PageText.label(call.status.rawValue)
        isRunning = call.status == .running
        steps = explanation.steps.map { step in
            Step(kind: step.kind, at: step.afterMs.map { "+\(CallText.milliseconds($0))" }, text: step.text)
        }
        hasAttempts = !call.attempts.isEmpty
        attempts = call.attempts.enumerated().map { Self.attempt($0.element, $0.offset + 1, call) }
        cost =
            call.cost.map { CallWords.exact($0.nanoUSD) } ?? (call.usage.tokens.total > 0 ? "not known" : "nothing")
        tokens = Self.tokens(call.usage.tokens)
        hasTokens = !tokens.isEmpty
        isEstimated = call.usage.isEstimated
        facts = Self.facts(call, now: now)
        raw = call.usage.raw.map { PageText.clipped($0.prettyText, CallBounds.usageBytes) }
        decision = call.decision.object?.isEmpty == false ? DeliverablePreview.clipped(call.decision.prettyText) : nil
    }

    private static func attempt(_ attempt: CallAttempt, _ number: Int, _ call: Call) -> Attempt {
        let isOpen = attempt.failure == nil && attempt.durationMs == nil && call.status == .running
        return Attempt(
            number: number, state: isOpen ? "running" : attempt.failure == nil ? "done" : "failed",
            stateLabel: isOpen ? "Under way" : attempt.failure == nil ? "Answered" : "Failed", target: attempt.target,
            message: attempt.failure.map(CallWords.words), status: attempt.status,
            took: attempt.durationMs.map(CallText.milliseconds) ?? "–",
            cost: attempt.costNanoUSD.map(CallText.money),
            begun: "+" + CallText.milliseconds(max(0, (attempt.startedAt - call.startedAt).microseconds / 1_000)))
    }

    private static func tokens(_ tokens: CallTokens) -> [Tokens] {
        let kinds: [(String, Int64)] = [
            ("Input", tokens.input), ("Cache read", tokens.cacheRead), ("Cache write", tokens.cacheWrite),
            ("Output", tokens.output), ("Reasoning", tokens.reasoning),
        ]
        return kinds.filter { $0.1 > 0 }.map { name, count in
            Tokens(
                name: name, value: PageText.count(count),
                share: ShareView(Double(count) / Double(tokens.total), hotAbove: 2))
        }
    }

    private static func facts(_ call: Call, now: Timestamp) -> [FactView] {
        var facts: [FactView] = []
        func add(_ name: String, _ value: String?) {
            if let value, !value.isEmpty { facts.append(FactView(name: name, value: value)) }
        }
        if let agent = LinkView.agent(call.agent) { facts.append(FactView(name: "Agent", link: agent)) }
        add("Project", call.project)
        if let task = call.taskID {
            facts.append(FactView(name: "Task", link: LinkView(path: PagePath.task(task), label: task)))
        }
        if let trace = call.traceID {
            facts.append(FactView(name: "Trace", link: LinkView(path: PagePath.trace(trace), label: trace)))
        }
        add("Session", call.session)
        add("Run", call.run)
        add("Key", call.keyID)
        add("Tags", call.tags.joined(separator: ", "))
        add("Door", call.door + (call.isStream ? ", streamed" : ""))
        add("Tier", call.tier)
        add("Target", call.target)
        add("Answered as", call.answeredModel)
        add("Price from", call.cost?.priceFrom)
        facts.append(FactView(name: "Began", time: .ago(call.startedAt, now: now)))
        add("Took", call.durationMs.map(CallText.milliseconds))
        add("First words", call.ttftMs.map { "after \(CallText.milliseconds($0))" })
        add("Reeve's own", call.overheadMicroseconds.map { "\(PageText.count($0)) µs" })
        add("Status", call.httpStatus.map { String($0) })
        add("Cache", call.cache)
        add("Reserved", call.holds.map(\.scope).joined(separator: ", "))
        add("Sent", call.requestBytes > 0 ? PageText.bytes(call.requestBytes) : nil)
        add("Received", call.responseBytes > 0 ? PageText.bytes(call.responseBytes) : nil)
        add("Correlation", call.correlationID)
        add("Bundle", call.bundle)
        add("Id", call.id.text)
        return facts
    }
}
