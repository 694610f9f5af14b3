import Kernel

/// Rules that are read and ready to be evaluated, as a file of Prometheus' has them.
public struct RuleProgram: Sendable {
    public let groups: [Group]

    public struct Group: Sendable {
        public let name: String
        /// Milliseconds between evaluations; `nil` for the server's own.
        public let interval: Int64?
        /// Alerts, or series, that one rule may lead to; 0 for as many as there are.
        public let limit: Int
        public let rules: [Rule]
    }

    public struct Rule: Sendable {
        /// The alert's, or that of the series that is recorded.
        public let name: String
        public let query: PromQLQuery
        /// Added to what the expression gives; templates with an alert.
        public let labels: [(name: String, text: Template)]
        /// What an alert needs beside; `nil` for a recording.
        public let alert: Alert?
        /// Where the rule stands in its file.
        public let line: Int
    }

    public struct Alert: Sendable {
        /// Milliseconds for which the condition must hold.
        public let holdsFor: Int64
        /// Milliseconds for which it goes on after the condition ended.
        public let keepsFiringFor: Int64
        public let annotations: [(name: String, text: Template)]
    }

    public var rules: [Rule] { groups.flatMap(\.rules) }
}

/// Reads rule files (prometheus.io/docs/prometheus/latest/configuration/recording_rules, of 2.42): all that a file says
/// is known, or it is refused with where that stands.
public struct RuleReader {
    /// Bytes of a file.
    public static let bytesMax = 4 << 20
    /// Rules of a file.
    public static let rulesMax = 20_000

    private var faults: [MarkedYAML.Fault] = []
    private var rules = 0

    /// Why a file is refused: everything that is wrong with it, in its order.
    public struct Refusal: Error, Sendable, CustomStringConvertible {
        public let faults: [MarkedYAML.Fault]

        public init(_ faults: [MarkedYAML.Fault]) {
            self.faults = faults.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
        }

        public var description: String { faults.map(\.description).joined(separator: "\n") }
    }

    /// - Throws: ``Refusal``.
    public static func read(_ text: String) throws(Refusal) -> RuleProgram {
        guard text.utf8.count <= bytesMax else {
            throw Refusal([.init(line: 1, column: 1, reason: "a rule file has at most \(bytesMax) bytes")])
        }
        var reader = RuleReader()
        let groups: [RuleProgram.Group]
        do { groups = try reader.file(try MarkedYAML(text)) } catch { throw Refusal(reader.faults + [error]) }
        guard reader.faults.isEmpty else { throw Refusal(reader.faults) }
        return RuleProgram(groups: groups)
    }

    /// Goes on behind a part that is refused, so that all faults are told at once.
    private mutating func noting<Value>(_ body: (inout Self) throws(MarkedYAML.Fault) -> Value) -> Value? {
        do { return try body(&self) } catch {
            faults.append(error)
            return nil
        }
    }

    private mutating func file(_ root: MarkedYAML) throws(MarkedYAML.Fault) -> [RuleProgram.Group] {
        let members = try root.members(["groups"])
        var groups: [RuleProgram.Group] = []
        var names: Set<String> = []
        for node in try members["groups"]?.elements() ?? [] {
            guard let group = noting({ reader throws(MarkedYAML.Fault) in try reader.group(node) }) else { continue }
            if !names.insert(group.name).inserted {
                faults.append(node.fault("groupname: \"\(group.name)\" is repeated in the same file"))
            }
            groups.append(group)
        }
        return groups
    }

    private mutating func group(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> RuleProgram.Group {
        let members = try node.members(["name", "interval", "limit", "query_offset", "labels", "rules"])
        let name = try members["name"]?.text() ?? ""
        guard !name.isEmpty else { throw node.fault("Groupname must not be empty") }
        let interval = try members["interval"]?.duration() ?? 0
        if interval != 0, interval < RuleBook.intervalMin, let member = members["interval"] {
            faults.append(member.fault("the interval \"\(try member.text())\" is below 1s, the shortest there is"))
        }
        if let member = members["query_offset"], try member.duration() != 0 {
            faults.append(
                member.fault("only a query_offset of 0s is taken: write `offset` behind the expression's series"))
        }
        // What is wrong with them is told once, and not with each rule.
        let known = faults.count
        _ = templates(members["labels"], isAlert: true, isLabel: true)
        let shared = faults.count == known ? members["labels"] : nil
        var rules: [RuleProgram.Rule] = []
        for node in try members["rules"]?.elements() ?? [] {
            let rule = noting { reader throws(MarkedYAML.Fault) in try reader.rule(node, groupLabels: shared) }
            if let rule { rules.append(rule) }
        }
        return RuleProgram.Group(
            name: name, interval: interval == 0 ? nil : interval, limit: try members["limit"]?.integer() ?? 0,
            rules: rules)
    }

    /// - Parameter groupLabels: Of all rules of the group, which a rule's own of the same name replace (Prometheus 3).
    private mutating func rule(
        _ node: MarkedYAML, groupLabels: MarkedYAML?
    ) throws(MarkedYAML.Fault) -> RuleProgram.Rule {
        rules += 1
        guard rules <= Self.rulesMax else { throw node.fault("a file has at most \(Self.rulesMax) rules") }
        let members = try node.members([
            "record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations",
        ])
        let record = try members["record"]?.text() ?? ""
        let alert = try members["alert"]?.text() ?? ""
        guard record.isEmpty != alert.isEmpty else {
            throw node.fault(
                record.isEmpty
                    ? "one of 'record' or 'alert' must be set" : "only one of 'record' and 'alert' must be set")
        }
        guard let expression = members["expr"], try !expression.text().isEmpty else {
            throw node.fault("field 'expr' must be set in rule")
        }
        let query = noting { reader throws(MarkedYAML.Fault) in try Self.query(expression) }
        let isAlert = record.isEmpty
        if !isAlert { try forbidInRecording(members, record) }
        let own = templates(members["labels"], isAlert: isAlert, isLabel: true)
        let labels =
            templates(groupLabels, isAlert: isAlert, isLabel: true)
            .filter { label in !own.contains { $0.name == label.name } } + own
        let annotations = templates(members["annotations"], isAlert: isAlert, isLabel: false)
        let holdsFor = try members["for"]?.duration() ?? 0
        let keepsFiringFor = try members["keep_firing_for"]?.duration() ?? 0
        // A rule whose expression cannot be read is told already.
        guard let query else { throw faults.removeLast() }
        return RuleProgram.Rule(
            name: isAlert ? alert : record, query: query, labels: labels,
            alert: isAlert
                ? .init(holdsFor: holdsFor, keepsFiringFor: keepsFiringFor, annotations: annotations) : nil,
            line: node.line)
    }

    private func forbidInRecording(_ members: [String: MarkedYAML], _ record: String) throws(MarkedYAML.Fault) {
        for name in ["for", "keep_firing_for", "annotations"] {
            if let member = members[name] { throw member.fault("invalid field '\(name)' in recording rule") }
        }
        guard Self.isMetricName(record) else {
            throw members["record"]?.fault("invalid recording rule name: \(record)")
                ?? .init(
                    line: 0, column: 0, reason: "invalid recording rule name: \(record)")
        }
    }

    private static func isMetricName(_ name: String) -> Bool {
        Evaluation.isLabelName(name.replacing(":", with: "_"))
    }

    private mutating func templates(
        _ node: MarkedYAML?, isAlert: Bool, isLabel: Bool
    ) -> [(name: String, text: Template)] {
        let pairs = noting { _ throws(MarkedYAML.Fault) in try node?.texts() ?? [] } ?? []
        return pairs.compactMap { name, value in
            noting { _ throws(MarkedYAML.Fault) in
                guard Evaluation.isLabelName(name), !isLabel || name != LabelSet.metricName else {
                    throw value.fault("invalid \(isLabel ? "label" : "annotation") name: \(name)")
                }
                let text = try value.text()
                do { return (name, isAlert ? try Template(text) : Template(plain: text)) } catch {
                    throw value.fault("template of \(name): \(error)")
                }
            }
        }
    }

    /// An expression; what is wrong with it is told where it stands in the file.
    static func query(_ node: MarkedYAML) throws(MarkedYAML.Fault) -> PromQLQuery {
        do { return try PromQLQuery(try node.text()) } catch let error as PromQLSyntaxError {
            throw node.fault("could not parse expression: \(error)", at: error.place.lowerBound)
        } catch {
            throw node.fault("could not parse expression: \(error)")
        }
    }
}

extension MarkedYAML {
    /// Milliseconds of a length of time such as `5m`; none for nothing.
    public func duration() throws(Fault) -> Int64 {
        let text = try text()
        guard let duration = text.isEmpty ? 0 : PromQLLexer.duration(text) else {
            throw fault("not a valid duration string: \"\(text)\"")
        }
        return duration
    }
}
