import Kernel
import Telemetry

/// The model of drills: scripted, within Reeve, there on every server and asked by the agents of drills alone. It goes
/// wrong as the words of a call say, so that a drill brings about what it is about with real calls.
public enum DrillModel {
    /// Its name, and that of its provider.
    public static let name = DrillNames.model

    static let document: JSONValue = [
        "providers": .object(JSONObject([.init(name: name, value: ["kind": "scripted"])])),
        "models": .object(
            JSONObject([
                .init(
                    name: name,
                    value: [
                        "targets": [["provider": .string(name), "model": "drill-2026-01-01"]],
                        "price": ["input": 3, "output": 15], "retries": 0,
                    ])
            ])),
    ]

    static let script = Script(rules: [
        rule(DrillNames.fails) { $0.fault = .init(status: 503) },
        rule(DrillNames.burns) { $0.answer.usage = .init(input: 100_000, output: 10_000) },
    ])

    private static func rule(_ words: String, _ change: (inout Script.Rule) -> Void) -> Script.Rule {
        var rule = Script.Rule()
        rule.contains = words
        change(&rule)
        return rule
    }
}
