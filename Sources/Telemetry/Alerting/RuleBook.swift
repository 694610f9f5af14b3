import Foundation
import Kernel

/// All groups of rules that a server evaluates: those that Reeve ships and those of the operator's files.
public struct RuleBook: Sendable {
    /// What stands for the file of the rules that Reeve ships.
    public static let shippedFile = "reeve"
    /// Rules of all files.
    public static let rulesMax = 50_000
    /// The shortest interval, in milliseconds.
    public static let intervalMin: Int64 = 1_000
    /// How often a group is evaluated that does not say, in milliseconds (Prometheus' default).
    public static let intervalDefault: Int64 = 60_000

    public struct Entry: Sendable {
        public let file: String
        public let group: RuleProgram.Group
        /// Milliseconds.
        public let interval: Int64

        /// Whether a drill brought it: others leave out what drills do.
        public let isOfDrill: Bool

        public init(file: String, group: RuleProgram.Group, interval: Int64, isOfDrill: Bool = false) {
            (self.file, self.group, self.interval, self.isOfDrill) = (file, group, interval, isOfDrill)
        }

        /// Tells the group apart from all others.
        public var key: String { "\(file);\(group.name)" }

        /// What tells each rule apart, by its place: it stays the same when other rules come and go.
        var ruleKeys: [String] {
            var seen: [String: Int] = [:]
            return group.rules.map { rule in
                let count = seen[rule.name, default: 0]
                seen[rule.name] = count + 1
                return "\(key);\(rule.name)\(count > 0 ? "#\(count)" : "")"
            }
        }
    }

    public let entries: [Entry]

    public init(_ entries: [Entry] = []) { self.entries = entries }

    /// The groups as files have them.
    public var programs: [RuleProgram] { entries.map { RuleProgram(groups: [$0.group]) } }

    /// Why files are refused: `FILE:LINE:COLUMN: reason`, all of them.
    public struct Refusal: Error, CustomStringConvertible {
        public let lines: [String]
        public var description: String { lines.joined(separator: "\n") }
    }

    /// Where rules come from.
    public struct Sources: Sendable, Equatable {
        /// Patterns of files, from the settings file's folder on.
        public var patterns: [String] = []
        public var settingsFile = ""
        public var hasShipped = true
        /// Shipped alerts that are left out.
        public var without: Set<String> = []
        /// Milliseconds between evaluations of groups that say nothing.
        public var interval = RuleBook.intervalDefault

        public init() {}

        /// The files that the patterns name at this moment.
        public var files: [String] { patterns.flatMap { RuleFiles.paths($0, from: settingsFile) } }
    }

    /// Reads them all.
    ///
    /// - Throws: ``Refusal``.
    public static func load(_ sources: Sources) throws(Refusal) -> RuleBook {
        var entries: [Entry] = []
        var faults: [String] = []
        func add(_ program: RuleProgram, _ file: String) {
            for group in program.groups {
                let interval = group.interval ?? sources.interval
                if interval < intervalMin {
                    faults.append("\(file): group \(group.name): the interval is below \(intervalMin) ms")
                }
                entries.append(Entry(file: file, group: group, interval: interval))
            }
        }
        if sources.hasShipped {
            do {
                for program in try ShippedRules.programs(without: sources.without) { add(program, shippedFile) }
            } catch { faults.append("\(shippedFile):\(error)") }
        }
        for pattern in sources.patterns {
            let files = RuleFiles.paths(pattern, from: sources.settingsFile)
            if files.isEmpty { faults.append("\(pattern): no file is called so") }
            for file in files {
                switch RuleFiles.read(file) {
                case .success(let program): add(program, file)
                case .failure(let refusal): faults += refusal.faults.map { "\(file):\($0)" }
                }
            }
        }
        let count = entries.reduce(0) { $0 + $1.group.rules.count }
        if count > rulesMax { faults.append("\(count) rules are more than the \(rulesMax) that one server evaluates") }
        var keys: Set<String> = []
        for entry in entries where !keys.insert(entry.key).inserted {
            faults.append("\(entry.file): the group \(entry.group.name) is read twice: patterns name the file twice")
        }
        guard faults.isEmpty else { throw Refusal(lines: faults) }
        return RuleBook(entries)
    }
}

extension ShippedRules {
    /// What `alerts.without` may name.
    public static var alertNames: [String] { entries.flatMap { $0.file.alerts.map(\.name) } }

    /// The shipped rules as they are evaluated, without these alerts.
    static func programs(without names: Set<String>) throws(RuleReader.Refusal) -> [RuleProgram] {
        try programs().map { _, program in
            RuleProgram(
                groups: program.groups.map { group in
                    RuleProgram.Group(
                        name: group.name, interval: group.interval, limit: group.limit,
                        rules: group.rules.filter { $0.alert == nil || !names.contains($0.name) })
                })
        }
    }
}
