import Kernel

/// That no target of a model takes calls any more, or that one does again, as one replica sees it.
public struct ModelOutageChange: Sendable, Equatable {
    public let model: String
    public let began: Bool
    public let at: Timestamp
    /// When the outage began that ended.
    public let since: Timestamp?
    public let targets: [String]

    public init(model: String, began: Bool, at: Timestamp, since: Timestamp? = nil, targets: [String] = []) {
        self.model = model
        self.began = began
        self.at = at
        self.since = since
        self.targets = targets
    }
}

/// Writes down when models were out, and which are: a process that is killed meanwhile goes on from there.
public struct ModelOutageService: Sendable {
    let store = ModelOutageStore()
    let events: Events
    /// Each replica knows its own breakers, and its own outages by them.
    let replica: String

    public init(events: Events, replica: String) {
        self.events = events
        self.replica = replica
    }

    public func keep(_ changes: [ModelOutageChange], in transaction: Transaction) throws {
        for change in changes {
            var data = JSONObject()
            data["model"] = .string(change.model)
            if change.began {
                try store.insert(model: change.model, replica: replica, at: change.at, in: transaction)
                data["since"] = change.at.json
                data["targets"] = .list(change.targets)
            } else {
                try store.delete(model: change.model, replica: replica, in: transaction)
                data["since"] = .of(change.since)
                data["seconds"] = .of(change.since.map { (change.at - $0).seconds })
            }
            let type = change.began ? "model.outage.began" : "model.outage.ended"
            try events.append(
                EventDraft(type, actor: Principal.system.actor, data: .object(data)), in: transaction)
        }
    }

    /// The outages that this replica knew of and that had not ended.
    public func open(in transaction: Transaction) throws -> [(model: String, since: Timestamp)] {
        try store.all(replica: replica, in: transaction)
    }
}
