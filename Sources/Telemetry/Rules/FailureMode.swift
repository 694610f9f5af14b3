/// The ways in which fleets of agents fail, each of which is contained in a way of its own.
///
/// The first four and the last are those of whoever runs many agents, the others those of whoever gives them memory and
/// models of somebody else's.
public enum FailureMode: String, Sendable, CaseIterable {
    /// Whoever answers model calls does not: all agents stall at once.
    case llmOutage = "llm-outage"
    /// An agent goes on without getting anywhere.
    case infiniteLoop = "infinite-loop"
    /// What one agent got wrong lets others fail.
    case cascadingFailure = "cascading-failure"
    /// An agent works from what is out of date, or has lost sight of what it was told.
    case staleContext = "stale-context"
    /// What came into a session spoils the rest of it.
    case contextPoisoning = "context-poisoning"
    /// What was remembered is wrong, or cannot be read.
    case memoryCorruption = "memory-corruption"
    /// A model answers slowly, or fails now and then.
    case modelDegradation = "model-degradation"
    /// Answers get worse a little at a time.
    case silentDrift = "silent-drift"
    /// Money goes faster than it should.
    case budgetRunaway = "budget-runaway"
}
