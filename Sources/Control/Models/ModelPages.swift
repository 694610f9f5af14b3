import Kernel

/// The models with their targets: who is well, who is left alone, how fast they answer, what they cost.
public struct ModelPages: Sendable {
    let shell: PageShell
    let live: any LiveModels

    /// Models of one page.
    private static let modelsMax = 100

    public init(shell: PageShell, live: any LiveModels) {
        self.shell = shell
        self.live = live
    }

    public var routes: [Route] {
        [shell.route("/models", .read, "The models and their targets", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let all = live.models()
        let after = try request.page().after
        let first = after.flatMap { name in all.firstIndex { $0.name == name } }.map { $0 + 1 } ?? 0
        let shown = all.dropFirst(first).prefix(Self.modelsMax)
        let hasMore = first + shown.count < all.count
        let view = ModelListView(
            subtitle: Self.subtitle(all), numbers: Self.numbers(all), hasModels: !shown.isEmpty,
            models: shown.map { ModelPanelView($0, now: now) }, noModels: Self.nothing,
            pager: PagerView(
                after: first > 0 ? after : nil, next: hasMore ? shown.last?.name : nil, of: "/models"))
        return try await shell.page(
            "Models", at: .models, template: "models", view: view, topics: ["model"], request: request)
    }

    private static func subtitle(_ models: [ModelStatus]) -> String {
        guard !models.isEmpty else { return "none is configured" }
        let targets = models.reduce(0) { $0 + $1.targets.count }
        return "\(PageText.plural(models.count, "model")), \(PageText.plural(targets, "target"))"
    }

    private static func numbers(_ models: [ModelStatus]) -> [CallNumberView] {
        let targets = models.flatMap(\.targets)
        let open = targets.count { $0.breaker == .open }
        let half = targets.count { $0.breaker == .halfOpen }
        let dark = models.count { model in model.targets.allSatisfy { $0.breaker == .open } }
        let calls = targets.reduce(0) { $0 + $1.recent.calls }
        let failures = targets.reduce(0) { $0 + $1.recent.failures }
        let unpriced = targets.count { $0.prices.isEmpty }
        return [
            CallNumberView(
                id: "open", path: "/models", state: open > 0 ? "failed" : "done", label: "Breakers open",
                value: PageText.count(Int64(open)),
                note: half > 0 ? "\(half) being probed" : open > 0 ? "they are left alone" : "all targets are asked",
                isAlarming: open > 0),
            CallNumberView(
                id: "dark", path: "/models", state: dark > 0 ? "failed" : "done", label: "No target left",
                value: PageText.count(Int64(dark)),
                note: dark > 0 ? "nobody answers for these models" : "each model has one",
                isAlarming: dark > 0),
            CallNumberView(
                id: "recent", path: "/calls", state: "running", label: "Attempts in 10 min",
                value: PageText.count(Int64(calls)), note: "\(PageText.count(Int64(failures))) failed"),
            CallNumberView(
                id: "unpriced", path: "/models", state: unpriced > 0 ? "held" : "done", label: "Without a price",
                value: PageText.count(Int64(unpriced)),
                note: unpriced > 0 ? "targets whose cost is unknown" : "all targets are priced"),
        ]
    }

    private static let nothing = EmptyView(
        headline: "No models yet",
        explanation: "The settings file says which models there are. This one asks a model that needs no provider:",
        command: """
            reeve mock-model --port 8099

            # reeve.yaml
            providers:
              main: {kind: openai, baseURL: "http://127.0.0.1:8099/v1"}
            models:
              gpt-4o-mini:
                targets: [{provider: main, model: gpt-4o-mini-2024-07-18}]
                price: {input: 0.15, output: 0.60}
            """)
}

struct ModelListView: PageView {
    let subtitle: String
    let numbers: [CallNumberView]
    let hasModels: Bool
    let models: [ModelPanelView]
    let noModels: EmptyView
    let pager: PagerView
}

/// A model as a panel with its targets as rows.
struct ModelPanelView: PageView {
    let name: String
    let apiPath: String
    let callsPath: String
    let tier: String?
    let context: String?
    let isDark: Bool
    /// How far its tasks are handed out, where that is not wholly so.
    let dispatch: String?
    let dispatchState: String
    let canReset: Bool
    let targets: [TargetRowView]

    init(_ model: ModelStatus, now: Timestamp) {
        name = model.name
        apiPath = "/api/v1/models/\(PagePath.encoded(model.name))"
        callsPath = PagePath.query("/calls", [("model", model.name)])
        tier = model.tier
        context = model.contextTokens.map { "\(CallText.tokens($0)) context" }
        isDark = model.targets.allSatisfy { $0.breaker == .open }
        let since = model.dispatch.since.map { " for \(PageText.span(now - $0))" } ?? ""
        switch model.dispatch.state {
        case .normal: (dispatch, dispatchState) = (nil, "done")
        case .outage: (dispatch, dispatchState) = ("Outage\(since): its tasks wait", "failed")
        case .paused: (dispatch, dispatchState) = ("Paused by a containment: its tasks wait", "paused")
        case .ramping:
            let share = PageText.percent(model.dispatch.share * 100)
            (dispatch, dispatchState) = ("Coming back: \(share) of the claims of its tasks go", "waiting")
        }
        canReset = model.targets.contains { $0.breaker != .closed }
        targets = model.targets.enumerated().map { TargetRowView($0.element, number: $0.offset + 1, now: now) }
    }
}

struct TargetRowView: PageView {
    struct Limit: PageView {
        let text: String
        let share: ShareView
    }

    let number: Int
    let name: String
    let state: String
    let stateLabel: String
    let since: TimeView?
    let problem: String?
    let errors: String?
    let calls: String
    let latency: String?
    let tail: String?
    let firstToken: String?
    let limits: [Limit]
    let hasLimits: Bool
    let price: String?
    let priceNote: String?

    init(_ target: TargetStatus, number: Int, now: Timestamp) {
        self.number = number
        name = target.name
        switch target.breaker {
        case .closed: (state, stateLabel) = ("done", "Closed")
        case .halfOpen: (state, stateLabel) = ("waiting", "Half open")
        case .open: (state, stateLabel) = ("failed", "Open")
        }
        since = target.breaker == .closed ? nil : .ago(target.changedAt, now: now)
        problem = Self.problem(target, now: now)
        errors = target.recent.errorRate.map { PageText.percent($0 * 100) }
        calls = PageText.plural(target.recent.calls, "attempt")
        latency = target.recent.latency50.map(Self.time)
        tail = target.recent.latency95.map { "95 % in \(Self.time($0))" }
        firstToken = target.recent.firstToken50.map { "first words \(Self.time($0))" }
        limits = target.limits.map { limit in
            let left = limit.limit > 0 ? Double(limit.remaining) / Double(limit.limit) : 0
            return Limit(
                text: "\(CallText.tokens(limit.remaining)) of \(CallText.tokens(limit.limit)) \(Self.noun(limit.kind))",
                share: ShareView(1 - left, hotAbove: 0.9))
        }
        hasLimits = !limits.isEmpty
        let main = ["input", "output"].compactMap { kind in
            target.prices.first { $0.kind == kind }.map { Self.dollars($0.nanoUSD) }
        }
        price = main.isEmpty ? nil : main.joined(separator: " / ")
        priceNote = target.priceFrom.map { "from \($0)" }
    }

    /// What is wrong with it, in a few words.
    private static func problem(_ target: TargetStatus, now: Timestamp) -> String? {
        var parts: [String] = []
        if target.breaker != .closed {
            if let cause = target.cause { parts.append(causes[cause] ?? PageText.label(cause).lowercased()) }
            if let failure = target.lastFailure { parts.append(CallWords.words(failure)) }
        }
        if let until = target.openUntil, until > now { parts.append("left alone for \(PageText.span(until - now))") }
        if let until = target.limitedUntil, until > now {
            parts.append("its provider asked for a pause of \(PageText.span(until - now))")
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    private static let causes = [
        "failures_in_row": "it failed several times in a row", "error_rate": "too many of its calls failed",
        "latency": "it answered too slowly", "first_token": "its first words came too late",
        "quality": "its answers were poor", "probe_failed": "the last probe failed",
        "before_start": "it was ill when Reeve started",
    ]

    private static func noun(_ kind: String) -> String {
        switch kind {
        case "inputTokens": "input tokens"
        case "outputTokens": "output tokens"
        default: kind
        }
    }

    private static func time(_ span: Span) -> String { CallText.milliseconds(span.microseconds / 1_000) }

    /// A price to its last digit, with two at least.
    private static func dollars(_ nanoUSD: Int64) -> String {
        var text = CostCSV.dollars(nanoUSD)
        while text.hasSuffix("0"), text.dropLast(2).last != "." { text.removeLast() }
        return "$" + text
    }
}
