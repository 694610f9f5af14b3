import Kernel

/// Stands for secrets, so that it is known whether one is still the same, and nothing else of it: a short one could be
/// guessed from its plain digest by whoever reads the store.
struct FileChangeVeil: Sendable {
    /// Of a key in the store.
    static let keyBytes = 32
    private static let secretMark = "secret "
    /// Hexadecimal digits that are kept of a secret.
    private static let digits = 32

    /// The database's own: what two databases keep of the same secret is not the same.
    let key: [UInt8]

    func hidden(_ value: JSONValue) -> JSONValue {
        .string(Self.secretMark + Digest.keyed(value.text, key: key).prefix(Self.digits))
    }

    /// How a text is told to people.
    static func shown(_ text: String) -> String { text.hasPrefix(secretMark) ? "(not shown)" : text }
}
