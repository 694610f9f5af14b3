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

        public var hasOwner: Bool { self == .user || self == .project }
    }

    /// Characters of an owner, and of a name.
    public static let partMax = 128
    /// What addresses have behind a path.
    static let reserved: Set<String> = ["grants", "leases", "rotation", "value"]

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
    public init(stored text: String) {
        let parts = text.split(separator: "/").map(String.init)
        guard let scope = parts.first.flatMap(Scope.init(rawValue:)), let name = parts.last else {
            preconditionFailure("a path that the table refuses")
        }
        (self.scope, self.name) = (scope, name)
        owner = parts.count > 2 ? parts[1] : nil
    }

    /// Whether a text may stand as an owner or a name.
    public static func isPart(_ text: String) -> Bool {
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

/// A secret by its name, never by its value: `secret://user/OWNER/NAME`, `secret://project/OWNER/NAME`,
/// `secret://org/NAME` or `secret://platform/NAME`.
public struct SecretReference: Sendable, Hashable, CustomStringConvertible {
    public static let scheme = "secret://"

    public let path: SecretPath

    public init(path: SecretPath) { self.path = path }

    /// `nil` for a text that is no reference.
    public init?(_ text: String) {
        guard text.hasPrefix(Self.scheme), let path = try? SecretPath(String(text.dropFirst(Self.scheme.count))) else {
            return nil
        }
        self.path = path
    }

    public var description: String { Self.scheme + path.description }
}
