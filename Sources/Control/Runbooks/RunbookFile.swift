import Kernel
import Telemetry

/// Reads a runbook from YAML. What is wrong with it is told with its line and column.
extension Runbook {
    /// - Throws: ``MarkedYAML/Fault``.
    public init(_ text: String, file: String = "") throws(MarkedYAML.Fault) {
        guard text.utf8.count <= Self.bytesMax else {
            throw MarkedYAML.Fault(line: 1, column: 1, reason: "a runbook has \(Self.bytesMax) bytes at most")
        }
        let document = try MarkedYAML(text)
        let members = try document.members([
            "name", "title", "alerts", "mode", "summary", "diagnosis", "actions", "stop", "verify", "verifyAfter",
            "verifyWithin", "checks",
        ])
        source = text
        self.file = file
        guard let given = members["name"] else { throw document.fault("field name is missing") }
        name = try Self.name(given)
        let name = name
        title = try members["title"].map { node throws(MarkedYAML.Fault) in try Self.line(node) } ?? name
        summary = try members["summary"].map { node throws(MarkedYAML.Fault) in try Self.line(node) } ?? ""
        alerts = try Self.list(members["alerts"], Self.name)
        mode = try members["mode"].map { node throws(MarkedYAML.Fault) in try Self.mode(node) }
        diagnosis = try Self.list(members["diagnosis"]) { node throws(MarkedYAML.Fault) in try Self.question(node) }
        let mode = mode
        actions = try Self.list(members["actions"]) { node throws(MarkedYAML.Fault) in
            try Self.action(node, mode)
        }
        stops = try Self.list(members["stop"]) { node throws(MarkedYAML.Fault) in try Self.proof(node) }
        verify = try Self.list(members["verify"]) { node throws(MarkedYAML.Fault) in try Self.proof(node) }
        checks = try Self.list(members["checks"]) { node throws(MarkedYAML.Fault) in try Self.line(node) }
        verifyAfter = try Self.span(members["verifyAfter"]) ?? .seconds(60)
        verifyWithin = try Self.span(members["verifyWithin"]) ?? .minutes(10)
        guard !diagnosis.isEmpty || !actions.isEmpty || !checks.isEmpty else {
            throw document.fault("the runbook has no steps: add diagnosis, actions or checks")
        }
    }

    private static func list<Item>(
        _ node: MarkedYAML?, _ read: (MarkedYAML) throws(MarkedYAML.Fault) -> Item
    ) throws(MarkedYAML.Fault) -> [Item] {
        guard let node else { return [] }
        let elements = try node.elements()
        guard elements.count <= stepsMax else { throw node.fault("\(stepsMax) are the most that may stand here") }
        var items: [Item] = []
        for element in elements { items.append(try read(element)) }
        return items
    }

    private static func line(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> String {
        let text = try node.text()
        guard !text.isEmpty, text.unicodeScalars.count <= textMax else {
            throw node.fault("1 to \(textMax) characters are expected")
        }
        // Not all stores keep them, and no page shows them.
        guard text.unicodeScalars.allSatisfy({ $0.value >= 32 || $0 == "\n" || $0 == "\t" }) else {
            throw node.fault("it has a control character")
        }
        return text
    }

    private static func name(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> String {
        let text = try node.text()
        let isPlain = text.unicodeScalars.allSatisfy { scalar in
            scalar == "-" || scalar == "_" || scalar == "."
                || (scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)))
        }
        guard isPlain, (1...100).contains(text.utf8.count), text.first != "." else {
            throw node.fault("a name of letters, digits, - and _ is expected")
        }
        return text
    }

    private static func mode(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> FailureMode {
        guard let mode = FailureMode(rawValue: try node.text()) else {
            throw node.fault("a mode is expected: \(FailureMode.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return mode
    }

    /// `90s`, `10m`, `1h`.
    private static func span(_ node: MarkedYAML?) throws(MarkedYAML.Fault) -> Span? {
        guard let node else { return nil }
        let text = try node.text()
        guard let unit = text.last, let number = Int64(text.dropLast()), (0...10_000).contains(number),
            let seconds = [Character("s"): Int64(1), "m": 60, "h": 3_600][unit], number * seconds <= 86_400
        else { throw node.fault("a length of time of a day at most is expected, such as 90s or 10m") }
        return .seconds(number * seconds)
    }

    /// A question whose answer decides: it expects something, and something that silence is not.
    private static func proof(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> Question {
        let question = try question(node)
        guard let expects = question.expects else { throw node.fault("field expect is missing") }
        guard question.kind == .query, expects.outcome(of: valuesOfNothing(question.text)) == .holds else {
            return question
        }
        throw node.fault(
            "it holds where there is no data at all: expect a number of a series that is there while all is well, "
                + "such as \"<= 0\"")
    }

    /// What an expression that can be read gives where there are no series.
    private static func valuesOfNothing(_ text: String) -> [Double] {
        do {
            switch try PromQLQuery(example(of: text)).answer(at: 1_000_000_000, from: NoSeries()) {
            case .scalar(let sample): return [sample.value]
            case .vector(let series): return series.compactMap { $0.samples.last?.value }
            case .string, .matrix: return []
            }
        } catch { return [] }
    }

    /// Any name does for a look at an expression.
    private static func example(of text: String) -> String {
        RunbookSubjects.places(in: text).reduce(text) { $0.replacing("{{\($1)}}", with: "x") }
    }

    private static func question(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> Question {
        let kinds = Question.Kind.allCases.map(\.rawValue)
        let members = try node.members(Set(kinds + ["title", "expect"]))
        let given = Question.Kind.allCases.filter { members[$0.rawValue] != nil }
        guard given.count == 1, let kind = given.first, let asked = members[kind.rawValue] else {
            throw node.fault("one of \(kinds.joined(separator: ", ")) is expected")
        }
        let text = try line(asked)
        try check(text, kind, asked)
        var expects: Expectation?
        if let expected = members["expect"] {
            guard let read = Expectation(try expected.text()) else {
                throw expected.fault("empty, present, or a comparison such as \"< 0.05\" is expected")
            }
            expects = read
        }
        let title = try members["title"].map { node throws(MarkedYAML.Fault) in try line(node) } ?? text
        return Question(title: title, kind: kind, text: text, expects: expects)
    }

    /// What can be known to be wrong before there is an incident.
    private static func check(
        _ text: String, _ kind: Question.Kind, _ node: MarkedYAML
    ) throws(MarkedYAML.Fault) {
        for place in RunbookSubjects.places(in: text)
        where place != "incident" && !RunbookSubjects.kinds.contains(place) {
            throw node.fault(
                "{{\(place)}} stands for nothing: \(RunbookSubjects.kinds.joined(separator: ", ")) or incident may be")
        }
        switch kind {
        case .query:
            do { _ = try PromQLQuery(example(of: text)) } catch {
                throw node.fault("the expression cannot be read: \(error)")
            }
        case .api:
            guard text.hasPrefix("/api/v1/"), !text.contains(".."), !text.contains("#") else {
                throw node.fault("a path below /api/v1/ is expected; it is only read")
            }
        case .logs, .traces, .tasks:
            guard !text.contains("?"), !text.contains("/"), !text.contains("#") else {
                throw node.fault("filters are expected, such as agent={{agent}}&limit=20")
            }
            let known = kind.filters ?? []
            for filter in text.split(separator: "&") {
                let name = String(filter.prefix { $0 != "=" })
                guard known.contains(name) else {
                    throw node.fault(
                        "\"\(name)\" is no filter of \(kind.rawValue): \(known.sorted().joined(separator: ", "))")
                }
            }
        }
    }

    private static func action(
        _ node: MarkedYAML, _ mode: FailureMode?
    ) throws(MarkedYAML.Fault) -> Action {
        let members = try node.members(["action", "parameters"])
        guard let named = members["action"], let action = ContainmentAction(rawValue: try named.text()) else {
            throw (members["action"] ?? node).fault(
                "an action is expected: \(ContainmentAction.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        guard members["parameters"] != nil else {
            guard let mode, mode.plannedActions.contains(action) else {
                throw node.fault(
                    "\(action.rawValue) needs parameters, or the runbook a mode whose plan has it "
                        + "(docs/guide/containment.md)")
            }
            return Action(action: action, parameters: [:], line: node.line)
        }
        let (required, optional) = action.details
        let known = action.subjects + required + optional
        let given = try members["parameters"]?.members(Set(known.map(\.rawValue))) ?? [:]
        var parameters: [ContainmentParameter: [String]] = [:]
        for parameter in known {
            guard let value = given[parameter.rawValue] else { continue }
            var names: [String] = []
            if case .sequence = value.content {
                for element in try value.elements() { names.append(try line(element)) }
            } else {
                names = [try line(value)]
            }
            guard !parameter.isSingle || names.count == 1 else { throw value.fault("one text is expected") }
            if let name = names.first(where: { $0.contains("{{") && !RunbookSubjects.isPlace($0) }) {
                throw value.fault(
                    "\"\(name)\" stands for nothing: {{agent}}, {{agents}}, {{scopes}} and their like may be alone")
            }
            parameters[parameter] = names
        }
        guard action.subjects.contains(where: { parameters[$0] != nil }) else {
            let names = action.subjects.map(\.rawValue).joined(separator: " or ")
            throw node.fault("\(action.rawValue) needs \(names)")
        }
        for parameter in required where parameters[parameter] == nil {
            throw node.fault("\(action.rawValue) needs \(parameter.rawValue)")
        }
        return Action(action: action, parameters: parameters, line: node.line)
    }
}

/// A store without any series.
private struct NoSeries: SeriesReader {
    func series(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, samplesMax: Int, isOver: () -> Bool
    ) throws -> [SeriesSamples] { [] }

    func labelSets(
        _ matchers: [LabelMatcher], in times: ClosedRange<Int64>, isOver: () -> Bool
    ) throws -> Set<LabelSet> { [] }
}
