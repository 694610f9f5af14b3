import Foundation
import Kernel

/// Where a ClickHouse is: `clickhouse://user:password@host:port/database`, `clickhouses://` or `?secure=1` over TLS.
public struct ClickHouseAddress: Sendable, Equatable {
    public static let schemes = ["clickhouse", "clickhouses"]
    /// The ports of ClickHouse's HTTP interface (ClickHouse documentation, "HTTP Interface").
    static let ports = (plain: 8_123, secure: 8_443)

    public let host: String
    public let port: Int
    public let isSecure: Bool
    public let user: String
    let password: String
    public let database: String

    /// - Throws: ``Problem``, in words for whoever wrote the address and without its password.
    public init(_ text: String) throws {
        guard let parts = URLComponents(string: text), let scheme = parts.scheme, Self.schemes.contains(scheme),
            let host = parts.host, !host.isEmpty
        else {
            throw Problem(
                .invalidSettings, "The address of ClickHouse cannot be read.",
                hint: "It looks like clickhouse://user:password@host:8123/database; "
                    + "what is no letter or digit in a password is percent-encoded.")
        }
        for item in parts.queryItems ?? [] where item.name != "secure" || !["0", "1"].contains(item.value ?? "") {
            throw Problem(
                .invalidSettings, "The address of ClickHouse has `\(item.name)`, which is not known there.",
                hint: "Only `secure=1` or `secure=0` may stand behind its question mark.")
        }
        let path = parts.path.split(separator: "/").map(String.init)
        guard path.count <= 1 else {
            throw Problem(
                .invalidSettings, "The address of ClickHouse names more than a database.",
                hint: "Behind the host and the port stands one name, such as /reeve.")
        }
        let asked = parts.queryItems?.last { $0.name == "secure" }?.value
        isSecure = asked.map { $0 == "1" } ?? (scheme == "clickhouses")
        self.host = host
        port = parts.port ?? (isSecure ? Self.ports.secure : Self.ports.plain)
        user = parts.user ?? "default"
        password = parts.password ?? ""
        database = path.first ?? "default"
    }

    /// The address of its HTTP interface.
    public var url: String { "\(isSecure ? "https" : "http")://\(host.contains(":") ? "[\(bare)]" : host):\(port)/" }

    private var bare: String { host.trimmingCharacters(in: CharacterSet(charactersIn: "[]")) }
}

extension ClickHouseAddress: CustomStringConvertible, CustomDebugStringConvertible {
    /// Without the password.
    public var description: String { "clickhouse\(isSecure ? "s" : "")://\(user)@\(host):\(port)/\(database)" }
    public var debugDescription: String { description }
}
