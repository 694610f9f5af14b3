import Kernel

/// A link to one of our own pages.
struct LinkView: PageView {
    let path: String
    let label: String

    static func agent(_ name: String?) -> LinkView? { name.map { LinkView(path: PagePath.agent($0), label: $0) } }
}

/// What a list shows in place of nothing: why it is empty, and the command that fills it.
struct EmptyView: PageView {
    let headline: String
    let explanation: String
    var command: String?
}

/// Where the first page of a list is, and the one behind this.
struct PagerView: PageView {
    let first: String?
    let next: String?
}

extension PagerView {
    /// - Parameter after: The cursor behind which this page begins.
    /// - Parameter next: The one behind which the next page does.
    /// - Parameter path: The address of the page behind a cursor; of the first one without.
    init<Cursor>(after: Cursor?, next: Cursor?, path: (Cursor?) -> String) {
        self.init(first: after.map { _ in path(nil) }, next: next.map { path($0) })
    }

    /// Of a list that nothing narrows down.
    init(after: String?, next: String?, of page: String) {
        self.init(after: after, next: next) { PagePath.query(page, [("after", $0)]) }
    }
}

/// A share from 0 to 100.
struct ShareView: PageView {
    let percent: Int
    var isHot = false

    init(_ fraction: Double, hotAbove: Double = 0.8) {
        percent = Int((min(1, max(0, fraction.isFinite ? fraction : 0)) * 100).rounded())
        isHot = fraction >= hotAbove
    }
}

/// One line of a list of facts.
struct FactView: PageView {
    let name: String
    var value: String?
    var time: TimeView?
    var link: LinkView?
}

/// A choice among states, above a list.
struct FilterView: PageView {
    let path: String
    let label: String
    let state: String
    var count: String?
    let isCurrent: Bool
}

/// A small line chart of counts, the oldest first, in a box of 100 by 24.
struct SparkView: PageView {
    let line: String
    let area: String
    let label: String

    /// `nil` where there is nothing to draw.
    init?(_ values: [Int64], label: String) {
        guard values.count > 1, let top = values.max(), top > 0 else { return nil }
        line = values.enumerated().map { index, value in
            let x = Double(index) / Double(values.count - 1) * 100
            let y = 23 - Double(value) / Double(top) * 22
            return "\(PageText.decimal(x, digits: 1)),\(PageText.decimal(y, digits: 1))"
        }.joined(separator: " ")
        area = "0,24 \(line) 100,24"
        self.label = label
    }
}

/// An event as one item of a list.
struct EventView: PageView {
    /// Characters of an event's data that a page shows.
    private static let detailsMax = 4_000

    let seq: Int64
    let type: String
    let at: TimeView
    let actor: String
    let hasAbout: Bool
    let task: LinkView?
    let agent: LinkView?
    let summary: String?
    let details: String?

    init(_ event: Event, now: Timestamp) {
        seq = event.seq
        type = event.type
        at = .ago(event.at, now: now)
        actor = event.actor
        task = event.taskID.map { id in
            LinkView(path: PagePath.task(id), label: event.data["title"]?.string ?? PageText.clipped(id, 18))
        }
        agent = .agent(event.agent)
        summary = Self.summary(event)
        hasAbout = task != nil || summary != nil
        let data = event.data.prettyText
        details =
            event.data.object?.isEmpty == true || event.data.isNull
            ? nil : PageText.clipped(data, Self.detailsMax)
    }

    /// The few words of an event's data that tell most.
    private static func summary(_ event: Event) -> String? {
        var parts: [String] = []
        if let from = event.data["from"]?.string, let to = event.data["to"]?.string, from != to {
            parts.append("\(PageText.label(from).lowercased()) → \(PageText.label(to).lowercased())")
        }
        for name in ["verdict", "queue", "name", "reason", "message", "comment", "statusMessage"] {
            guard let text = event.data[name]?.string, !text.isEmpty else { continue }
            if name == "queue", event.taskID != nil { continue }
            parts.append(PageText.clipped(text, 120))
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}

/// What a reviewer said.
struct RemarkView: PageView {
    let verdict: String
    let verdictLabel: String
    let reviewer: String
    let at: TimeView
    let round: Int64?
    let comment: String?

    init(_ review: Review, now: Timestamp) {
        verdict = review.verdict.rawValue
        verdictLabel =
            switch review.verdict {
            case .approve: "Approved"
            case .changes: "Changes asked for"
            case .reject: "Rejected"
            }
        reviewer = review.reviewer
        at = .ago(review.at, now: now)
        round = review.round > 0 ? review.round : nil
        comment = review.comment.isEmpty ? nil : review.comment
    }
}
