import Kernel

/// The conditions of a query in the order in which a block can answer them: what its columns say, once for each text
/// that stands in them, and only then the texts of the rows that are left.
struct LogPlan {
    /// Texts that a block must have somewhere; see ``TextSieve``.
    private(set) var needles: [String] = []
    var stepsLeft = LogMatcher.stepsMax

    private var columns: [(field: Int, matcher: LogMatcher)] = []
    private var severity: LogSeverity?
    private var category: [LogMatcher] = []
    private var labels: [(name: String, matcher: LogMatcher)] = []
    private var words: [TextNeedle] = []
    private var lines: [LogMatcher] = []

    /// The schema's fields as queries call them, with the columns that have them.
    static let fields: [String: Int] = [
        "level": LogRow.Field.level, "service": LogRow.Field.service, "service_name": LogRow.Field.service,
        "logger": LogRow.Field.logger, "correlation_id": LogRow.Field.correlation, "agent_id": LogRow.Field.agent,
        "agent": LogRow.Field.agent, "session_id": LogRow.Field.session, "tool": LogRow.Field.tool,
        "trace_id": LogRow.Field.trace,
    ]

    init(_ conditions: [LogCondition]) {
        for condition in conditions {
            switch condition {
            case .field("category", let matcher): category.append(matcher)
            case .field(let name, let matcher):
                if let field = Self.fields[name] {
                    columns.append((field, matcher))
                } else {
                    labels.append((name, matcher))
                }
                // An attribute stands as JSON writes it.
                if case .equal(let text) = matcher.kind, !matcher.isNegated, !text.utf8.contains(where: Self.isEscaped)
                {
                    needles.append(text)
                }
            case .words(let text):
                words.append(TextNeedle(text, isFolded: true))
                needles.append(text)
            case .line(let matcher):
                lines.append(matcher)
                if let needle = matcher.needle { needles.append(needle) }
            case .severity(let least): severity = max(severity ?? least, least)
            }
        }
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    /// Whether the records of a category can be meant.
    mutating func mayHave(_ category: TelemetryCategory) -> Bool {
        let text = Array(category.rawValue.utf8)[...]
        return self.category.allSatisfy { $0.isMet(by: text, stepsLeft: &stepsLeft) }
    }

    // MARK: by columns

    /// The rows that times and columns allow.
    mutating func rows(of heads: LogHeads, times: Range<Int64>, id: String?) -> [Int] {
        var allowed = heads.times.map { times.contains($0) }
        for (field, matcher) in columns { keep(&allowed, heads, field) { $0.isMet(matcher, &stepsLeft) } }
        if let severity {
            keep(&allowed, heads, LogRow.Field.level) { LogSeverity(String(decoding: $0, as: UTF8.self)) >= severity }
        }
        if let id {
            let (traces, correlations) = (heads.column(LogRow.Field.trace), heads.column(LogRow.Field.correlation))
            let (text, isTrace) = (Array(id.utf8), TraceID(id) != nil)
            let numbers = heads.numbers { $0.isSame(text, ignoringCase: isTrace) }
            for row in allowed.indices where allowed[row] {
                allowed[row] = numbers.contains(traces[row]) || numbers.contains(correlations[row])
            }
        }
        return allowed.indices.filter { allowed[$0] }
    }

    /// Asks once for each text of a column.
    private func keep(
        _ allowed: inout [Bool], _ heads: LogHeads, _ field: Int, where isMeant: (ArraySlice<UInt8>) -> Bool
    ) {
        var answers: [Int32: Bool] = [:]
        let column = heads.column(field)
        for row in allowed.indices where allowed[row] {
            let number = column[row]
            let answer = answers[number] ?? isMeant(heads.bytes(number) ?? [])
            answers[number] = answer
            allowed[row] = answer
        }
    }

    /// Those of the rows whose labels are as asked; `nil` where that cannot be said without their texts.
    mutating func rowsByLabels(_ rows: [Int], of heads: LogHeads) -> [Int]? {
        guard words.isEmpty, lines.isEmpty else { return nil }
        guard !labels.isEmpty else { return rows }
        let column = heads.column(LogRow.Field.labels)
        var answers: [Int32: Bool] = [:]
        for row in rows where answers[column[row]] == nil {
            let known = heads.text(column[row]).map { LogLabels(text: $0) } ?? LogLabels()
            var isMeant = true
            for (name, matcher) in labels where isMeant {
                // It may be an attribute.
                guard let text = known[name] else { return nil }
                isMeant = Array(text.utf8)[...].isMet(matcher, &stepsLeft)
            }
            answers[column[row]] = isMeant
        }
        return rows.filter { answers[column[$0]] == true }
    }

    // MARK: by texts

    /// Those of the rows whose labels and texts are as asked.
    mutating func rows(_ rows: [Int], of heads: LogHeads, _ bodies: LogBodies) -> [Int] {
        guard !labels.isEmpty || !words.isEmpty || !lines.isEmpty else { return rows }
        let column = heads.column(LogRow.Field.labels)
        var known: [Int32: LogLabels] = [:]
        return rows.filter { row in
            for matcher in lines where !isMet(matcher, by: row, of: heads, bodies) { return false }
            for word in words where !isFound(word, in: row, of: heads, bodies) { return false }
            for (name, matcher) in labels {
                let labels = known[column[row]] ?? heads.text(column[row]).map { LogLabels(text: $0) } ?? LogLabels()
                known[column[row]] = labels
                let text = labels[name] ?? attribute(name, bodies.attributes(row))
                guard Array((text ?? "").utf8)[...].isMet(matcher, &stepsLeft) else { return false }
            }
            return stepsLeft >= 0
        }
    }

    private func isFound(_ word: TextNeedle, in row: Int, of heads: LogHeads, _ bodies: LogBodies) -> Bool {
        Self.isAny(of: row, heads, bodies) { word.isFound(in: $0) }
    }

    private mutating func isMet(
        _ matcher: LogMatcher, by row: Int, of heads: LogHeads, _ bodies: LogBodies
    ) -> Bool {
        let isFound = Self.isAny(of: row, heads, bodies) { $0.isMet(matcher.isPositive, &stepsLeft) }
        return isFound != matcher.isNegated
    }

    /// Whether any text of a row is as said.
    private static func isAny(
        of row: Int, _ heads: LogHeads, _ bodies: LogBodies, _ isMeant: (ArraySlice<UInt8>) -> Bool
    ) -> Bool {
        if isMeant(bodies.message(row)) { return true }
        let attributes = bodies.attributes(row)
        if !attributes.isEmpty, isMeant(attributes) { return true }
        return LogRow.shared.contains { field in
            guard field != LogRow.Field.labels, let text = heads.bytes(heads.column(field)[row]) else { return false }
            return isMeant(text)
        }
    }

    private func attribute(_ name: String, _ text: ArraySlice<UInt8>) -> String? {
        guard !text.isEmpty, let value = LogRow.attributes(text)[name] else { return nil }
        return value.string ?? value.text
    }
}

extension ArraySlice<UInt8> {
    fileprivate func isMet(_ matcher: LogMatcher, _ stepsLeft: inout Int) -> Bool {
        matcher.isMet(by: self, stepsLeft: &stepsLeft)
    }
}

extension UnsafeBufferPointer<UInt8> {
    fileprivate func isSame(_ text: [UInt8], ignoringCase: Bool) -> Bool {
        guard count == text.count else { return false }
        let mask: UInt8 = ignoringCase ? 0x20 : 0
        for index in 0..<count where self[index] | mask != text[index] | mask { return false }
        return true
    }
}
