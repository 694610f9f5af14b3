import Kernel

/// Where a secret lives: `user/<owner>/<name>`, `project/<owner>/<name>`, `org/<name>` or `platform/<name>`.
public struct SecretPath: Sendable, Hashable, CustomStringConvertible {
    public enum Scope: String, Sendable, CaseIterable {
        /// A person's own.
        case user
        /// The whole organisation's.
        case org
        /// A project's.
        case project
        /// Of whoever runs Reeve.
        case platform

        var hasOwner: Bool { self == .user || self == .project }
    }

    /// Characters of an owner, and of a name.
    public static let partMax = 128
    /// What addresses have behind a path.
    static let reserved: Set<String> = ["grants", "value", "rotation"]

    public let scope: Scope
    public let owner: String?
    public let name: String

    /// A path from outside.
    public init(_ text: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let scope = parts.first.flatMap(Scope.init(rawValue:)), parts.count == (scope.hasOwner ? 3 : 2),
            parts.dropFirst().allSatisfy(Self.isPart), let name = parts.last, !Self.reserved.contains(name)
        else {
            throw Problem.invalid(
                "path", "\"\(text.prefix(200))\" is no path of a secret",
                hint: "It is user/<owner>/<name>, project/<owner>/<name>, org/<name> or platform/<name>; a part has "
                    + "1 to \(Self.partMax) letters, digits and . _ @ + - characters.")
        }
        (self.scope, self.name) = (scope, name)
        owner = scope.hasOwner ? parts[1] : nil
    }

    /// A path from our own store.
    init(stored text: String) {
        let parts = text.split(separator: "/").map(String.init)
        guard let scope = parts.first.flatMap(Scope.init(rawValue:)), let name = parts.last else {
            preconditionFailure("a path that the table refuses")
        }
        (self.scope, self.name) = (scope, name)
        owner = parts.count > 2 ? parts[1] : nil
    }

    private static func isPart(_ text: String) -> Bool {
        (1...partMax).contains(text.utf8.count) && text != "." && text != ".."
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122: true
                default: "._@+-".utf8.contains(byte)
                }
            }
    }

    public var description: String { [scope.rawValue, owner, name].compactMap(\.self).joined(separator: "/") }
}

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

    public var json: JSONValue {
        [
            "actor": .string(actor), "agent": .of(agent), "version": .of(version), "lastUsedAt": .of(lastUsedAt),
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
