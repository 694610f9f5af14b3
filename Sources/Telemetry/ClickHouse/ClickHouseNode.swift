import Foundation
import Kernel

/// Who this Reeve is among those that write into the same ClickHouse, and how far its spool is there.
///
/// A spool's entries are numbered within its folder; with the folder's own name a number is one of all. The file is
/// what stays when the spool is empty.
struct ClickHouseNode: Sendable {
    private static let nameBytes = 12

    let name: String
    /// The entry that was kept last when the file was written.
    let entry: Int64
    private let path: String

    /// - Parameter folder: That of all telemetry, made where it is absent.
    init(folder: String, entropy: any Entropy) throws {
        try DurableFile.makeFolder(folder)
        path = "\(folder)/clickhouse"
        let words = (FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? "")
            .split(separator: " ")
        if words.count == 2, let entry = Int64(words[1].trimmingCharacters(in: .whitespacesAndNewlines)) {
            (name, self.entry) = (String(words[0]), entry)
        } else {
            (name, entry) = (Hexadecimal.encode(entropy.bytes(Self.nameBytes)), 0)
            try keep(0)
        }
    }

    /// Says how far the spool is in the store.
    func keep(_ entry: Int64) throws { try DurableFile.write(Array("\(name) \(entry)\n".utf8), to: path) }
}
