import Kernel

/// The JSON shapes of alerts, for `openapi.json`.
public enum AlertShapes {
    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let texts: JSONValue = ["type": "object", "additionalProperties": ["type": "string"]]
    private static let names: JSONValue = ["type": "array", "items": ["type": "string"]]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]

    public static let schemas: [(name: String, schema: JSONValue)] = [
        (
            "Alert",
            [
                "type": "object",
                "properties": [
                    "id": optionalText, "fingerprint": text, "labels": texts, "annotations": texts,
                    "state": ["type": "string", "enum": .list(AlertView.State.allCases.map(\.rawValue))],
                    "origin": ["type": "string", "enum": .list(Alert.Origin.allCases.map(\.rawValue))],
                    "activeAt": time, "startsAt": optionalText, "endsAt": optionalText,
                    "value": ["type": ["number", "string", "null"]], "incident": optionalText,
                    "silencedBy": names, "inhibitedBy": names, "because": names, "generatorURL": text,
                ],
                "required": ["labels", "annotations", "state", "activeAt", "value", "incident"],
            ]
        )
    ]
}
