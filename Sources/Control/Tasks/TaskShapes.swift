import Kernel

/// The JSON shapes of tasks and what belongs to them, for `openapi.json`. Schemathesis holds the server to them.
public enum TaskShapes {
    private static let text: JSONValue = ["type": "string"]
    private static let textOrNull: JSONValue = ["type": ["string", "null"]]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let timeOrNull: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    private static let whole: JSONValue = ["type": "integer"]
    private static let number: JSONValue = ["type": "number"]
    private static let flag: JSONValue = ["type": "boolean"]
    private static let anything: JSONValue = [:]
    private static let name: JSONValue = [
        "type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^./\\\\\\x00-\\x1F][^/\\\\\\x00-\\x1F]*$",
    ]
    private static let fence: JSONValue = ["type": "integer", "minimum": 0]
    private static let names: JSONValue = ["type": "array", "items": name]

    private static func words<Choice: RawRepresentable & CaseIterable>(_ type: Choice.Type) -> JSONValue
    where Choice.RawValue == String {
        ["type": "string", "enum": .list(Choice.allCases.map(\.rawValue))]
    }

    private static func object(_ properties: JSONValue, required: [String] = []) -> JSONValue {
        required.isEmpty
            ? ["type": "object", "properties": properties]
            : ["type": "object", "properties": properties, "required": .list(required)]
    }

    public static let schemas: [(name: String, schema: JSONValue)] = requests + replies

    private static let requests: [(name: String, schema: JSONValue)] = [
        ("TaskRequest", taskRequest),
        (
            "TaskGraphRequest",
            object(["tasks": ["type": "array", "minItems": 1, "items": taskRequest]], required: ["tasks"])
        ),
        (
            "ClaimRequest",
            object([
                "queues": ["type": "array", "items": name, "minItems": 1],
                "limit": ["type": "integer", "minimum": 1, "maximum": 1_000],
                "waitSeconds": ["type": "number", "minimum": 0, "maximum": 30], "agent": name, "takesBundle": flag,
            ])
        ),
        (
            "BeatRequest",
            object(
                [
                    "fence": fence, "progress": ["type": "number", "minimum": 0, "maximum": 1],
                    "note": ["type": "string", "maxLength": 2_000], "usage": usage, "checkpoint": anything,
                ], required: ["fence"])
        ),
        ("EndRequest", object(["fence": fence, "output": anything], required: ["fence"])),
        (
            "CompleteManyRequest",
            object(
                [
                    "items": [
                        "type": "array",
                        "items": object(["id": text, "fence": fence, "output": anything], required: ["id", "fence"]),
                    ]
                ], required: ["items"])
        ),
        (
            "FailRequest",
            object(
                [
                    "fence": fence, "class": words(FailureClass.self), "message": text,
                    "delaySeconds": ["type": "number", "minimum": 0],
                ],
                required: ["fence"])
        ),
        (
            "ReleaseRequest",
            object(["fence": fence, "delaySeconds": ["type": "number", "minimum": 0]], required: ["fence"])
        ),
        (
            "ParkRequest",
            object(
                [
                    "fence": fence, "kind": words(WaitKind.self), "prompt": text, "until": time, "seconds": number,
                    "fallback": anything, "checkpoint": anything, "tasks": names,
                ], required: ["fence"])
        ),
        (
            "DeliverableRequest",
            object(
                ["fence": fence, "name": name, "contentType": text, "content": anything, "contentBase64": text],
                required: ["fence", "name"])
        ),
        (
            "ReviewRequest",
            object(
                ["verdict": words(ReviewVerdict.self), "sha256": text, "comment": text],
                required: ["verdict", "sha256"])
        ),
        ("Reason", object(["reason": ["type": "string", "maxLength": 1_000]])),
        ("RetryRequest", object(["input": anything, "agent": name])),
        ("HoldRequest", object(["hold": words(TaskHold.self), "reason": ["type": "string", "maxLength": 1_000]])),
        ("ResumeRequest", object(["hold": words(TaskHold.self), "answer": anything, "token": text])),
        ("ReassignRequest", object(["agent": ["type": ["string", "null"]]])),
        ("RequeueRequest", object(["ids": ["type": "array", "items": text], "queue": name, "reason": text])),
        (
            "QueueChange",
            object([
                "concurrency": ["type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000],
                "model": ["type": ["string", "null"], "minLength": 1, "maxLength": 200],
            ])
        ),
        (
            "ProjectChange",
            object(["weight": ["type": "number", "minimum": 0.001, "maximum": 1_000]], required: ["weight"])
        ),
    ]

    private static let usage: JSONValue = object([
        "inputTokens": fence, "outputTokens": fence, "usd": ["type": "number", "minimum": 0], "toolCalls": fence,
        "steps": fence,
    ])

    private static let taskRequest: JSONValue = object([
        "ref": name, "project": name, "queue": name, "type": name, "title": ["type": "string", "maxLength": 1_000],
        "input": anything, "priority": ["type": "integer", "minimum": -1_000_000_000, "maximum": 1_000_000_000],
        "dependsOn": [
            "type": "array",
            "items": [
                "anyOf": [text, object(["task": text, "ifUnmet": words(UnmetPolicy.self)], required: ["task"])]
            ],
        ],
        "agent": name, "requires": names, "deliverableSchema": ["type": ["object", "boolean"]],
        "model": ["type": "string", "minLength": 1, "maxLength": 200], "tier": words(ModelTier.self),
        "review": [
            "anyOf": [
                flag,
                object([
                    "approvals": ["type": "integer", "minimum": 1, "maximum": 100],
                    "maxRounds": ["type": "integer", "minimum": 1, "maximum": 1_000],
                ]),
            ]
        ],
        "budget": object([
            "usd": ["type": ["number", "string"]], "tokens": fence, "toolCalls": fence, "steps": fence,
            "seconds": ["type": "number", "minimum": 1],
        ]),
        "maxAttempts": ["type": "integer", "minimum": 1, "maximum": 1_000],
        "timeoutSeconds": ["type": "number", "minimum": 1],
        "leaseSeconds": ["type": "number", "minimum": 1, "maximum": 86_400],
        "startSeconds": ["type": "number", "minimum": 1, "maximum": 86_400],
        "progressSeconds": ["type": "number", "minimum": 1], "scheduledFor": time, "startBy": time,
        "uniqueKey": ["type": "string", "maxLength": 200], "concurrencyKey": ["type": "string", "maxLength": 200],
        "correlationId": ["type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[\\x21-\\x7E]+$"],
        "traceparent": [
            "type": "string", "pattern": "^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$",
        ],
        "tracestate": ["type": "string", "maxLength": 512],
        "onLeaseLost": words(LeaseLostPolicy.self), "onExhausted": words(ExhaustedPolicy.self),
    ])

    private static let replies: [(name: String, schema: JSONValue)] = [
        (
            "Task",
            object(
                [
                    "id": text, "project": text, "queue": text, "type": text, "title": text, "input": anything,
                    "state": words(TaskState.self), "reason": textOrNull, "holds": ["type": "array", "items": text],
                    "priority": whole, "attempts": whole, "maxAttempts": whole, "fence": whole, "agent": textOrNull,
                    "dependsOn": ["type": "array", "items": text],
                    "deliverables": ["type": "array", "items": RouteShape.ref("Deliverable")], "output": anything,
                    "submission": ["type": ["object", "null"]], "model": textOrNull, "tier": textOrNull,
                    "correlationId": textOrNull, "traceparent": textOrNull, "tracestate": textOrNull,
                    "createdAt": time, "updatedAt": time,
                    "finishedAt": timeOrNull,
                ],
                required: [
                    "id", "project", "queue", "type", "title", "state", "holds", "priority", "attempts", "fence",
                    "dependsOn", "deliverables", "createdAt", "updatedAt",
                ])
        ),
        ("TaskList", object(["items": ["type": "array", "items": RouteShape.ref("Task")]], required: ["items"])),
        (
            "ClaimReply",
            object(
                [
                    "items": [
                        "type": "array",
                        "items": object(
                            [
                                "task": RouteShape.ref("Task"), "attempt": whole, "fence": whole,
                                "leaseExpiresAt": time, "correlationId": textOrNull, "traceparent": text,
                                "tracestate": textOrNull,
                            ],
                            required: ["task", "attempt", "fence", "leaseExpiresAt"]),
                    ]
                ], required: ["items"])
        ),
        (
            "BeatReply",
            object(
                [
                    "leaseExpiresAt": timeOrNull, "nextHeartbeatSeconds": number, "cancel": flag, "pause": flag,
                    "drain": flag, "config": ["type": "object"], "budget": ["type": "object"],
                    "messages": ["type": "array"], "serverTime": time,
                ], required: ["nextHeartbeatSeconds", "cancel", "pause", "drain", "serverTime"])
        ),
        (
            "Deliverable",
            object(
                [
                    "id": text, "taskId": text, "name": text, "revision": whole, "contentType": text, "size": whole,
                    "sha256": text, "agent": text, "approved": flag, "url": text, "createdAt": time,
                    "correlationId": textOrNull,
                ], required: ["id", "name", "revision", "sha256", "url"])
        ),
        (
            "Review",
            object([
                "verdict": words(ReviewVerdict.self), "sha256": text, "comment": text, "reviewer": text, "at": time,
            ])
        ),
        (
            "Attempt",
            object([
                "number": whole, "fence": whole, "agent": text, "bundle": textOrNull, "state": words(AttemptState.self),
                "arm": ["type": ["string", "null"], "enum": ["new", "old", .null]],
                "share": ["type": ["number", "null"]],
            ])
        ),
        (
            "Explanation",
            object(
                [
                    "state": words(TaskState.self), "claimable": flag,
                    "unmet": [
                        "type": "array",
                        "items": object(
                            ["code": text, "detail": text, "taskId": text, "liftedBy": text],
                            required: ["code", "detail", "liftedBy"]),
                    ],
                ], required: ["state", "claimable", "unmet"])
        ),
        (
            "Queue",
            object(
                [
                    "name": text, "paused": flag, "depth": whole, "running": whole,
                    "concurrency": ["type": ["integer", "null"]], "model": textOrNull,
                ],
                required: ["name", "paused", "depth", "running"])
        ),
        ("Project", object(["name": text, "paused": flag, "weight": number], required: ["name", "paused", "weight"])),
    ]
}
