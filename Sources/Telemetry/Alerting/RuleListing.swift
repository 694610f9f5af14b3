import Kernel

/// Rules and their alerts as Prometheus' HTTP API shows them (Prometheus documentation, "HTTP API", of 2.42).
extension RuleEngine {
    /// - Parameter type: `alert` or `record` for those alone.
    func rulesJSON(type: String?) -> JSONValue {
        let groups = groups.map { group -> JSONValue in
            let rules = group.entry.group.rules.enumerated().compactMap { index, rule -> JSONValue? in
                guard type == nil || type == (rule.alert == nil ? "record" : "alert") else { return nil }
                return Self.json(rule, index, group)
            }
            return [
                "name": .string(group.entry.group.name), "file": .string(group.entry.file),
                "interval": .double(Double(group.entry.interval) / 1_000),
                "limit": .int(Int64(group.entry.group.limit)), "rules": .array(rules),
                "evaluationTime": .double(group.took.reduce(.zero, +) / .seconds(1)),
                "lastEvaluation": Self.time(group.evaluatedAt ?? 0),
            ]
        }
        return ["groups": .array(groups)]
    }

    func alertsJSON() -> JSONValue {
        ["alerts": .array(groups.flatMap { $0.alerts.sorted { $0.key < $1.key }.flatMap(\.value) }.map(Self.json))]
    }

    private static func json(_ rule: RuleProgram.Rule, _ index: Int, _ group: Group) -> JSONValue {
        var object = JSONObject()
        object["name"] = .string(rule.name)
        object["query"] = .string(rule.query.text)
        object["labels"] = texts(rule.labels)
        let fault = group.faults[index]
        object["health"] = group.evaluatedAt == nil ? "unknown" : fault == nil ? "ok" : "err"
        if let fault { object["lastError"] = .string(fault) }
        object["evaluationTime"] = .double(
            group.took.indices.contains(index) ? group.took[index] / .seconds(1) : 0)
        object["lastEvaluation"] = time(group.evaluatedAt ?? 0)
        guard let alert = rule.alert else {
            object["type"] = "recording"
            return .object(object)
        }
        let alerts = group.alerts[index] ?? []
        let isFiring = alerts.contains { $0.state == .firing }
        object["state"] = alerts.isEmpty ? "inactive" : isFiring ? "firing" : "pending"
        object["duration"] = .double(Double(alert.holdsFor) / 1_000)
        object["keepFiringFor"] = .double(Double(alert.keepsFiringFor) / 1_000)
        object["annotations"] = texts(alert.annotations)
        object["alerts"] = .array(alerts.map(json))
        object["type"] = "alerting"
        return .object(object)
    }

    private static func json(_ alert: AlertInstance) -> JSONValue {
        [
            "labels": alert.labels.json,
            "annotations": .object(
                JSONObject(
                    alert.annotations.sorted { $0.key < $1.key }.map {
                        .init(name: $0.key, value: .string($0.value))
                    })),
            "state": .string(alert.state.rawValue), "activeAt": time(alert.activeAt),
            "value": .string(QueryText.exponential(alert.value)),
        ]
    }

    private static func texts(_ texts: [(name: String, text: Template)]) -> JSONValue {
        .object(JSONObject(texts.map { .init(name: $0.name, value: .string($0.text.source)) }))
    }

    private static func time(_ milliseconds: Int64) -> JSONValue {
        Timestamp(microseconds: milliseconds * 1_000).json
    }
}

extension QueryText {
    /// With an exponent always (Go, `strconv.FormatFloat(f, 'e', -1, 64)`).
    static func exponential(_ value: Double) -> String {
        guard value.isFinite else { return number(value) }
        guard value != 0 else { return value.sign == .minus ? "-0e+00" : "0e+00" }
        let (digits, exponent) = digits(value)
        let behind = digits.dropFirst()
        let power = exponent - 1
        return "\(value < 0 ? "-" : "")\(digits.prefix(1))\(behind.isEmpty ? "" : ".\(behind)")e"
            + "\(power < 0 ? "-" : "+")\(power.magnitude < 10 ? "0" : "")\(power.magnitude)"
    }
}
