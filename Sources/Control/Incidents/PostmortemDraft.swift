import Kernel
import Telemetry

/// A postmortem's document: made from what is known, and put together with the items that are tracked.
enum PostmortemDraft {
    /// Entries of the timeline that a draft has: all that people did, and of the rest what came first.
    static let entriesMax = 300

    static func text(
        _ incident: Incident, alerts: [IncidentAlert], entries: [IncidentEntry], analysis: IncidentAnalysis
    ) -> String {
        var parts = [head(incident, alerts, analysis.assessment)]
        parts.append("## Impact\n\n" + impact(analysis.impact))
        parts.append("## Timeline\n\n" + timeline(entries))
        parts.append("## Contributing factors\n\n" + factors(analysis, entries))
        parts.append("## What worked\n\n" + worked(entries))
        parts.append("## Action items\n" + proposals(analysis.proposals))
        return parts.joined(separator: "\n\n") + "\n"
    }

    private static func head(
        _ incident: Incident, _ alerts: [IncidentAlert], _ assessment: IncidentAssessment
    ) -> String {
        var lines = ["# Postmortem: \(Markdown.line(incident.title))", "", "- Incident: \(incident.id.text)"]
        lines.append("- Severity: \(incident.severity.rawValue)")
        if let mode = incident.mode { lines.append("- Failure mode: \(mode.rawValue)") }
        if let kind = assessment.saidBy ?? assessment.kind { lines.append("- Nature: \(kind.rawValue)") }
        for milestone in Incident.Milestone.allCases {
            guard let at = incident.milestones[milestone] else { continue }
            let after = at - incident.begin
            var since = ", after \(PageText.span(after))"
            if milestone == .detected {
                // Which alert knew it first is for who wants a tighter rule.
                let first = alerts.filter { $0.activeAt != nil }.min {
                    ($0.activeAt ?? $0.firstAt, $0.name) < ($1.activeAt ?? $1.firstAt, $1.name)
                }
                since =
                    incident.seconds(to: .detected, begun: first?.activeAt).map {
                        ", \(PageText.span(.seconds($0))) after the condition of "
                            + "\(Markdown.line(first?.name ?? "")) first held"
                    } ?? ""
            }
            lines.append("- \(PageText.label(milestone.rawValue)): \(PageText.full(at))\(since)")
        }
        if incident.reopenings > 0 { lines.append("- Came back \(incident.reopenings) times") }
        let names = Set(alerts.map(\.name)).sorted().prefix(20)
        if !names.isEmpty { lines.append("- Alerts: \(names.map(Markdown.line).joined(separator: ", "))") }
        if let status = incident.status {
            lines += ["", "\(Markdown.line(status.text)) (\(Markdown.line(status.by)), \(PageText.full(status.at)))"]
        }
        return lines.joined(separator: "\n")
    }

    private static func impact(_ impact: IncidentImpact) -> String {
        var lines = ["- From \(PageText.full(impact.from)) to \(PageText.full(impact.until))"]
        let about = impact.spend.isCut ? "at least " : ""
        if impact.tasks.isEmpty {
            lines.append("- Tasks: none failed, were held or were lost")
        } else {
            let parts = impact.tasks.map { "\(PageText.count($0.count)) \(PageText.label($0.outcome).lowercased())" }
            lines.append("- Tasks: \(parts.joined(separator: ", "))")
        }
        lines.append("- Sessions: \(about)\(PageText.count(impact.spend.sessions))")
        lines.append(
            "- Model calls: \(about)\(PageText.count(impact.spend.calls)), of which "
                + "\(PageText.count(impact.spend.failed)) failed")
        lines.append("- Cost in that time: \(about)\(PageText.dollars(nano: impact.spend.nanoUSD))")
        if !impact.agents.isEmpty {
            lines.append("- Agents: \(Markdown.line(RootCauseRanking.list(impact.agents)))")
        }
        return lines.joined(separator: "\n")
    }

    private static func timeline(_ entries: [IncidentEntry]) -> String {
        guard !entries.isEmpty else { return "Nothing was written down." }
        let byHand = entries.filter { !IncidentService.isAutomatic($0) }
        let room = max(0, entriesMax - byHand.count)
        let automatic = entries.filter(IncidentService.isAutomatic).prefix(room)
        let shown = (byHand.prefix(entriesMax) + automatic).sorted { $0.at < $1.at }
        var lines = ["| Time (UTC) | What | With what | By |", "|---|---|---|---|"]
        for entry in shown {
            let words = [entry.action, entry.text].compactMap(\.self).joined(separator: ": ")
            lines.append(
                "| \(PageText.full(entry.at).dropLast(4)) | \(Markdown.line(words)) | \(Markdown.line(entry.target)) | "
                    + "\(Markdown.line(entry.actor)) |")
        }
        if shown.count < entries.count { lines.append("\n\(entries.count - shown.count) more entries are left out.") }
        return lines.joined(separator: "\n")
    }

    private static func factors(_ analysis: IncidentAnalysis, _ entries: [IncidentEntry]) -> String {
        guard !analysis.candidates.isEmpty else { return "Nothing that Reeve knows of came before it." }
        return analysis.candidates.map { cause in
            let why = cause.evidence.map(Markdown.line).joined(separator: "; ")
            return "- \(Markdown.line(cause.target)) (\(PageText.decimal(cause.score, digits: 2))): \(why)"
        }.joined(separator: "\n")
    }

    private static func worked(_ entries: [IncidentEntry]) -> String {
        let acts = entries.filter { ["containment", "runbook"].contains($0.kind) }.prefix(50)
        let reached = entries.filter { $0.kind == "milestone" && ["contained", "mitigated"].contains($0.action) }
        let lines = (acts + reached).sorted { $0.at < $1.at }.map {
            "- \(PageText.full($0.at)): \(Markdown.line($0.action)) \(Markdown.line($0.target)), by "
                + Markdown.line($0.actor)
        }
        return lines.isEmpty ? "Nothing was contained." : lines.joined(separator: "\n")
    }

    // MARK: Action items

    /// What the evidence speaks for, marked as what nobody decided yet.
    private static func proposals(_ proposals: [ActionProposal]) -> String {
        guard !proposals.isEmpty else { return "" }
        let lines = proposals.map {
            "- Proposed: \(Markdown.line($0.summary)): \(Markdown.line($0.owner)), due \($0.dueOn) "
                + "(\(Markdown.line($0.because)))"
        }
        return "\n" + lines.joined(separator: "\n")
    }

    private static let heading = "## Action items"

    /// The document with the items as they stand, right behind their heading.
    static func with(_ items: [ActionItem], in document: String) -> String {
        let lines = document.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let place = lines.lastIndex(where: { $0.hasPrefix(heading) }) else { return document }
        let list = items.isEmpty ? ["", "None yet."] : [""] + items.map(line)
        return (lines[...place] + list + lines[(place + 1)...]).joined(separator: "\n")
    }

    private static func line(_ item: ActionItem) -> String {
        let box = item.state == .open ? " " : item.state == .done ? "x" : "-"
        let due = item.dueOn.map { ", due \($0)" } ?? ""
        let dropped = item.state == .dropped ? ", dropped" : ""
        return "- [\(box)] #\(item.number) \(Markdown.line(item.summary)): \(Markdown.line(item.owner))\(due)\(dropped)"
    }

    /// The document without the lines that ``with(_:in:)`` put there, so that each appears once.
    static func without(_ document: String) -> String {
        let lines = document.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard let place = lines.lastIndex(where: { $0.hasPrefix(heading) }) else { return document }
        var rest = Array(lines[(place + 1)...])
        if rest.count > 1, rest[0].isEmpty, rest[1] == "None yet." || isItem(rest[1]) { rest.removeFirst() }
        rest.removeAll { isItem($0) || $0 == "None yet." }
        return (lines[...place] + rest).joined(separator: "\n")
    }

    private static func isItem(_ line: String) -> Bool {
        ["- [ ] #", "- [x] #", "- [-] #"].contains { line.hasPrefix($0) }
    }
}

/// Text from outside in a Markdown document.
enum Markdown {
    private static let max = 500
    private static let special: Set<Character> = ["\\", "`", "*", "[", "]", "<", ">", "|"]

    /// One line without markup of its own.
    static func line(_ text: String) -> String {
        var line = ""
        for character in text.prefix(max) {
            if character.isNewline || character == "\t" {
                line.append(" ")
            } else {
                if special.contains(character) { line.append("\\") }
                line.append(character)
            }
        }
        return text.count > max ? line + "…" : line
    }
}

extension IncidentEntry {
    /// What it says in words, of all that is known of it.
    var text: String? {
        for name in ["text", "note", "summary", "reason", "message", "cause", "verdict"] {
            if let text = detail[name]?.string, !text.isEmpty { return text }
        }
        return nil
    }
}
