import Kernel
import Telemetry

/// How a roll-out is asked for.
struct BundleTrialDraft: Sendable, Equatable {
    var unit = BundleTrial.Unit.tasks
    var steps = BundleRollout.ladder
    /// `nil`: failures, and costs where enough is known of them.
    var measures: Set<BundleRollout.Measure>?
    var message = ""
}

/// The rules of roll-outs: an agent is in one at a time; what it was to run with stays that until the new version is
/// proven, and comes back where it is not.
public struct BundleTrialService: Sendable {
    /// Roll-outs that are not over, of all agents.
    public static let openMax = 200

    let store = BundleTrialStore()
    let bundles: BundleService
    let tasks: any TaskAttempts
    let alerts: AlertService?
    let events: Events
    let audit: AuditService
    let world: World

    public init(
        bundles: BundleService, tasks: any TaskAttempts, alerts: AlertService?, events: Events, audit: AuditService,
        world: World
    ) {
        (self.bundles, self.tasks, self.alerts, self.events) = (bundles, tasks, alerts, events)
        (self.audit, self.world) = (audit, world)
    }

    private var agents: AgentService { bundles.agents }

    // MARK: Beginning

    /// Begins to give a version, which each of the agents has, to a part of them or of their tasks.
    func begin(
        _ version: String, to names: [String], _ draft: BundleTrialDraft, by principal: Principal,
        in transaction: Transaction
    ) throws -> BundleTrial {
        let open = try store.open(limit: Self.openMax, in: transaction).count
        guard open < Self.openMax else {
            throw Problem(
                .conflict, "\(open) roll-outs are under way, and no more may be.",
                hint: "Promote or cancel some: `reeve config rollouts` lists them.")
        }
        let members = try names.map { try member($0, version, in: transaction) }
        guard draft.unit == .tasks || members.count > 1 else {
            throw Problem.invalid(
                "agents", "a single agent cannot be compared with others",
                hint: "Name several agents, or give the version to a share of its tasks (unit \"tasks\").")
        }
        let limit = try costLimit(members, draft, in: transaction)
        var measures = draft.measures ?? Set(BundleRollout.Measure.allCases)
        if limit == nil { measures.remove(.costs) }
        let id = Identifier<BundleTrial>(world)
        let ordered =
            draft.unit == .tasks
            ? members
            : members.sorted {
                BundleTrial.place(of: $0.agent, salt: id.text) < BundleTrial.place(of: $1.agent, salt: id.text)
            }
        let trial = BundleTrial(
            id: id, version: version, unit: draft.unit, members: ordered, costLimit: limit, author: principal.actor,
            message: draft.message, record: BundleRollout(steps: draft.steps, measures: measures, at: world.now),
            updatedAt: world.now)
        try store.insert(trial, in: transaction)
        for member in members { try agents.joinRollout(trial.id.text, member.agent, in: transaction) }
        try tell("bundle.rollout_started", trial, by: principal, in: transaction)
        try audit(trial, "bundle.rollout_started", by: principal, in: transaction)
        try settle(trial, by: principal, in: transaction)
        return trial
    }

    private func member(
        _ name: String, _ version: String, in transaction: Transaction
    ) throws -> BundleTrial.Member {
        guard let agent = try agents.agent(named: name, in: transaction) else { throw Problem.notFound("agent", name) }
        try refuseSecond(agent, in: transaction)
        guard let desired = agent.configDesired,
            try bundles.store.version(desired, of: name, in: transaction)?.version == desired
        else {
            throw Problem(
                .conflict, "The agent \"\(name)\" has no version yet that a new one could be compared with.",
                hint: "Push this one without a roll-out; the next one can be rolled out.")
        }
        guard desired != version else {
            throw Problem(
                .conflict, "The agent \"\(name)\" is to run with \(AgentBundle.short(version)) already.",
                hint: "There is nothing to roll out.")
        }
        return BundleTrial.Member(name, stable: desired)
    }

    /// An agent is in one roll-out at a time.
    func refuseSecond(_ agent: Agent, in transaction: Transaction) throws {
        guard let id = agent.configRollout, let trial = try store.trial(id, in: transaction),
            !trial.record.state.isOver
        else { return }
        var members = JSONObject()
        members["rollout"] = trial.id.json
        members["version"] = .string(trial.version)
        throw Problem(
            .conflict,
            "The agent \"\(agent.name)\" is in a roll-out of \(AgentBundle.short(trial.version)), which is "
                + "\(trial.record.state.rawValue).",
            hint: "Promote it or cancel it first: `reeve config rollout \(agent.name) --promote` or --cancel.",
            members: members)
    }

    /// What nine tenths of the old version's attempts cost at most, as it was before this began.
    private func costLimit(
        _ members: [BundleTrial.Member], _ draft: BundleTrialDraft, in transaction: Transaction
    ) throws -> Int64? {
        guard draft.measures?.contains(.costs) ?? true else { return nil }
        var costs: [Double] = []
        for member in members where costs.count < BundleTrial.baselineMax {
            costs += try tasks.attemptCosts(
                of: member.agent, bundle: member.stable, limit: BundleTrial.baselineMax - costs.count, in: transaction
            ).map(Double.init)
        }
        let known = costs.filter { $0 > 0 }.count
        guard known >= BundleTrial.baselineMin else {
            guard draft.measures != nil else { return nil }
            throw Problem(
                .conflict,
                "Costs cannot be compared: of \(BundleTrial.baselineMin) attempts with the old version whose cost is "
                    + "known, \(known) ended lately.",
                hint: "Leave costs out of the measures, or let workers tell usage with their heartbeats first.")
        }
        return Measurements.quantile(BundleTrial.baselineQuantile, ofSorted: costs.sorted()).map { Int64($0) }
    }

    // MARK: What people say

    enum Verb: String, Sendable, CaseIterable {
        case promote, resume, cancel
    }

    func act(
        _ verb: Verb, on agent: String, reason: String, by principal: Principal, in transaction: Transaction
    ) throws -> BundleTrial {
        var trial = try current(agent, in: transaction)
        switch verb {
        case .promote:
            let change = try trial.record.promote(at: world.now)
            trial.reason = reason.isEmpty ? nil : reason
            try apply(change, to: &trial, by: principal, in: transaction)
        case .resume:
            try trial.record.resume(at: world.now)
            trial.reason = nil
            try keep(&trial, "bundle.rollout_resumed", by: principal, in: transaction)
        case .cancel:
            try trial.record.cancel()
            trial.reason = reason.isEmpty ? nil : reason
            try keep(&trial, "bundle.rollout_canceled", by: principal, in: transaction)
        }
        var detail = JSONObject()
        detail["reason"] = .string(reason)
        try audit(trial, "bundle.rollout_\(verb.rawValue)", by: principal, detail, in: transaction)
        return trial
    }

    /// Ends the roll-out that an agent is in, where it is in one: something else was decided for it.
    func supersede(_ agent: Agent, _ reason: String, by principal: Principal, in transaction: Transaction) throws {
        guard let id = agent.configRollout, var trial = try store.trial(id, in: transaction),
            !trial.record.state.isOver
        else { return }
        try trial.record.cancel()
        trial.reason = reason
        try keep(&trial, "bundle.rollout_canceled", by: principal, in: transaction)
        try audit(trial, "bundle.rollout_cancel", by: principal, in: transaction)
    }

    // MARK: Looking

    /// The roll-out that an agent is in, or else its latest.
    func current(_ agent: String, in transaction: Transaction) throws -> BundleTrial {
        guard let known = try agents.agent(named: agent, in: transaction) else {
            throw Problem.notFound("agent", agent)
        }
        guard let trial = try store.current(known, in: transaction) else {
            throw Problem(
                .notFound, "No version was ever rolled out to the agent \"\(agent)\".",
                hint: "`reeve config push DIR --agent \(agent) --rollout` begins one.")
        }
        return trial
    }

    // MARK: Changing

    /// Keeps what became of a roll-out, with its event, and lets the agents follow.
    func apply(
        _ change: BundleRollout.Change, to trial: inout BundleTrial, by principal: Principal,
        in transaction: Transaction
    ) throws {
        let type: String
        switch change {
        case .advanced, .advancedUnproven: type = "bundle.rollout_advanced"
        case .finished: type = "bundle.rolled_out"
        case .frozen:
            type = "bundle.rollout_frozen"
            trial.reason = "the new version was given \(trial.record.begunNew) of \(trial.record.begun) units"
        case .held(let verdict):
            type = "bundle.rollout_held"
            trial.reason = "time is up, and the verdict is \(verdict.rawValue)"
        case .takenBack(let measure):
            type = "bundle.taken_back"
            trial.reason = trial.against(measure)
        }
        try keep(&trial, type, by: principal, in: transaction)
        guard case .takenBack(let measure) = change else { return }
        var detail = JSONObject()
        detail["measure"] = .string(measure.rawValue)
        try audit(trial, type, by: principal, detail, in: transaction)
        try alarm(trial, in: transaction)
    }

    private func keep(
        _ trial: inout BundleTrial, _ type: String, by principal: Principal, in transaction: Transaction
    ) throws {
        trial.updatedAt = world.now
        if trial.record.state.isOver { trial.endedAt = world.now }
        try store.save(trial, in: transaction)
        try tell(type, trial, by: principal, in: transaction)
        try settle(trial, by: principal, in: transaction)
        guard trial.record.state.isOver else { return }
        for member in trial.members { try agents.leaveRollout(trial.id.text, member.agent, in: transaction) }
    }

    /// Makes what each agent is to run with what the roll-out says now.
    private func settle(_ trial: BundleTrial, by principal: Principal, in transaction: Transaction) throws {
        let chosen = Set(trial.chosen.map(\.agent))
        for member in trial.members {
            // Who was removed meanwhile is left out.
            guard let agent = try agents.agent(named: member.agent, in: transaction) else { continue }
            let wanted = chosen.contains(member.agent) ? trial.version : member.stable
            guard agent.configDesired != wanted,
                let version = try bundles.store.version(wanted, of: member.agent, in: transaction)
            else { continue }
            let back = wanted == member.stable
            try bundles.want(
                version, instead: agent.configDesired, back ? .rollback : .push,
                message: trial.message(back: back), by: principal, in: transaction)
        }
    }

    private func tell(
        _ type: String, _ trial: BundleTrial, by principal: Principal, in transaction: Transaction
    ) throws {
        // One event each, so that an agent's own story has it.
        for member in trial.members {
            let project = try agents.agent(named: member.agent, in: transaction)?.project ?? Agent.projectDefault
            let data: JSONValue = [
                "rollout": trial.id.json, "version": .string(trial.version), "stable": .string(member.stable),
                "unit": .string(trial.unit.rawValue), "state": .string(trial.record.state.rawValue),
                "step": .int(Int64(trial.record.step + 1)), "share": .double(trial.share),
                "verdict": .string(trial.record.verdict.rawValue), "unproven": .bool(trial.record.isUnproven),
                "message": .string(trial.message), "reason": .of(trial.reason),
            ]
            try events.append(
                EventDraft(type, actor: principal.actor, project: project, agent: member.agent, data: data),
                in: transaction)
        }
    }

    private func audit(
        _ trial: BundleTrial, _ type: String, by principal: Principal, _ more: JSONObject = JSONObject(),
        in transaction: Transaction
    ) throws {
        var detail = more
        detail["rollout"] = trial.id.json
        detail["version"] = .string(trial.version)
        detail["agents"] = .list(trial.members.map(\.agent))
        detail["state"] = .string(trial.record.state.rawValue)
        if detail["reason"] == nil { detail["reason"] = .of(trial.reason) }
        try audit.record(
            type, by: principal, target: "agent:\(trial.members.first?.agent ?? "")", detail: .object(detail),
            in: transaction)
    }

    /// For so long an alert stands that a version was taken back.
    static let alertStands = Span.hours(1)

    private func alarm(_ trial: BundleTrial, in transaction: Transaction) throws {
        guard let alerts else { return }
        let posts = trial.members.prefix(Self.alertsMax).map { member in
            AlertPost(
                labels: LabelSet([
                    ("agent", member.agent), ("alertname", "BundleTakenBack"), ("severity", "warning"),
                    ("version", AgentBundle.short(trial.version)),
                ]),
                annotations: [
                    "summary": "\(member.agent) goes on with \(AgentBundle.short(member.stable)): "
                        + (trial.reason ?? "the new version was worse"),
                    "description": "See what the version changed: reeve config diff \(member.agent) "
                        + "\(AgentBundle.short(member.stable)) \(AgentBundle.short(trial.version))",
                ], startsAt: world.now, endsAt: world.now + Self.alertStands)
        }
        _ = try alerts.takeWhatFits(Array(posts), origin: .rule, from: "bundles", in: transaction)
    }

    /// Agents of one roll-out that alerts are raised for.
    static let alertsMax = 20
}

extension BundleTrial {
    /// Why it was taken back, with the figures that say so.
    func against(_ measure: BundleRollout.Measure) -> String {
        let tally = record.tallies[measure] ?? BundleRollout.Tally()
        let verb = measure == .failures ? "failed" : "were dear"
        return "\(tally.new.failures) of \(tally.new.trials) attempts with the new version \(verb), "
            + "\(tally.old.failures) of \(tally.old.trials) with the old one"
    }

    fileprivate func message(back: Bool) -> String {
        let words = back ? "taken back by the roll-out" : "rolled out"
        return message.isEmpty ? words : "\(message) (\(words))"
    }
}
