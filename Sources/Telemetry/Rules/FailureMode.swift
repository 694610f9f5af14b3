/// The ways in which fleets of agents fail, as the guides that Reeve follows name them: each has a detector, a
/// containment and a page of the playbook.
public enum FailureMode: String, Sendable, CaseIterable {
    /// A provider of models is out.
    case llmOutage = "llm-outage"
    /// An agent goes round in circles, or storms a tool.
    case infiniteLoop = "infinite-loop"
    /// A bad result spoils what builds on it.
    case cascadingFailure = "cascading-failure"
    /// An agent works from what is true no more.
    case staleContext = "stale-context"
    /// Something put into a conversation spoils all that follows in it.
    case contextPoisoning = "context-poisoning"
    /// What an agent remembers is damaged.
    case memoryCorruption = "memory-corruption"
    /// A model answers late, or badly.
    case modelDegradation = "model-degradation"
    /// Answers get worse without anybody having changed anything.
    case silentDrift = "silent-drift"
    /// Money goes faster than it should.
    case budgetRunaway = "budget-runaway"

    /// Whether what fails is what agents run on, or what they do.
    public var kind: FailureKind {
        switch self {
        case .llmOutage, .modelDegradation, .memoryCorruption: .infrastructure
        default: .behavioural
        }
    }
}

/// The first question of an incident: who has to look is not the same for both.
public enum FailureKind: String, Sendable, CaseIterable {
    /// Machines, networks, providers, stores.
    case infrastructure
    /// What agents do with all of them in order.
    case behavioural
}
