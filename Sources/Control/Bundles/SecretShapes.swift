import Kernel

/// Tells secrets from other text by their shape. What knows the shapes is handed in, as it stands in another room.
public struct SecretShapes: Sendable {
    /// What the first secret in a line is, such as `openai_key`; `nil` where there is none.
    public let first: @Sendable (String) -> String?

    public init(first: @escaping @Sendable (String) -> String?) {
        self.first = first
    }
}

/// A secret by its name, never by its value: `secret://scope/owner/name`.
public struct SecretReference: Sendable, Equatable {
    public enum Scope: String, Sendable, CaseIterable {
        case user, org, project, platform
    }

    public static let scheme = "secret://"

    public let scope: Scope
    /// `nil` for what belongs to the organisation or to the platform.
    public let owner: String?
    public let name: String

    /// `nil` for a text that is no reference.
    public init?(_ text: String) {
        guard text.hasPrefix(Self.scheme), text.utf8.count <= RelativePath.bytesMax else { return nil }
        let parts = text.dropFirst(Self.scheme.count).split(separator: "/", omittingEmptySubsequences: false)
        guard let scope = parts.first.flatMap({ Scope(rawValue: String($0)) }) else { return nil }
        let rest = parts.dropFirst().map(String.init)
        let isOwned = scope == .user || scope == .project
        guard rest.count == 2 || (rest.count == 1 && !isOwned), rest.allSatisfy(Self.isName) else { return nil }
        self.scope = scope
        owner = rest.count == 2 ? rest[0] : nil
        name = rest[rest.count - 1]
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.first != "."
            && text.unicodeScalars.allSatisfy {
                $0.isASCII
                    && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "-_.@".unicodeScalars.contains($0))
            }
    }
}
