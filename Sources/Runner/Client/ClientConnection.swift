import Foundation
import Kernel

/// Where the server is, and with which key: flags before the environment before what lies in the data directory.
public struct ClientConnection: Sendable, Equatable {
    public static let urlDefault = "http://127.0.0.1:7070"

    public let url: String
    public let key: String

    /// Throws ``ClientFailure/noKey(_:)`` where there is none. `readFile` answers `nil` for a file that cannot be read.
    public static func resolve(
        url: String?, key: String?, dataDirectory: String?, environment: [String: String],
        readFile: (String) -> String? = { try? String(contentsOfFile: $0, encoding: .utf8) }
    ) throws -> ClientConnection {
        let url = url ?? environment["REEVE_URL"].flatMap { $0.isEmpty ? nil : $0 } ?? urlDefault
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw ClientFailure.unreadable("\"\(url)\" is not an address that begins with http:// or https://")
        }
        if let key = key ?? environment["REEVE_KEY"], !key.isEmpty { return ClientConnection(url: url, key: key) }
        // A key that merely lies about is not sent to another machine.
        guard dataDirectory != nil || isLocal(url) else {
            throw ClientFailure.noKey("There is no key for \(url): neither --key nor REEVE_KEY is given.")
        }
        let directory = dataDirectory ?? environment["REEVE_STORAGE_DATA_DIRECTORY"] ?? "./reeve-data"
        let path = "\(directory)/admin.key"
        if let key = readFile(path)?.trimmingCharacters(in: .whitespacesAndNewlines), !key.isEmpty {
            return ClientConnection(url: url, key: key)
        }
        throw ClientFailure.noKey("There is no key: neither --key nor REEVE_KEY is given, and \(path) cannot be read.")
    }

    private static func isLocal(_ url: String) -> Bool {
        guard let host = URLComponents(string: url)?.host else { return false }
        return ["127.0.0.1", "localhost", "::1", "[::1]"].contains(host)
    }
}
