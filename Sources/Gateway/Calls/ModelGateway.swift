import Kernel
import NIOCore
import NIOSSL
import Synchronization

/// Model calls: whoever asks at a ``ModelDoor`` is answered by a target of the model that was asked for.
///
/// One for the whole server. What calls share stands here behind locks; a call itself belongs to the event loop of its
/// caller's connection, and so do the connections to providers.
public final class ModelGateway: Sendable {
    /// Records that wait to be stored. Beyond it new calls are refused, as their money could not be accounted for.
    static let recordsWaitingMax = 50_000
    /// Bytes of a provider's answer that is not streamed, and of an error.
    static let answerBytesMax = 64 << 20

    let settings: GatewaySettings
    let world: World
    let keys: ProviderKeyring
    /// Who counts budgets; `nil` where there are none.
    let clerk: BudgetClerk?
    let projects: (any AgentProjects)?
    /// What answers really come to.
    let sizes = Mutex(CallSizes())
    private let states: [String: [TargetState]]
    /// By the model; of those that have one.
    let caches: [String: SharedAnswers]
    let inFlight = CallsInFlight()
    /// Of those models whose settings have one.
    let checks: [String: InputCheck]
    let runs: RunWatch
    private let tls: NIOSSLContext?
    /// Made by each loop when it first asks.
    private let pools: [ObjectIdentifier: NIOLoopBoundBox<UpstreamPool?>]
    private let records = Mutex(Records())

    /// What is known of calls until the store knows it.
    private struct Records {
        /// Those that run, and those that ended and are not kept yet.
        var live: [String: CallRecord] = [:]
        /// Those that ended, in their order.
        var finished: [CallRecord] = []
        /// So many of the first of those are counted in ``meters``.
        var counted = 0
        /// How those that run are stopped.
        var stops: [String: CallStop] = [:]
    }

    /// What is known of calls that ended, counted by batches.
    let meters = Mutex(CallMeters())
    let breakerWatch = Mutex(BreakerWatch())

    /// - Parameter eventLoops: Those of the callers' connections.
    public init(
        _ settings: GatewaySettings, keys: ProviderKeyring, clerk: BudgetClerk? = nil,
        projects: (any AgentProjects)? = nil, world: World, eventLoops: some EventLoopGroup
    ) {
        self.clerk = clerk
        self.projects = projects
        self.settings = settings
        self.keys = keys
        self.world = world
        let numbers = Dictionary(
            uniqueKeysWithValues: settings.providers.enumerated().map { ($0.element.name, $0.offset) })
        var states: [String: [TargetState]] = [:]
        for model in settings.models {
            states[model.name] = model.targets.compactMap { target in
                guard let provider = settings.provider(target.provider), let number = numbers[target.provider] else {
                    return nil
                }
                return TargetState(target, provider: provider, providerNumber: number, model: model, world: world)
            }
        }
        self.states = states
        runs = RunWatch(settings.loops)
        checks = Dictionary(
            uniqueKeysWithValues: settings.models.compactMap { model in
                InputCheck(model.input, model: model.name).map { (model.name, $0) }
            })
        caches = Dictionary(
            uniqueKeysWithValues: settings.models.compactMap { model in
                model.cache.map { (model.name, SharedAnswers($0)) }
            })
        tls = try? NIOSSLContext(configuration: .makeClientConfiguration())
        var pools: [ObjectIdentifier: NIOLoopBoundBox<UpstreamPool?>] = [:]
        for loop in eventLoops.makeIterator() { pools[ObjectIdentifier(loop)] = .makeEmptyBox(eventLoop: loop) }
        self.pools = pools
    }

    /// Whether any model is configured.
    public var isConfigured: Bool { !settings.models.isEmpty }

    func targets(of model: ModelSettings) -> [TargetState] { states[model.name] ?? [] }

    /// The connections of the loop that this runs on.
    func pool(of loop: any EventLoop) -> UpstreamPool? {
        guard let box = pools[ObjectIdentifier(loop)] else { return nil }
        if let pool = box.value { return pool }
        let pool = UpstreamPool(loop, tls: tls)
        box.value = pool
        return pool
    }

    /// Answers a call. Runs on the event loop of the caller's connection.
    public func open(_ request: DoorRequest, to answer: any Answering, on loop: any EventLoop) -> any AnsweredCall {
        let call = ModelCall(request, gateway: self, answer: answer, on: loop)
        call.start()
        return call
    }

    // MARK: runs

    /// The runs whose calls are held because they went in circles.
    public func heldRuns() -> [HeldRun] { runs.held(at: world.now) }
    /// Lets a run go on; `nil` where no such run is held.
    public func releaseRun(_ id: String) -> HeldRun? { runs.release(id, at: world.now) }
    /// Holds that are new since this was last asked.
    public func takeHoldNotices() -> [HeldRun] { runs.takeNotices() }
    /// How full the models' windows are: the last session of each agent and model.
    public func contextUses() -> [ContextUse] { runs.uses }

    // MARK: records

    /// Whether another call can be accounted for.
    var takesCalls: Bool { records.withLock { $0.finished.count } < Self.recordsWaitingMax }

    func began(_ record: CallRecord, _ stop: CallStop) {
        records.withLock { records in
            records.live[record.id] = record
            records.stops[record.id] = stop
        }
    }

    /// Stops the calls that run and that `isMeant` picks; the answer is how many.
    @discardableResult
    func stop(_ reason: String, where isMeant: (CallRecord) -> Bool) -> Int {
        let stops = records.withLock { records in
            records.stops.filter { id, _ in records.live[id].map(isMeant) ?? false }
        }
        for stop in stops.values { stop.call(reason) }
        return stops.count
    }

    func ended(_ record: CallRecord) {
        if record.isStreamed, clerk?.book.isConcerned == true { sizes.withLock { $0.learn(record) } }
        records.withLock { records in
            records.live[record.id] = record
            records.stops[record.id] = nil
            records.finished.append(record)
        }
    }

    /// The first of the calls that ended and are not kept yet. They stay until ``kept(_:)``.
    public func records(max: Int) -> [CallRecord] { records.withLock { Array($0.finished.prefix(max)) } }

    /// So many of the first records are kept.
    public func kept(_ count: Int) {
        // Those that ended since would be counted nowhere.
        self.count()
        records.withLock { records in
            for record in records.finished.prefix(count) { records.live[record.id] = nil }
            records.finished.removeFirst(min(count, records.finished.count))
            records.counted = max(0, records.counted - count)
        }
    }

    /// Those that ended since this was last asked; each is handed out once.
    func uncounted() -> [CallRecord] {
        records.withLock { records in
            defer { records.counted = records.finished.count }
            return Array(records.finished.dropFirst(records.counted))
        }
    }

    /// Calls that run, and records that wait to be stored.
    var counts: (running: Int, waiting: Int) {
        records.withLock { (max(0, $0.live.count - $0.finished.count), $0.finished.count) }
    }

    /// The calls that run, and those that ended and are not kept yet.
    public func liveCalls() -> [CallRecord] { records.withLock { Array($0.live.values) } }
    /// Whether any call runs, or is not kept yet.
    public var hasCalls: Bool { records.withLock { !$0.live.isEmpty } }
    public func liveCall(_ id: String) -> CallRecord? { records.withLock { $0.live[id] } }
}

/// A model call as a noun with ids.
enum ModelCallID: Identified {
    static let idPrefix = "call"
}
