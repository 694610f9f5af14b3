import Kernel

/// Rules of flags as people set them, and their evaluation. What is served stands in ``FlagEvaluator``.
public struct FlagService: Sendable {
    /// Versions that are remembered of a flag.
    public static let versionsMax: Int64 = 200
    /// How long a deleted flag's row and versions stay.
    static let removalKept = Span.hours(24 * 90)
    /// Deleted flags that are remembered.
    static let removedMax = 2_000
    /// Changed places that the event log and the audit log name.
    static let placesMax = 20
    /// Characters of a reason.
    public static let reasonMax = 500

    let store = FlagStore()
    public let book: FlagBook
    public let pins: FlagPins
    public let meters: FlagMeters
    let storage: any Storage
    private let events: Events
    private let audit: AuditService
    let world: World

    public init(storage: any Storage, events: Events, audit: AuditService, world: World) {
        self.storage = storage
        self.events = events
        self.audit = audit
        self.world = world
        book = FlagBook(storage: storage, world: world)
        pins = FlagPins(storage: storage, world: world)
        meters = FlagMeters()
    }

    // MARK: Reading

    public func flag(_ key: String, in transaction: Transaction) throws -> FeatureFlag {
        guard let flag = try store.flag(key, in: transaction) else { throw Problem.notFound("flag", key) }
        return flag
    }

    /// By key; one more than the page's limit, where there are more.
    public func flags(page: Page, in transaction: Transaction) throws -> [FeatureFlag] {
        try store.flags(page: page, in: transaction)
    }

    /// What a flag was, the newest first, each with what differs from the one before; of deleted flags too.
    func history(
        of key: String, before version: Int64, limit: Int, in transaction: Transaction
    ) throws -> [(record: FlagVersionRecord, previous: JSONValue?)] {
        // Each needs the one before it, and one more says that there are more.
        let found = try store.versions(of: key, before: version, limit: limit + 2, in: transaction)
        if found.isEmpty, version == .max { throw Problem.notFound("flag", key) }
        return found.enumerated().prefix(limit + 1).map { index, record in
            (record, index + 1 < found.count ? found[index + 1].definition : nil)
        }
    }

    // MARK: Changing

    /// Makes a flag, or changes it, if it still has the `ETag` that was asked for. What is as it was makes no version.
    @discardableResult
    public func put(
        _ key: String, _ definition: FlagDefinition, reason: String? = nil, ifMatch: String? = nil,
        by principal: Principal, in transaction: Transaction
    ) throws -> FeatureFlag {
        try FlagDefinition.checkName(key, path: "key")
        let old = try store.flag(key, in: transaction)
        try EntityTag.check(ifMatch, against: old?.etag ?? "", of: "the flag \"\(key)\"")
        if let old, old.definition == definition { return old }
        try check(definition, of: key, in: transaction)
        if old == nil, try store.count(in: transaction) >= FeatureFlag.flagsMax {
            throw Problem(
                .conflict, "There are \(FeatureFlag.flagsMax) flags already.",
                hint: "Delete flags that serve everybody the same, and let the programs do so by themselves.")
        }
        return try save(key, definition, from: old, old == nil ? .created : .updated, reason, principal, transaction)
    }

    /// Switches a flag on or off, whoever edits it meanwhile: what is urgent need not know the rest.
    public func turn(
        _ key: String, on isOn: Bool, reason: String?, ifMatch: String? = nil, by principal: Principal,
        in transaction: Transaction
    ) throws -> FeatureFlag {
        let old = try flag(key, in: transaction)
        try EntityTag.check(ifMatch, against: old.etag, of: "the flag \"\(key)\"")
        guard old.definition.isEnabled != isOn else { return old }
        return try save(
            key, old.definition.switched(isOn), from: old, isOn ? .switchedOn : .switchedOff, reason, principal,
            transaction)
    }

    /// Takes a flag away: programs go on with the defaults of their code.
    public func remove(
        _ key: String, reason: String? = nil, ifMatch: String? = nil, by principal: Principal,
        in transaction: Transaction
    ) throws {
        let old = try flag(key, in: transaction)
        try EntityTag.check(ifMatch, against: old.etag, of: "the flag \"\(key)\"")
        if let user = try store.users(of: key, in: transaction).first {
            throw Problem(
                .conflict, "The flag \"\(user)\" asks for \"\(key)\", so nothing was deleted.",
                hint: "Take it out of the prerequisites of \"\(user)\" first.")
        }
        let version = try store.lastVersion(of: key, in: transaction) + 1
        try store.remove(key, at: world.now, revision: tick(in: transaction), in: transaction)
        try pins.store.drop(key, in: transaction)
        try record(key, version, .deleted, reason, .object(old.definition.document), nil, principal, transaction)
    }

    private func tick(in transaction: Transaction) throws -> Int64 {
        try store.tick(secret: Hexadecimal.encode(world.entropy.bytes(32)), at: world.now, in: transaction)
    }

    private func save(
        _ key: String, _ definition: FlagDefinition, from old: FeatureFlag?, _ act: FlagVersionRecord.Act,
        _ reason: String?,
        _ principal: Principal, _ transaction: Transaction
    ) throws -> FeatureFlag {
        let now = world.now
        // With another salt everybody stands elsewhere, and there is nothing to keep.
        let shares = old.flatMap { $0.definition.salt == definition.salt ? $0.shares : nil } ?? [:]
        let flag = FeatureFlag(
            key: key, definition: definition,
            shares: Dictionary(
                definition.splits.map { ($0.id, shares[$0.id]?.moved(to: $0.wishes) ?? FlagShares($0.wishes)) }
            ) { first, _ in first },
            version: try store.lastVersion(of: key, in: transaction) + 1, revision: try tick(in: transaction),
            createdAt: old?.createdAt ?? now, createdBy: old?.createdBy ?? principal.actor, updatedAt: now,
            updatedBy: principal.actor)
        try store.save(flag, in: transaction)
        try record(
            key, flag.version, act, reason, .object(definition.document),
            old.map { .object($0.definition.document) }, principal, transaction)
        return flag
    }

    private func record(
        _ key: String, _ version: Int64, _ act: FlagVersionRecord.Act, _ reason: String?, _ definition: JSONValue,
        _ previous: JSONValue?, _ principal: Principal, _ transaction: Transaction
    ) throws {
        let record = FlagVersionRecord(
            version: version, at: world.now, author: principal.actor, act: act, reason: reason, definition: definition)
        try store.insert(record, of: key, in: transaction)
        try store.forgetVersions(of: key, upTo: version - Self.versionsMax, in: transaction)
        let places = previous.map { FlagChange.between($0, definition).map(\.path) } ?? []
        let data: JSONValue = [
            "key": .string(key), "version": .int(version), "reason": .of(reason),
            "changed": .list(places.prefix(Self.placesMax)),
        ]
        let type = "flag.\(act.rawValue)"
        try events.append(
            EventDraft(type, actor: principal.actor, correlationID: principal.correlationID, data: data),
            in: transaction)
        try audit.record(type, by: principal, target: "flag:\(key)", detail: data, in: transaction)
    }

    /// What a flag asks of others, and others of it. Reads those that it names and those that name it, and of what
    /// those ask for the names alone.
    private func check(_ definition: FlagDefinition, of key: String, in transaction: Transaction) throws {
        for (index, wish) in definition.prerequisites.enumerated() {
            let path = "prerequisites/\(index)"
            guard wish.flag != key, let other = try store.flag(wish.flag, in: transaction) else {
                throw Problem.invalid("\(path)/flag", "there is no other flag \"\(wish.flag)\"")
            }
            for name in wish.variants where other.definition.value(of: name) == nil {
                throw Problem.invalid("\(path)/variants", "\"\(wish.flag)\" has no variant \"\(name)\"")
            }
        }
        for user in try store.users(of: key, in: transaction) where user != key {
            for wish in try store.flag(user, in: transaction)?.definition.prerequisites ?? [] where wish.flag == key {
                for name in wish.variants where definition.value(of: name) == nil {
                    throw Problem.invalid("variants/\(name)", "the flag \"\(user)\" asks for it")
                }
            }
        }
        // Breadth first, a bounded number of steps: beyond it evaluation would give up too.
        var reached = Set(definition.prerequisites.map(\.flag))
        for _ in 0..<FlagEvaluator.depthMax where !reached.isEmpty {
            guard !reached.contains(key) else {
                throw Problem.invalid("prerequisites", "they lead back to \"\(key)\"")
            }
            reached = try store.wanted(by: reached, in: transaction)
        }
        guard reached.isEmpty else {
            throw Problem.invalid(
                "prerequisites", "they go deeper than \(FlagEvaluator.depthMax) flags, or in a circle")
        }
    }

    // MARK: Evaluating

    /// What a context gets of these flags. The store is asked of a session that comes first, and told of what it gets;
    /// all else is memory.
    ///
    /// - Parameter pins: Whether the session keeps what it gets: who only looks leaves no trace.
    func decide(
        _ keys: [String], in edition: FlagBook.Edition, for context: FlagContext, pins isPinning: Bool
    ) async throws -> [Result<FlagDecision, FlagFailure>] {
        var evaluator = FlagEvaluator(flags: edition.flags, context: context, now: world.now)
        let hasPinned = keys.contains { edition.flags[$0]?.definition.mode == .pinned }
        if let session = context.sessionID, hasPinned { evaluator.pins = try await pins.pins(of: session) }
        var results = Self.results(keys, evaluator)
        if let session = context.sessionID, isPinning {
            let new = results.compactMap { try? $0.get() }
                .filter { $0.flag.definition.mode == .pinned && !$0.isPinned }
            if !new.isEmpty {
                evaluator.pins = try await pins.pin(new, to: session)
                results = Self.results(keys, evaluator)
            }
        }
        meters.count(zip(keys, results))
        return results
    }

    private static func results(
        _ keys: [String], _ evaluator: FlagEvaluator
    ) -> [Result<FlagDecision, FlagFailure>] {
        keys.map { key in Result { () throws(FlagFailure) in try evaluator.decide(key) } }
    }

    /// What the flags of one key of the configuration say; `nil` where there is none, or none that can be evaluated.
    /// Of several the first by name decides.
    public func decision(
        ofConfigKey configKey: String, for context: FlagContext, pins: [String: FlagPin] = [:]
    ) -> FlagDecision? {
        let edition = book.edition
        guard let found = edition.configured[configKey] else { return nil }
        var evaluator = FlagEvaluator(flags: edition.flags, context: context, now: world.now)
        evaluator.pins = pins
        return found.lazy.compactMap { try? evaluator.decide($0, depth: 0) }.first
    }

    // MARK: Upkeep

    func purge(limit: Int, in transaction: Transaction) throws -> Bool {
        try store.purge(
            removedBefore: world.now - Self.removalKept, keptMax: Self.removedMax, limit: limit, in: transaction)
    }
}
