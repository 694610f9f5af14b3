import Kernel

/// The rules that Reeve ships, with the histories that prove them: written to files by `reeve export prometheus`.
///
/// The alerts are the five of each of the two guides that Reeve follows, and those that an operations plane owes of
/// itself: a storm of tool calls, a provider that is out, telemetry that was lost, and the watchdog. Where one of the
/// nine failures (``FailureMode``) would have none of them, and there are series that tell of it, there is one more.
public enum ShippedRules {
    /// A file of rules, and what is known to happen with them. Each alert has a history in which it fires and one in
    /// which it stays quiet.
    public struct Entry: Sendable {
        public let file: RuleFile
        public let cases: [RuleCase]
    }

    public static let entries: [Entry] = [
        FleetRules.entry, TaskRules.entry, ModelRules.entry, QualityRules.entry, CostRules.entry, BehaviourRules.entry,
        ToolRules.entry, MemoryRules.entry, TelemetryRules.entry, IncidentRules.entry,
    ]

    /// Every alert by its name.
    public static let alerts: [String: AlertRule] = Dictionary(
        entries.flatMap(\.file.alerts).map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

    /// The rules as ``RuleReader`` reads them from the very files that are exported.
    ///
    /// - Throws: ``RuleReader/Refusal``, which a test rules out.
    public static func programs() throws(RuleReader.Refusal) -> [(file: String, program: RuleProgram)] {
        try read.get()
    }

    /// They are what they are for as long as the process lives: read once.
    private static let read: Result<[(file: String, program: RuleProgram)], RuleReader.Refusal> = {
        var programs: [(file: String, program: RuleProgram)] = []
        for entry in entries {
            do throws(RuleReader.Refusal) {
                programs.append((entry.file.name, try RuleReader.read(YAMLDocument.text(entry.file.json))))
            } catch {
                return .failure(error)
            }
        }
        return .success(programs)
    }()
}
