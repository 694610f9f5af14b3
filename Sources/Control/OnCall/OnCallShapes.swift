import Kernel

extension OnCallOverride: JSONConvertible {
    public var json: JSONValue {
        [
            "id": .of(id?.text), "schedule": .string(schedule), "person": .string(person), "from": from.json,
            "until": until.json, "reason": .of(reason), "createdAt": createdAt?.json ?? .null,
            "createdBy": .of(createdBy),
        ]
    }
}

extension OnCallDuty.Reason {
    /// What names it, and of which kind it is.
    var words: (kind: String, name: String?) {
        switch self {
        case .layer(let name): ("layer", name)
        case .override(let name): ("override", name)
        case .nobody: ("nobody", nil)
        }
    }
}

extension OnCallShift {
    public func json(in schedule: OnCallSchedule) -> JSONValue {
        [
            "schedule": .string(schedule.name), "zone": .string(schedule.clock.name), "person": .of(duty.person),
            "because": .string(duty.reason.words.kind), "name": .of(duty.reason.words.name), "from": from.json,
            "until": until.json,
        ]
    }
}

extension OnCallPlan {
    /// Who has the duty in each schedule at a moment: what `GET /api/v1/oncall` and `reeve oncall who` answer.
    ///
    /// - Throws: ``Problem`` `not_found` for a schedule that is not there.
    public func duties(
        at time: Timestamp, schedule only: String? = nil, overrides: [OnCallOverride] = []
    ) throws -> JSONValue {
        let items = try chosen(only).map { schedule -> JSONValue in
            let schedule = schedule.with(overrides)
            let (shift, next) = schedule.shift(at: time)
            var object = shift.json(in: schedule).object ?? JSONObject()
            object["next"] = .of(next?.duty.person)
            return .object(object)
        }
        return ["configured": true, "at": time.json, "schedules": .array(items)]
    }

    /// The shifts of a range, those without anybody among them, by schedule and time.
    ///
    /// - Throws: ``Problem`` `not_found` for a schedule that is not there, `invalid` for a range that is none or too
    ///   long.
    public func shifts(
        in range: (from: Timestamp, until: Timestamp), schedule only: String? = nil, overrides: [OnCallOverride] = []
    ) throws -> [JSONValue] {
        guard range.from < range.until, range.until - range.from <= OnCallSchedule.rangeMax else {
            throw Problem.invalid("until", "a time behind `from`, by 366 days at most, is expected")
        }
        return try chosen(only).flatMap { schedule in
            let schedule = schedule.with(overrides)
            return schedule.shifts(in: range.from..<range.until).map { $0.json(in: schedule) }
        }
    }

    private func chosen(_ name: String?) throws -> [OnCallSchedule] {
        guard let name else { return schedules }
        guard let schedule = schedule(name) else { throw Problem.notFound("schedule", name) }
        return [schedule]
    }
}

extension OnCallNotice: JSONConvertible {
    public var json: JSONValue {
        [
            "key": .string(key), "round": .int(Int64(round)), "step": .int(Int64(step)),
            "target": .string("\(target.kind):\(target.name)"), "person": .of(person),
            "channel": .of(channel.map { "\($0.kind):\($0.shown)" }), "action": .string(action.rawValue),
            "state": .string(state.rawValue),
            "attempts": .int(Int64(attempts)), "error": .of(error), "createdAt": createdAt.json,
            "endedAt": endedAt?.json ?? .null,
        ]
    }
}

extension Escalation {
    func json(notices: [OnCallNotice]) -> JSONValue {
        [
            "id": id.json, "incident": .string(incident), "title": .string(title), "severity": .string(severity),
            "path": .string(path.rawValue), "chain": .string(chain), "state": .string(state.rawValue),
            "round": .int(Int64(round)), "step": .int(Int64(step)), "nextAt": nextAt?.json ?? .null,
            "startedAt": startedAt.json, "acknowledgedAt": acknowledgedAt?.json ?? .null,
            "acknowledgedBy": .of(acknowledgedBy), "endedAt": endedAt?.json ?? .null, "notices": .list(notices),
        ]
    }
}

/// The JSON shapes of on-call, for `openapi.json`.
public enum OnCallShapes {
    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]

    private static func words<Word: RawRepresentable>(_ words: [Word]) -> JSONValue where Word.RawValue == String {
        ["type": "string", "enum": .list(words.map(\.rawValue))]
    }

    private static let shift: [(String, JSONValue)] = [
        ("schedule", text), ("zone", text), ("person", optionalText),
        ("because", ["type": "string", "enum": ["layer", "override", "nobody"]]), ("name", optionalText),
        ("from", time), ("until", time),
    ]

    private static let escalation: [(String, JSONValue)] = [
        ("id", text), ("incident", text), ("title", text), ("severity", text),
        ("path", words(OnCallPlan.Path.allCases)),
        ("chain", text), ("state", words(Escalation.State.allCases)), ("round", count), ("step", count),
        ("nextAt", optionalText), ("startedAt", time), ("acknowledgedAt", optionalText),
        ("acknowledgedBy", optionalText), ("endedAt", optionalText),
        ("notices", ["type": "array", "items": RouteShape.ref("OnCallNotice")]),
    ]

    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("OnCallShift", object(shift)),
        ("OnCallDuty", object(shift + [("next", optionalText)])),
        (
            "OnCall",
            object([
                ("configured", ["type": "boolean"]), ("at", time),
                ("schedules", ["type": "array", "items": RouteShape.ref("OnCallDuty")]),
            ])
        ),
        (
            "OnCallShifts",
            object([
                ("configured", ["type": "boolean"]),
                ("items", ["type": "array", "items": RouteShape.ref("OnCallShift")]),
            ])
        ),
        (
            "OnCallOverrideDraft",
            object(
                [("schedule", text), ("person", text), ("from", time), ("until", time), ("reason", text)],
                required: ["person", "from", "until"])
        ),
        (
            "OnCallOverride",
            object([
                ("id", text), ("schedule", text), ("person", text), ("from", time), ("until", time),
                ("reason", optionalText), ("createdAt", time), ("createdBy", text),
            ])
        ),
        (
            "OnCallNotice",
            object([
                ("key", text), ("round", count), ("step", count), ("target", text), ("person", optionalText),
                ("channel", optionalText), ("action", words(OnCallNotice.Action.allCases)),
                ("state", words(OnCallNotice.State.allCases)), ("attempts", count), ("error", optionalText),
                ("createdAt", time), ("endedAt", optionalText),
            ])
        ),
        ("Escalation", object(escalation)),
    ]

    private static func object(_ members: [(String, JSONValue)], required: [String]? = nil) -> JSONValue {
        [
            "type": "object", "properties": .object(JSONObject(members.map { .init(name: $0.0, value: $0.1) })),
            "required": .list(required ?? members.map(\.0)),
        ]
    }
}
