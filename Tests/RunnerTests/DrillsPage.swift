import Foundation
import Kernel
import Synchronization
import Testing

@testable import Runner

/// The figures of `docs/reference/drills.md` that come of a clock that is moved on. `REEVE_UPDATE_DOCS` writes them;
/// those of a wall's clock are `script/bench drills`'.
enum DrillsPage {
    private static let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("docs/reference/drills.md")
    private static let marks = ("<!-- virtual -->\n", "<!-- end of virtual -->\n")
    private static let found = Mutex<[String: DrillReport]>([:])

    static func note(_ report: DrillReport) {
        let all = found.withLock { found in
            found[report.alert] = report
            return found
        }
        guard ProcessInfo.processInfo.environment["REEVE_UPDATE_DOCS"] != nil,
            all.count == VirtualDrill.all.count
        else { return }
        let page = text.replacing(marks.0 + shown + marks.1, with: "\(marks.0)\n\(table(all))\n\(marks.1)")
        try? Data(page.utf8).write(to: url)
    }

    /// Whether the page tells of each drill, with the bounds that are asked for here.
    static func isInStep() -> Bool {
        VirtualDrill.all.allSatisfy { drill in shown.contains(head(drill)) }
    }

    private static var text: String { (try? String(contentsOf: url, encoding: .utf8)) ?? "" }

    private static var shown: String {
        guard let begin = text.firstRange(of: marks.0), let end = text.firstRange(of: marks.1) else { return "" }
        return String(text[begin.upperBound..<end.lowerBound])
    }

    private static func table(_ found: [String: DrillReport]) -> String {
        let rows = VirtualDrill.all.map { drill in
            let report = found[drill.alert]
            let (detected, contained) = (report?.detectedAfter, report?.containedAfter)
            return "\(head(drill)) \(words(detected)) | \(words(contained)) | \(words(report?.recoveredAfter)) |\n"
        }
        return """
            | drill | found by | which waits for | at most | found | contained | recovered |
            |---|---|---|--:|--:|--:|--:|
            \(rows.joined())
            """
    }

    private static func head(_ drill: VirtualDrill) -> String {
        let bounds = [drill.bounds.detect, drill.bounds.contain, drill.bounds.recover].map { words(Double($0)) }
        return "| `\(drill.name)` | `\(drill.alert)` | \(drill.waits) | \(bounds.joined(separator: ", ")) |"
    }

    /// `4 h 2 min`, `3 min 15 s`, `45 s`.
    private static func words(_ seconds: Double?) -> String {
        guard let seconds else { return "never" }
        let all = Int(seconds.rounded())
        let parts = [(all / 3_600, "h"), (all % 3_600 / 60, "min"), (all % 60, "s")].filter { $0.0 > 0 }
        return parts.isEmpty ? "0 s" : parts.map { "\($0.0) \($0.1)" }.joined(separator: " ")
    }
}
