import Telemetry

/// Puts what an incident is about into the texts of a runbook.
struct RunbookSubjects: Sendable {
    static let kinds = [
        "agent", "agent_type", "task", "task_type", "queue", "provider", "model", "tool", "session", "project", "scope",
    ]
    /// Stands for the budgets of all scopes, agents and projects.
    private static let scopes = "scopes"

    let incident: Incident
    /// What its subjects lead to, where it does not name any of a kind itself.
    var aim = RunbookAim()

    enum Place {
        /// Within quotes of PromQL, and within the query of a path.
        case query, path
    }

    private func all(_ kind: String) -> [String] {
        let named = incident.subjects(of: kind)
        return named.isEmpty ? IncidentFacts.names(of: kind, in: aim.subjects) : named
    }

    /// `{{agent}}` is the first agent of the incident, or else the first that its subjects lead to.
    ///
    /// - Returns: `nil` where the incident is about no such thing.
    func filled(_ text: String, in place: Place) -> String? {
        var filled = ""
        var rest = text[...]
        while let open = rest.range(of: "{{"), let close = rest[open.upperBound...].range(of: "}}") {
            filled += rest[..<open.lowerBound]
            let kind = rest[open.upperBound..<close.lowerBound].bare
            let value = kind == "incident" ? incident.id.text : all(kind).first
            guard let value else { return nil }
            switch place {
            case .query:
                // It stands within quotes already.
                filled += QueryText.quoted(value).dropFirst().dropLast()
            case .path: filled += PagePath.encoded(value)
            }
            rest = rest[close.upperBound...]
        }
        return filled + rest
    }

    /// `{{agents}}` stands for all of them; names that stand for nothing are left out.
    func names(_ texts: [String]) -> [String] {
        texts.flatMap { text -> [String] in
            guard text.hasPrefix("{{"), text.hasSuffix("}}") else { return [text] }
            let word = text.dropFirst(2).dropLast(2)[...].bare
            if word == Self.scopes {
                let all =
                    all("scope") + all("agent").map { "agent:\($0)" } + all("project").map { "project:\($0)" }
                return all.enumerated().filter { !all[..<$0].contains($1) }.map(\.element)
            }
            if word == RunbookAim.paused { return IncidentFacts.names(of: word, in: aim.subjects) }
            let isOne = Self.kinds.contains(word)
            let all = all(isOne ? word : String(word.dropLast()))
            return isOne ? Array(all.prefix(1)) : all
        }
    }

    /// What an action does here: on the names that it gives, or as the plan has it; nothing where nobody is meant.
    func orders(of action: Runbook.Action) -> [ContainmentOrder] {
        guard !action.isPlanned else { return aim.orders.filter { $0.action == action.action } }
        return [ContainmentOrder(action.action, action.parameters.mapValues(names))].compactMap(\.self)
    }

    /// Whether a parameter's text stands for names of the incident, and for which: `{{agents}}`, `{{scopes}}`,
    /// `{{paused}}`.
    static func isPlace(_ text: String) -> Bool {
        guard text.hasPrefix("{{"), text.hasSuffix("}}"), places(in: text).count == 1 else { return false }
        let word = text.dropFirst(2).dropLast(2)[...].bare
        return word == scopes || word == RunbookAim.paused || kinds.contains(word)
            || (word.hasSuffix("s") && kinds.contains(String(word.dropLast())))
    }

    /// What stands between braces in a text.
    static func places(in text: String) -> [String] {
        var found: [String] = []
        var rest = text[...]
        while let open = rest.range(of: "{{"), let close = rest[open.upperBound...].range(of: "}}") {
            found.append(rest[open.upperBound..<close.lowerBound].bare)
            rest = rest[close.upperBound...]
        }
        return found
    }
}

extension Substring {
    /// Without spaces around it.
    fileprivate var bare: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
