import Kernel
import NIOHTTP1
import Synchronization

/// What all calls know of a target together: whether it is well, and how much it takes.
final class TargetState: Sendable {
    struct Standing: Sendable {
        var breaker: Breaker
        var pacer: Pacer
        var line = PaceLine<PacedCall>()
        /// When the line is looked at next.
        var lookAt: Timestamp?
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
    let standing: Mutex<Standing>
    let world: World
    let signal: BreakerSignal
    /// How long a call may stand in line.
    let queueWait: Span

    init(
        _ target: ModelTarget, provider: ProviderSettings, providerNumber: Int, model: ModelSettings, world: World,
        signal: BreakerSignal = BreakerSignal()
    ) {
        self.signal = signal
        self.target = target
        self.provider = provider
        self.providerNumber = providerNumber
        self.world = world
        queueWait = model.queue.wait
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
        rules.qualityMin = model.quality?.opensBelow
        rules.judgedMin = model.quality?.judge?.threshold
        standing = Mutex(
            Standing(breaker: Breaker(rules), pacer: Pacer(queueMax: model.queue.calls, queueWaitMax: model.queue.wait))
        )
    }

    func requestTarget(_ endpoint: ProviderEndpoint) -> String { requestTargets[endpoint] ?? endpoint.rawValue }

    /// - Parameter tokens: those of the call, for the provider's limits.
    func plan(tokens: Int64, at now: Timestamp) -> AttemptPlan.Target {
        standing.withLock {
            AttemptPlan.Target(
                provider: providerNumber, openUntil: $0.breaker.openUntil(at: now),
                limitedUntil: $0.pacer.limitedUntil(at: now), pacedUntil: $0.pacer.pacedUntil(tokens: tokens, at: now))
        }
    }

    /// Lets a call in that is to be sent now.
    ///
    /// - Parameter receipt: where the call is counted already.
    func admit(_ receipt: Pacer.Receipt?, tokens: Int64, at now: Timestamp) -> (Breaker.Permit, Pacer.Receipt)? {
        standing.withLock { standing in
            guard let permit = standing.breaker.admit(at: now) else { return nil }
            return (permit, receipt ?? standing.pacer.sent(tokens: tokens, at: now))
        }
    }

    func record(_ permit: Breaker.Permit, _ outcome: Breaker.Outcome, at now: Timestamp) {
        changeBreaker {
            $0.breaker.record(permit, outcome, at: now)
            switch outcome {
            case .failed(.rateLimited(let retryAfter)): _ = $0.pacer.limited(retryAfter: retryAfter, at: now)
            case .succeeded: $0.pacer.succeeded()
            case .failed, .abandoned: break
            }
        }
    }

    func snapshot(at now: Timestamp) -> Breaker.Snapshot { standing.withLock { $0.breaker.snapshot(at: now) } }

    func reset(at now: Timestamp) { changeBreaker { $0.breaker.reset(at: now) } }

    /// An answer began: what it says of limits paces those that follow.
    func answered(_ headers: HTTPHeaders, _ receipt: Pacer.Receipt, at now: Timestamp) {
        guard headers.contains(where: { RateLimitHeaders.isOne($0.name) }) else { return }
        standing.withLock { $0.limits = (headers, now) }
        observe(headers, receipt, at: now)
    }

    /// What is left of the provider's limits, of those that it spoke of lately.
    func headroom(at now: Timestamp) -> [(kind: RateLimitHeaders.Kind, ratio: Double)] {
        standing.withLock { standing in
            RateLimitHeaders.Kind.allCases.compactMap { kind in
                standing.pacer.headroom(kind, at: now).map { (kind, $0) }
            }
        }
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
