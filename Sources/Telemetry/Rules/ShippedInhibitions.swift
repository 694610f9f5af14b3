/// What follows from what, among the shipped alerts: who is told of the cause is not told of the rest.
public enum ShippedInhibitions {
    public struct Entry: Sendable {
        public let sources: [String]
        public let targets: [String]
        /// Labels that both have with the same value.
        public let equal: [String]
        /// Whether targets follow from the source where what they are about leans on the source's provider: their
        /// labels do not say so, and only who knows the calls can.
        public let isByProvider: Bool
    }

    /// Timeouts name their provider. Agents, models and queues do not: of them it is asked who leaned on the provider,
    /// so that an outage keeps nobody quiet who has troubles of his own.
    public static let entries = [
        entry([ModelRules.providerOutage], [ModelRules.modelTimeouts], equal: ["provider"]),
        entry(
            [ModelRules.providerOutage],
            [
                ModelRules.highErrorRate, ModelRules.errorRateSpike, FleetRules.taskStuck, FleetRules.queueBackup,
                BehaviourRules.sessionAbnormal, TaskRules.cascadingFailure, QualityRules.modelSlow,
                QualityRules.breakerFlapping,
            ], isByProvider: true),
        entry(
            [FleetRules.fleetPaused], [FleetRules.agentDown, FleetRules.taskStuck, FleetRules.queueBackup]),
    ]

    private static func entry(
        _ sources: [AlertRule], _ targets: [AlertRule], equal: [String] = [], isByProvider: Bool = false
    ) -> Entry {
        Entry(
            sources: sources.map(\.name), targets: targets.map(\.name), equal: equal, isByProvider: isByProvider)
    }
}
