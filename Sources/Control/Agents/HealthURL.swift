import Foundation
import Kernel

/// Where Reeve may ask for an agent's health.
///
/// Reeve calls this address from where it runs, so whoever sets it chooses what Reeve reaches. The rule against misuse:
/// only operators and admins set it (a heartbeat cannot); it is `http` or `https` without a user, password or fragment;
/// it names no link-local, multicast or unspecified address in whatever spelling, as cloud machines keep their
/// credentials at one; no redirect is followed; and nothing of the answer but its status number is shown. Loopback and
/// private networks are allowed: that is where agents live.
public enum HealthURL {
    static let charactersMax = 2_000

    /// The address as it came, or a problem that says what is wrong with it.
    public static func checked(_ text: String, field: String) throws -> String {
        guard text.unicodeScalars.count <= charactersMax else {
            throw Problem.invalid(field, "at most \(charactersMax) characters are allowed")
        }
        let isPrintable = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }
        guard isPrintable, let parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            let host = parts.host, !host.isEmpty
        else {
            throw Problem.invalid(field, "an address such as http://127.0.0.1:8080/health is expected")
        }
        guard scheme == "http" || scheme == "https" else {
            throw Problem.invalid(field, "only http and https are allowed, not \(scheme.prefix(20))")
        }
        guard parts.user == nil, parts.password == nil, !text.contains("@"), parts.fragment == nil else {
            throw Problem.invalid(
                field, "it may contain no user, password or fragment",
                hint: "Let the health address answer without credentials; it says nothing but alive or not.")
        }
        guard parts.port.map((1...65_535).contains) ?? true else {
            throw Problem.invalid(field, "the port must be 1 to 65535")
        }
        guard !isForbidden(host: host) else {
            throw Problem.invalid(
                field, "link-local, multicast and unspecified addresses are not asked",
                hint: "Name the agent's own address.")
        }
        return text
    }

    /// Whether a host is the literal of an address that is never an agent's. Names are not resolved here.
    static func isForbidden(host: String) -> Bool {
        let bare = host.trimmingCharacters(in: ["[", "]"]).split(separator: "%").first.map(String.init) ?? host
        var v6 = in6_addr()
        if inet_pton(AF_INET6, bare, &v6) == 1 {
            return isForbidden(v6: withUnsafeBytes(of: v6) { Array($0) })
        }
        // inet_aton reads 169.254.169.254 in all its spellings, as connecting would: 0xA9FEA9FE, 2852039166, 0251.254…
        var v4 = in_addr()
        if inet_aton(bare, &v4) == 1 { return isForbidden(v4: withUnsafeBytes(of: v4) { Array($0) }) }
        return false
    }

    /// RFC 3927 (169.254/16), RFC 5771 (224/4), RFC 1122 (0/8), and broadcast.
    private static func isForbidden(v4 bytes: [UInt8]) -> Bool {
        bytes[0] == 0 || (bytes[0] == 169 && bytes[1] == 254) || bytes[0] >= 224
    }

    /// RFC 4291: link-local fe80::/10, multicast ff00::/8, unspecified `::`, and IPv4 inside IPv6.
    private static func isForbidden(v6 bytes: [UInt8]) -> Bool {
        if bytes[0] == 0xFE, bytes[1] & 0xC0 == 0x80 { return true }
        if bytes[0] == 0xFF { return true }
        guard bytes[0..<10].allSatisfy({ $0 == 0 }) else {
            // RFC 6052: 64:ff9b::/96 carries an IPv4 address too.
            let isTranslated = bytes[0..<4] == [0, 0x64, 0xFF, 0x9B]
            return isTranslated && isForbidden(v4: Array(bytes[12...]))
        }
        if bytes[10] == 0xFF, bytes[11] == 0xFF { return isForbidden(v4: Array(bytes[12...])) }
        return bytes.allSatisfy { $0 == 0 }
    }
}
