import Kernel
import Telemetry

/// Why records stay, and who said so.
struct LegalHold: Sendable, Identified {
    static let idPrefix = "hold"
    /// Holds in force at one time: each is asked of each record that is to go.
    static let activeMax: Int64 = 200
    static let reasonMax = 500

    let id: Identifier<LegalHold>
    let target: TelemetryHold.Target
    let reason: String
    let createdAt: Timestamp
    let createdBy: String
    var liftedAt: Timestamp?
    var liftedBy: String?

    var hold: TelemetryHold { TelemetryHold(id: id.text, target: target) }

    var kind: String {
        switch target {
        case .correlation: "correlationId"
        case .trace: "traceId"
        case .agent: "agent"
        case .subject: "subject"
        case .times: "times"
        }
    }

    /// What it is on, as people write it.
    var text: String {
        switch target {
        case .correlation(let text), .agent(let text), .subject(let text): text
        case .trace(let id): id.description
        case .times(let times):
            "\(Timestamp(microseconds: times.lowerBound / 1_000))/\(Timestamp(microseconds: times.upperBound / 1_000))"
        }
    }

    /// Names it in the audit log and the event log, where a person's name has no place.
    func facts(digest: (String) -> String) -> JSONValue {
        var facts = JSONObject()
        facts["kind"] = .string(kind)
        if case .subject(let subject) = target {
            facts["subjectDigest"] = .string(digest(subject))
        } else {
            facts["target"] = .string(text)
        }
        facts["reason"] = .string(reason)
        return .object(facts)
    }
}

extension LegalHold: JSONConvertible {
    var json: JSONValue {
        var object = JSONObject()
        object["id"] = id.json
        if case .times(let times) = target {
            object["since"] = Timestamp(microseconds: times.lowerBound / 1_000).json
            object["until"] = Timestamp(microseconds: times.upperBound / 1_000).json
        } else {
            object[kind] = .string(text)
        }
        object["reason"] = .string(reason)
        object["createdAt"] = createdAt.json
        object["createdBy"] = .string(createdBy)
        object["liftedAt"] = liftedAt?.json ?? .null
        object["liftedBy"] = .of(liftedBy)
        return .object(object)
    }
}

extension TelemetryHold.Target {
    /// From the body of a request: one of several, or a range of times.
    init(_ fields: Fields) throws {
        let names = ["correlationId", "traceId", "agent", "subject"]
        try fields.refuseOthers(than: names + ["since", "until", "reason"])
        let (since, until) = (try fields.optionalTime("since"), try fields.optionalTime("until"))
        let given = names.filter { fields.value($0) != nil }
        guard given.count + (since == nil && until == nil ? 0 : 1) == 1 else {
            throw Problem.invalid(
                fields.path("correlationId"), "a hold is on one thing",
                hint: "Give one of correlationId, traceId, agent and subject, or since and until.")
        }
        switch given.first {
        case "correlationId": self = .correlation(try fields.string("correlationId", max: 200))
        case "agent": self = .agent(try fields.name("agent"))
        case "subject": self = .subject(try SubjectMatch.checked(try fields.string("subject", max: 1_000)))
        case "traceId":
            guard let id = TraceID(try fields.string("traceId", max: 64)) else {
                throw Problem.invalid(fields.path("traceId"), "32 hexadecimal digits are expected")
            }
            self = .trace(id)
        default:
            guard let since, let until, since < until else {
                throw Problem.invalid(fields.path("until"), "both `since` and a later `until` are expected")
            }
            self = .times(since.microseconds &* 1_000..<until.microseconds &* 1_000)
        }
    }
}

extension SubjectMatch {
    /// A subject from outside.
    static func checked(_ text: String) throws -> String {
        guard charactersRange.contains(text.unicodeScalars.count) else {
            throw Problem.invalid(
                "subject",
                "\(charactersRange.lowerBound) to \(charactersRange.upperBound) characters are expected",
                hint: "A shorter text is in the records of many; a longer one is no name.")
        }
        return text
    }
}
