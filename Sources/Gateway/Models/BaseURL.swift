import Kernel

/// Where a provider's API begins, such as `https://api.openai.com/v1`: scheme, host, port and a path.
struct BaseURL: Sendable, Equatable {
    var isTLS: Bool
    /// Without brackets, also for an IPv6 address.
    var host: String
    var port: Int
    /// Empty, or `/…` without a slash at its end. May hold ``modelPlaceholder``.
    var path: String

    /// Stands for the model in addresses that name it (Azure's deployments).
    static let modelPlaceholder = "{model}"

    /// The value of the header `Host` (RFC 9110 §7.2): the port only where it is not the scheme's own.
    var authority: String {
        let name = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
        return port == (isTLS ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// Of a name or an IPv4 address that is known to be one.
    init(isTLS: Bool, host: String, port: Int, path: String) {
        self.isTLS = isTLS
        self.host = host
        self.port = port
        self.path = path
    }

    /// Reads an address of RFC 3986 in the narrow form that a provider's has: no user, query or fragment.
    init(_ text: String, field: String) throws {
        guard text.utf8.count <= GatewayLimits.urlCharacters else {
            throw Problem.invalid(field, "at most \(GatewayLimits.urlCharacters) characters are allowed")
        }
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"\\\"<>^`|".utf8.contains($0) }
        guard isPlain else {
            throw Problem.invalid(field, "an address such as https://api.openai.com/v1 is expected")
        }
        let lower = text.lowercased()
        guard lower.hasPrefix("http://") || lower.hasPrefix("https://") else {
            throw Problem.invalid(field, "it must begin with http:// or https://")
        }
        isTLS = lower.hasPrefix("https://")
        let rest = text.dropFirst(isTLS ? 8 : 7)
        guard !rest.contains("?"), !rest.contains("#") else {
            throw Problem.invalid(
                field, "it may contain no query or fragment", hint: "Put parameters of the query under `query`.")
        }
        let authority = rest.prefix { $0 != "/" }
        guard !authority.contains("@") else {
            throw Problem.invalid(
                field, "it may contain no user or password", hint: "Put the key into a file, and name it in apiKeyFile."
            )
        }
        (host, port) = try Self.hostAndPort(authority, isTLS: isTLS, field: field)
        var path = rest.dropFirst(authority.count)
        while path.last == "/" { path.removeLast() }
        self.path = String(path)
        let bare = self.path.replacing(Self.modelPlaceholder, with: "")
        guard !bare.contains("{"), !bare.contains("}"), !bare.split(separator: "/").contains("..") else {
            throw Problem.invalid(field, "its path may contain \(Self.modelPlaceholder), but no other braces and no ..")
        }
    }

    private static func hostAndPort(
        _ authority: Substring, isTLS: Bool, field: String
    ) throws -> (host: String, port: Int) {
        var host = authority
        var portText: Substring?
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { throw noHost(field) }
            host = authority[authority.index(after: authority.startIndex)..<end]
            let behind = authority[authority.index(after: end)...]
            guard behind.isEmpty || behind.first == ":" else { throw noHost(field) }
            if !behind.isEmpty { portText = behind.dropFirst() }
            let isAddress = host.utf8.allSatisfy { byte in
                Unicode.Scalar(byte).properties.isASCIIHexDigit || ":.".utf8.contains(byte)
            }
            guard isAddress, host.contains(":") else { throw noHost(field) }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                host = authority[..<colon]
                portText = authority[authority.index(after: colon)...]
            }
            let isName = host.utf8.allSatisfy { byte in
                Unicode.Scalar(byte).properties.isAlphabetic || (48...57).contains(byte) || "-._".utf8.contains(byte)
            }
            guard isName, !host.isEmpty else { throw noHost(field) }
        }
        guard let portText else { return (host.lowercased(), isTLS ? 443 : 80) }
        let isDecimal = portText.utf8.allSatisfy { (48...57).contains($0) }
        guard isDecimal, let port = Int(portText), (1...65_535).contains(port)
        else { throw Problem.invalid(field, "the port must be 1 to 65535") }
        return (host.lowercased(), port)
    }

    private static func noHost(_ field: String) -> Problem { .invalid(field, "it names no host") }
}
