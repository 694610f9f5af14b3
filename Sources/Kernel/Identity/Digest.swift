import Crypto
import Foundation

/// SHA-256 (FIPS 180-4) as lower-case hexadecimal: blobs, keys and the audit chain are named by it.
public enum Digest {
    public static func sha256(_ bytes: some Sequence<UInt8>) -> String {
        Hexadecimal.encode(SHA256.hash(data: Array(bytes)))
    }

    /// The same without a copy, as content may have many megabytes.
    public static func sha256(_ bytes: [UInt8]) -> String {
        var hash = SHA256()
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return Hexadecimal.encode(hash.finalize())
    }

    /// The first eight bytes of it, for what is looked up and compared in full afterwards.
    public static func word(_ bytes: [UInt8]) -> UInt64 {
        SHA256.hash(data: bytes).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The first sixteen bytes of it over a key and bytes behind it, for names that nobody outside can foresee.
    public static func words(_ bytes: UnsafeRawBufferPointer, key: [UInt8]) -> (high: UInt64, low: UInt64) {
        var hash = SHA256()
        hash.update(data: key)
        hash.update(bufferPointer: bytes)
        return hash.finalize().withUnsafeBytes { digest in
            (
                UInt64(bigEndian: digest.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    public static func sha256(_ text: String) -> String { sha256(text.utf8) }

    /// Of a file, a piece at a time.
    public static func sha256(ofFile path: String) throws -> String {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? file.close() }
        var hash = SHA256()
        while let piece = try file.read(upToCount: 1 << 20), !piece.isEmpty { hash.update(data: piece) }
        return Hexadecimal.encode(hash.finalize())
    }

    /// HMAC-SHA-256 (RFC 2104): names a text to those who have the key, and tells nothing to others, who could else
    /// try what the text may be.
    public static func keyed(_ text: String, key: [UInt8]) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key))
        return Hexadecimal.encode(code)
    }
}
