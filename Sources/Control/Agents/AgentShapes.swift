import Kernel

/// The JSON Schemas of agents and ingest, by the names that routes refer to.
public enum AgentShapes {
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("Agent", agent), ("AgentDraft", draft), ("AgentChange", change), ("AgentMessage", message),
        ("AgentMessageDraft", messageDraft), ("HeartbeatReply", heartbeatReply), ("Ingest", ingest),
        ("IngestReply", ingestReply),
    ]

    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let optionalTime: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let labels: JSONValue = ["type": "object", "additionalProperties": text]
    private static let names: JSONValue = ["type": "array", "items": text]
    private static let status: JSONValue = ["type": "string", "enum": .list(AgentStatus.allCases.map(\.rawValue))]

    private static func object(_ properties: JSONValue, required: [String]) -> JSONValue {
        ["type": "object", "required": .list(required), "properties": properties]
    }

    private static let health = object(
        [
            "status": ["type": "string", "enum": .list(AgentHealth.Status.allCases.map(\.rawValue))],
            "since": optionalTime, "checkedAt": optionalTime, "failures": count, "lastError": optionalText,
        ], required: ["status"])

    private static let configVersion = object(
        ["desired": optionalText, "reported": optionalText], required: ["desired", "reported"])

    private static let config = object(
        ["desired": optionalText, "reported": optionalText, "behind": ["type": "boolean"]],
        required: ["desired", "reported", "behind"])

    private static let agent = object(
        [
            "name": text, "project": text, "status": status, "statusSince": time, "statusMessage": optionalText,
            "lastHeartbeatAt": optionalTime, "lastContactAt": optionalTime, "heartbeatSeconds": count,
            "cpuPercent": ["type": ["number", "null"]], "memoryBytes": ["type": ["integer", "null"]],
            "currentTasks": [
                "type": "array",
                "items": object(["id": text, "title": text, "state": text], required: ["id", "title", "state"]),
            ],
            "configVersion": configVersion, "config": config, "labels": labels, "capabilities": names,
            "release": optionalText,
            "healthURL": optionalText, "health": health, "pausedReason": optionalText,
            "drainingReason": optionalText, "quarantineReason": optionalText, "createdAt": time, "updatedAt": time,
        ],
        required: [
            "name", "project", "status", "statusMessage", "lastHeartbeatAt", "cpuPercent", "memoryBytes",
            "currentTasks", "configVersion", "config", "labels", "capabilities",
        ])

    private static let draft = object(
        [
            "name": ["type": "string", "minLength": 1, "maxLength": 200], "project": optionalText,
            "labels": ["type": ["object", "null"], "additionalProperties": text],
            "capabilities": ["type": ["array", "null"], "items": text], "healthURL": optionalText,
            "release": optionalText, "desiredConfigVersion": optionalText,
        ], required: ["name"])

    private static let change: JSONValue = [
        "type": "object",
        "properties": [
            "project": optionalText, "labels": ["type": ["object", "null"], "additionalProperties": text],
            "capabilities": ["type": ["array", "null"], "items": text], "healthURL": optionalText,
            "release": optionalText, "desiredConfigVersion": optionalText,
        ],
    ]

    private static let message = object(
        ["id": text, "text": text, "from": text, "at": time], required: ["id", "text", "from", "at"])

    private static let messageDraft = object(
        ["text": ["type": "string", "minLength": 1, "maxLength": 10_000]], required: ["text"])

    private static let heartbeatReply = object(
        [
            "nextHeartbeatSeconds": count, "pause": ["type": "boolean"], "drain": ["type": "boolean"],
            "config": object(["desired": optionalText, "etag": optionalText], required: ["desired", "etag"]),
            "messages": ["type": "array", "items": RouteShape.ref("AgentMessage")], "cancel": names,
            "serverTime": time, "budget": ["type": "object"],
        ], required: ["nextHeartbeatSeconds", "pause", "drain", "config", "messages", "cancel", "serverTime"])

    private static let event: JSONValue = object(
        [
            "type": ["type": "string", "minLength": 1, "maxLength": 200], "agent": optionalText,
            "project": optionalText, "statusMessage": optionalText, "cpuPercent": ["type": ["number", "null"]],
            "memoryBytes": ["type": ["integer", "null"]], "configVersion": optionalText, "release": optionalText,
            "labels": ["type": ["object", "null"]], "capabilities": ["type": ["array", "null"]],
            "intervalSeconds": ["type": ["integer", "null"]],
        ], required: ["type"])

    private static let ingest: JSONValue = [
        "anyOf": [
            event, ["type": "array", "items": event],
            object(["events": ["type": "array", "items": event]], required: ["events"]),
        ]
    ]

    private static let ingestReply: JSONValue = [
        "anyOf": [
            RouteShape.ref("HeartbeatReply"),
            object(
                [
                    "accepted": count,
                    "rejected": [
                        "type": "array",
                        "items": object(
                            ["index": count, "code": text, "detail": text], required: ["index", "code"]),
                    ],
                ], required: ["accepted", "rejected"]),
        ]
    ]
}
