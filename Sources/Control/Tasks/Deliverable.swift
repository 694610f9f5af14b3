import Kernel

public enum DeliverableSubject: Identified {
    public static let idPrefix = "dlv"
}

public typealias DeliverableID = Identifier<DeliverableSubject>

/// What an agent made: sealed by its SHA-256, kept for good, revised by adding another.
public struct Deliverable: Sendable, Equatable {
    public let id: DeliverableID
    public let taskID: TaskID
    public let name: String
    public let revision: Int64
    public let contentType: String
    /// Bytes.
    public let size: Int64
    public let sha256: String
    public let agent: String
    public let keyID: String
    public let fence: Int64
    /// The review round that it was made in: 0 before the first.
    public let round: Int64
    /// Whether the task it belongs to is done with this revision.
    public var isApproved: Bool
    public let createdAt: Timestamp
    /// Its task's.
    public let correlationID: String?

    var asApproved: Deliverable {
        var approved = self
        approved.isApproved = true
        return approved
    }

    public var url: String { "/api/v1/deliverables/\(id)/content" }

    /// Whether the content is JSON, and the task's schema holds for it.
    public var isJSON: Bool { Self.isJSON(name: name, contentType: contentType) }

    static func isJSON(name: String, contentType: String) -> Bool {
        let type = contentType.lowercased().split(separator: ";").first.map { $0.trimmingSpaces() } ?? ""
        return type == "application/json" || type.hasSuffix("+json") || name.lowercased().hasSuffix(".json")
    }
}

extension Deliverable: JSONConvertible {
    public var json: JSONValue {
        [
            "id": id.json, "taskId": taskID.json, "name": .string(name), "revision": .int(revision),
            "contentType": .string(contentType), "size": .int(size), "sha256": .string(sha256),
            "agent": .string(agent), "round": .int(round), "approved": .bool(isApproved), "url": .string(url),
            "createdAt": createdAt.json, "correlationId": .of(correlationID),
        ]
    }
}

/// What is under review, as one value that a verdict can name.
enum Submission {
    /// The SHA-256 of the one deliverable; of several, that of their sorted lines `name sha256`, joined by newlines.
    static func sha256(_ deliverables: [Deliverable]) -> String? {
        guard deliverables.count != 1 else { return deliverables[0].sha256 }
        guard !deliverables.isEmpty else { return nil }
        let lines = deliverables.map { "\($0.name) \($0.sha256)" }.sorted()
        return Digest.sha256(lines.joined(separator: "\n"))
    }
}

/// What a reviewer says.
public enum ReviewVerdict: String, Sendable, CaseIterable {
    case approve
    /// Back to the author, with the remarks.
    case changes
    /// Set aside for good, unless an operator decides otherwise.
    case reject
}

/// One verdict on one content.
public struct Review: Sendable, Equatable {
    public let taskID: TaskID
    public let number: Int64
    public let round: Int64
    public let verdict: ReviewVerdict
    public let sha256: String
    public let comment: String
    public let reviewer: String
    public let keyID: String
    public let at: Timestamp
}

extension Review: JSONConvertible {
    public var json: JSONValue {
        [
            "round": .int(round), "verdict": .string(verdict.rawValue), "sha256": .string(sha256),
            "comment": .string(comment), "reviewer": .string(reviewer), "at": at.json,
        ]
    }
}

extension Substring {
    fileprivate func trimmingSpaces() -> Substring {
        let start = drop { $0 == " " }
        return start.lastIndex { $0 != " " }.map { start[...$0] } ?? ""
    }
}
