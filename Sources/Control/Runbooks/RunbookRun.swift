import Kernel

/// A runbook at work on one incident: what was found, done and verified.
public struct RunbookRun: Sendable, Identified {
    public static let idPrefix = "run"
    /// Of one incident.
    public static let perIncidentMax: Int64 = 50

    public enum State: String, Sendable, CaseIterable {
        case running
        /// All is done and verified; people have items to tick.
        case checking
        case done
        /// What was to be verified did not come about, or an action failed.
        case failed
        /// There was no data by which to see whether what was to be verified came about.
        case unverified
        /// Somebody stopped it, or one of its own conditions did.
        case stopped

        public var isOver: Bool { self != .running && self != .checking }
    }

    public let id: Identifier<RunbookRun>
    public let incidentID: String
    public let runbook: String
    /// The runbook as it was when the run began.
    public let document: String
    public var state: State
    public var reason: String
    public let startedBy: String
    /// Whether its actions were approved beforehand.
    public let approves: Bool
    public let startedAt: Timestamp
    /// Whom it is about beside the incident's own subjects.
    var aim = RunbookAim()
    public var endedAt: Timestamp?
    public var steps: [RunbookStep] = []
}

/// One step of a run, with what came of it.
public struct RunbookStep: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable { case diagnosis, action, verify, check }

    public enum State: String, Sendable, CaseIterable {
        case waiting
        /// An action is proposed, or acts; what is to be verified is awaited.
        case started
        case done
        case failed
        /// There was no data by which it could be seen.
        case unknown
        /// The incident is about nothing that the step could be on.
        case skipped
        /// Somebody refused the action.
        case refused

        var isOver: Bool { self != .waiting && self != .started }
    }

    public let number: Int
    public let kind: Kind
    public let title: String
    public var state = State.waiting
    /// What was asked, and the answer, shortened.
    public var evidence: JSONValue = [:]
    public var containmentID: String?
    public var actor: String?
    public var startedAt: Timestamp?
    public var endedAt: Timestamp?
    /// When it is looked at again.
    public var dueAt: Timestamp?
}

extension RunbookStep: JSONConvertible {
    public var json: JSONValue {
        [
            "number": .int(Int64(number)), "kind": .string(kind.rawValue), "title": .string(title),
            "state": .string(state.rawValue), "evidence": evidence, "containment": .of(containmentID),
            "actor": .of(actor), "startedAt": .of(startedAt), "endedAt": .of(endedAt), "dueAt": .of(dueAt),
        ]
    }
}

extension RunbookRun: JSONConvertible {
    public var json: JSONValue {
        [
            "id": id.json, "incident": .string(incidentID), "runbook": .string(runbook),
            "state": .string(state.rawValue), "reason": .string(reason), "startedBy": .string(startedBy),
            "approves": .bool(approves), "startedAt": startedAt.json, "endedAt": .of(endedAt),
            "about": .list(aim.subjects),
            "steps": .list(steps),
        ]
    }
}
