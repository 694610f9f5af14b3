import Control
import Gateway

extension ModelGateway: LiveModels {
    public func models() -> [ModelStatus] { statuses(withDrill: false) }

    fileprivate func statuses(withDrill: Bool) -> [ModelStatus] {
        reports(withDrill: withDrill).map { report in
            var status = ModelStatus(report)
            if dispatch.orders.isPaused(report.name) {
                status.dispatch = ModelDispatch(model: report.name, state: .paused, share: 0)
            }
            return status
        }
    }

    public func reset(model: String, target: String?) -> [String] { resetBreakers(model: model, target: target) }
}

extension ModelStatus {
    init(_ report: ModelReport) {
        self.init(
            name: report.name, tier: report.tier?.rawValue, contextTokens: report.contextTokens,
            dispatch: report.dispatch.map(ModelDispatch.init),
            targets: report.targets.map(TargetStatus.init))
    }
}

extension TargetStatus {
    init(_ report: TargetReport) {
        self.init(provider: report.provider, model: report.model)
        breaker = Breaker(rawValue: report.breaker) ?? .closed
        changedAt = report.changedAt
        openUntil = report.openUntil
        cause = report.cause
        lastFailure = report.lastFailure
        openings = report.openings
        recent = Recent(
            calls: report.calls, failures: report.failures, latency50: report.latency50, latency95: report.latency95,
            latency99: report.latency99, firstToken50: report.firstToken50, firstToken95: report.firstToken95)
        limits = report.limits.map {
            Limit(kind: $0.kind, limit: $0.limit, remaining: $0.remaining, resetAt: $0.resetAt)
        }
        limitsAt = report.limitsAt
        limitedUntil = report.limitedUntil
        prices = report.prices
        priceFrom = report.priceFrom
    }
}

/// All models with the one of drills, for what contains incidents: nobody else needs to see it.
struct ContainedModels: LiveModels {
    let gateway: ModelGateway

    func models() -> [ModelStatus] { gateway.statuses(withDrill: true) }

    func reset(model: String, target: String?) -> [String] { gateway.reset(model: model, target: target) }
}
