import Foundation
import Kernel
import Telemetry

/// A trace's rows as columns of numbers: 50,000 spans in about two megabytes, which a browser reads at once. Words
/// stand once in lists of their own; a column whose values are all the same is that value.
struct TraceColumns {
    /// Bits of the column `flags`.
    private enum Flag {
        static let error = 1
        static let ok = 2
        static let running = 4
        static let lost = 8
        static let orphan = 16
    }

    private let tree: TraceTree
    private let id: TraceID

    init(_ id: TraceID, _ spans: [SpanHead]) {
        self.id = id
        tree = TraceTree(spans)
    }

    /// A JSON document.
    ///
    /// `from` and `took` are microseconds, `from` since `start`, which is in microseconds since 1970. `ids` has eight
    /// bytes a row, in Base64.
    var bytes: [UInt8] {
        let (spans, rows) = (tree.spans, tree.rows)
        let start = spans.reduce(Int64.max) { min($0, $1.startedAt) }
        let end = spans.reduce(start) { max($0, $1.endedAt) }
        var names = Words()
        var services = Words()
        var agents = Words()
        let tops = rows.filter { $0.depth == 0 }
        var document = JSONObject([
            .init(name: "traceId", value: .string(id.description)), .init(name: "start", value: .int(start / 1_000)),
            .init(name: "duration", value: .int((end &- start) / 1_000)),
            .init(name: "spans", value: .int(Int64(spans.count))),
            .init(name: "errorSum", value: .int(Int64(tops.reduce(0) { $0 + $1.errors }))),
            .init(name: "tokenSum", value: .int(tops.reduce(0) { $0 + $1.tokens })),
            .init(name: "running", value: .int(Int64(spans.count { $0.state == .running }))),
            .init(name: "lost", value: .int(Int64(spans.count { $0.state == .lost }))),
            .init(name: "operations", value: .list(SpanOperation.allCases.map(\.rawValue))),
        ])
        let operations = Dictionary(uniqueKeysWithValues: zip(SpanOperation.allCases, 0...))
        func column(_ value: (TraceTree.Row) -> Int) -> [Int] { rows.map(value) }
        let columns: [(name: String, values: [Int])] = [
            ("name", column { names.index(of: spans[$0.span].name) }),
            ("depth", column(\.depth)), ("size", column(\.size)),
            ("from", column { Int(($0.startedAt &- start) / 1_000) }),
            ("took", column { Int(($0.endedAt &- $0.startedAt) / 1_000) }),
            ("operation", column { operations[spans[$0.span].operation] ?? 0 }),
            ("service", column { services.index(of: spans[$0.span].service) }),
            ("agent", column { agents.index(of: spans[$0.span].agent ?? "") }),
            ("flags", column { Self.flags($0, spans[$0.span]) }),
            ("tokens", column { Int($0.tokens) }), ("errors", column(\.errors)),
            ("members", column(\.members)), ("well", column(\.membersWell)),
        ]
        document.append("names", .list(names.all))
        document.append("services", .list(services.all))
        document.append("agents", .list(agents.all))
        document.append("rows", .int(Int64(rows.count)))
        var bytes = JSONValue.object(document).bytes
        bytes.removeLast()
        for (name, values) in columns { Self.write(name, values, to: &bytes) }
        let ids = Data(rows.flatMap { spans[$0.span].spanID.bytes }).base64EncodedString()
        bytes += Array(",\"ids\":\"\(ids)\"}".utf8)
        return bytes
    }

    private static func flags(_ row: TraceTree.Row, _ span: SpanHead) -> Int {
        var flags = row.isOrphan ? Flag.orphan : 0
        guard row.members == 0 else { return row.membersWell < row.members ? Flag.error : 0 }
        if span.status == .error { flags |= Flag.error }
        if span.status == .ok { flags |= Flag.ok }
        if span.state == .running { flags |= Flag.running }
        if span.state == .lost { flags |= Flag.lost }
        return flags
    }

    private static func write(_ name: String, _ values: [Int], to bytes: inout [UInt8]) {
        bytes += Array(",\"\(name)\":".utf8)
        guard let first = values.first, values.contains(where: { $0 != first }) else {
            bytes += Array(String(values.first ?? 0).utf8)
            return
        }
        var separator = UInt8(ascii: "[")
        for value in values {
            bytes.append(separator)
            append(value, to: &bytes)
            separator = UInt8(ascii: ",")
        }
        bytes.append(UInt8(ascii: "]"))
    }

    /// Half a million numbers are too many to make a string of each.
    private static func append(_ value: Int, to bytes: inout [UInt8]) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        var rest = value.magnitude
        let begin = bytes.count
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[begin...].reverse()
    }

    /// Words by their first use.
    private struct Words {
        private(set) var all: [String] = []
        private var indices: [String: Int] = [:]

        mutating func index(of word: String) -> Int {
            if let index = indices[word] { return index }
            indices[word] = all.count
            all.append(word)
            return all.count - 1
        }
    }
}
