import Crypto

/// SHA-256 (FIPS 180-4) as lower-case hexadecimal: blobs, keys and the audit chain are named by it.
public enum Digest {
    public static func sha256(_ bytes: some Sequence<UInt8>) -> String {
        Hexadecimal.encode(SHA256.hash(data: Array(bytes)))
    }

    public static func sha256(_ text: String) -> String { sha256(text.utf8) }
}
