/// What follows from what, among the shipped alerts: who is told of the cause is not told of the rest.
public enum ShippedInhibitions {
    public struct Entry: Sendable {
        public let sources: [String]
        public let targets: [String]
        /// Labels that both have with the same value.
        public let equal: [String]
    }

    /// Agents, models and task types do not say which provider they lean on, so an outage of one keeps their alerts
    /// quiet whatever the provider; timeouts name theirs.
    public static let entries = [
        entry([ModelRules.providerOutage], [ModelRules.modelTimeouts], equal: ["provider"]),
        entry(
            [ModelRules.providerOutage],
            [
                ModelRules.highErrorRate, ModelRules.errorRateSpike, FleetRules.taskStuck, FleetRules.queueBackup,
                BehaviourRules.sessionAbnormal, TaskRules.cascadingFailure, QualityRules.modelSlow,
                QualityRules.breakerFlapping,
            ]),
        entry(
            [FleetRules.fleetPaused], [FleetRules.agentDown, FleetRules.taskStuck, FleetRules.queueBackup]),
    ]

    private static func entry(_ sources: [AlertRule], _ targets: [AlertRule], equal: [String] = []) -> Entry {
        Entry(sources: sources.map(\.name), targets: targets.map(\.name), equal: equal)
    }
}
