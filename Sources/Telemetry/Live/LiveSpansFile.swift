import Foundation
import Kernel

/// Keeps the spans that run across a restart: the spool has what came of late, this what came before.
struct LiveSpansFile: Sendable {
    private let path: String
    private let live: LiveSpans

    /// - Parameter folder: That of all telemetry.
    init(folder: String, live: LiveSpans) {
        path = "\(folder)/live"
        self.live = live
    }

    /// Takes up what an earlier process left. What cannot be read is given up, and told of.
    func load(_ onWarning: (String) -> Void) {
        guard let bytes = FileManager.default.contents(atPath: path) else { return }
        do { try live.restore(Array(bytes)) } catch {
            onWarning("live cannot be read: \(error)")
        }
    }

    /// Writes what changed, and syncs it: the spool lets go of it next.
    func keep() throws {
        guard let bytes = live.changed() else { return }
        do { try DurableFile.write(bytes, to: path) } catch {
            live.keepAgain()
            throw error
        }
    }
}
