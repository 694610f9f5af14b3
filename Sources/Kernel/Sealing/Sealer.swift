import Crypto
import Foundation

/// What a sealed value is for. It opens only under the same context, so that nobody can put one in another's place.
public struct SealContext: Sendable, Equatable {
    public let path: String
    public let version: Int
    public let field: String

    public init(path: String, version: Int, field: String) {
        (self.path, self.version, self.field) = (path, version, field)
    }

    /// Each part behind its length, so that two contexts never have the same bytes.
    var bytes: [UInt8] {
        [path, String(version), field].flatMap { part in
            withUnsafeBytes(of: UInt32(part.utf8.count).bigEndian, Array.init) + Array(part.utf8)
        }
    }
}

/// Seals values with AES-256-GCM (NIST SP 800-38D). Each has a key of its own, which the master key seals: when that
/// changes, only the small part is sealed anew (``rewrap(_:_:)``).
///
/// `1 | master version, 4 | check of the master key, 8 | nonce, 12 | sealed key, 32 | tag, 16 | nonce, 12 | sealed
/// value | tag, 16`: numbers are big-endian. The context, and the part before the sealed key, are authenticated.
public struct Sealer: Sendable {
    /// Bytes of a value.
    public static let valueMax = 1 << 20
    private static let format: UInt8 = 1
    private static let nonceBytes = 12
    private static let tagBytes = 16
    private static let headBytes = 5 + MasterKey.checkBytes
    private static let keyBytes = nonceBytes + MasterKey.byteCount + tagBytes

    private let ring: MasterKeyRing
    private let entropy: any Entropy

    public init(ring: MasterKeyRing, entropy: any Entropy) {
        (self.ring, self.entropy) = (ring, entropy)
    }

    /// The version that new values are sealed with.
    public var version: Int { ring.current.version }

    public func seal(_ value: SecretBytes, _ context: SealContext) throws -> [UInt8] {
        guard value.count <= Self.valueMax else {
            throw Problem.invalid("value", "at most \(Self.valueMax) bytes can be sealed")
        }
        var key = entropy.bytes(MasterKey.byteCount)
        let dataKey = SecretBytes(taking: &key)
        let head = Self.head(ring.current)
        let wrapped = try box(dataKey, with: ring.current.symmetric, Self.keyContext(head, context))
        let sealed = try box(value, with: Self.symmetric(dataKey), Self.dataContext(context))
        return head + wrapped + sealed
    }

    /// - Throws: ``ProblemCode/masterKey`` where the version that sealed it is not there or is another key,
    ///   ``ProblemCode/sealBroken`` where it is not what was sealed under this context.
    public func open(_ sealed: [UInt8], _ context: SealContext) throws -> SecretBytes {
        let dataKey = try dataKey(sealed, context)
        return try unbox(
            sealed[(Self.headBytes + Self.keyBytes)...], with: Self.symmetric(dataKey), Self.dataContext(context),
            context)
    }

    /// The same value under the newest master key. It is not opened for that.
    public func rewrap(_ sealed: [UInt8], _ context: SealContext) throws -> [UInt8] {
        let dataKey = try dataKey(sealed, context)
        let head = Self.head(ring.current)
        let wrapped = try box(dataKey, with: ring.current.symmetric, Self.keyContext(head, context))
        return head + wrapped + sealed[(Self.headBytes + Self.keyBytes)...]
    }

    /// The version of the master key that a value was sealed with; `nil` for what is no sealed value.
    public static func masterVersion(of sealed: [UInt8]) -> Int? {
        guard sealed.count >= headBytes + keyBytes + nonceBytes + tagBytes, sealed[0] == format else { return nil }
        return sealed[1..<5].reduce(0) { $0 << 8 | Int($1) }
    }

    private func dataKey(_ sealed: [UInt8], _ context: SealContext) throws -> SecretBytes {
        guard let version = Self.masterVersion(of: sealed) else { throw Self.broken(context) }
        guard let master = ring[version] else {
            throw Problem(
                .masterKey, "\(context.path) is sealed with version \(version) of the master key, which is not there.",
                hint: "Add that version to the master key.")
        }
        let head = Array(sealed[..<Self.headBytes])
        guard Array(head[5...]) == master.check else {
            throw Problem(
                .masterKey, "\(context.path) is sealed with another key than version \(version) of the master key.",
                hint: "Put the key back that was version \(version). A new one cannot open what the old one sealed.")
        }
        return try unbox(
            sealed[Self.headBytes..<Self.headBytes + Self.keyBytes], with: master.symmetric,
            Self.keyContext(head, context), context)
    }

    // MARK: parts

    private static func head(_ key: MasterKey) -> [UInt8] {
        [format] + withUnsafeBytes(of: UInt32(key.version).bigEndian, Array.init) + key.check
    }

    private static func keyContext(_ head: [UInt8], _ context: SealContext) -> [UInt8] {
        Array("reeve sealed key".utf8) + head + context.bytes
    }

    private static func dataContext(_ context: SealContext) -> [UInt8] {
        Array("reeve sealed value".utf8) + context.bytes
    }

    private static func symmetric(_ key: SecretBytes) -> SymmetricKey { key.withBytes { SymmetricKey(data: $0) } }

    private func box(_ value: SecretBytes, with key: SymmetricKey, _ context: [UInt8]) throws -> [UInt8] {
        let nonce = try AES.GCM.Nonce(data: entropy.bytes(Self.nonceBytes))
        let box = try value.withBytes { try AES.GCM.seal($0, using: key, nonce: nonce, authenticating: context) }
        return Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
    }

    private func unbox(
        _ bytes: ArraySlice<UInt8>, with key: SymmetricKey, _ associated: [UInt8], _ context: SealContext
    ) throws -> SecretBytes {
        do {
            let box = try AES.GCM.SealedBox(
                nonce: AES.GCM.Nonce(data: bytes.prefix(Self.nonceBytes)),
                ciphertext: bytes.dropFirst(Self.nonceBytes).dropLast(Self.tagBytes),
                tag: bytes.suffix(Self.tagBytes))
            var opened = try AES.GCM.open(box, using: key, authenticating: associated)
            return SecretBytes(taking: &opened)
        } catch {
            throw Self.broken(context)
        }
    }

    private static func broken(_ context: SealContext) -> Problem {
        Problem(
            .sealBroken, "Version \(context.version) of \(context.path) is not as it was sealed, so it was not opened.",
            hint: "The store was changed behind Reeve's back or is damaged. Restore it, or write the secret anew.")
    }
}
