import Kernel

/// A run of model calls that is held because it went in circles, with the evidence.
public struct RunHold: Sendable {
    public let id: String
    public let agent: String?
    /// The task that the run's caller named, if it did.
    public let task: String?
    /// Everything that is known of it, for events and programs.
    public let json: JSONValue

    public init(id: String, agent: String?, task: String?, json: JSONValue) {
        self.id = id
        self.agent = agent
        self.task = task
        self.json = json
    }
}

/// The runs that are held; only memory knows them. The gateway's side implements it.
public protocol RunHolds: Sendable {
    func heldNow() -> [RunHold]
    /// Lets a run go on; `false` where it is held no more.
    func letGo(_ id: String) -> Bool
    /// Holds that are new since this was last asked.
    func newHolds() -> [RunHold]
}
