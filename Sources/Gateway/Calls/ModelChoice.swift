import Kernel
import Telemetry

/// Which model a caller means: by its name, by a tier's, or by what its task asks for.
extension ModelCall {
    /// Stands for what the task of the call asks for.
    static let taskModel = ModelTier.prefix + "task"

    /// The model that is asked. Where the caller named it otherwise, its record has the model's own name, and what was
    /// said under `asked`.
    func choose(_ name: String) throws -> ModelEntry {
        let meant = try meant(name)
        // By order another model answers for it; the record says which one was meant.
        guard let other = gateway.dispatch.orders.route(of: meant.settings.name).flatMap(gateway.entry(named:)) else {
            return meant
        }
        isNamedOtherwise = true
        record.model = other.settings.name
        record.notes.append("routedFrom", .string(meant.settings.name))
        return other
    }

    private func meant(_ name: String) throws -> ModelEntry {
        if let entry = gateway.entry(named: name) { return try admitted(entry) }
        let wish = name == Self.taskModel ? try taskWish() : name
        let entry = try gateway.entry(named: wish) ?? ModelTier(name: wish).flatMap(first)
        guard let entry = try entry.map(admitted) else { throw DialectError.unknownModel(wish) }
        isNamedOtherwise = true
        record.model = entry.settings.name
        record.notes.append("asked", .string(name))
        return entry
    }

    /// The model of drills is there for the agents of drills alone.
    private func admitted(_ entry: ModelEntry) throws -> ModelEntry {
        guard entry.settings.name == gateway.settings.drill?.name else { return entry }
        guard record.agent.map(DrillNames.isOfDrill) == true else {
            throw DialectError.unknownModel(entry.settings.name)
        }
        return entry
    }

    /// The first model of a tier which the caller may use; the first one of all where there is none, which then says
    /// why not.
    private func first(of tier: ModelTier) throws -> ModelEntry? {
        let entries = gateway.settings.models(of: tier).compactMap { gateway.entry(named: $0.name) }
        return entries.first(where: mayUse) ?? entries.first
    }

    private func mayUse(_ entry: ModelEntry) -> Bool {
        let names = [request.principal.agent, request.principal.name].compactMap(\.self)
        return entry.targets.contains { target in
            if entry.settings.unpriced == .refuse, target.price?.entry(at: record.startedAt) == nil { return false }
            return !target.provider.keys.resolve(users: names).isRefused
        }
    }

    func taskWish() throws -> String {
        guard let task = record.task else {
            throw DialectError(
                .notFound, param: "model",
                "`\(Self.taskModel)` stands for the model that the task of a call asks for, and this call belongs to "
                    + "no task: its agent holds none by a claim, or several. Name the task in the header X-Reeve-Task.")
        }
        switch gateway.tasks?.wish(of: task) ?? .unknown {
        case .model(let wish): return wish
        case .nothing:
            throw DialectError(
                .notFound, param: "model",
                "The task \(task) asks for no model. Create it with `model` or `tier`, or name a model in the call.")
        case .unknown:
            // A claim that another replica made is known here within a second: an SDK asks again by then.
            throw DialectError(
                .unavailable, param: "model",
                "The task \(task) is not known to be claimed, so `\(Self.taskModel)` means no model yet. Claim it, or "
                    + "try again in a moment where that was just done.")
        }
    }
}
