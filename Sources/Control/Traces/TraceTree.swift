import Telemetry

/// A trace as rows, from its roots downwards, each with how many rows lie beneath it: what is folded is skipped by one
/// addition. Pure.
///
/// Siblings of one name that follow each other are put under a row of their own. Nothing that senders got wrong loses a
/// span: one whose parent never came, or that is its own ancestor, stands at the top.
struct TraceTree: Sendable {
    struct Row: Sendable, Equatable {
        /// Index of the span; of a group, its first one.
        let span: Int
        let depth: Int
        /// How many spans it stands for; 0 for a span itself.
        var members = 0
        /// Members without an error.
        var membersWell = 0
        /// Whether it names a parent that is not there.
        var isOrphan = false
        /// Nanoseconds since 1970.
        var startedAt: Int64
        var endedAt: Int64
        /// Rows beneath.
        var size = 0
        /// Of it and all beneath, each counted once.
        var tokens: Int64 = 0
        /// Spans that failed, it and all beneath.
        var errors = 0
    }

    /// Siblings of one name that are put together.
    static let groupMin = 3

    let spans: [SpanHead]
    private(set) var rows: [Row] = []

    /// - Parameter spans: By their start.
    init(_ spans: [SpanHead]) {
        self.spans = spans
        let family = Family(spans)
        var isSeen = [Bool](repeating: false, count: spans.count)
        var waiting: [Row] = []
        rows.reserveCapacity(spans.count + spans.count / 8)
        func walk(from tops: [Int]) {
            waiting = Self.grouped(tops, of: spans, depth: 0, family).reversed()
            while let next = waiting.popLast() {
                rows.append(next)
                var children: [Int]
                if next.members > 0 {
                    children = family.run(from: next.span, next.members)
                    children.removeAll { isSeen[$0] }
                    waiting += children.reversed().map { Self.row($0, of: spans, depth: next.depth + 1, family) }
                    continue
                }
                isSeen[next.span] = true
                children = family.children(of: next.span)
                children.removeAll { isSeen[$0] }
                waiting += Self.grouped(children, of: spans, depth: next.depth + 1, family).reversed()
            }
        }
        walk(from: family.tops)
        // What is left goes round in circles; each circle begins with its first span.
        for index in spans.indices where !isSeen[index] { walk(from: [index]) }
        addUp()
    }

    private static func row(_ span: Int, of spans: [SpanHead], depth: Int, _ family: Family) -> Row {
        Row(
            span: span, depth: depth, isOrphan: family.isOrphan(span), startedAt: spans[span].startedAt,
            endedAt: spans[span].endedAt)
    }

    private static func grouped(_ siblings: [Int], of spans: [SpanHead], depth: Int, _ family: Family) -> [Row] {
        var rows: [Row] = []
        var begin = 0
        while begin < siblings.count {
            let first = spans[siblings[begin]]
            var end = begin + 1
            while end < siblings.count, spans[siblings[end]].name == first.name,
                spans[siblings[end]].operation == first.operation
            {
                end += 1
            }
            if end - begin < groupMin {
                rows += siblings[begin..<end].map { row($0, of: spans, depth: depth, family) }
            } else {
                let members = siblings[begin..<end].map { spans[$0] }
                rows.append(
                    Row(
                        span: siblings[begin], depth: depth, members: members.count,
                        membersWell: members.count { $0.status != .error }, startedAt: first.startedAt,
                        endedAt: members.reduce(first.endedAt) { max($0, $1.endedAt) }))
            }
            begin = end
        }
        return rows
    }

    /// Sizes, tokens and errors, from the leaves upwards.
    private mutating func addUp() {
        var open: [Int] = []
        func close() {
            guard let index = open.popLast() else { return }
            let span = spans[rows[index].span]
            if rows[index].members == 0 {
                if span.status == .error { rows[index].errors += 1 }
                // A call to a model counts for itself: what lies beneath it is the same call, told by another layer. Of
                // all others the parts count, and only where these say nothing, the whole.
                let own = span.usage?.total ?? 0
                let isCall = span.operation == .model || span.operation == .embeddings
                if own > 0, isCall || rows[index].tokens == 0 { rows[index].tokens = own }
            }
            guard let parent = open.last else { return }
            rows[parent].tokens += rows[index].tokens
            rows[parent].errors += rows[index].errors
        }
        for index in rows.indices {
            while let last = open.last, rows[last].depth >= rows[index].depth {
                rows[last].size = index - last - 1
                close()
            }
            open.append(index)
        }
        while let last = open.last {
            rows[last].size = rows.count - last - 1
            close()
        }
    }

    /// Who is whose child, in the order of the spans.
    private struct Family {
        private(set) var tops: [Int] = []
        private var firstChild: [Int]
        private var nextSibling: [Int]
        private var orphans: Set<Int> = []
        private static let none = -1

        init(_ spans: [SpanHead]) {
            firstChild = [Int](repeating: Self.none, count: spans.count)
            nextSibling = firstChild
            var byID = [SpanID: Int](minimumCapacity: spans.count)
            for (index, span) in spans.enumerated() where byID[span.spanID] == nil { byID[span.spanID] = index }
            var lastTop = Self.none
            for index in spans.indices.reversed() {
                let parent = spans[index].parentID.flatMap { byID[$0] }
                if let parent, parent != index {
                    nextSibling[index] = firstChild[parent]
                    firstChild[parent] = index
                } else {
                    if spans[index].parentID != nil { orphans.insert(index) }
                    nextSibling[index] = lastTop
                    lastTop = index
                    tops.append(index)
                }
            }
            tops.reverse()
        }

        func children(of index: Int) -> [Int] {
            var children: [Int] = []
            var next = firstChild[index]
            while next != Self.none {
                children.append(next)
                next = nextSibling[next]
            }
            return children
        }

        /// So many siblings, from one of them on.
        func run(from index: Int, _ count: Int) -> [Int] {
            var run: [Int] = []
            var next = index
            while next != Self.none, run.count < count {
                run.append(next)
                next = nextSibling[next]
            }
            return run
        }

        func isOrphan(_ index: Int) -> Bool { orphans.contains(index) }
    }
}
