import Kernel
import Testing

@testable import Control
@testable import Telemetry

/// Spans as rows: nothing is lost, whatever senders got wrong.
@Suite struct TraceTreeTests {
    private static func span(_ id: UInt64, under parent: UInt64? = nil, _ name: String, at: Int64 = 0) -> SpanHead {
        guard let trace = TraceID("4bf92f3577b34da6a3ce929d0e0e4736") else { preconditionFailure("a valid id") }
        var span = SpanHead(trace, SpanID(value: id))
        span.parentID = parent.map { SpanID(value: $0) }
        span.name = name
        span.startedAt = at
        span.endedAt = at + 10
        return span
    }

    /// Rows as indented names; groups with their counts, orphans with a question mark.
    private static func drawn(_ spans: [SpanHead]) -> [String] {
        let tree = TraceTree(spans)
        return tree.rows.map { row in
            let group = row.members > 0 ? " \(row.membersWell)/\(row.members)" : ""
            return String(repeating: "-", count: row.depth) + tree.spans[row.span].name + group
                + (row.isOrphan ? "?" : "")
        }
    }

    @Test func childrenStandBeneathTheirParents() {
        let spans = [
            Self.span(1, "run"), Self.span(2, under: 1, "ask", at: 1), Self.span(3, under: 2, "GET", at: 2),
            Self.span(4, under: 1, "look up", at: 3), Self.span(5, "another", at: 4),
        ]
        #expect(Self.drawn(spans) == ["run", "-ask", "--GET", "-look up", "another"])
        #expect(TraceTree(spans).rows.map(\.size) == [3, 1, 0, 0, 0])
    }

    @Test func threeOfOneNameInARowAreAGroup() {
        var spans = [Self.span(1, "run")]
        for id in UInt64(2)...6 { spans.append(Self.span(id, under: 1, id == 4 ? "other" : "same", at: Int64(id))) }
        #expect(Self.drawn(spans) == ["run", "-same", "-same", "-other", "-same", "-same"])
        spans[3].name = "same"
        spans[4].status = .error
        #expect(Self.drawn(spans) == ["run", "-same 4/5"] + Array(repeating: "--same", count: 5))
        let rows = TraceTree(spans).rows
        #expect(rows.map(\.size) == [6, 5, 0, 0, 0, 0, 0])
        #expect(rows[0].errors == 1 && rows[1].errors == 1)
        #expect(rows[1].startedAt == 2 && rows[1].endedAt == 16)
    }

    @Test func whoseParentNeverCameStandsAtTheTop() {
        #expect(Self.drawn([Self.span(1, under: 99, "late"), Self.span(2, under: 1, "child")]) == ["late?", "-child"])
    }

    @Test func circlesEndSomewhere() {
        let spans = [
            Self.span(1, under: 1, "self"), Self.span(2, under: 3, "hen"), Self.span(3, under: 2, "egg"),
            Self.span(4, under: 3, "chick"),
        ]
        #expect(Self.drawn(spans) == ["self?", "hen", "-egg", "--chick"])
    }

    @Test func aSpanIDThatComesTwiceIsShownTwice() {
        let spans = [Self.span(1, "run"), Self.span(1, "run again"), Self.span(2, under: 1, "child")]
        #expect(Self.drawn(spans) == ["run", "-child", "run again"])
    }

    @Test func aChainAsDeepAsATraceIsLong() {
        let spans = (1...20_000).map { Self.span(UInt64($0), under: $0 > 1 ? UInt64($0) - 1 : nil, "level") }
        let tree = TraceTree(spans)
        #expect(tree.rows.count == 20_000 && tree.rows.last?.depth == 19_999 && tree.rows.first?.size == 19_999)
    }

    @Test func tokensCountOnce() {
        func told(_ id: UInt64, _ parent: UInt64?, _ operation: SpanOperation, _ tokens: Int64) -> SpanHead {
            var span = Self.span(id, under: parent, "\(operation)")
            span.operation = operation
            span.usage =
                tokens > 0
                ? SpanUsage(inputTotal: tokens, cacheRead: 0, cacheWrite: 0, outputTotal: 0, reasoning: 0) : nil
            return span
        }
        // The agent tells the sum of its calls, and a framework tells a call that its client tells as well.
        let spans = [
            told(1, nil, .agent, 300), told(2, 1, .model, 100), told(3, 2, .model, 100), told(4, 1, .tool, 0),
            told(5, 4, .model, 200),
        ]
        #expect(TraceTree(spans).rows.map(\.tokens) == [300, 100, 100, 200, 200])
        #expect(TraceTree([told(1, nil, .agent, 300), told(2, 1, .tool, 0)]).rows.map(\.tokens) == [300, 0])
    }

    @Test func columnsSayTheSame() throws {
        var spans = [Self.span(1, "run", at: 5_000), Self.span(2, under: 1, "näme \"x\"", at: 7_000)]
        spans[1].status = .error
        spans[1].endedAt = 12_000
        let id = spans[0].traceID
        let document = try JSONParser.parse(TraceColumns(id, spans).bytes)
        #expect(document["traceId"]?.string == id.description && document["rows"]?.int == 2)
        #expect(document["names"] == ["run", "näme \"x\""])
        #expect(document["name"] == [0, 1] && document["depth"] == [0, 1] && document["size"] == [1, 0])
        #expect(document["from"] == [0, 2] && document["took"] == [0, 5])
        #expect(document["flags"] == [0, 1] && document["errors"] == 1, "a column of one value is that value")
        #expect(document["ids"]?.string == "AAAAAAAAAAEAAAAAAAAAAg==")
    }
}
