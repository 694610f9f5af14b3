/// The difference between two texts, line by line, with what is the same around each change.
struct LineDiff: Sendable {
    struct Line: Sendable, Equatable {
        enum Kind: String, Sendable {
            case same = " "
            case added = "+"
            case removed = "-"
            /// Lines left out as they are the same.
            case gap = "…"
        }

        let kind: Kind
        /// Numbers from 1 in the old and in the new text.
        let old: Int?
        let new: Int?
        let text: String
    }

    /// Lines of both texts together, less what is the same at both ends, that are compared: the search is quadratic.
    static let linesMax = 3_000
    /// Same lines shown around a change.
    static let context = 3
    /// Characters of one line that are shown.
    static let lineCharactersMax = 2_000

    let lines: [Line]

    /// `nil` where the texts are too large and too different to compare here.
    init?(from oldText: String, to newText: String) {
        let old = Self.split(oldText)
        let new = Self.split(newText)
        var start = 0
        while start < min(old.count, new.count), old[start] == new[start] { start += 1 }
        var end = 0
        while end < min(old.count, new.count) - start, old[old.count - 1 - end] == new[new.count - 1 - end] { end += 1 }
        let oldMiddle = Array(old[start..<old.count - end])
        let newMiddle = Array(new[start..<new.count - end])
        guard oldMiddle.count + newMiddle.count <= Self.linesMax else { return nil }
        var all = (0..<start).map { Line(kind: .same, old: $0 + 1, new: $0 + 1, text: old[$0]) }
        all += Self.middle(oldMiddle, newMiddle, offset: start)
        for index in 0..<end {
            let (left, right) = (old.count - end + index, new.count - end + index)
            all.append(Line(kind: .same, old: left + 1, new: right + 1, text: old[left]))
        }
        lines = Self.folded(all)
    }

    private static func split(_ text: String) -> [String] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    private static func middle(_ old: [String], _ new: [String], offset: Int) -> [Line] {
        let difference = new.difference(from: old)
        var removed = Set<Int>()
        var added = Set<Int>()
        for change in difference {
            switch change {
            case .remove(let index, _, _): removed.insert(index)
            case .insert(let index, _, _): added.insert(index)
            }
        }
        var lines: [Line] = []
        var (left, right) = (0, 0)
        while left < old.count || right < new.count {
            if left < old.count, removed.contains(left) {
                lines.append(Line(kind: .removed, old: offset + left + 1, new: nil, text: old[left]))
                left += 1
            } else if right < new.count, added.contains(right) {
                lines.append(Line(kind: .added, old: nil, new: offset + right + 1, text: new[right]))
                right += 1
            } else {
                lines.append(Line(kind: .same, old: offset + left + 1, new: offset + right + 1, text: new[right]))
                left += 1
                right += 1
            }
        }
        return lines
    }

    /// Leaves out what is the same and far from every change.
    private static func folded(_ lines: [Line]) -> [Line] {
        var isNear = lines.map { _ in false }
        for (index, line) in lines.enumerated() where line.kind != .same {
            for near in max(0, index - context)...min(lines.count - 1, index + context) { isNear[near] = true }
        }
        var output: [Line] = []
        var index = 0
        while index < lines.count {
            if isNear[index] {
                let line = lines[index]
                let text = PageText.clipped(line.text, lineCharactersMax)
                output.append(Line(kind: line.kind, old: line.old, new: line.new, text: text))
                index += 1
                continue
            }
            let start = index
            while index < lines.count, !isNear[index] { index += 1 }
            output.append(
                Line(kind: .gap, old: nil, new: nil, text: PageText.plural(index - start, "unchanged line")))
        }
        return output
    }
}
