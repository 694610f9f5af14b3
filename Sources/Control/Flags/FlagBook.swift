import Kernel
import Synchronization

/// All flags as this process knows them: evaluations ask it, and not the store.
///
/// It is read anew behind each change of this process, and by a loop behind those of others; whoever waits for changes
/// is woken once the book has them, so that nobody fetches what is not there yet.
public final class FlagBook: Sendable {
    /// One flag's state behind a change.
    struct Change: Sendable {
        let key: String
        let revision: Int64
        /// `nil` where it is gone.
        let flag: FeatureFlag?
    }

    /// The flags of one moment.
    public struct Edition: Sendable {
        public internal(set) var flags: [String: FeatureFlag] = [:]
        /// Those that stand for keys of the configuration, by key, and of each by their own names.
        private(set) var configured: [String: [FeatureFlag]] = [:]
        /// The keys of those, in their order.
        private(set) var configuredKeys: [String] = []
        /// Whether one of them keeps sessions at what they began with.
        private(set) var hasPinnedConfiguration = false
        public internal(set) var revision: Int64 = 0
        public internal(set) var changedAt = Timestamp(microseconds: 0)
        /// When a schedule began or ended last.
        var turnedAt = Timestamp(microseconds: 0)
        /// When the next one will.
        var turnsAt: Timestamp?
        /// Signs addresses of change streams.
        var secret = ""
        /// Counts what listeners are told, in this process alone.
        var count: Int64 = 0
        /// All keys, in their order, and what listeners are told: made once for all who ask.
        private(set) var keys: [String] = []
        private(set) var frame: [UInt8] = []

        /// What clients call this state: its revision, and what schedules made of it.
        public var tag: String {
            turnedAt.microseconds == 0 ? "\(revision)" : "\(revision).\(turnedAt.microseconds / 1_000_000)"
        }

        mutating func adopt(_ changes: [Change]) {
            for change in changes where change.revision > revision { flags[change.key] = change.flag }
            let meant = flags.values.filter { $0.definition.configKey != nil }.sorted { $0.key < $1.key }
            configured = Dictionary(grouping: meant) { $0.definition.configKey ?? "" }
            keys = flags.keys.sorted()
            configuredKeys = configured.keys.sorted()
            hasPinnedConfiguration = meant.contains { $0.definition.mode == .pinned }
        }

        /// What listeners are told from now on.
        fileprivate mutating func announce() {
            count += 1
            frame = FlagTail.frame(self)
        }

        /// The revision that a tag names.
        static func revision(ofTag tag: String) -> Int64? {
            Int64(tag.prefix { $0 != "." }).flatMap { $0 >= 0 ? $0 : nil }
        }
    }

    let store = FlagStore()
    private let storage: any Storage
    private let world: World
    private let held = Mutex(Edition())
    /// Woken with each change. A bus without events: its number alone is waited for.
    private let signal = EventBus()

    public init(storage: any Storage, world: World) {
        self.storage = storage
        self.world = world
    }

    public var edition: Edition { held.withLock { $0 } }

    /// Waits until something is told beyond `count`, or the caller's task is cancelled.
    func next(after count: Int64) async { await signal.next(after: count) }

    /// Makes the counter and its secret where there is none, and reads all flags.
    public func open() async throws {
        let (secret, now) = (Hexadecimal.encode(world.entropy.bytes(32)), world.now)
        if try await storage.read({ [store] in try store.clock(in: $0) }) == nil {
            try await storage.write { [store] in try store.found(secret: secret, at: now, in: $0) }
        }
        try await refresh()
        let asking = edition.flags.values.filter { !$0.definition.prerequisites.isEmpty }.sorted { $0.key < $1.key }
        if !asking.isEmpty { try await storage.write { [store] in try store.learnWants(asking, in: $0) } }
        look()
    }

    /// Reads what changed since the edition at hand.
    public func refresh() async throws {
        let known = edition
        let (tick, changes) = try await storage.read { [store] transaction in
            guard let tick = try store.clock(in: transaction), tick.revision > known.revision || known.secret.isEmpty
            else { return (FlagStore.Tick?.none, [Change]()) }
            return (tick, try store.changes(since: known.revision, in: transaction))
        }
        if let tick { adopt(tick, changes) }
    }

    private func adopt(_ tick: FlagStore.Tick, _ changes: [Change]) {
        let now = world.now
        let count: Int64? = held.withLock { edition in
            edition.secret = tick.secret
            guard tick.revision > edition.revision else { return nil }
            edition.adopt(changes)
            edition.revision = tick.revision
            edition.changedAt = tick.changedAt
            edition.turnsAt = Self.nextTurn(edition, after: now)
            edition.announce()
            return edition.count
        }
        if let count { signal.learn(head: count) }
    }

    private static func nextTurn(_ edition: Edition, after now: Timestamp) -> Timestamp? {
        edition.flags.values.compactMap { $0.definition.nextTurn(after: now) }.min()
    }

    /// Tells listeners where a schedule began or ended meanwhile.
    func look() {
        let now = world.now
        let count: Int64? = held.withLock { edition in
            guard let turn = edition.turnsAt, turn <= now else { return nil }
            edition.turnedAt = turn
            edition.turnsAt = Self.nextTurn(edition, after: now)
            edition.announce()
            return edition.count
        }
        if let count { signal.learn(head: count) }
    }
}
