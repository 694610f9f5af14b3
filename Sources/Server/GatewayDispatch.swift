import Control
import Gateway
import Kernel

/// What tasks are told of the models that they ask for, from the settings and from this process's breakers.
struct GatewayTaskModels: TaskModels {
    let settings: GatewaySettings
    let ramps: DispatchRamps

    func model(ofType type: String) -> String? { settings.taskTypes[type] }

    func check(_ model: String, path: String) throws {
        guard !settings.has(model) else { return }
        let what =
            ModelWish.tier(of: model).map { "no model is of the tier \"\($0)\"" } ?? "there is no model \"\(model)\""
        throw Problem.invalid(path, what, hint: "GET /api/v1/models lists the models and their tiers.")
    }

    var isHoldingBack: Bool { ramps.isHoldingBack || !ramps.orders.isEmpty }

    /// What breakers hold back and nobody answers for instead, and what was ordered.
    func heldBack() -> [String] {
        let orders = ramps.orders
        guard !orders.isEmpty else { return ramps.heldBack() }
        let ordered = orders.paused.flatMap { [$0] + [ramps.tier(of: $0)].compactMap(\.self) }
        return ordered + ramps.heldBack().filter { orders.route(of: ramps.model($0)) == nil && !ordered.contains($0) }
    }

    func admit(_ model: String, count: Int) -> ModelAdmission {
        let orders = ramps.orders
        if orders.isPaused(ramps.model(model)) { return .tasks(0) }
        let (count, isProbe) = ramps.admit(orders.route(of: ramps.model(model)) ?? model, count: count)
        return isProbe ? .probe : .tasks(count)
    }

    func probeLeft(_ model: String) { ramps.probeLeft(ramps.orders.route(of: ramps.model(model)) ?? model) }

    func standing(of model: String) -> ModelDispatch? {
        let name = ramps.model(model)
        guard ramps.orders.isPaused(name), ramps.standing(of: name) != nil else {
            return ramps.standing(of: model).map(ModelDispatch.init)
        }
        return ModelDispatch(model: name, state: .paused, share: 0)
    }
}

extension ModelDispatch {
    init(_ standing: DispatchRamps.Standing) {
        self.init(
            model: standing.model, state: State(rawValue: standing.state.rawValue) ?? .normal, share: standing.share,
            since: standing.since)
    }
}

/// Lets the dispatch of tasks come back by the clock, wakes the claims that wait for it, and writes outages down. While
/// all models are well a round is a look at a flag.
struct GatewayDispatch: Sendable {
    static let interval = Span.milliseconds(250)

    let ramps: DispatchRamps
    let outages: ModelOutageService
    let wakeups: Wakeups
    let storage: any Storage
    let world: World
    /// What containments hold of models.
    let containment: GatewayContainment

    init(
        ramps: DispatchRamps, outages: ModelOutageService, wakeups: Wakeups, storage: any Storage, world: World
    ) {
        (self.ramps, self.outages, self.wakeups, self.storage, self.world) = (ramps, outages, wakeups, storage, world)
        containment = GatewayContainment(ramps: ramps, wakeups: wakeups, storage: storage)
    }

    func look() async throws {
        if ramps.takeSteps() { wakeups.wakeAll() }
        try await ramps.tellOutages { changes in
            let changes = changes.map {
                ModelOutageChange(model: $0.model, began: $0.began, at: $0.at, since: $0.since, targets: $0.targets)
            }
            try await storage.write { try outages.keep(changes, in: $0) }
        }
    }

    /// Before the first claim: what was out when the last process ended is still to be probed.
    func resume(_ settings: GatewaySettings) async throws {
        try await containment.look()
        let open = try await storage.read { try outages.open(in: $0) }
        guard !open.isEmpty else { return }
        let gone = open.filter { settings.isTier($0.model) || !settings.has($0.model) }
        ramps.resume(open.filter { outage in !gone.contains { $0.model == outage.model } })
        guard !gone.isEmpty else { return }
        let now = world.now
        let ended = gone.map { ModelOutageChange(model: $0.model, began: false, at: now, since: $0.since) }
        try await storage.write { try outages.keep(ended, in: $0) }
    }

    var loops: [Loop] { [Loop("gateway.dispatch", every: Self.interval) { try await look() }] + containment.loops }
}
