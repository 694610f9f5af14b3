import Kernel
import Synchronization
import Telemetry

/// Runbooks by their text: a run keeps the text that it began with, which is read once and not at every step.
final class RunbookTexts: Sendable {
    /// Texts that are remembered; those of many runs are the same.
    static let textsMax = 200

    private let known = Mutex<(runbooks: [String: Runbook], reads: Int)>(([:], 0))

    /// How often a text was read.
    var reads: Int { known.withLock { $0.reads } }

    func runbook(_ text: String) throws(MarkedYAML.Fault) -> Runbook {
        if let runbook = known.withLock({ $0.runbooks[text] }) { return runbook }
        let runbook = try Runbook(text)
        known.withLock { known in
            if known.runbooks.count >= Self.textsMax { known.runbooks = [:] }
            known.runbooks[text] = runbook
            known.reads += 1
        }
        return runbook
    }
}
