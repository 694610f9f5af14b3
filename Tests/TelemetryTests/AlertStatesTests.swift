import Testing

@testable import Telemetry

@Suite("Alerts of a rule over time")
struct AlertStatesTests {
    private static let labels = LabelSet([("alertname", "A"), ("job", "x")])
    private static let minute: Int64 = 60_000

    /// What holds at each minute, and what the alert is behind it: pending, firing, inactive, or gone.
    struct Course: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var holdsFor: Int64 = 0
        var keepsFiringFor: Int64 = 0
        /// `1` where the condition holds.
        let condition: String
        /// `p`, `f`, `i` or `-`.
        let states: String
        /// Minutes of firing and of ends.
        let fired: [Int64]
        let resolved: [Int64]
    }

    @Test(
        "states follow the condition",
        arguments: [
            Course(
                testDescription: "at once", condition: "0110", states: "-ffi", fired: [1], resolved: [3]),
            Course(
                testDescription: "only after a while", holdsFor: 2, condition: "11100", states: "ppfii", fired: [2],
                resolved: [3]),
            Course(
                testDescription: "not for long enough", holdsFor: 2, condition: "110110", states: "pp-pp-", fired: [],
                resolved: []),
            Course(
                testDescription: "it goes on for a while", keepsFiringFor: 2, condition: "1000", states: "fffi",
                fired: [0], resolved: [3]),
            Course(
                testDescription: "it comes back while it goes on", keepsFiringFor: 2, condition: "10010001",
                states: "ffffffif", fired: [0, 7], resolved: [6]),
            Course(
                testDescription: "one that ended is told for 15 minutes",
                condition: "1" + String(repeating: "0", count: 18),
                states: "f" + String(repeating: "i", count: 16) + "--", fired: [0], resolved: [1]),
            Course(
                testDescription: "one that ended begins anew", holdsFor: 1, condition: "11011", states: "pfipf",
                fired: [1, 4], resolved: [2]),
        ])
    func course(_ course: Course) {
        var states = AlertStates()
        let rule = RuleProgram.Alert(
            holdsFor: course.holdsFor * Self.minute, keepsFiringFor: course.keepsFiringFor * Self.minute,
            annotations: [])
        var seen = ""
        var fired: [Int64] = []
        var resolved: [Int64] = []
        for (minute, sign) in course.condition.enumerated() {
            let found = AlertStates.Finding(labels: Self.labels, annotations: ["m": "\(minute)"], value: Double(minute))
            let time = Int64(minute) * Self.minute
            for change in states.evaluate(sign == "1" ? [found] : [], rule, at: time) {
                switch change {
                case .fired: fired.append(Int64(minute))
                case .resolved: resolved.append(Int64(minute))
                }
            }
            let instance = states.instances[Self.labels]
            seen += instance.map { String($0.state.rawValue.prefix(1)) } ?? "-"
            // The last that held is what it says.
            if sign == "1" { #expect(instance?.annotations["m"] == "\(minute)" && instance?.value == Double(minute)) }
        }
        #expect(seen == course.states)
        #expect(fired == course.fired)
        #expect(resolved == course.resolved)
    }
}
