import Kernel

/// What is known of a secret without its values.
public struct KeptSecret: Sendable, Equatable {
    /// Versions that are kept where nobody says otherwise, as Vault has it.
    public static let versionsDefault = 10
    public static let versionsMax = 100
    /// Bytes of a version, as JSON.
    public static let dataBytesMax = 64 << 10
    public static let customMax = 64
    /// Agents that may read one secret.
    public static let grantsMax = 1_000
    /// Holders that are shown of one secret, those that used it last.
    public static let holdersMax = 100
    /// Secrets of one store.
    public static let secretsMax = 10_000
    /// How old a value may be before it is due to be replaced.
    public static let rotationAge = Span.hours(90 * 24)

    public let path: SecretPath
    /// The one that is given out; 0 where there is only what is said about it.
    public var version: Int
    /// The highest number that was ever given to a version: of one that is staged, or was taken back, too.
    public var lastVersion: Int
    public var versionsMax: Int
    public var isCASRequired: Bool
    /// What its users say about it.
    public var custom: JSONObject
    public let createdAt: Timestamp
    public var updatedAt: Timestamp
    /// When the version that is given out was written.
    public var writtenAt: Timestamp?
    /// How old its value may get; `nil` for ``rotationAge``.
    public var rotateEvery: Span?
    /// The call that tells whether a new value is good.
    public var probe: SecretProbe?

    /// When its value is due to be replaced.
    public var dueAt: Timestamp? { writtenAt.map { $0 + (rotateEvery ?? Self.rotationAge) } }

    init(path: SecretPath, at now: Timestamp) {
        self.path = path
        (version, lastVersion, versionsMax) = (0, 0, Self.versionsDefault)
        (isCASRequired, custom) = (false, JSONObject())
        (createdAt, updatedAt, writtenAt) = (now, now, nil)
    }
}

/// One version of a secret, without its value.
public struct SecretVersion: Sendable, Equatable {
    public let number: Int
    public let createdAt: Timestamp
    public let createdBy: String
    /// Hidden, and can be brought back.
    public var deletedAt: Timestamp?
    /// Its value is gone for good.
    public var isDestroyed: Bool

    var isReadable: Bool { deletedAt == nil && !isDestroyed }
}

/// Who read a secret, or may.
public struct SecretHolder: Sendable, Equatable, JSONConvertible {
    /// As the audit names it, such as `agent:writer`.
    public let actor: String
    public let agent: String?
    /// The version that it read last; `nil` where it has read none.
    public let version: Int?
    public let lastUsedAt: Timestamp?
    /// Until when it said that it uses it.
    public var leasedUntil: Timestamp?

    public var json: JSONValue {
        [
            "actor": .string(actor), "agent": .of(agent), "version": .of(version), "lastUsedAt": .of(lastUsedAt),
            "leasedUntil": .of(leasedUntil),
        ]
    }
}

/// A secret as its list shows it; never with its values.
public struct SecretView: Sendable, JSONConvertible {
    let secret: KeptSecret
    let holders: [SecretHolder]
    /// The rotation that is under way.
    var rotation: SecretRotation?
    let now: Timestamp

    public var json: JSONValue {
        let age = secret.writtenAt.map { max(0, (now - $0).microseconds / 1_000_000) }
        let due = secret.dueAt
        return [
            "path": .string(secret.path.description), "scope": .string(secret.path.scope.rawValue),
            "owner": .of(secret.path.owner), "name": .string(secret.path.name), "version": secret.version.json,
            "age": .of(age), "createdAt": secret.createdAt.json, "updatedAt": secret.updatedAt.json,
            "holders": .list(holders),
            "rotation": [
                "dueAt": .of(due), "due": .bool(due.map { $0 <= now } ?? false),
                "state": .of(rotation?.state.rawValue),
            ],
        ]
    }
}
