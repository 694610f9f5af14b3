import Foundation
import Kernel
import Synchronization

/// Keeps ledgers across restarts, as a document in a file that is replaced as a whole.
///
/// A ledger is kept with the entry of the spool that it goes up to, and counts as received what became something by
/// then: what waited comes out of the spool once more. A crash loses what was refused or shed since the last time.
final class LedgerFile: Sendable {
    private let path: String
    private let written = Mutex<[UInt8]>([])

    init(path: String) { self.path = path }

    /// What an earlier process left: nothing where there is no file, or one that cannot be read, which is told of.
    func load(_ onWarning: (String) -> Void) -> (ledgers: TelemetryLedgers, entry: Int64) {
        guard let bytes = FileManager.default.contents(atPath: path) else { return (TelemetryLedgers(), 0) }
        do {
            let document = try JSONParser.parse(Array(bytes))
            return (TelemetryLedgers(document["items"] ?? .null), document["entry"]?.int ?? 0)
        } catch {
            onWarning("\(path) cannot be read, so the ledger begins anew: \(error)")
            return (TelemetryLedgers(), 0)
        }
    }

    /// Writes what changed, and syncs it.
    func keep(_ ledgers: TelemetryLedgers, through entry: Int64) throws {
        let document: JSONValue = ["entry": .int(entry), "items": ledgers.settled.json]
        let bytes = Array(document.text.utf8)
        try written.withLock { written in
            guard written != bytes else { return }
            try DurableFile.write(bytes, to: path)
            written = bytes
        }
    }
}
