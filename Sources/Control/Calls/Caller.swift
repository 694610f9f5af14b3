import Kernel
import Synchronization

/// Who calls, by one thing that calls name.
struct Caller: Sendable, Hashable {
    enum Kind: String, Sendable, CaseIterable {
        /// As callers name it: each call has one, so that all callers are those of some model.
        case model
        case project, key, tag
    }

    let kind: Kind
    let name: String
    let agent: String

    /// All that one call tells of its caller; nothing where it names none.
    static func all(_ call: Call) -> [Caller] {
        guard let agent = call.agent else { return [] }
        var all = [Caller(kind: .model, name: call.model, agent: agent)]
        if let project = call.project { all.append(Caller(kind: .project, name: project, agent: agent)) }
        if let key = call.keyID { all.append(Caller(kind: .key, name: key, agent: agent)) }
        for tag in call.tags { all.append(Caller(kind: .tag, name: tag, agent: agent)) }
        return all
    }
}

/// When callers of a batch were heard of at last.
struct CallerTally: Sendable {
    private(set) var minutes: [Caller: Timestamp] = [:]

    mutating func add(_ call: Call) {
        // Who hung for long in a call was there until its end.
        let minute = (call.startedAt + .milliseconds(call.durationMs ?? 0)).wholeMinute
        for caller in Caller.all(call) where minutes[caller].map({ $0 < minute }) ?? true { minutes[caller] = minute }
    }
}

/// Callers that this process wrote down in the present minute, and need not again: a busy agent costs one row's write
/// a minute for each thing that its calls name, and its other calls nothing.
final class CallerMemory: Sendable {
    /// Callers that are remembered; further ones are written with each batch, which changes nothing but takes longer.
    static let callersMax = 50_000

    private struct State {
        var minute = Timestamp(microseconds: 0)
        var callers: Set<Caller> = []
    }

    private let state = Mutex(State())

    /// Those of a tally that are not written down for their minute, or perhaps not.
    func unknown(_ tally: CallerTally) -> [Caller: Timestamp] {
        state.withLock { state in
            tally.minutes.filter { caller, minute in minute != state.minute || !state.callers.contains(caller) }
        }
    }

    /// Notes what is written down for good.
    func keep(_ callers: [Caller: Timestamp]) {
        state.withLock { state in
            for (caller, minute) in callers where minute >= state.minute {
                if minute > state.minute { state = State(minute: minute) }
                if state.callers.count < Self.callersMax { state.callers.insert(caller) }
            }
        }
    }
}

extension Timestamp {
    /// The minute that it is in.
    var wholeMinute: Timestamp {
        let minute = Span.minutes(1).microseconds
        return Timestamp(microseconds: microseconds / minute * minute)
    }
}
