import Kernel

/// Lets whoever evaluated in bulk listen for changes, without a header: browsers' EventSource can send none.
///
/// It stands in an address, so it is good for an hour at most and for that one stream alone, which tells *that* flags
/// changed and nothing of them. All tickets of a key and of half an hour are the same, so that they spoil no ETag.
struct FlagTicket: Sendable {
    /// Half of the time that a ticket is good for.
    static let window = Span.minutes(30)
    private static let separator: Character = "."

    /// What is signed.
    let payload: String

    init(keyID: String, at now: Timestamp) {
        let end = (now.microseconds / Self.window.microseconds + 2) * Self.window.microseconds / 1_000_000
        payload = "\(keyID)\(Self.separator)\(end)"
    }

    func text(secret: String) -> String { "\(payload)\(Self.separator)\(Self.signature(payload, secret))" }

    private static func signature(_ payload: String, _ secret: String) -> String {
        Digest.keyed("flags.stream \(payload)", key: Array(secret.utf8))
    }

    /// Whose it is; `nil` where it is none, or past its time.
    static func keyID(of text: String, secret: String, at now: Timestamp) -> String? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false).map(String.init)
        guard !secret.isEmpty, text.utf8.count <= 512, parts.count == 3, let end = Int64(parts[1]) else { return nil }
        let (wanted, given) = (Array(signature("\(parts[0]).\(parts[1])", secret).utf8), Array(parts[2].utf8))
        // In the same time wherever they differ, so that nobody finds a signature byte by byte.
        guard wanted.count == given.count, zip(wanted, given).reduce(0, { $0 | ($1.0 ^ $1.1) }) == 0 else { return nil }
        return Timestamp(microseconds: 0) + .seconds(end) > now ? parts[0] : nil
    }
}
