import Kernel

/// A trace as a tree for people.
public enum TraceText {
    /// Each span on a line: how long it took, its name beneath its parent's, and what is to be said of it. Spans whose
    /// parent is not there stand at the top; what lies in a circle too, so that none is left out.
    ///
    /// - Parameter spans: By their start, as the interface has them.
    public static func tree(_ spans: [JSONValue]) -> String {
        let ids = spans.map { $0["spanId"]?.string ?? "" }
        let known = Set(ids)
        var children: [String: [Int]] = [:]
        var roots: [Int] = []
        for (index, span) in spans.enumerated() {
            if let parent = span["parentSpanId"]?.string, known.contains(parent), parent != ids[index] {
                children[parent, default: []].append(index)
            } else {
                roots.append(index)
            }
        }
        var lines: [String] = []
        var isShown = [Bool](repeating: false, count: spans.count)
        // From the top down, without calls within calls: a trace may be as deep as it is long.
        func show(_ root: Int) {
            var waiting = [(root, 0)]
            while let (index, depth) = waiting.popLast() {
                guard !isShown[index] else { continue }
                isShown[index] = true
                lines.append(line(spans[index], depth))
                for child in (children[ids[index]] ?? []).reversed() { waiting.append((child, depth + 1)) }
            }
        }
        for root in roots { show(root) }
        for index in spans.indices where !isShown[index] { show(index) }
        return lines.joined(separator: "\n")
    }

    private static func line(_ span: JSONValue, _ depth: Int) -> String {
        let state = span["state"]?.string ?? "ended"
        let took = span["durationMs"]?.double.map(duration) ?? state
        let column = String(repeating: " ", count: max(0, 10 - took.count)) + took
        let indent = String(repeating: "  ", count: min(depth, 40))
        var words = ["\(column)  \(indent)\(span["name"]?.string ?? "")"]
        if let agent = span["agent"]?.string { words.append("(\(agent))") }
        if span["status"]?.string == "error" { words.append("ERROR") }
        if state != "ended", span["durationMs"]?.double != nil { words.append(state) }
        return Terminal.printable(words.joined(separator: " "))
    }

    private static func duration(_ milliseconds: Double) -> String {
        switch milliseconds {
        case ..<1: "\((milliseconds * 1_000).rounded() / 1_000) ms"
        case ..<1_000: "\((milliseconds * 10).rounded() / 10) ms"
        case ..<60_000: "\((milliseconds / 10).rounded() / 100) s"
        default: "\((milliseconds / 6_000).rounded() / 10) min"
        }
    }
}
