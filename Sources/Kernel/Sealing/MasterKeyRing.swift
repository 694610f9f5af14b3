import Crypto
import Foundation

/// A key that seals the keys of secrets, and nothing else.
public struct MasterKey: Sendable {
    /// AES-256.
    public static let byteCount = 32
    static let checkBytes = 8

    /// 1, 2, 3…: which of several it is.
    public let version: Int
    let bytes: SecretBytes

    init(version: Int, bytes: SecretBytes) {
        (self.version, self.bytes) = (version, bytes)
    }

    var symmetric: SymmetricKey { bytes.withBytes { SymmetricKey(data: $0) } }

    /// Tells one key from another and nothing about it: stands in what it seals, so that a wrong key is named as such.
    var check: [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array("reeve master key".utf8), using: symmetric))
            .prefix(Self.checkBytes).map(\.self)
    }
}

/// Master keys by their versions. The newest one seals; older ones still open what they sealed.
public struct MasterKeyRing: Sendable {
    public static let versionMax = 1_000_000
    public static let keysMax = 100

    private let keys: [Int: MasterKey]
    public let current: MasterKey

    /// Reads the text of a master key: a line `<version> <64 hexadecimal digits>` for each version. A text of the
    /// digits alone, or of 32 bytes in Base64, is version 1. Empty lines and those with `#` do not count.
    ///
    /// - Parameter place: Where the text is from, for messages.
    public init(_ text: SecretBytes, from place: String) throws {
        let lines = text.withBytes { bytes in
            bytes.split { $0 == 0x0A || $0 == 0x0D }.map { $0.split { $0 == 0x20 || $0 == 0x09 }.map(Array.init) }
                .filter { $0.first.map { $0.first != UInt8(ascii: "#") } ?? false }
        }
        var keys: [Int: MasterKey] = [:]
        for words in lines {
            guard lines.count <= Self.keysMax, let key = Self.key(words, isAlone: lines.count == 1),
                keys.updateValue(key, forKey: key.version) == nil
            else {
                throw Problem(
                    .masterKey, "\(place) holds no master key that Reeve can read.",
                    hint: "It has a line \"<version> <64 hexadecimal digits>\" for each version, each version once.")
            }
        }
        guard let newest = keys.keys.max(), let current = keys[newest] else {
            throw Problem(
                .masterKey, "\(place) holds no master key: it is empty.",
                hint: "It has a line \"<version> <64 hexadecimal digits>\" for each version.")
        }
        (self.keys, self.current) = (keys, current)
    }

    public var versions: [Int] { keys.keys.sorted() }

    /// What tells each key from others, by its version; nothing of a key can be learnt from it.
    public var fingerprints: [Int: String] { keys.mapValues { Hexadecimal.encode($0.check) } }

    subscript(version: Int) -> MasterKey? { keys[version] }

    private static func key(_ words: [[UInt8]], isAlone: Bool) -> MasterKey? {
        guard let last = words.last, words.count == 2 || words.count == 1 && isAlone else { return nil }
        var version = 1
        if words.count == 2 {
            guard let number = Int(String(decoding: words[0], as: UTF8.self)), (1...versionMax).contains(number) else {
                return nil
            }
            version = number
        }
        var bytes =
            last.count == 2 * MasterKey.byteCount ? Hexadecimal.decode(String(decoding: last, as: UTF8.self)) : nil
        bytes = bytes ?? Data(base64Encoded: Data(last)).map { Array($0) }
        guard var bytes, bytes.count == MasterKey.byteCount else { return nil }
        return MasterKey(version: version, bytes: SecretBytes(taking: &bytes))
    }
}

extension ProblemCode {
    /// Nothing can be sealed or opened.
    public static let masterKey = ProblemCode("master_key", 503, "The master key of secrets is not there")
    /// What was sealed is no longer what it was.
    public static let sealBroken = ProblemCode("seal_broken", 500, "A sealed value cannot be opened")
}
