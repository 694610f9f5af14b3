import Kernel
import NIOHTTP1
import Synchronization

/// What all calls know of a target together: whether it is well, and how much it takes.
final class TargetState: Sendable {
    struct Standing: Sendable {
        var breaker: Breaker
        var pacer = Pacer()
        /// The headers of the last answer that spoke of limits, read only when somebody asks.
        var limits: (headers: HTTPHeaders, at: Timestamp)?
    }

    /// How it stands, for people and metrics.
    struct Seen: Sendable {
        var breaker: Breaker.Snapshot
        var limits: RateLimitHeaders
        var limitsAt: Timestamp?
        /// Until when the provider asked to be left alone.
        var limitedUntil: Timestamp?
    }

    let target: ModelTarget
    let provider: ProviderSettings
    /// The number of its provider, for ``AttemptPlan``.
    let providerNumber: Int
    let price: PriceTable?
    /// `gen_ai.provider.name` of OpenTelemetry.
    let providerName: String
    /// Where it is reached; `nil` where Reeve itself answers.
    let address: UpstreamPool.Address?
    /// What stands on the request line, for each endpoint.
    private let requestTargets: [ProviderEndpoint: String]
    private let standing: Mutex<Standing>

    init(_ target: ModelTarget, provider: ProviderSettings, providerNumber: Int, model: ModelSettings) {
        self.target = target
        self.provider = provider
        self.providerNumber = providerNumber
        price = model.price(of: target)
        providerName = GenAIName.provider(provider)
        address = provider.baseURL.map { UpstreamPool.Address(host: $0.host, port: $0.port, isTLS: $0.isTLS) }
        requestTargets = Dictionary(
            uniqueKeysWithValues: ProviderEndpoint.allCases.map {
                ($0, provider.requestTarget($0, model: target.model))
            })
        var rules = Breaker.Rules()
        rules.failuresInRow = model.breaker.failures
        rules.errorRate = model.breaker.errorRate
        rules.callsMin = model.breaker.callsMin
        rules.window = model.breaker.window
        rules.open = model.breaker.open
        rules.quantile = model.breaker.latencyQuantile
        rules.latencyMax = model.breaker.latency
        rules.firstTokenMax = model.breaker.firstToken
        standing = Mutex(Standing(breaker: Breaker(rules)))
    }

    func requestTarget(_ endpoint: ProviderEndpoint) -> String { requestTargets[endpoint] ?? endpoint.rawValue }

    func plan(at now: Timestamp) -> AttemptPlan.Target {
        standing.withLock {
            AttemptPlan.Target(
                provider: providerNumber, openUntil: $0.breaker.openUntil(at: now),
                limitedUntil: $0.pacer.limitedUntil(at: now))
        }
    }

    func admit(at now: Timestamp) -> Breaker.Permit? { standing.withLock { $0.breaker.admit(at: now) } }

    func record(_ permit: Breaker.Permit, _ outcome: Breaker.Outcome, at now: Timestamp) {
        standing.withLock {
            $0.breaker.record(permit, outcome, at: now)
            switch outcome {
            case .failed(.rateLimited(let retryAfter)): _ = $0.pacer.limited(retryAfter: retryAfter, at: now)
            case .succeeded: $0.pacer.succeeded()
            case .failed, .abandoned: break
            }
        }
    }

    func snapshot(at now: Timestamp) -> Breaker.Snapshot { standing.withLock { $0.breaker.snapshot(at: now) } }

    func reset(at now: Timestamp) { standing.withLock { $0.breaker.reset(at: now) } }

    /// An answer began.
    func answered(_ headers: HTTPHeaders, _ world: World) {
        guard headers.contains(where: { RateLimitHeaders.isOne($0.name) }) else { return }
        let now = world.now
        standing.withLock { $0.limits = (headers, now) }
    }

    func seen(at now: Timestamp) -> Seen {
        let (breaker, limits, limitedUntil) = standing.withLock {
            ($0.breaker.snapshot(at: now), $0.limits, $0.pacer.limitedUntil(at: now))
        }
        let read = RateLimitHeaders(at: limits?.at ?? now) { limits?.headers.first(name: $0) }
        return Seen(
            breaker: breaker, limits: read, limitsAt: read.isEmpty ? nil : limits?.at, limitedUntil: limitedUntil)
    }
}
