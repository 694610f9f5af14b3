/// The rules that Reeve ships, with the histories that prove them: written to files by `reeve export prometheus`.
///
/// The alerts are the five of each of the two guides that Reeve follows, and those that an operations plane owes of
/// itself: a storm of tool calls, a provider that is out, telemetry that was lost, and the watchdog.
public enum ShippedRules {
    /// A file of rules, and what is known to happen with them. Each alert has a history in which it fires and one in
    /// which it stays quiet.
    public struct Entry: Sendable {
        public let file: RuleFile
        public let cases: [RuleCase]
    }

    public static let entries: [Entry] = [
        FleetRules.entry, ModelRules.entry, CostRules.entry, BehaviourRules.entry, MemoryRules.entry,
        TelemetryRules.entry,
        IncidentRules.entry,
    ]
}
