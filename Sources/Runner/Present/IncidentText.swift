import Kernel

/// Incidents as text for a terminal.
public enum IncidentText {
    /// Entries of the timeline that are shown: the latest.
    private static let entriesMax = 40

    /// What is known of an incident, from its document with `analysis` in it.
    public static func room(_ incident: JSONValue, at now: Timestamp) -> String {
        var lines = ["\(Words.plain(incident["title"])) (\(Words.plain(incident["id"])))"]
        let kind = incident["analysis"]?["assessment"]?["kind"]
        lines.append(
            "\(Words.plain(incident["severity"])), \(Words.plain(incident["state"])), "
                + "\(Words.plain(incident["mode"])), \(Words.plain(kind))")
        for member in incident["milestones"]?.object?.members ?? [] where !member.value.isNull {
            lines.append("  \(member.name.dropLast(2))  \(Words.plain(member.value))")
        }
        if let status = incident["status"]?["text"]?.string { lines.append("Told: \(Words.plain(.string(status)))") }
        let subjects = (incident["subjects"]?.array ?? []).compactMap(\.string).map { Words.plain(.string($0)) }
        if !subjects.isEmpty { lines.append("About: \(subjects.joined(separator: ", "))") }
        let firing = (incident["alerts"]?.array ?? []).filter { $0["state"] == "firing" }
        lines.append("Alerts: \(incident["alerts"]?.array?.count ?? 0), \(firing.count) of them firing")
        for cause in (incident["analysis"]?["candidates"]?.array ?? []).prefix(3) {
            let why = (cause["evidence"]?.array ?? []).map(Words.plain).joined(separator: "; ")
            lines.append("Maybe \(Words.plain(cause["target"])) (\(Words.plain(cause["score"]))): \(why)")
        }
        let entries = incident["timeline"]?.array ?? []
        // What alerts and people said may hold anything.
        lines = lines.map(Terminal.printable)
        lines.append("")
        lines.append(ListView.incidentEntries.text(Array(entries.suffix(entriesMax)), at: now))
        return lines.joined(separator: "\n")
    }

    public static func report(_ report: JSONValue) -> String {
        func seconds(_ value: JSONValue?) -> String { value?.double.map { "\(Int($0.rounded())) s" } ?? "-" }
        let times = TextTable(
            ["MILESTONE", "INCIDENTS", "MEDIAN", "P90"],
            (report["times"]?.array ?? []).map {
                [
                    Words.plain($0["milestone"]), Words.plain($0["count"]), seconds($0["medianSeconds"]),
                    seconds($0["p90Seconds"]),
                ]
            })
        let rules = TextTable(
            ["RULE", "FIRED", "ACTED ON", "IGNORED"],
            (report["rules"]?.array ?? []).map {
                [
                    Words.plain($0["rule"]), Words.plain($0["fired"]), Words.plain($0["actedOn"]),
                    Words.plain($0["ignored"]),
                ]
            })
        let head = "\(Words.plain(report["incidents"])) incidents in \(Words.plain(report["days"])) days"
        return [head, times.text(width: nil), rules.text(width: nil)].joined(separator: "\n\n")
    }
}
