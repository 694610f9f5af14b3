import Synchronization

/// The gateway's calls until the store knows them: those that run, and those that ended and are not kept yet.
final class CallBook: Sendable {
    /// A call that runs, as it was when it began. An object, as many look at it and none changes it.
    final class Running: Sendable {
        let record: CallRecord
        let stop: CallStop

        init(_ record: CallRecord, _ stop: CallStop) {
            self.record = record
            self.stop = stop
        }
    }

    private struct State {
        var running: [String: Running] = [:]
        /// In the order of their ends.
        var ended: [EndedCall] = []
        /// So many of the first of those were handed out to be counted.
        var counted = 0
    }

    private let state = Mutex(State())

    func began(_ call: Running) { state.withLock { $0.running[call.record.id] = call } }

    func ended(_ call: EndedCall) {
        state.withLock { state in
            state.running[call.record.id] = nil
            state.ended.append(call)
        }
    }

    /// The first of those that ended. They stay until ``kept(_:)``.
    func first(_ max: Int) -> [EndedCall] { state.withLock { Array($0.ended.prefix(max)) } }

    /// Some of those that ended and are not kept yet.
    func ended(where isMeant: (CallRecord) -> Bool) -> [CallRecord] {
        let ended = state.withLock { $0.ended }
        return ended.compactMap { isMeant($0.record) ? $0.record : nil }
    }

    /// So many of the first of those that ended are kept. They have to be counted before, or are counted nowhere.
    func kept(_ count: Int) {
        // They are freed behind the lock, which every call needs.
        let gone = state.withLock { state in
            let gone = state.ended
            state.ended = Array(gone.dropFirst(count))
            state.counted = max(0, state.counted - count)
            return gone
        }
        withExtendedLifetime(gone) {}
    }

    /// Those that ended since this was last asked; each is handed out once.
    func uncounted() -> [EndedCall] {
        state.withLock { state in
            defer { state.counted = state.ended.count }
            return Array(state.ended.dropFirst(state.counted))
        }
    }

    /// Calls that run, and those that ended and are not kept yet.
    var counts: (running: Int, waiting: Int) { state.withLock { ($0.running.count, $0.ended.count) } }

    /// Streams that run.
    var streamCount: Int { state.withLock { $0.running.values.count { $0.record.isStreamed } } }

    var running: [Running] { state.withLock { Array($0.running.values) } }

    var all: [CallRecord] {
        let (running, ended) = state.withLock { (Array($0.running.values), $0.ended) }
        return running.map(\.record) + ended.map(\.record)
    }

    func call(_ id: String) -> CallRecord? {
        state.withLock { state in state.running[id]?.record ?? state.ended.last { $0.record.id == id }?.record }
    }
}

/// What a call left behind. An object, as it is handed from its event loop to whoever counts and keeps it.
public final class EndedCall: Sendable {
    public let record: CallRecord

    init(_ record: CallRecord) {
        self.record = record
    }
}
