import Kernel

/// What is written of an incident after it: a draft made from what is known until somebody edits it.
public struct Postmortem: Sendable {
    /// Bytes of a document.
    public static let documentMax = 500_000
    /// What stands in every one: programs look for these.
    public static let sections = ["Impact", "Timeline", "Contributing factors", "Action items"]

    /// What somebody wrote; `nil` while it is a draft.
    public var document: String?
    public var editedAt: Timestamp?
    public var editedBy: String?
    /// Of people's edits; 0 for a draft.
    public var revision: Int64 = 0
    /// When it has to be published; `nil` before the incident's end, and where none is needed.
    public var dueAt: Timestamp?
    public var waivedAt: Timestamp?
    public var waivedBy: String?
    public var waivedWhy: String?
    /// Reminders that were sent, or whose time went by.
    var reminded: Int64 = 0
    /// When the next one is.
    var remindAt: Timestamp?

    public var etag: String { "\"\(revision)\"" }

    /// Refuses a document without its sections, and one that is too long.
    static func checked(_ text: String) throws -> String {
        guard text.utf8.count <= documentMax else {
            throw Problem.invalid("document", "at most \(documentMax) bytes are allowed")
        }
        let lines = Set(text.split(whereSeparator: \.isNewline).map { $0.trimmingSuffix(while: \.isWhitespace) })
        let missing = sections.filter { !lines.contains("## \($0)") }
        guard missing.isEmpty else {
            throw Problem.invalid(
                "document", "sections are missing: \(missing.map { "## \($0)" }.joined(separator: ", "))",
                hint: "Keep the headings of the draft; a section may be empty.")
        }
        return text
    }
}

extension Substring {
    fileprivate func trimmingSuffix(while isMeant: (Character) -> Bool) -> String {
        var text = self
        while let last = text.last, isMeant(last) { text.removeLast() }
        return String(text)
    }
}

/// Says by when a postmortem has to be there.
public struct PostmortemReminder: Sendable {
    public let dueAt: Timestamp
    public let isOverdue: Bool

    /// For whom it concerns, with the incident's title behind it.
    public var text: String {
        isOverdue
            ? "Postmortem overdue since \(PageText.full(dueAt))" : "Postmortem due by \(PageText.full(dueAt))"
    }
}

/// Something that somebody does so that it does not happen again.
public struct ActionItem: Sendable, Equatable {
    /// Items of one incident.
    public static let itemsMax: Int64 = 200
    public static let summaryMax = 1_000

    public enum State: String, Sendable, CaseIterable {
        case open, done, dropped
    }

    public let number: Int64
    public var summary: String
    /// Who sees to it; a name, not a key.
    public var owner: String
    /// A day, as 2026-11-30.
    public var dueOn: String?
    public var state: State
    public let createdAt: Timestamp
    public let createdBy: String
    public var closedAt: Timestamp?
    /// The key of the proposal that it was made of.
    var proposal: String?

    func isOverdue(at now: Timestamp) -> Bool {
        guard state == .open, let dueOn else { return false }
        return dueOn < String(now.rfc3339.prefix(10))
    }
}

extension ActionItem: JSONConvertible {
    public var json: JSONValue {
        [
            "number": .int(number), "summary": .string(summary), "owner": .string(owner), "dueOn": .of(dueOn),
            "state": .string(state.rawValue), "createdAt": createdAt.json, "createdBy": .string(createdBy),
            "closedAt": .of(closedAt), "proposal": .of(proposal),
        ]
    }
}
