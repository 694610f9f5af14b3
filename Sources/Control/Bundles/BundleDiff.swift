import Kernel

/// What differs between two versions, line by line, as `diff -u` and `git diff` put it.
public enum BundleDiff {
    /// Lines around a change.
    static let contextLines = 3
    /// Lines of either side that are compared one with another; what is longer is told as replaced.
    static let linesMax = 4_000
    /// Bytes of a diff; the rest is left out, and that is said.
    public static let bytesMax = 1 << 20

    /// A line of either side.
    enum Step: Equatable {
        case same(Int, Int)
        case removed(Int)
        case added(Int)
    }

    /// A unified diff of all files; empty where the two are equal.
    public static func unified(_ old: [BundleFile], _ new: [BundleFile]) -> String {
        let before = Dictionary(old.map { ($0.path, $0.content) }) { first, _ in first }
        let after = Dictionary(new.map { ($0.path, $0.content) }) { first, _ in first }
        var text = ""
        for path in Set(before.keys).union(after.keys).sorted() where before[path] != after[path] {
            text += "--- \(before[path] == nil ? "/dev/null" : "a/\(path)")\n"
            text += "+++ \(after[path] == nil ? "/dev/null" : "b/\(path)")\n"
            text += hunks(before[path] ?? "", after[path] ?? "")
            guard text.utf8.count <= bytesMax else {
                return text.prefix(bytesMax) + "\n… the rest of the difference is left out\n"
            }
        }
        return text
    }

    /// Lines with their ends left off. A last line without an end is a line too.
    static func lines(_ text: String) -> [Substring] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    private static func hunks(_ old: String, _ new: String) -> String {
        let (before, after) = (lines(old), lines(new))
        let steps = self.steps(before, after)
        let isCut = [old, new].map { !$0.isEmpty && !$0.hasSuffix("\n") }
        var text = ""
        // Lines that only differ in the last one's end.
        if steps.allSatisfy(\.isSame), isCut[0] != isCut[1], let last = before.last {
            text += "@@ -\(before.count) +\(after.count) @@\n"
            text += "-\(last)\n\(isCut[0] ? noEnd : "")+\(last)\n\(isCut[1] ? noEnd : "")"
            return text
        }
        for range in ranges(steps) {
            var (from, to) = (0, 0)
            var (fromCount, toCount) = (0, 0)
            for step in steps[..<range.lowerBound] {
                from += step.old == nil ? 0 : 1
                to += step.new == nil ? 0 : 1
            }
            var body = ""
            for step in steps[range] {
                fromCount += step.old == nil ? 0 : 1
                toCount += step.new == nil ? 0 : 1
                switch step {
                case .same(let index, _):
                    body += " \(before[index])\n" + (isCut[0] && index == before.count - 1 ? noEnd : "")
                case .removed(let index):
                    body += "-\(before[index])\n" + (isCut[0] && index == before.count - 1 ? noEnd : "")
                case .added(let index):
                    body += "+\(after[index])\n" + (isCut[1] && index == after.count - 1 ? noEnd : "")
                }
            }
            text += "@@ -\(place(from, fromCount)) +\(place(to, toCount)) @@\n\(body)"
        }
        return text
    }

    private static let noEnd = "\\ No newline at end of file\n"

    /// An empty range is told by the line before it.
    private static func place(_ before: Int, _ count: Int) -> String {
        let start = count == 0 ? before : before + 1
        return count == 1 ? "\(start)" : "\(start),\(count)"
    }

    /// The parts around changes that are shown.
    private static func ranges(_ steps: [Step]) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for (index, step) in steps.enumerated() where !step.isSame {
            let range = max(0, index - contextLines)..<min(steps.count, index + contextLines + 1)
            if let last = ranges.last, range.lowerBound <= last.upperBound {
                ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
            } else {
                ranges.append(range)
            }
        }
        return ranges
    }

    /// How one text becomes the other: removed lines stand before those that were added in their place.
    static func steps(_ old: [Substring], _ new: [Substring]) -> [Step] {
        var head = 0
        while head < old.count, head < new.count, old[head] == new[head] { head += 1 }
        var tail = 0
        while tail < old.count - head, tail < new.count - head,
            old[old.count - 1 - tail] == new[new.count - 1 - tail]
        {
            tail += 1
        }
        let (oldMiddle, newMiddle) = (head..<old.count - tail, head..<new.count - tail)
        var steps: [Step] = (0..<head).map { .same($0, $0) }
        if max(oldMiddle.count, newMiddle.count) > linesMax {
            // The work grows with the product of what differs: hostile texts are not compared in full.
            steps += oldMiddle.map { .removed($0) } + newMiddle.map { .added($0) }
        } else {
            steps += middle(old, oldMiddle, new, newMiddle)
        }
        steps += (0..<tail).map { .same(old.count - tail + $0, new.count - tail + $0) }
        return steps
    }

    private static func middle(
        _ old: [Substring], _ oldRange: Range<Int>, _ new: [Substring], _ newRange: Range<Int>
    ) -> [Step] {
        var removed: Set<Int> = []
        var added: Set<Int> = []
        for change in new[newRange].map({ $0 }).difference(from: old[oldRange].map { $0 }) {
            switch change {
            case .remove(let offset, _, _): removed.insert(oldRange.lowerBound + offset)
            case .insert(let offset, _, _): added.insert(newRange.lowerBound + offset)
            }
        }
        var steps: [Step] = []
        var (from, to) = (oldRange.lowerBound, newRange.lowerBound)
        while from < oldRange.upperBound || to < newRange.upperBound {
            if from < oldRange.upperBound, removed.contains(from) {
                steps.append(.removed(from))
                from += 1
            } else if to < newRange.upperBound, added.contains(to) {
                steps.append(.added(to))
                to += 1
            } else {
                steps.append(.same(from, to))
                from += 1
                to += 1
            }
        }
        return steps
    }
}

extension BundleDiff.Step {
    var isSame: Bool { old != nil && new != nil }

    var old: Int? {
        switch self {
        case .same(let index, _), .removed(let index): index
        case .added: nil
        }
    }

    var new: Int? {
        switch self {
        case .same(_, let index), .added(let index): index
        case .removed: nil
        }
    }
}

/// Which version last changed each line of a file.
public enum BundleBlame {
    /// Versions that are looked through, the newest first; older lines are laid to the oldest of these.
    public static let versionsMax = 200

    public struct Line: Sendable, Equatable {
        public let number: Int
        public let text: String
        public let version: String
    }

    /// - Parameter history: The file's content in each version, the oldest first; `nil` where it was not there.
    public static func lines(_ history: [(version: String, content: String?)]) -> [Line] {
        var lines: [Substring] = []
        var owners: [String] = []
        for (version, content) in history {
            let next = BundleDiff.lines(content ?? "")
            guard next != lines else { continue }
            var nextOwners: [String] = []
            for step in BundleDiff.steps(lines, next) {
                switch step {
                case .same(let index, _): nextOwners.append(owners[index])
                case .added: nextOwners.append(version)
                case .removed: break
                }
            }
            (lines, owners) = (next, nextOwners)
        }
        return lines.indices.map { Line(number: $0 + 1, text: String(lines[$0]), version: owners[$0]) }
    }
}
