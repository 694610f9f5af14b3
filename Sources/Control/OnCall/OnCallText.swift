import Kernel

/// On-call as the command line says it: from the same documents that the interface answers.
public enum OnCallText {
    public static let notConfigured = "No on-call: the server's settings name no file (oncall.file)."

    /// Who has the duty in each schedule: from what ``OnCallPlan/duties(at:schedule:overrides:)`` answers.
    public static func duties(_ document: JSONValue) -> String {
        guard document["configured"]?.bool == true else { return notConfigured }
        let lines = (document["schedules"]?.array ?? []).map { duty -> String in
            let next = duty["next"]?.string.map { ", then \($0)" } ?? ""
            return "\(text(duty["schedule"])): \(person(duty)) until \(time(duty["until"], duty)) "
                + "(\(text(duty["zone"]))), \(because(duty))\(next)"
        }
        return lines.isEmpty ? "There are no schedules." : lines.joined(separator: "\n")
    }

    /// Shifts by schedule and time, by the clock of each schedule.
    public static func calendar(_ shifts: [JSONValue]) -> String {
        var lines: [String] = []
        var last: String?
        let width = shifts.map { person($0).count }.max() ?? 0
        for shift in shifts {
            let name = text(shift["schedule"])
            if name != last { lines += (last == nil ? [] : [""]) + ["\(name) (\(text(shift["zone"])))"] }
            last = name
            let who = person(shift)
            let room = String(repeating: " ", count: width - who.count)
            lines.append(
                "  \(time(shift["from"], shift)) – \(time(shift["until"], shift))  \(who)\(room)  \(because(shift))")
        }
        return lines.isEmpty ? "There are no schedules." : lines.joined(separator: "\n")
    }

    private static func text(_ value: JSONValue?) -> String { value?.string ?? "" }

    private static func person(_ shift: JSONValue) -> String { shift["person"]?.string ?? "NOBODY" }

    private static func because(_ shift: JSONValue) -> String {
        switch shift["because"]?.string {
        case "layer": "layer \(text(shift["name"]))"
        case "override": "override \(text(shift["name"]))"
        default: "a gap"
        }
    }

    /// `Mon 2026-11-23 09:00` by the clock of the shift's schedule.
    private static func time(_ value: JSONValue?, _ shift: JSONValue) -> String {
        guard let time = value?.string.flatMap(Timestamp.init(rfc3339:)) else { return "" }
        let shown = (shift["zone"]?.string.flatMap(WallClock.init) ?? .utc).shown(at: time)
        let day = WallClock.weekdayText(ofDay: WallClock.parts(of: shown).day)
        return "\(day) \(WallClock.text(of: shown).replacing("T", with: " "))"
    }
}
