import Kernel

/// The JSON Schemas of schedules, by the names that routes refer to.
public enum ScheduleShapes {
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("Schedule", schedule), ("ScheduleDetail", detail), ("ScheduleDraft", draft), ("ScheduleChange", change),
        ("ScheduleRun", run),
    ]

    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let optionalTime: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    private static let flag: JSONValue = ["type": "boolean"]
    private static let catchUp = JSONValue.list(Schedule.CatchUp.allCases.map(\.rawValue))

    private static func object(_ properties: JSONValue, required: [String]) -> JSONValue {
        ["type": "object", "required": .list(required), "properties": properties]
    }

    private static let pause: JSONValue = [
        "type": ["object", "null"], "properties": ["at": time, "reason": text, "actor": text],
    ]

    private static let members: [(name: String, schema: JSONValue)] = [
        ("id", text), ("name", text), ("cron", text), ("description", text), ("timezone", text),
        ("catchUp", ["type": "string", "enum": catchUp]), ("paused", flag), ("pause", pause),
        ("task", ["type": "object"]), ("nextAt", optionalTime), ("lastAt", optionalTime), ("lastTaskId", optionalText),
        ("lastError", optionalText), ("createdAt", time), ("createdBy", text), ("updatedAt", time),
    ]

    private static func object(_ members: [(name: String, schema: JSONValue)]) -> JSONValue {
        let properties = JSONObject(members.map { JSONObject.Member(name: $0.name, value: $0.schema) })
        return object(.object(properties), required: members.map(\.name))
    }

    private static let schedule = object(members)

    private static let firing = object([
        ("at", time), ("manual", flag), ("firedAt", time), ("taskId", optionalText), ("error", optionalText),
    ])

    private static let detail = object(
        members + [
            ("upcoming", ["type": "array", "items": time]), ("history", ["type": "array", "items": firing]),
        ])

    private static let name: JSONValue = ["type": "string", "minLength": 1, "maxLength": 200]
    private static let cron: JSONValue = ["type": "string", "maxLength": .int(Int64(CronExpression.charactersMax))]
    private static let choice: JSONValue = [
        "type": ["string", "null"], "enum": .array((catchUp.array ?? []) + [.null]),
    ]

    private static let draft = object(
        [
            "name": name, "cron": cron, "timezone": optionalText, "catchUp": choice,
            "task": RouteShape.ref("TaskRequest"),
        ], required: ["name", "cron", "task"])

    private static let change = object(
        [
            "name": ["type": ["string", "null"], "minLength": 1, "maxLength": 200], "cron": optionalText,
            "timezone": optionalText, "catchUp": choice, "task": ["type": ["object", "null"]],
        ], required: [])

    private static let run = object(
        ["taskId": text, "schedule": RouteShape.ref("Schedule")], required: ["taskId", "schedule"])
}
