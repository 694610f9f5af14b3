import Kernel

/// The JSON shapes of Alertmanager's API v2, for `openapi.json`.
extension AlertmanagerRoutes {
    private static let text: JSONValue = ["type": "string"]
    private static let texts: JSONValue = ["type": "object", "additionalProperties": ["type": "string"]]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let flag: JSONValue = ["type": "boolean"]

    static func list(_ name: String) -> JSONValue { ["type": "array", "items": RouteShape.ref(name)] }

    static let filter: (name: String, schema: JSONValue, summary: String) = (
        "filter", ["type": "string"], "A matcher such as severity=\"critical\"; may stand several times"
    )

    static let alertQuery: [(name: String, schema: JSONValue, summary: String)] = [
        filter, ("active", flag, "Whether those are shown that nothing suppresses"),
        ("silenced", flag, "Whether silenced ones are shown"), ("inhibited", flag, "Whether inhibited ones are shown"),
        ("unprocessed", flag, "Taken, and without effect: what is taken in has been looked at"),
        ("receiver", text, "Only those that go to a receiver of this name, a regular expression"),
    ]

    private static let matcher: JSONValue = [
        "type": "object", "required": ["name", "value"],
        "properties": ["name": text, "value": text, "isRegex": flag, "isEqual": flag],
    ]

    private static let silence: [(String, JSONValue)] = [
        ("matchers", ["type": "array", "items": matcher]), ("startsAt", time), ("endsAt", time), ("createdBy", text),
        ("comment", text),
    ]

    private static let alert: [(String, JSONValue)] = [
        ("labels", texts), ("annotations", texts), ("startsAt", time), ("endsAt", time), ("generatorURL", text),
    ]

    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("AlertmanagerPost", object(alert, required: ["labels"])),
        (
            "AlertmanagerAlert",
            object(
                alert + [
                    ("updatedAt", time), ("fingerprint", text), ("receivers", list("AlertmanagerReceiver")),
                    (
                        "status",
                        object(
                            [
                                ("state", ["type": "string", "enum": ["unprocessed", "active", "suppressed"]]),
                                ("silencedBy", ["type": "array", "items": text]),
                                ("inhibitedBy", ["type": "array", "items": text]),
                            ], required: ["state", "silencedBy", "inhibitedBy"])
                    ),
                ],
                required: [
                    "labels", "annotations", "startsAt", "endsAt", "updatedAt", "fingerprint", "receivers", "status",
                ])
        ),
        ("AlertmanagerReceiver", object([("name", text)], required: ["name"])),
        (
            "AlertmanagerGroup",
            object(
                [
                    ("labels", texts), ("receiver", RouteShape.ref("AlertmanagerReceiver")),
                    ("alerts", list("AlertmanagerAlert")),
                ], required: ["labels", "receiver", "alerts"])
        ),
        (
            "AlertmanagerSilenceDraft",
            object(silence + [("id", text), ("duration", text), ("everything", flag)], required: ["matchers"])
        ),
        (
            "AlertmanagerSilence",
            object(
                silence + [
                    ("id", text), ("updatedAt", time),
                    (
                        "status",
                        object(
                            [("state", ["type": "string", "enum": ["active", "pending", "expired"]])],
                            required: ["state"])
                    ),
                ],
                required: ["id", "status", "updatedAt", "matchers", "startsAt", "endsAt", "createdBy", "comment"])
        ),
    ]

    private static func object(_ members: [(String, JSONValue)], required: [String]) -> JSONValue {
        [
            "type": "object", "properties": .object(JSONObject(members.map { .init(name: $0.0, value: $0.1) })),
            "required": .list(required),
        ]
    }
}
