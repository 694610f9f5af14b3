import Kernel
import Telemetry

extension Incident: JSONConvertible {
    public var json: JSONValue {
        [
            "id": id.json, "title": .string(title), "state": .string(state.rawValue), "open": .bool(isOpen),
            "severity": .string(severity.rawValue), "mode": .of(mode?.rawValue), "kind": .of(kind?.rawValue),
            "subjects": .list(subjects), "openedBy": .string(openedBy), "reopenings": .int(reopenings),
            "mergedInto": .of(mergedInto), "quietSince": .of(quietSince),
            "milestones": .object(
                JSONObject(Milestone.allCases.map { .init(name: $0.field, value: .of(milestones[$0])) })),
            "seconds": .object(
                JSONObject(
                    IncidentReport.milestones.filter { $0 != .detected }.map { milestone in
                        .init(name: milestone.rawValue, value: .of(seconds(to: milestone, begun: nil)))
                    })),
            "status": status.map {
                ["text": .string($0.text), "at": $0.at.json, "by": .string($0.by)]
            } ?? .null,
        ]
    }
}

extension IncidentAlert {
    /// - Parameters:
    ///   - latest: As alerts stand, or stood at last, with these labels.
    ///   - isSuppressed: Whether it fires, and nobody is told.
    func json(of id: Identifier<Incident>, latest: Alert?, isSuppressed: Bool) -> JSONValue {
        [
            "labels": labels.object, "annotations": ["summary": .string(summary)],
            "state": .string(endedAt == nil ? "firing" : "resolved"), "suppressed": .bool(isSuppressed),
            "value": AlertView.json(latest?.value), "activeAt": lastAt.json,
            "conditionSince": .of(activeAt), "incident": id.json, "fingerprint": .string(fingerprint),
            "times": .int(times),
            "firstAt": firstAt.json, "endedAt": .of(endedAt),
        ]
    }
}

extension Postmortem {
    func json(of incident: Incident) -> JSONValue {
        let state =
            waivedAt != nil
            ? "waived" : incident.milestones[.postmortem] != nil ? "published" : document == nil ? "draft" : "edited"
        return [
            "state": .string(state), "dueAt": .of(dueAt), "editedAt": .of(editedAt), "editedBy": .of(editedBy),
            "waivedBy": .of(waivedBy), "waivedWhy": .of(waivedWhy),
        ]
    }
}

/// The JSON shapes of incidents, for `openapi.json`.
public enum IncidentShapes {
    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let flag: JSONValue = ["type": "boolean"]
    private static let number: JSONValue = ["type": "number"]
    private static let optionalNumber: JSONValue = ["type": ["number", "null"]]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let optionalTime: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    private static let object: JSONValue = ["type": "object"]
    private static func list(_ item: JSONValue) -> JSONValue { ["type": "array", "items": item] }
    private static let subject: JSONValue = [
        "type": "string",
        "pattern": .string("^(\(IncidentDraft.kinds.sorted().joined(separator: "|"))):[A-Za-z0-9_-]+$"),
    ]

    private static func choice(_ words: [String]) -> JSONValue { ["type": "string", "enum": .list(words)] }
    private static let severity = choice(Incident.Severity.allCases.map(\.rawValue))
    private static let milestone = choice(Incident.Milestone.allCases.map(\.rawValue))
    private static let mode = choice(FailureMode.allCases.map(\.rawValue))
    private static let kind = choice(FailureKind.allCases.map(\.rawValue))
    private static let words: JSONValue = [
        "type": "string", "minLength": 1, "maxLength": .int(Int64(Incident.noteMax)),
    ]
    private static let title: JSONValue = [
        "type": "string", "minLength": 1, "maxLength": .int(Int64(Incident.titleMax)),
    ]

    private static let incident: [(String, JSONValue)] = [
        ("id", text), ("title", text), ("state", milestone), ("open", flag), ("severity", severity),
        ("mode", optionalText), ("kind", optionalText), ("subjects", list(text)), ("openedBy", text),
        ("reopenings", count), ("mergedInto", optionalText), ("quietSince", optionalTime),
        (
            "milestones",
            shape(
                Incident.Milestone.allCases.map { ($0.field, optionalTime) },
                required: Incident.Milestone.allCases.map(\.field))
        ),
        ("seconds", shape(IncidentReport.milestones.map { ($0.rawValue, optionalNumber) }, required: [])),
        ("status", ["type": ["object", "null"]]),
    ]

    private static let alert: [(String, JSONValue)] = [
        ("labels", object), ("annotations", object), ("state", choice(["firing", "resolved"])), ("suppressed", flag),
        // Words where it is no finite number.
        ("value", ["type": ["number", "string", "null"]]), ("activeAt", time), ("conditionSince", optionalTime),
        ("incident", text), ("fingerprint", text), ("times", count), ("firstAt", time), ("endedAt", optionalTime),
    ]

    private static let entry: [(String, JSONValue)] = [
        ("time", time), ("kind", text), ("action", text), ("target", text), ("actor", text), ("detail", object),
    ]

    private static let item: [(String, JSONValue)] = [
        ("number", count), ("summary", text), ("owner", text), ("dueOn", optionalText),
        ("state", choice(ActionItem.State.allCases.map(\.rawValue))), ("createdAt", time), ("createdBy", text),
        ("closedAt", optionalTime), ("proposal", optionalText),
    ]

    public static let schemas: [(name: String, schema: JSONValue)] = nouns + bodies

    private static let nouns: [(name: String, schema: JSONValue)] = [
        ("Incident", shape(incident, required: incident.map(\.0))),
        (
            "IncidentDetail",
            shape(
                incident + [
                    ("beganAt", optionalTime), ("alerts", list(RouteShape.ref("IncidentAlert"))),
                    ("timeline", list(RouteShape.ref("IncidentEntry"))),
                    ("timelineIsCut", flag), ("timelineMore", optionalText), ("traces", list(object)),
                    ("deliverables", list(object)),
                    ("actions", list(RouteShape.ref("ActionItem"))),
                    ("postmortem", object), ("links", object),
                ], required: incident.map(\.0) + ["alerts", "timeline"])
        ),
        ("IncidentAlert", shape(alert, required: alert.map(\.0))),
        ("IncidentEntry", shape(entry, required: entry.map(\.0))),
        (
            "IncidentAnalysis",
            shape(
                [
                    ("assessment", object), ("candidates", list(object)), ("impact", object),
                    ("proposals", list(object)),
                ], required: ["assessment", "candidates", "impact", "proposals"])
        ),
        (
            "IncidentReport",
            shape(
                [
                    ("days", count), ("incidents", count), ("atLeast", flag), ("times", list(object)),
                    ("byMode", list(object)), ("bySeverity", list(object)), ("weeks", list(object)),
                    ("rules", list(object)),
                ], required: ["days", "incidents", "times", "byMode", "bySeverity", "weeks", "rules"])
        ),
        ("ActionItem", shape(item, required: item.map(\.0))),
    ]

    private static let bodies: [(name: String, schema: JSONValue)] = [
        (
            "IncidentDraft",
            shape(
                [
                    ("title", title), ("severity", severity), ("subjects", list(subject)), ("note", text),
                    ("mode", mode),
                ], required: ["title", "severity"])
        ),
        (
            "IncidentEdit",
            shape([("title", title), ("severity", severity), ("mode", mode), ("kind", kind)], required: [])
        ),
        ("IncidentMilestone", shape([("milestone", milestone), ("note", text)], required: ["milestone"])),
        ("IncidentText", shape([("text", words)], required: ["text"])),
        ("IncidentMerge", shape([("into", text)], required: ["into"])),
        ("IncidentSplit", shape([("alerts", list(text)), ("title", title)], required: ["alerts"])),
        ("IncidentWaiver", shape([("reason", words)], required: ["reason"])),
        (
            "ActionItemDraft",
            shape(
                [("summary", words), ("owner", text), ("dueOn", text), ("proposal", text)],
                required: ["summary", "owner"])
        ),
        (
            "ActionItemEdit",
            shape(
                [
                    ("summary", words), ("owner", text), ("dueOn", text),
                    ("state", choice(ActionItem.State.allCases.map(\.rawValue))),
                ], required: [])
        ),
    ]

    private static func shape(_ members: [(String, JSONValue)], required: [String]) -> JSONValue {
        [
            "type": "object", "properties": .object(JSONObject(members.map { .init(name: $0.0, value: $0.1) })),
            "required": .list(required),
        ]
    }
}
