import Kernel
import Synchronization

/// What all calls know together of the runs that they belong to: whether one goes in circles, and how full its model's
/// window is.
final class RunWatch: Sendable {
    /// Holds that are remembered for whoever releases them, and those that wait to be told as events.
    static let heldMax = 1_000
    static let noticesMax = 1_000

    fileprivate struct State {
        var loops: LoopGuard?
        var gauge = ContextGauge()
        /// What the gauge last said, by the agent and model; the last session of an agent speaks for it.
        var uses: RecentTable<ContextUse>
        /// Calls under way, by run and hash. A call that begins while the same one runs is no repetition of it: it does
        /// not know the answer yet.
        var inFlight: [String: Int] = [:]
        var held: RecentTable<(run: NamedRun, hold: HeldRun)>
        /// The ids of those in ``held``.
        var names: Set<String> = []
        var notices: [HeldRun] = []
        /// Numbers for calls that are not compared.
        var odd: UInt64 = 0
    }

    private let state: Mutex<State>
    let comparesReplies: Bool

    /// - Parameter rules: `nil` where nothing is held.
    init(_ rules: LoopGuard.Rules?) {
        comparesReplies = rules?.sameReplies != nil
        state = Mutex(
            State(
                loops: rules.map { LoopGuard($0) }, uses: RecentTable(capacity: ContextGauge.sessionsMax),
                held: RecentTable(capacity: Self.heldMax)))
    }

    /// A call of a run begins; the answer is why it may not.
    ///
    /// - Parameter hash: of all that would make another call of it.
    func begin(_ run: NamedRun, hash: UInt64, model: String, call: String, at now: Timestamp) -> HeldRun? {
        state.withLock { state in
            guard state.loops != nil else { return nil }
            let name = run.name
            let place = Self.place(name, hash)
            var compared = hash
            if state.inFlight[place, default: 0] > 0 {
                state.odd &+= 1
                compared = hash ^ (state.odd &* 0x9E37_79B9_7F4A_7C15)
            }
            let wasHeld = state.loops?.evidence(run: name, at: now) != nil
            guard case .hold(let evidence)? = state.loops?.call(run: name, hash: compared, at: now) else {
                state.inFlight[place, default: 0] += 1
                return nil
            }
            return state.hold(run, evidence, isNew: !wasHeld, model: model, call: call)
        }
    }

    /// A call that was let in has ended.
    ///
    /// - Parameters:
    ///   - reply: of what the model said; `nil` where nobody knows, or the call had no answer.
    ///   - window: tokens of the model's window, where they are known.
    func end(
        _ run: NamedRun, hash: UInt64, reply: UInt64?, input: Int64, output: Int64, window: Int64?, model: String,
        call: String, at now: Timestamp
    ) -> ContextGauge.Reading? {
        state.withLock { state in
            let name = run.name
            let place = Self.place(name, hash)
            let running = state.inFlight[place, default: 0] - 1
            state.inFlight[place] = running > 0 ? running : nil
            let wasHeld = state.loops?.evidence(run: name, at: now) != nil
            // Answers to calls that ran beside one another are alike for a reason.
            let verdict = state.loops?.reply(
                run: name, hash: running > 0 ? nil : reply, tokens: Int(clamping: input &+ output), at: now)
            if case .hold(let evidence)? = verdict {
                _ = state.hold(run, evidence, isNew: !wasHeld, model: model, call: call)
            }
            guard let window, input > 0,
                let reading = state.gauge.record(
                    session: "\(name) \(model)", input: Int(clamping: input), window: Int(clamping: window))
            else { return nil }
            let use = ContextUse(
                agent: run.agent, model: model, utilization: reading.utilization, turnsLeft: reading.turnsLeft)
            state.uses.update("\(run.agent ?? "")\n\(model)", orMake: { use }) { $0 = use }
            return reading
        }
    }

    // MARK: What people see and do

    /// The runs that are held, in no order.
    func held(at now: Timestamp) -> [HeldRun] {
        state.withLock { state in
            state.names.compactMap { state.held.peek($0) }
                .filter { state.loops?.evidence(run: $0.run.name, at: now) != nil }.map(\.hold)
        }
    }

    /// Lets a run go on; `nil` where no such run is held.
    func release(_ id: String, at now: Timestamp) -> HeldRun? {
        state.withLock { state in
            guard let (run, hold) = state.held.peek(id), state.loops?.evidence(run: run.name, at: now) != nil else {
                return nil
            }
            state.loops?.release(run: run.name, at: now)
            state.held.remove(id)
            state.names.remove(id)
            return hold
        }
    }

    /// New holds, to be told as events. They are told once.
    func takeNotices() -> [HeldRun] {
        state.withLock { state in
            defer { state.notices = [] }
            return state.notices
        }
    }

    /// How full the windows are: the last session of each agent and model.
    var uses: [ContextUse] { state.withLock { $0.uses.values } }

    private static func place(_ name: String, _ hash: UInt64) -> String { "\(hash) \(name)" }
}

extension RunWatch.State {
    fileprivate mutating func hold(
        _ run: NamedRun, _ evidence: LoopGuard.Evidence, isNew: Bool, model: String, call: String
    ) -> HeldRun {
        let id = run.id
        if !isNew, let known = held.peek(id)?.hold { return known }
        let hold = HeldRun(
            id: id, agent: run.agent, session: run.session, task: run.task, model: model, call: call,
            evidence: evidence)
        if held.count >= RunWatch.heldMax, held.peek(id) == nil, let gone = held.removeOldest() {
            names.remove(gone.hold.id)
        }
        held.update(id, orMake: { (run, hold) }) { $0 = (run, hold) }
        names.insert(id)
        if notices.count < RunWatch.noticesMax { notices.append(hold) }
        return hold
    }
}
