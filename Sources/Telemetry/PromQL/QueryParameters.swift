import Foundation
import Kernel

/// The parameters of a query, from its address and, of a POST, from its form.
struct QueryParameters {
    private let pairs: [(name: String, value: String)]
    private let now: Int64

    init(_ request: APIRequest, now: Int64) throws {
        var pairs = request.query
        if request.method == .post {
            do { pairs = try request.form() + pairs } catch {
                throw QueryReply.Refusal(kind: .badData, text: "the form cannot be decoded")
            }
        }
        self.pairs = pairs
        self.now = now
    }

    subscript(name: String) -> String? {
        pairs.first { $0.name == name && !$0.value.isEmpty }?.value
    }

    func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

    func query() throws -> PromQLQuery {
        guard let text = self["query"] else {
            throw QueryReply.Refusal.bad("query", "1:1: parse error: no expression found in input")
        }
        do { return try PromQLQuery(text) } catch { throw QueryReply.Refusal.bad("query", "\(error)") }
    }

    /// Milliseconds of seconds with a fraction, or of RFC 3339.
    func time(_ name: String, default other: Int64? = nil) throws -> Int64 {
        guard let text = self[name] else {
            guard let other else { throw QueryReply.Refusal.bad(name, "cannot parse \"\" to a valid timestamp") }
            return other
        }
        if let seconds = Double(text), seconds.isFinite, seconds.magnitude < 1e12 {
            return Int64((seconds * 1_000).rounded())
        }
        if let time = Timestamp(rfc3339: text) { return time.microseconds / 1_000 }
        throw QueryReply.Refusal.bad(name, "cannot parse \(QueryText.quoted(text)) to a valid timestamp")
    }

    /// Milliseconds of a number of seconds, or of words such as `1m30s`.
    func duration(_ name: String) throws -> Int64? {
        guard let text = self[name] else { return nil }
        if let seconds = Double(text), seconds.magnitude < Double(QueryLimits.durationMax / 1_000) {
            return Int64((seconds * 1_000).rounded())
        }
        if let milliseconds = PromQLLexer.duration(text) { return milliseconds }
        throw QueryReply.Refusal.bad(name, "cannot parse \(QueryText.quoted(text)) to a valid duration")
    }

    /// The time that the query may take.
    func timeout() throws -> Span {
        guard let milliseconds = try duration("timeout") else { return QueryLimits.time }
        return .milliseconds(max(0, milliseconds))
    }

    /// What a list may be about.
    func times() throws -> ClosedRange<Int64> {
        let start = try time("start", default: 0)
        let end = try time("end", default: Int64.max / 2)
        guard start <= end else {
            throw QueryReply.Refusal.bad("end", "end timestamp must not be before start time")
        }
        return start...end
    }

    /// The selectors of `match[]`, without their ranges.
    func selectors() throws -> [[LabelMatcher]] {
        try all("match[]").map { text in
            do {
                guard case .selector(let selector) = try PromQLParser.parse(text).kind else {
                    throw QueryReply.Refusal.bad("match[]", "1:1: parse error: a series selector is expected")
                }
                return selector.matchers
            } catch let error as PromQLSyntaxError { throw QueryReply.Refusal.bad("match[]", "\(error)") }
        }
    }
}
