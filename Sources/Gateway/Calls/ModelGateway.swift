import Kernel
import NIOCore
import NIOSSL
import Synchronization
import Telemetry

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
    let tasks: (any AgentTasks)?
    /// What is set for callers; `nil` where nobody can set anything.
    let policy: (any CallPolicy)?
    /// What sessions used for which a limit is set.
    let sessions: SessionBook
    /// What answers really come to.
    let sizes = Mutex(CallSizes())
    private let entries: [String: ModelEntry]
    let inFlight = CallsInFlight()
    let embeddings = EmbeddingBatches()
    let judges = JudgeDesk()
    let runs: RunWatch
    /// The system's certificates, read once.
    private static let tls = try? NIOSSLContext(configuration: .makeClientConfiguration())
    private let tls: NIOSSLContext?
    /// Made by each loop when it first asks.
    private let pools: [ObjectIdentifier: NIOLoopBoundBox<UpstreamPool?>]
    private let book = CallBook()

    /// What is known of calls that ended, counted by batches.
    let meters = Mutex(CallMeters())
    /// Keeps what was said in calls for their spans; `nil` where that is not wanted.
    let contents: CallContents?
    /// What hears of each call that ended, for its agent's metrics.
    let agentMeters: AgentMeters?
    let breakerWatch = Mutex(BreakerWatch())
    /// How far the tasks of each model are handed out.
    public let dispatch: DispatchRamps

    /// - Parameters:
    ///   - sessions: Where stands what sessions used.
    ///   - sessionRefresh: After which that is read again, where other replicas have calls of the same sessions.
    ///   - keepsContent: Whether the spans of calls tell what was said.
    ///   - eventLoops: Those of the callers' connections.
    public init(
        _ settings: GatewaySettings, keys: ProviderKeyring, clerk: BudgetClerk? = nil,
        projects: (any AgentProjects)? = nil, tasks: (any AgentTasks)? = nil,
        policy: (any CallPolicy)? = nil, sessions: (any SessionRecords)? = nil, sessionRefresh: Span? = nil,
        dispatch: DispatchRamps? = nil,
        agentMeters: AgentMeters? = nil, keepsContent: Bool = false, world: World, eventLoops: some EventLoopGroup
    ) {
        contents = keepsContent ? CallContents() : nil
        self.agentMeters = agentMeters
        self.clerk = clerk
        self.projects = projects
        self.tasks = tasks
        self.policy = policy
        self.sessions = SessionBook(sessions, refresh: sessionRefresh, world: world)
        let dispatch = dispatch ?? DispatchRamps(settings, world: world)
        self.dispatch = dispatch
        self.settings = settings
        self.keys = keys
        self.world = world
        let numbers = Dictionary(
            uniqueKeysWithValues: settings.providers.enumerated().map { ($0.element.name, $0.offset) })
        var entries: [String: ModelEntry] = [:]
        for model in settings.every {
            let targets = model.targets.compactMap { target -> TargetState? in
                guard let provider = settings.provider(target.provider), let number = numbers[target.provider] else {
                    return nil
                }
                return TargetState(
                    target, provider: provider, providerNumber: number, model: model, world: world,
                    signal: dispatch.signal)
            }
            dispatch.watch(model, targets)
            entries[model.name] = ModelEntry(model, targets: targets)
        }
        self.entries = entries
        runs = RunWatch(settings.loops)
        tls = Self.tls
        var pools: [ObjectIdentifier: NIOLoopBoundBox<UpstreamPool?>] = [:]
        for loop in eventLoops.makeIterator() { pools[ObjectIdentifier(loop)] = .makeEmptyBox(eventLoop: loop) }
        self.pools = pools
    }

    /// What the settings say.
    public var catalogue: GatewaySettings { settings }
    /// Whether any model is configured.
    public var isConfigured: Bool { !settings.models.isEmpty }

    func targets(of model: ModelSettings) -> [TargetState] { entries[model.name]?.targets ?? [] }

    func entry(named name: String) -> ModelEntry? { entries[name] }

    /// What a caller means: a model's name or a tier's.
    func entry(_ asked: String) -> ModelEntry? {
        entries[asked] ?? settings.resolve(asked).flatMap { entries[$0.name] }
    }

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
    var takesCalls: Bool { counts.waiting < Self.recordsWaitingMax }

    func began(_ record: CallRecord, _ stop: CallStop) { book.began(CallBook.Running(record, stop)) }

    /// Stops the calls that run and that `isMeant` picks; the answer is how many.
    @discardableResult
    func stop(_ reason: String, where isMeant: (CallRecord) -> Bool) -> Int {
        let meant = book.running.filter { isMeant($0.record) }
        for call in meant { call.stop.call(reason) }
        return meant.count
    }

    func ended(_ record: CallRecord) {
        if record.isStreamed, clerk?.book.isConcerned == true { sizes.withLock { $0.learn(record) } }
        book.ended(EndedCall(record))
    }

    /// The first of the calls that ended and are not kept yet. They stay until ``kept(_:)``.
    public func records(max: Int) -> [EndedCall] { book.first(max) }

    /// So many of the first records are kept.
    public func kept(_ count: Int) {
        // Those that ended since would be counted nowhere.
        self.count()
        book.kept(count)
    }

    /// Those that ended since this was last asked; each is handed out once.
    func uncounted() -> [EndedCall] { book.uncounted() }

    /// Some of those that ended and are not kept yet.
    func endedCalls(where isMeant: (CallRecord) -> Bool) -> [CallRecord] { book.ended(where: isMeant) }

    /// Calls that run, and records that wait to be stored.
    var counts: (running: Int, waiting: Int) { book.counts }

    var streamCount: Int { book.streamCount }

    /// The calls that run, and those that ended and are not kept yet.
    public func liveCalls() -> [CallRecord] { book.all }
    /// Whether any call runs, or is not kept yet.
    public var hasCalls: Bool { counts != (0, 0) }
    public func liveCall(_ id: String) -> CallRecord? { book.call(id) }
}

/// A model call as a noun with ids.
enum ModelCallID: Identified {
    static let idPrefix = "call"
}
