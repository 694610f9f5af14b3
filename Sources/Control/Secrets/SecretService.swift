import Kernel
import Synchronization

/// Keeps secrets: writes them sealed, lets those read who may, and writes every reading down.
///
/// The row of the audit is written in the transaction that finds the value, and the value is opened only after that
/// was kept: where nothing can be written down, nothing is read.
public struct SecretService: Sendable {
    /// Sealed values that are looked at in one go.
    static let pageRows = 200
    /// How far back values are looked for that another replica may have written meanwhile.
    static let overlap = Span.minutes(1)
    /// Names that one listing shows.
    static let namesMax = 10_000

    let store = SecretStore()
    let rotations = SecretRotationStore()
    let sealing: SecretSealing
    /// Where values are known from, once they were written or read from the store.
    public let watch: SecretWatch
    let events: Events
    let audit: AuditService
    let storage: any Storage
    let world: World
    let mark = Mark()

    /// Up to when the values of the store are known.
    final class Mark: Sendable {
        let time = Mutex<Timestamp?>(nil)
    }

    public init(
        sealing: SecretSealing, watch: SecretWatch, events: Events, audit: AuditService, storage: any Storage,
        world: World
    ) {
        (self.sealing, self.watch, self.events, self.audit) = (sealing, watch, events, audit)
        (self.storage, self.world) = (storage, world)
    }

    // MARK: reading

    /// A version of a secret, opened.
    struct Reading: Sendable {
        let secret: KeptSecret
        let version: SecretVersion
        /// `nil` where the version was deleted or destroyed.
        let data: JSONObject?
    }

    enum Found: Sendable {
        case refused
        case none
        case gone(KeptSecret, SecretVersion)
        case sealed(KeptSecret, SecretVersion, [UInt8])
    }

    /// - Parameter number: The newest one where it is `nil`.
    func read(_ path: SecretPath, version number: Int? = nil, by principal: Principal) async throws -> Reading {
        let sealer = try sealing.sealer()
        switch try await storage.write({ try find(path, number, by: principal, in: $0) }) {
        case .refused: throw Self.refused(path)
        case .none: throw Problem.notFound("secret", path.description)
        case .gone(let secret, let version): return Reading(secret: secret, version: version, data: nil)
        case .sealed(let secret, let version, let bytes):
            let value = try sealer.open(bytes, Self.context(path, version.number))
            return Reading(secret: secret, version: version, data: try Self.document(value, path))
        }
    }

    /// - Parameter detail: What the audit is to say beside the version.
    func find(
        _ path: SecretPath, _ number: Int?, by principal: Principal, detail: JSONObject = JSONObject(),
        in transaction: Transaction
    ) throws -> Found {
        let target = "secret:\(path)"
        guard try maySee(path, principal, in: transaction) else {
            try audit.record("secret.refused", by: principal, target: target, in: transaction)
            return .refused
        }
        guard let secret = try store.find(path, in: transaction),
            let (version, sealed) = try store.version(number ?? secret.version, of: path, in: transaction)
        else { return .none }
        // A staged version is nobody's yet.
        guard version.number <= secret.version || version.isDestroyed else { return .none }
        if number != nil, version.number != secret.version {
            try refuseNewReaders(of: version.number, path, principal, in: transaction)
        }
        guard version.isReadable, let sealed else { return .gone(secret, version) }
        let members = [JSONObject.Member(name: "version", value: version.number.json)] + detail.members
        try audit.record(
            "secret.read", by: principal, target: target, detail: .object(JSONObject(members)), in: transaction)
        try store.markUsed(path, version: version.number, by: principal, at: world.now, in: transaction)
        return .sealed(secret, version, sealed)
    }

    /// While a value is on its way out, those agents alone get it that have it.
    private func refuseNewReaders(
        of number: Int, _ path: SecretPath, _ principal: Principal, in transaction: Transaction
    ) throws {
        guard principal.role == .agent, let rotation = try rotations.open(path, in: transaction)?.rotation,
            rotation.oldVersion == number, rotation.currentVersion != number,
            try !rotations.hasRead(path, number, principal.actor, in: transaction)
        else { return }
        throw Problem(
            .conflict, "Version \(number) of \(path) is being replaced, and this agent has not read it before.",
            hint: "Read it without a version: that gives version \(rotation.currentVersion).")
    }

    /// Whether somebody may know of a secret, and read it.
    func maySee(_ path: SecretPath, _ principal: Principal, in transaction: Transaction) throws -> Bool {
        switch principal.role {
        case .admin, .operator_: true
        case .agent: try store.isGranted(path, to: principal.agent ?? "", in: transaction)
        case .viewer, .ingest: false
        }
    }

    static func refused(_ path: SecretPath) -> Problem {
        Problem(
            .forbidden, "permission denied: this key may not read \(path).",
            hint: "An operator grants it with PUT /api/v1/secrets/\(path)/grants.")
    }

    static func context(_ path: SecretPath, _ version: Int) -> SealContext {
        SealContext(path: path.description, version: version, field: "data")
    }

    static func document(_ value: SecretBytes, _ path: SecretPath) throws -> JSONObject {
        let bytes = value.withBytes { Array($0) }
        guard let object = try? JSONParser.parse(bytes, depthMax: Limits.jsonDepthStored).object else {
            throw Problem(.sealBroken, "\(path) holds no document.", hint: "Write the secret anew.")
        }
        return object
    }

    // MARK: writing

    /// What a change makes of the newest version's data.
    enum Change: Sendable {
        case put(JSONObject)
        /// A merge patch (RFC 7396).
        case merge(JSONObject)
    }

    /// Adds a version.
    ///
    /// - Parameter cas: The version that the newest one has to be; 0 where there must be none.
    func write(
        _ path: SecretPath, _ change: Change, cas: Int? = nil, by principal: Principal
    ) async throws -> (secret: KeptSecret, version: SecretVersion) {
        let sealer = try sealing.sealer()
        let (secret, version, data) = try await storage.write { transaction in
            try write(path, change, cas: cas, by: principal, with: sealer, in: transaction)
        }
        watch.add(Self.values(of: .object(data)).map { (path.description, $0) })
        return (secret, version)
    }

    private func write(
        _ path: SecretPath, _ change: Change, cas: Int?, by principal: Principal, with sealer: Sealer,
        in transaction: Transaction
    ) throws -> (KeptSecret, SecretVersion, JSONObject) {
        let now = world.now
        let found = try store.find(path, in: transaction)
        guard try found != nil || store.count(in: transaction) < Int64(KeptSecret.secretsMax) else {
            throw Problem(
                .conflict, "There are \(KeptSecret.secretsMax) secrets; more are not kept.",
                hint: "Delete those that nobody uses.")
        }
        var secret = found ?? KeptSecret(path: path, at: now)
        try Self.check(cas, secret)
        try refuseWhileRotating(path, in: transaction)
        let data = try changed(secret, by: change, with: sealer, in: transaction)
        secret.lastVersion += 1
        secret.version = secret.lastVersion
        (secret.updatedAt, secret.writtenAt) = (now, now)
        try store.put(secret, in: transaction)
        let version = try keep(data, as: secret.version, of: path, by: principal, with: sealer, in: transaction)
        try store.prune(path, through: secret.version - secret.versionsMax, in: transaction)
        try record("secret.written", path, ["version": secret.version.json], by: principal, in: transaction)
        return (secret, version, data)
    }

    /// Seals a value and keeps it as the version with a number.
    func keep(
        _ data: JSONObject, as number: Int, of path: SecretPath, by principal: Principal, with sealer: Sealer,
        in transaction: Transaction
    ) throws -> SecretVersion {
        var bytes = JSONValue.object(data).bytes
        guard bytes.count <= KeptSecret.dataBytesMax else {
            throw Problem.invalid("data", "a secret has at most \(KeptSecret.dataBytesMax) bytes as JSON")
        }
        let sealed = try sealer.seal(SecretBytes(taking: &bytes), Self.context(path, number))
        let version = SecretVersion(
            number: number, createdAt: world.now, createdBy: principal.actor, deletedAt: nil, isDestroyed: false)
        try store.insert(version, of: path, sealed: sealed, masterVersion: sealer.version, in: transaction)
        return version
    }

    private func refuseWhileRotating(_ path: SecretPath, in transaction: Transaction) throws {
        guard let open = try rotations.open(path, in: transaction) else { return }
        throw Problem(
            .conflict,
            "\(path) is being rotated: version \(open.rotation.newVersion) is \(open.rotation.state.rawValue).",
            hint: "Wait for its end, or take it back with POST /api/v1/secrets/\(path)/rotation/return.")
    }

    private static func check(_ cas: Int?, _ secret: KeptSecret) throws {
        guard cas != nil || !secret.isCASRequired else {
            throw Problem.invalid("options/cas", "check-and-set parameter required for this call")
        }
        guard cas == nil || cas == secret.version else {
            throw Problem(
                .conflict, "check-and-set parameter did not match the current version",
                hint: "The newest version is \(secret.version): read it, then write again with that as cas.",
                members: JSONObject([.init(name: "currentVersion", value: secret.version.json)]))
        }
    }

    private func changed(
        _ secret: KeptSecret, by change: Change, with sealer: Sealer, in transaction: Transaction
    ) throws -> JSONObject {
        switch change {
        case .put(let data): return data
        case .merge(let patch):
            guard let (version, sealed) = try store.version(secret.version, of: secret.path, in: transaction),
                version.isReadable, let sealed
            else { throw Problem.notFound("secret", secret.path.description) }
            let value = try sealer.open(sealed, Self.context(secret.path, version.number))
            return Self.merged(try Self.document(value, secret.path), patch)
        }
    }

    static func merged(_ target: JSONObject, _ patch: JSONObject) -> JSONObject {
        var merged = target
        for member in patch.members {
            switch member.value {
            case .null: merged[member.name] = nil
            case .object(let inner):
                merged[member.name] = .object(Self.merged(merged[member.name]?.object ?? JSONObject(), inner))
            default: merged[member.name] = member.value
            }
        }
        return merged
    }

    func record(
        _ what: String, _ path: SecretPath, _ detail: JSONValue, by principal: Principal, in transaction: Transaction
    ) throws {
        var data = JSONObject([.init(name: "path", value: .string(path.description))])
        for member in detail.object?.members ?? [] { data[member.name] = member.value }
        try audit.record(what, by: principal, target: "secret:\(path)", detail: detail, in: transaction)
        try events.append(EventDraft(what, actor: principal.actor, data: .object(data)), in: transaction)
    }

    // MARK: versions

    /// What is done to versions of a secret.
    enum Act: String, Sendable {
        case deleted
        case undeleted
        case destroyed
    }

    /// - Parameter numbers: The newest one where it is empty. Versions that are not there are passed over, as in Vault.
    func act(_ act: Act, on path: SecretPath, versions numbers: [Int], by principal: Principal) async throws {
        let now = world.now
        try await storage.write { transaction in
            guard let secret = try store.find(path, in: transaction) else {
                throw Problem.notFound("secret", path.description)
            }
            // A staged version is nobody's yet; the rotation's own verbs are for it.
            let numbers = numbers.isEmpty ? [secret.version] : numbers.filter { $0 <= secret.version }
            guard !numbers.isEmpty else { return }
            let changed =
                switch act {
                case .deleted: try store.setDeleted(numbers, of: path, at: now, in: transaction)
                case .undeleted: try store.setDeleted(numbers, of: path, at: nil, in: transaction)
                case .destroyed: try store.destroy(numbers, of: path, in: transaction)
                }
            guard changed > 0 else { return }
            try record("secret.\(act.rawValue)", path, ["versions": .list(numbers)], by: principal, in: transaction)
        }
    }

    /// Forgets a secret with all its versions.
    func remove(_ path: SecretPath, by principal: Principal) async throws {
        try await storage.write { transaction in
            guard try store.find(path, in: transaction) != nil else {
                throw Problem.notFound("secret", path.description)
            }
            try store.remove(path, in: transaction)
            try record("secret.removed", path, [:], by: principal, in: transaction)
        }
    }
}
