import Kernel

/// One administrative act as the audit log keeps it. Rows are added, never changed, and each names the one before it.
public struct AuditEntry: Sendable, Equatable {
    /// 1, 2, 3… without a gap.
    public let number: Int64
    public let at: Timestamp
    /// `noun.verb`, such as `key.created`.
    public let action: String
    /// Who did it, as ``Principal/actor`` names them.
    public let actor: String
    /// The key that it was done with.
    public let keyID: String
    /// What it was done to.
    public let target: String
    /// Further facts as compact JSON; never a secret.
    public let detail: String
    /// The hash of the entry before; ``AuditEntry/genesis`` for the first one.
    public let previous: String
    /// SHA-256 over ``canonicalText``.
    public let hash: String

    /// What the first entry names as its predecessor.
    public static let genesis = String(repeating: "0", count: 64)

    /// The text that is hashed: the predecessor's hash, a line feed, then the row's fields as a compact JSON array.
    ///
    /// Every field is a string there, so that the text does not depend on how numbers are written.
    static func canonicalText(
        number: Int64, at: Timestamp, action: String, actor: String, keyID: String, target: String, detail: String,
        previous: String
    ) -> String {
        let fields = [String(number), String(at.microseconds), action, actor, keyID, target, detail]
        return previous + "\n" + JSONValue.list(fields).text
    }

    /// Makes the entry behind `previous`.
    init(
        number: Int64, at: Timestamp, action: String, actor: String, keyID: String, target: String, detail: String,
        previous: String
    ) {
        let text = Self.canonicalText(
            number: number, at: at, action: action, actor: actor, keyID: keyID, target: target, detail: detail,
            previous: previous)
        self.init(
            number: number, at: at, action: action, actor: actor, keyID: keyID, target: target, detail: detail,
            previous: previous, hash: Digest.sha256(text))
    }

    /// An entry as the store has it, whose hash is yet to be trusted.
    init(
        number: Int64, at: Timestamp, action: String, actor: String, keyID: String, target: String, detail: String,
        previous: String, hash: String
    ) {
        self.number = number
        self.at = at
        self.action = action
        self.actor = actor
        self.keyID = keyID
        self.target = target
        self.detail = detail
        self.previous = previous
        self.hash = hash
    }

    /// Whether the row is as it was written, and stands right behind `number` and `hash`.
    func follows(number: Int64, hash: String) -> Bool {
        guard self.number == number + 1, previous == hash else { return false }
        let text = Self.canonicalText(
            number: self.number, at: at, action: action, actor: actor, keyID: keyID, target: target, detail: detail,
            previous: previous)
        return Digest.sha256(text) == self.hash
    }
}

extension AuditEntry: JSONConvertible {
    public var json: JSONValue {
        [
            "number": .int(number), "at": at.json, "action": .string(action), "actor": .string(actor),
            "keyId": .string(keyID), "target": .string(target),
            "detail": (try? JSONParser.parse(detail, depthMax: Limits.jsonDepthStored)) ?? .string(detail),
            "previous": .string(previous), "hash": .string(hash),
        ]
    }
}

/// What a walk along the whole chain found.
public struct AuditReport: Sendable, Equatable, JSONConvertible {
    public let isValid: Bool
    /// Rows that were checked.
    public let rows: Int64
    /// The number of the first row that is not as it was written, or that is missing.
    public let brokenAt: Int64?
    /// The hash of the last good row. Noted elsewhere, it also proves that no row was cut off at the end.
    public let head: String

    public var json: JSONValue {
        var object = JSONObject()
        object["valid"] = .bool(isValid)
        object["rows"] = .int(rows)
        if let brokenAt { object["brokenAt"] = .int(brokenAt) }
        object["head"] = .string(head)
        return .object(object)
    }
}
