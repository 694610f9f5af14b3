import Kernel

/// The event log, live.
public struct EventPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let events: Events

    private static let eventsMax = 100

    public init(shell: PageShell, storage: any Storage, events: Events) {
        self.shell = shell
        self.storage = storage
        self.events = events
    }

    public var routes: [Route] {
        [shell.route("/events", .read, "The event log", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        func value(_ name: String) -> String? { request.queryValue(name).flatMap { $0.isEmpty ? nil : $0 } }
        let now = shell.world.now
        let before = value("before").flatMap(Int64.init)
        let (type, task) = (value("type"), value("task"))
        // An agent's key sees its own agent's events alone.
        let agent = request.principal.agent ?? value("agent")
        let filter = EventFilter(agent: agent, taskID: task, type: type)
        let found = try await storage.read {
            try events.store.latest(before: before ?? .max, limit: Self.eventsMax, filter: filter, in: $0)
        }
        let sight = FileChangeSight(request.principal)
        let query: [(name: String, value: String?)] = [("type", type), ("agent", agent), ("task", task)]
        let isFull = found.count == Self.eventsMax
        let view = EventListView(
            subtitle: before == nil ? "the newest first, live" : "older ones", isLive: before == nil,
            typeFilter: type ?? "", agentFilter: agent ?? "", taskFilter: task ?? "",
            isFiltered: type != nil || agent != nil || task != nil,
            events: found.map { EventView(sight.seen($0), now: now) },
            noEvents: EmptyView(
                headline: "No events", explanation: "Whatever changes in the fleet turns up here, and on the stream:",
                command: "curl -N \(request.origin)/api/v1/events/stream -H \"Authorization: Bearer $REEVE_KEY\""),
            pager: PagerView(after: before, next: isFull ? found.last?.seq : nil) {
                PagePath.query("/events", query + [("before", $0.map(String.init))])
            })
        return try await shell.page(
            "Events", at: .events, template: "events", view: view, topics: before == nil ? ["*"] : [],
            request: request)
    }
}

struct EventListView: PageView {
    let subtitle: String
    let isLive: Bool
    let typeFilter: String
    let agentFilter: String
    let taskFilter: String
    let isFiltered: Bool
    let events: [EventView]
    let noEvents: EmptyView
    let pager: PagerView
}
