import Kernel
import Telemetry

/// Takes the steps of runs, one write after the other, so that whoever is killed in between goes on from there.
///
/// Questions change nothing and may be asked twice. An action is proposed in the same transaction as its step is
/// begun, under the step's own key: it acts once.
public struct RunbookLoop: Sendable {
    static let interval = Span.milliseconds(250)
    static let roundMax = 50
    /// Runs that are taken further beside each other.
    static let besideMax = 8
    /// Outcomes of an action that are kept with its step; its containment has all of them.
    static let outcomesMax = 200
    /// How often it is verified anew until it holds.
    static let verifyEvery = Span.seconds(10)
    /// Characters of an answer that are kept.
    static let evidenceMax = 8_000
    /// Values of an answer that are compared.
    static let valuesMax = 10_000
    /// An answer that takes longer is none.
    static let askTimeout = Span.seconds(20)
    /// A run that could not be taken further rests for so long.
    static let retryAfter = Span.seconds(5)

    let service: RunbookService
    let reader: any RunbookReading
    let storage: any Storage
    private let texts = RunbookTexts()

    public init(service: RunbookService, reader: any RunbookReading, storage: any Storage) {
        (self.service, self.reader, self.storage) = (service, reader, storage)
    }

    public var loops: [Loop] {
        [Loop("runbooks.run", every: Self.interval) { try await act() }] + service.shelf.loops
    }

    private var store: RunbookStore { service.store }
    private var world: World { service.world }

    func act() async throws {
        let due = try await storage.read { [store, world] in
            try store.due(at: world.now, limit: Self.roundMax, in: $0)
        }
        // What one of them waits for keeps no other waiting.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (place, id) in due.enumerated() {
                if place >= Self.besideMax { try await group.next() }
                group.addTask { try await go(on: id) }
            }
            try await group.waitForAll()
        }
    }

    private func go(on id: Identifier<RunbookRun>) async throws {
        do {
            for _ in 0..<(4 * 4 * Runbook.stepsMax) where try await !step(id) { break }
        } catch let problem as Problem where problem.code.status < 500 {
            // It would be refused each time.
            try await give(up: id, problem)
        } catch {
            // The others go on meanwhile.
            try await storage.write { [store, world] in
                try store.schedule(id, at: world.now + Self.retryAfter, in: $0)
            }
        }
    }

    private func give(up id: Identifier<RunbookRun>, _ problem: Problem) async throws {
        guard let run = try await storage.read({ [store] in try store.run(id, in: $0) }), run.state == .running else {
            return
        }
        try await end(run, .failed, "It cannot go on: \(problem.detail)")
    }

    /// Takes one run one write further; `false` where it has to wait, or is over.
    func step(_ id: Identifier<RunbookRun>) async throws -> Bool {
        let found = try await storage.read { [service, store] transaction -> (RunbookRun, Incident)? in
            guard let run = try store.run(id, in: transaction), run.state == .running else { return nil }
            return (run, try service.containments.incident(run.incidentID, in: transaction))
        }
        guard let (run, incident) = found else { return false }
        let runbook: Runbook
        do { runbook = try texts.runbook(run.document) } catch {
            try await end(run, .failed, "Its text cannot be read any more: \(error).")
            return false
        }
        guard let next = run.steps.first(where: { $0.kind != .check && !$0.state.isOver }) else {
            try await finish(run)
            return false
        }
        let subjects = RunbookSubjects(incident: incident, aim: run.aim)
        switch next.kind {
        case .diagnosis: return try await diagnose(next, runbook.diagnosis[next.number - 1], subjects, run)
        case .action:
            let order = runbook.actions[next.number - 1 - runbook.diagnosis.count]
            return try await act(next, order, runbook, subjects, run)
        default:
            let question = runbook.verify[next.number - 1 - runbook.diagnosis.count - runbook.actions.count]
            return try await verify(next, question, runbook, subjects, run)
        }
    }

    // MARK: Questions

    private struct Finding {
        var asked = ""
        var answer = JSONValue.null
        var values: [Double] = []
        var fault: String?
        /// The incident is about nothing that it could be asked of.
        var isIdle = false

        /// What the answer is to what was expected.
        func outcome(_ expects: Runbook.Expectation?) -> Runbook.Expectation.Outcome {
            guard fault == nil, !isIdle, let expects else { return .unknown }
            return expects.outcome(of: values)
        }

        func evidence(_ note: String? = nil) -> JSONValue {
            var text = answer.text
            let isCut = text.count > RunbookLoop.evidenceMax
            if isCut { text = String(text.prefix(RunbookLoop.evidenceMax)) }
            return [
                "asked": .string(asked), "answer": isCut ? .string(text) : answer, "cut": .bool(isCut),
                "fault": .of(fault ?? note),
            ]
        }
    }

    private func ask(_ question: Runbook.Question, _ subjects: RunbookSubjects) async -> Finding {
        var finding = Finding()
        guard let text = subjects.filled(question.text, in: question.kind == .query ? .query : .path) else {
            finding.isIdle = true
            return finding
        }
        finding.asked = text
        let path =
            switch question.kind {
            case .query: PagePath.query("\(QueryRoutes.root)/api/v1/query", [("query", text)])
            case .logs: "/api/v1/logs?\(text)"
            case .traces: "/api/v1/traces?\(text)"
            case .tasks: "/api/v1/tasks?\(text)"
            case .api: text
            }
        do {
            let answer = try await Deadline.run(within: Self.askTimeout, world) { [reader] in
                try await reader.get(path)
            }
            finding.answer = question.kind == .query ? answer["data"]?["result"] ?? answer : answer
            finding.values = Self.values(answer, question.kind)
        } catch let problem as Problem {
            finding.fault = problem.detail
        } catch {
            finding.fault = "\(error)"
        }
        return finding
    }

    /// What is compared: the values of series, or one for each item of a list.
    static func values(_ answer: JSONValue, _ kind: Runbook.Question.Kind) -> [Double] {
        guard kind == .query else {
            return (answer["items"]?.array ?? []).prefix(valuesMax).map { _ in 1 }
        }
        guard let result = answer["data"]?["result"]?.array else { return [] }
        if answer["data"]?["resultType"]?.string == "scalar" {
            return result.last?.string.flatMap(Double.init).map { [$0] } ?? []
        }
        return result.prefix(valuesMax).compactMap { $0["value"]?.array?.last?.string.flatMap(Double.init) }
    }

    private func diagnose(
        _ step: RunbookStep, _ question: Runbook.Question, _ subjects: RunbookSubjects, _ run: RunbookRun
    ) async throws -> Bool {
        let finding = await ask(question, subjects)
        try await change(step, of: run) { [world] step in
            step.startedAt = step.startedAt ?? world.now
            step.endedAt = world.now
            // What cannot be found out does not stop what is to be done.
            step.state = finding.isIdle ? .skipped : finding.fault == nil ? .done : .failed
            step.evidence = finding.evidence()
        }
        return true
    }

    private func verify(
        _ step: RunbookStep, _ question: Runbook.Question, _ runbook: Runbook, _ subjects: RunbookSubjects,
        _ run: RunbookRun
    ) async throws -> Bool {
        guard step.state == .started else {
            // Metrics show what was done only after a while.
            let hasActed = run.steps.contains { $0.kind == .action && $0.state == .done }
            let acted = run.steps.filter { $0.kind == .action }.compactMap(\.endedAt).max()
            let after = (acted ?? world.now) + (hasActed ? runbook.verifyAfter : .zero)
            try await change(step, of: run, dueAt: after) { [world] step in
                step.state = .started
                step.startedAt = world.now
                step.dueAt = after
            }
            return true
        }
        let now = world.now
        guard let dueAt = step.dueAt, dueAt <= now, let startedAt = step.startedAt else { return false }
        let finding = await ask(question, subjects)
        let outcome = finding.outcome(question.expects)
        let isFiring = try await storage.read { [incidents = service.containments.incidents] in
            try incidents.links.isFiring(subjects.incident.id, in: $0)
        }
        let isOver = finding.isIdle || (outcome == .holds && !isFiring)
        let isLate =
            now - max(startedAt, dueAt) >= .zero && now - startedAt >= runbook.verifyAfter + runbook.verifyWithin
        let next = isOver || isLate ? now : now + Self.verifyEvery
        let note: String? =
            switch outcome {
            case .holds: isFiring ? "it holds, and alerts of the incident still fire" : nil
            case .unknown: finding.isIdle ? nil : "there is no data by which it could be seen"
            case .fails: nil
            }
        try await change(step, of: run, dueAt: next) { step in
            step.evidence = finding.evidence(note)
            guard isOver || isLate else {
                step.dueAt = next
                return
            }
            step.state = finding.isIdle ? .skipped : isOver ? .done : outcome == .unknown ? .unknown : .failed
            step.endedAt = now
        }
        guard isLate, !isOver else { return isOver }
        guard outcome != .unknown else {
            let why = finding.fault.map { " \($0)" } ?? " There is no data."
            try await end(run, .unverified, "It could not be seen: \(step.title).\(why)")
            return false
        }
        let why = outcome == .holds ? " Alerts of the incident still fire." : ""
        try await end(run, .failed, "It did not come about: \(step.title).\(why)")
        return false
    }

    // MARK: Actions

    private func act(
        _ step: RunbookStep, _ action: Runbook.Action, _ runbook: Runbook, _ subjects: RunbookSubjects,
        _ run: RunbookRun
    ) async throws -> Bool {
        if step.state == .started { return try await follow(step, run) }
        for stop in runbook.stops {
            let finding = await ask(stop, subjects)
            guard finding.outcome(stop.expects) == .holds else { continue }
            try await end(run, .stopped, "\(stop.title): it holds, so nothing further is done.")
            return false
        }
        let orders = subjects.orders(of: action)
        try await storage.write { [service, world] transaction in
            guard var now = try Self.unchanged(step, of: run, service.store, transaction) else { return }
            let incident = try service.containments.incident(run.incidentID, in: transaction)
            guard incident.isOpen else {
                guard var whole = try service.store.run(run.id, in: transaction) else { return }
                return try service.end(&whole, .stopped, "The incident is resolved.", by: .system, in: transaction)
            }
            now.startedAt = world.now
            let aims = try orders.map { try service.containments.hands.aim($0, in: transaction) }
            if aims.contains(where: { !$0.targets.isEmpty }) {
                try service.store.schedule(run.id, at: nil, in: transaction)
                let made = try service.containments.insert(
                    incident, origin: .runbook, name: runbook.name, mode: nil, orders: orders,
                    key: "\(run.id.text)/\(step.number)", stance: .suggest, reason: "", by: .system, in: transaction)
                now.containmentID = made.id.text
                now.state = .started
                if run.approves {
                    try service.containments.approve(made, startedBy: run.startedBy, in: transaction)
                }
            } else {
                now.state = .skipped
                now.endedAt = world.now
                let spared = aims.lazy.flatMap(\.spared).first.map { "\($0.target): \($0.detail)." }
                now.evidence = ["fault": .string(spared ?? "The incident is about nothing that it could act on.")]
            }
            try service.store.save(now, of: run.id, in: transaction)
        }
        return true
    }

    /// Waits for what an action comes to.
    private func follow(_ step: RunbookStep, _ run: RunbookRun) async throws -> Bool {
        guard let id = step.containmentID else { return false }
        let containment = try await storage.read { [service] in
            try service.containments.containment(id, in: $0)
        }
        switch containment.state {
        case .proposed, .asked, .acting:
            // It is woken once that comes to something, unless it just has.
            try await storage.write { [service] transaction in
                let now = try service.containments.containment(id, in: transaction)
                guard now.state.isOpen || now.state == .acting else { return }
                try service.store.schedule(run.id, at: nil, in: transaction)
            }
            return false
        case .acted, .reversing, .reversed:
            try await settle(step, .done, containment, run)
        case .refused, .expired: try await settle(step, .refused, containment, run)
        case .failed:
            try await settle(step, .failed, containment, run)
            try await end(run, .failed, "\(step.title) failed: \(containment.reason)")
            return false
        }
        return true
    }

    private func settle(
        _ step: RunbookStep, _ state: RunbookStep.State, _ containment: Containment, _ run: RunbookRun
    ) async throws {
        try await change(step, of: run) { [world] step in
            step.state = state
            step.actor = containment.decidedBy
            step.endedAt = world.now
            let outcomes = containment.steps.flatMap(\.outcomes)
            step.evidence = [
                "outcomes": .array(outcomes.prefix(Self.outcomesMax).map(\.json)),
                "cut": .bool(outcomes.count > Self.outcomesMax),
            ]
        }
    }

    // MARK: Ends

    private func finish(_ run: RunbookRun) async throws {
        try await storage.write { [service] transaction in
            guard var now = try service.store.run(run.id, in: transaction), now.state == .running else { return }
            let verified = now.steps.filter { $0.kind == .verify && $0.state != .skipped }
            if !verified.isEmpty, verified.allSatisfy({ $0.state == .done }),
                let id = Identifier<Incident>(now.incidentID)
            {
                try service.containments.incidents.verify(id, why: "\(run.runbook) verified it", in: transaction)
            }
            let isOpen = now.steps.contains { $0.kind == .check && $0.state == .waiting }
            try service.end(&now, isOpen ? .checking : .done, "", by: .system, in: transaction)
        }
    }

    private func end(_ run: RunbookRun, _ state: RunbookRun.State, _ reason: String) async throws {
        try await storage.write { [service] transaction in
            guard var now = try service.store.run(run.id, in: transaction), now.state == .running else { return }
            try service.end(&now, state, reason, by: .system, in: transaction)
        }
    }

    private func change(
        _ step: RunbookStep, of run: RunbookRun, dueAt: Timestamp? = nil,
        _ body: @escaping @Sendable (inout RunbookStep) -> Void
    ) async throws {
        try await storage.write { [service] transaction in
            guard var now = try Self.unchanged(step, of: run, service.store, transaction) else { return }
            body(&now)
            try service.store.save(now, of: run.id, in: transaction)
            if let dueAt { try service.store.schedule(run.id, at: dueAt, in: transaction) }
        }
    }

    private static func unchanged(
        _ step: RunbookStep, of run: RunbookRun, _ store: RunbookStore, _ transaction: Transaction
    ) throws -> RunbookStep? {
        guard let now = try store.run(run.id, in: transaction), now.state == .running,
            let found = now.steps.first(where: { $0.number == step.number }), found.state == step.state
        else { return nil }
        return found
    }
}

extension ContainmentService {
    /// Lets an action act that was approved when its run was begun.
    func approve(_ made: Containment, startedBy actor: String, in transaction: Transaction) throws {
        guard var now = try store.containment(made.id, in: transaction), now.state.isOpen else { return }
        now.state = .acting
        now.decidedBy = actor
        now.decidedAt = world.now
        try store.save(now, in: transaction)
        try record("approved", now, by: .system, in: transaction)
    }
}
