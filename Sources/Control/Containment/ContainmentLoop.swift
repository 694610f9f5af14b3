import Kernel
import Synchronization

/// Acts: one step of each containment after the other, each written down before it begins and after it is done.
///
/// Whoever is killed in between goes on from there. What a step changes in the store is kept in the same transaction
/// as the word that it is done; what acts elsewhere gets the step's key, under which it acts once. What fails is tried
/// again after a while, and does not keep the others waiting.
public struct ContainmentLoop: Sendable {
    static let interval = Span.milliseconds(250)
    /// How often it is looked whether a condition is over.
    static let rampInterval = Span.seconds(1)
    /// Containments of one round: those whose time came first.
    static let roundMax = 50
    /// How often one step is tried.
    static let triesMax: Int64 = 6
    /// After the first failure; each further one doubles it.
    static let retryAfter = Span.seconds(1)
    /// What acts elsewhere has so long for each thing.
    static let doorTimeout = Span.seconds(30)

    /// Plans in force that one round looks at; the next one goes on behind them.
    static let lookedMax = 500

    let service: ContainmentService
    let storage: any Storage
    private let turn = Turn()
    let held = Turn()

    /// How far the last round looked.
    final class Turn: Sendable {
        private let state = Mutex("")
        var after: String {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }
    }

    public init(service: ContainmentService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    public var loops: [Loop] {
        [
            Loop("containments.act", every: Self.interval) { try await act() },
            Loop("containments.over", every: Self.rampInterval) { try await rampBack() },
            Loop("containments.released", every: Self.rampInterval) { try await release() },
            Loop("containments.late", every: Self.rampInterval) { try await makeUp() },
        ]
    }

    private var store: ContainmentStore { service.store }
    private var world: World { service.world }

    // MARK: Acting

    func act() async throws {
        let due = try await storage.read { [store, world] in
            try store.due(at: world.now, limit: Self.roundMax, in: $0)
        }
        for (id, state) in due {
            do {
                if state == .asked { try await expire(id) } else { try await advance(id) }
            } catch { try await postpone(id, error) }
        }
    }

    private func expire(_ id: Identifier<Containment>) async throws {
        try await storage.write { [service, world] transaction in
            guard var late = try service.store.containment(id, in: transaction), late.state == .asked,
                let expiresAt = late.expiresAt, expiresAt <= world.now
            else { return }
            try service.expire(&late, "Nobody answered in time.", in: transaction)
        }
    }

    private func advance(_ id: Identifier<Containment>) async throws {
        for _ in 0..<(4 * Containment.stepsMax + 4) where try await !step(id) { break }
    }

    /// Lets a containment rest after a failure, or gives its step up after too many.
    private func postpone(_ id: Identifier<Containment>, _ error: any Error) async throws {
        try await storage.write { [service, world] transaction in
            guard let now = try service.store.containment(id, in: transaction), now.state.isMoving else { return }
            let tries = now.failures + 1
            guard tries >= Self.triesMax else {
                let wait = Self.retryAfter * Double(Int64(1) << min(tries - 1, 10))
                return try service.store.postpone(id, until: world.now + wait, failures: tries, in: transaction)
            }
            let isActing = now.state == .acting
            let begun = now.steps.first { $0.state == (isActing ? .started : .reversing) }
            let next = isActing ? now.steps.first { $0.state == .waiting } : now.steps.last(where: \.hasActed)
            guard var step = begun ?? next else { return }
            let known = Set(step.outcomes.filter { $0.word != .refused }.map(\.target))
            let words = "given up after \(tries) tries: \((error as? Problem)?.detail ?? "\(error)")"
            step.outcomes =
                step.outcomes.filter { known.contains($0.target) }
                + step.targets.filter { !known.contains($0.text) }.map {
                    ContainmentOutcome($0.text, isActing ? .refused : .left, words)
                }
            step.end(isActing: isActing, at: world.now)
            // What nobody takes back any more holds nothing any more.
            if !isActing {
                for target in step.targets { try service.store.release(target, of: step.key(of: id), in: transaction) }
            }
            try service.store.save(step, of: id, in: transaction)
            try service.store.postpone(id, until: world.now, failures: 0, in: transaction)
            try service.note(step, of: now, "given_up", in: transaction)
        }
    }

    /// Takes one containment one write further; `false` where nothing is left to do.
    func step(_ id: Identifier<Containment>) async throws -> Bool {
        guard let containment = try await storage.read({ [store] in try store.containment(id, in: $0) }),
            containment.state.isMoving
        else { return false }
        let isActing = containment.state == .acting
        let next =
            isActing
            ? containment.steps.first { $0.state == .waiting || $0.state == .started }
            : containment.steps.last { $0.hasActed || $0.state == .reversing }
        guard let next else {
            try await finish(containment)
            return false
        }
        switch next.state {
        case .waiting, .done, .partial: try await begin(next, of: containment)
        default: try await complete(next, of: containment)
        }
        return true
    }

    /// Writes down what a step is about to act on, or that it is about to be taken back.
    private func begin(_ step: ContainmentStep, of containment: Containment) async throws {
        try await storage.write { [service, world] transaction in
            guard var now = try Self.unchanged(step, of: containment, service.store, transaction) else { return }
            if step.state == .waiting {
                let aim = try service.hands.aim(
                    step.order, taken: containment.tasksTaken(before: step), in: transaction)
                now.startedAt = world.now
                (now.targets, now.outcomes) = (aim.targets, aim.spared)
                now.state = .started
                if let absence = step.order.action.absence(step.order, service.doors) {
                    now.state = .unavailable
                    now.outcomes += now.targets.map { ContainmentOutcome($0.text, .refused, absence) }
                    now.endedAt = world.now
                    try service.note(now, of: containment, "unavailable", in: transaction)
                }
            } else {
                now.state = step.order.action.isReversible ? .reversing : .final
            }
            try service.store.save(now, of: containment.id, in: transaction)
        }
    }

    /// Acts, or takes back, and writes down that it is done.
    private func complete(_ step: ContainmentStep, of containment: Containment) async throws {
        let isActing = step.state == .started
        let elsewhere = try await askDoor(step, of: containment, isActing: isActing)
        try await storage.write { [service, world] transaction in
            guard var now = try Self.unchanged(step, of: containment, service.store, transaction) else { return }
            let work = ContainmentHands.Work(
                order: step.order, incidentID: containment.incidentID, key: step.key(of: containment.id))
            let spared = isActing ? now.outcomes.filter { $0.word == .spared } : []
            now.outcomes =
                try
                (elsewhere?.outcomes
                ?? now.targets.map { target in
                    isActing
                        ? try service.hands.act(on: target, work, in: transaction)
                        : try service.hands.undo(target, work, in: transaction)
                }) + spared
            // What came of some is shown while the others are tried again.
            guard elsewhere?.failure == nil else {
                return try service.store.save(now, of: containment.id, in: transaction)
            }
            now.end(isActing: isActing, at: world.now)
            try service.store.save(now, of: containment.id, in: transaction)
            // The next step has its own tries.
            if containment.failures > 0 {
                try service.store.postpone(containment.id, until: world.now, failures: 0, in: transaction)
            }
            try service.note(
                now, of: containment, isActing ? step.order.action.rawValue : "\(step.order.action.rawValue)_reversed",
                in: transaction)
        }
        if let failure = elsewhere?.failure { throw failure }
    }

    /// The step as it stands in this transaction, if nobody took it further.
    private static func unchanged(
        _ step: ContainmentStep, of containment: Containment, _ store: ContainmentStore, _ transaction: Transaction
    ) throws -> ContainmentStep? {
        guard let now = try store.containment(containment.id, in: transaction), now.state == containment.state,
            let found = now.steps.first(where: { $0.number == step.number }), found.state == step.state
        else { return nil }
        return found
    }

    /// What acts outside of the store; `nil` for what the store alone does. A door may be asked the same again after a
    /// failure: its errand has a key.
    private func askDoor(
        _ step: ContainmentStep, of containment: Containment, isActing: Bool
    ) async throws -> (outcomes: [ContainmentOutcome], failure: (any Error)?)? {
        guard let door = step.order.action.door else { return nil }
        var outcomes: [ContainmentOutcome] = []
        var failure: (any Error)?
        for target in step.targets {
            let errand = ContainmentErrand(
                action: step.order.action, name: target.name, snapshot: step.order.single(.snapshot),
                incidentID: containment.incidentID, key: "\(step.key(of: containment.id))/\(target.name)")
            do {
                let words = try await Deadline.run(within: Self.doorTimeout, world) { [doors = service.doors] in
                    isActing
                        ? try await doors.act(errand, through: door) : try await doors.reverse(errand, through: door)
                }
                outcomes.append(ContainmentOutcome(target.text, isActing ? .acted : .restored, words))
            } catch let problem as Problem where problem.code.status < 500 || problem.code == .notThereYet {
                outcomes.append(ContainmentOutcome(target.text, isActing ? .refused : .left, problem.detail))
            } catch {
                failure = error
            }
        }
        return (outcomes, failure)
    }

    private func finish(_ containment: Containment) async throws {
        try await storage.write { [service, world] transaction in
            guard var now = try service.store.containment(containment.id, in: transaction),
                now.state == containment.state
            else { return }
            now.endedAt = world.now
            if now.state == .reversing {
                now.state = .reversed
                try service.store.save(now, in: transaction)
                try service.record("reversed", now, by: .system, in: transaction)
                try service.tell("reversed", now, by: .system, in: transaction)
                // Of an incident that is forgotten nobody asks for it any more.
                if try service.forgotten(now, in: transaction) {
                    try service.store.forget(now, in: transaction)
                }
                return
            }
            let hasActed = now.steps.contains(where: \.hasActed)
            now.state = hasActed ? .acted : .failed
            if hasActed, try !service.hands.isHolding(now, in: transaction) {
                try service.release(&now, in: transaction)
            }
            if !hasActed {
                let why = now.steps.flatMap(\.outcomes).first?.detail ?? "There was nothing to act on."
                now.reason = now.reason.isEmpty ? why : "\(now.reason) \(why)"
            } else if let partly = now.steps.first(where: { $0.state == .partial }) {
                let refused = partly.outcomes.count { $0.word == .refused }
                let words = "\(partly.order.action.title): \(refused) of \(partly.outcomes.count) could not be changed."
                now.reason = now.reason.isEmpty ? words : "\(now.reason) \(words)"
            }
            try service.store.save(now, in: transaction)
            try service.record(hasActed ? "acted" : "failed", now, by: .system, in: transaction)
            try service.tell(hasActed ? "acted" : "failed", now, by: .system, in: transaction)
            if hasActed, let id = Identifier<Incident>(now.incidentID) {
                try service.incidents.reach(.contained, of: id, by: .system, in: transaction)
            }
        }
    }

    // MARK: Ramping back

    /// Takes plans back, or proposes that, once all alerts of their incidents have ended for a while.
    func rampBack() async throws {
        let after = turn.after
        let (over, last) = try await storage.read { [service] transaction in
            let some = try service.store.wanted(after: after, limit: Self.lookedMax, in: transaction)
            let over = try some.filter { try service.isOver(incident: $0.incident, in: transaction) }.map(\.id)
            return (over, some.count == Self.lookedMax ? some.last?.id.text : nil)
        }
        turn.after = last ?? ""
        for id in over {
            try await storage.write { [service] transaction in
                guard var now = try service.store.containment(id, in: transaction), now.state == .acted,
                    now.overAt == nil, try service.isOver(incident: now.incidentID, in: transaction)
                else { return }
                try service.endedCondition(of: &now, in: transaction)
            }
        }
    }
}

extension ContainmentService {
    /// Tells what became of each target in the incident's timeline.
    func note(
        _ step: ContainmentStep, of containment: Containment, _ action: String, in transaction: Transaction
    ) throws {
        for outcome in step.outcomes.prefix(Self.entriesMax) {
            try record(
                IncidentEntry(
                    kind: "containment", action: action, target: outcome.target,
                    actor: containment.actor, at: world.now,
                    detail: [
                        "containment": containment.id.json, "step": .int(Int64(step.number)),
                        "outcome": .string(outcome.word.rawValue), "detail": .string(outcome.detail),
                        "targets": .int(Int64(step.outcomes.count)),
                    ]), of: containment.incidentID, in: transaction)
        }
    }

    /// Whether all alerts of its incident have ended long enough ago, or somebody resolved it. What became a part of
    /// another incident is over with that one.
    func isOver(incident text: String, in transaction: Transaction) throws -> Bool {
        guard let id = Identifier<Incident>(text),
            let incident = try incidents.incident(id, in: transaction)
        else { return true }
        if !incident.isOpen { return true }
        return incident.quietSince.map { $0 + policy.rampBack <= world.now } ?? false
    }

    /// The way back: taken by itself where Reeve acted by itself, else proposed.
    func endedCondition(of containment: inout Containment, in transaction: Transaction) throws {
        containment.overAt = world.now
        let isAlone = containment.decidedBy == Principal.system.actor && containment.canReverse
        if isAlone {
            containment.state = .reversing
            containment.reversedBy = Principal.system.actor
        }
        try store.save(containment, in: transaction)
        guard containment.canReverse || isAlone else { return }
        try tell(isAlone ? "reversal_begun" : "reversal_proposed", containment, by: .system, in: transaction)
    }
}
