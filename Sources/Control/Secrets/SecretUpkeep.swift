import Kernel

/// What the service of secrets does by itself: it learns which values must not turn up anywhere, and seals anew what
/// older versions of the master key sealed.
extension SecretService {
    /// Values that one request seals anew: whoever asks goes on as long as some are left.
    static let rewrapMax = 1_000

    /// Learns what values the store holds: all of them at the start, later what other replicas wrote.
    public func learn() async throws {
        guard let sealer = try? sealing.sealer() else { return }
        let now = world.now
        var since = mark.time.withLock { $0 }.map { $0 - Self.overlap } ?? Timestamp(microseconds: -1)
        var (path, version) = ("", 0)
        while true {
            let (start, after, number) = (since, path, version)
            let page = try await storage.read {
                try store.sealed(since: start, after: after, number, limit: Self.pageRows, in: $0)
            }
            for sealed in page {
                // What does not open is told to whoever reads it.
                guard let value = try? sealer.open(sealed.bytes, Self.context(sealed.path, sealed.version)),
                    let data = try? Self.document(value, sealed.path)
                else { continue }
                watch.add(Self.values(of: .object(data)).map { (sealed.path.description, $0) })
            }
            guard let last = page.last, page.count == Self.pageRows else { break }
            (since, path, version) = (last.createdAt, last.path.description, last.version)
        }
        mark.time.withLock { $0 = now }
    }

    /// How far sealing anew is.
    struct Rewrapping: Sendable, Equatable {
        /// Values that were sealed anew.
        var done = 0
        /// Values that do not open: with a version of the master key that is not there, or damaged.
        var failed = 0
        /// Values that older versions of the master key still seal, those that failed among them.
        var left: Int64 = 0
    }

    /// Seals anew what older versions of the master key sealed; how many values that were.
    @discardableResult
    public func rewrap() async throws -> Int { try await rewrap(by: .system, max: .max).done }

    /// - Parameter max: Values that are looked at, those that fail among them. Each page is a transaction of its own,
    ///   so that whoever is killed goes on where they were.
    func rewrap(by principal: Principal, max: Int) async throws -> Rewrapping {
        guard let sealer = try? sealing.sealer() else { return Rewrapping() }
        var (path, version) = ("", 0)
        var progress = Rewrapping()
        while progress.done + progress.failed < max {
            let (after, number) = (path, version)
            let limit = min(Self.pageRows, max - progress.done - progress.failed)
            let page = try await storage.read {
                try store.sealed(otherThan: sealer.version, after: after, number, limit: limit, in: $0)
            }
            let anew = page.compactMap { sealed in
                (try? sealer.rewrap(sealed.bytes, Self.context(sealed.path, sealed.version))).map { (sealed, $0) }
            }
            if !anew.isEmpty {
                try await storage.write { transaction in
                    for (sealed, bytes) in anew {
                        try store.reseal(sealed, as: bytes, masterVersion: sealer.version, in: transaction)
                    }
                    let detail: JSONValue = ["values": anew.count.json, "masterVersion": sealer.version.json]
                    try audit.record(
                        "secret.rewrapped", by: principal, target: "secrets", detail: detail, in: transaction)
                }
            }
            progress.done += anew.count
            progress.failed += page.count - anew.count
            guard let last = page.last, page.count == limit else { break }
            (path, version) = (last.path.description, last.version)
        }
        progress.left = try await storage.read { try store.sealedCount(otherThan: sealer.version, in: $0) }
        return progress
    }

    /// The versions of the master key that are known here, and what each still seals.
    func masterKey() async throws -> JSONValue {
        let current = try? sealing.sealer().version
        let (known, counts) = try await storage.read { transaction in
            (try store.masterKeys(in: transaction), try store.sealedCounts(in: transaction))
        }
        let versions = Set(known.keys).union(counts.keys).sorted()
        return [
            "version": .of(current), "fault": .of(sealing.fault?.detail),
            "versions": .array(
                versions.map { version in
                    [
                        "version": version.json, "fingerprint": .of(known[version]),
                        "values": .int(counts[version] ?? 0),
                    ]
                }),
            "left": .int(counts.filter { $0.key != current }.values.reduce(0, +)),
        ]
    }

    /// What whoever writes these values has to know: they are too short to be looked for where none belong.
    static func warnings(of data: JSONObject) -> [String] {
        let short = data.members.filter { member in
            member.value.string.map { !$0.isEmpty && $0.utf8.count < KnownSecrets.valueMin } ?? false
        }
        return short.isEmpty
            ? []
            : [
                "Values of fewer than \(KnownSecrets.valueMin) bytes are not found where they leak, as they stand in "
                    + "ordinary words: \(short.map(\.name).joined(separator: ", "))."
            ]
    }

    /// The texts of a document, which are what must not turn up anywhere.
    static func values(of document: JSONValue) -> [SecretBytes] {
        switch document {
        case .string(let text): text.utf8.count < KnownSecrets.valueMin ? [] : [SecretBytes(text)]
        case .array(let items): items.flatMap(values)
        case .object(let object): object.members.flatMap { values(of: $0.value) }
        case .null, .bool, .int, .double: []
        }
    }

    public var loops: [Loop] {
        [
            Loop("secrets.learn", every: .seconds(10)) { try await learn() },
            Loop("secrets.rewrap", every: .minutes(1)) { try await rewrap() },
            Loop("secrets.leases", every: .hours(1)) { try await purgeLeases() },
        ]
    }
}
