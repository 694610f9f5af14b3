import Synchronization

/// Tells of a moment whether the records of all calls that had ended by then are in the store.
///
/// A call's money and its record go there on ways of their own, and a file of the journal has to stay for both.
public final class RecordRounds: Sendable {
    private let begun = Atomic(0)
    private let finished = Atomic(0)

    public init() {}

    /// The keeping of all that ended so far begins. One round at a time.
    public func begin() -> Int { begun.add(1, ordering: .acquiringAndReleasing).newValue }

    /// What had ended when this round began is kept. Not to be called where it failed.
    public func finish(_ round: Int) { finished.store(round, ordering: .releasing) }

    /// The round behind which all is kept that has ended by now.
    var next: Int { begun.load(ordering: .acquiring) + 1 }

    func isFinished(_ round: Int) -> Bool { finished.load(ordering: .acquiring) >= round }
}
