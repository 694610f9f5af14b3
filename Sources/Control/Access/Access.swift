import Kernel

/// A key as its list shows it: who may come, as what, since when. The secret itself is not kept, only its SHA-256.
public struct AccessKey: Sendable, Equatable, Identified {
    public static let idPrefix = "key"

    public let id: Identifier<AccessKey>
    public let role: Role
    public let name: String
    /// The agent that the key is bound to; present for the role `agent` and only there.
    public let agent: String?
    public let createdAt: Timestamp
    /// The actor who made it.
    public let createdBy: String
    /// The last request with it, written down some seconds late.
    public let lastUsedAt: Timestamp?
    public let revokedAt: Timestamp?
    /// When it ends, as another one took its place; ``retiresUnused`` may put that off.
    public internal(set) var retiresAt: Timestamp?
    /// For how long nobody may have used it when it ends; `nil` where it ends at its time, used or not.
    public internal(set) var retiresUnused: Span?
    /// The key that took its place.
    public internal(set) var replacedBy: String?

    public var principal: Principal { Principal(keyID: id.text, name: name, role: role, agent: agent) }
}

extension AccessKey: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject()
        object["id"] = id.json
        object["role"] = .string(role.rawValue)
        object["name"] = .string(name)
        object["agent"] = .of(agent)
        object["createdAt"] = createdAt.json
        object["createdBy"] = .string(createdBy)
        object["lastUsedAt"] = .of(lastUsedAt)
        object["revokedAt"] = .of(revokedAt)
        object["retiresAt"] = .of(retiresAt)
        object["replacedBy"] = .of(replacedBy)
        return .object(object)
    }
}

/// A new key with its secret, on its way to whoever asked for it. Never stored, never logged.
public struct IssuedKey: Sendable {
    public let key: AccessKey
    /// `reeve_<role>_<40 hexadecimal digits>`.
    public let secret: String
}

/// The secrets of access: how they are made, and what a client may have sent.
enum Secret {
    private static let keyBytes = 20
    private static let tokenBytes = 32
    /// Longer than any key, so that no client makes Reeve hash a megabyte.
    private static let keyLengthMax = 80

    /// A key's text: the role is there for people, 160 random bits are what counts.
    static func key(_ role: Role, entropy: any Entropy) -> String {
        "reeve_\(role.rawValue)_\(Hexadecimal.encode(entropy.bytes(keyBytes)))"
    }

    /// A session's or login link's text: 256 random bits.
    static func token(entropy: any Entropy) -> String { Hexadecimal.encode(entropy.bytes(tokenBytes)) }

    /// Whether a text can be a key at all; saves the store from rubbish.
    static func isKey(_ text: String) -> Bool {
        text.utf8.count <= keyLengthMax && text.hasPrefix("reeve_")
    }

    static func isToken(_ text: String) -> Bool {
        text.utf8.count == tokenBytes * 2 && text.utf8.allSatisfy(Hexadecimal.isDigit)
    }
}

/// What a request brought to show who sends it.
public enum Credential: Sendable, Equatable {
    /// A key, from any of the headers that carry one.
    case key(String)
    /// A browser's session, from its cookie.
    case session(String)

    /// The name of the cookie that carries a session.
    public static let cookieName = "reeve_session"

    /// What the store and the memory know it by; `nil` for what cannot be one.
    var fingerprint: String? {
        switch self {
        case .key(let text): Secret.isKey(text) ? Digest.sha256(text) : nil
        case .session(let text): Secret.isToken(text) ? Digest.sha256(text) : nil
        }
    }
}

/// A one-time way in for a browser.
public struct LoginLink: Sendable {
    /// Never stored, never logged.
    public let token: String
    public let expiresAt: Timestamp

    /// The path and query to open.
    public var location: String { "/login?token=\(token)" }
}

extension ProblemCode {
    /// A browser's request that another site may have made it send.
    public static let csrf = ProblemCode("csrf", 403, "The request does not come from this site")
    /// The change would lock everybody out.
    public static let lastAdminKey = ProblemCode("last_admin_key", 409, "This is the last admin key")
}
