import Kernel

/// The JSON Schemas of budgets, by the names that routes refer to.
public enum BudgetShapes {
    public static let schemas: [(name: String, schema: JSONValue)] = [("Budget", budget), ("BudgetDraft", draft)]

    private static let text: JSONValue = ["type": "string"]
    private static let count: JSONValue = ["type": "integer"]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let optionalTime: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    private static let period: JSONValue = ["type": "string", "enum": ["day", "month", "total"]]

    private static func object(_ properties: JSONValue) -> JSONValue {
        let names = (properties.object?.members ?? []).map(\.name)
        return ["type": "object", "required": .list(names), "properties": properties]
    }

    private static let amounts = object(["nanoUSD": count, "tokens": count, "calls": count, "steps": count])

    private static let optionalCount: JSONValue = ["type": ["integer", "null"]]
    private static let remaining = object([
        "nanoUSD": optionalCount, "tokens": optionalCount, "calls": optionalCount, "steps": optionalCount,
    ])

    private static let limitCount: JSONValue = [
        "type": "integer", "minimum": 0, "maximum": .int(BudgetLimit.countMax),
    ]
    /// Dollars; with more digits than a JSON number keeps they stand in quotes.
    private static let limit: JSONValue = [
        "type": "object", "minProperties": 1,
        "properties": [
            "usd": ["type": ["number", "string"]], "tokens": limitCount, "calls": limitCount, "steps": limitCount,
        ],
    ]

    private static let budget = object([
        "id": text, "scope": text, "limit": limit, "period": period, "mode": text, "softPercent": count,
        "settled": amounts, "held": amounts, "remaining": remaining, "usedFraction": ["type": "number"],
        "softLimitReached": ["type": "boolean"], "breaches": count,
        "window": object(["start": optionalTime, "end": optionalTime]), "createdAt": time, "createdBy": text,
        "updatedAt": time,
    ])

    private static let draft: JSONValue = [
        "type": "object", "required": ["limit"], "additionalProperties": false,
        "properties": [
            "limit": limit, "period": ["type": ["string", "null"], "enum": ["day", "month", "total", .null]],
            "mode": [
                "type": ["string", "object", "null"],
                "description": "strict, observe, or elastic(10%), which {\"elastic\": 10} stands for too",
            ], "softPercent": ["type": ["integer", "null"], "minimum": 1, "maximum": 100],
        ],
    ]
}
