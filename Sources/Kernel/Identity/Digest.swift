import Crypto

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
}
