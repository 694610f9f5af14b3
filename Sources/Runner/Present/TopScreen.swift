import Kernel

/// What `reeve top` shows at one moment.
public struct TopView: Sendable {
    public var url: String
    public var agents: [JSONValue] = []
    public var queues: [JSONValue] = []
    public var tasks: [JSONValue] = []
    /// The newest last.
    public var events: [JSONValue] = []
    /// Why the numbers may be old; `nil` while the server answers.
    public var trouble: String?

    public init(url: String) {
        self.url = url
    }
}

/// Lays a view out for a screen. Pure: the same view, size and time give the same lines.
public enum TopScreen {
    /// Exactly `rows` lines at most, each at most `columns` places wide.
    public static func lines(_ view: TopView, columns: Int, rows: Int, at now: Timestamp) -> [String] {
        let columns = max(20, columns)
        var lines = [headline(view, now)]
        if let trouble = view.trouble { lines.append("! " + trouble) }
        // What is left below the headline: two fifths for the fleet, a fifth for queues, the rest for what happens.
        let room = max(6, rows - lines.count)
        let busiest = view.agents.sorted { rank($0) < rank($1) }
        lines += section(ListView.agents, busiest, room * 2 / 5, now)
        lines += section(ListView.queues, view.queues, max(3, room / 5), now)
        let left = max(0, rows - lines.count)
        if view.events.isEmpty {
            lines += section(ListView.tasksInBrief, view.tasks, left, now)
        } else {
            lines.append("")
            lines += view.events.suffix(max(0, left - 1)).map(ListView.line)
        }
        return lines.prefix(rows).map { TextWidth.cut($0, to: columns) }
    }

    private static func headline(_ view: TopView, _ now: Timestamp) -> String {
        let states = Dictionary(grouping: view.agents) { $0["status"]?.string ?? "?" }.mapValues(\.count)
        let fleet = states.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        let ready = view.queues.compactMap { $0["ready"]?.int }.reduce(0, +)
        let running = view.queues.compactMap { $0["running"]?.int }.reduce(0, +)
        let review = view.queues.compactMap { $0["inReview"]?.int }.reduce(0, +)
        let agents = view.agents.isEmpty ? "no agents" : fleet
        return "reeve \(Words.clock(now.json))  \(agents)  ·  \(ready) ready, \(running) running, \(review) in review"
            + "  ·  \(view.url)"
    }

    private static func section(
        _ list: ListView, _ items: [JSONValue], _ rows: Int, _ now: Timestamp
    ) -> [String] {
        guard rows >= 3 else { return [] }
        guard !items.isEmpty else { return ["", list.empty] }
        // A blank line and the table's head take two; a note on what is not shown takes one more.
        let fits = rows - 2
        let shown = items.count > fits ? Array(items.prefix(max(0, fits - 1))) : items
        let table = list.table(shown, at: now).lines()
        let more = items.count > shown.count ? ["… and \(items.count - shown.count) more"] : []
        return [""] + table + more
    }

    /// Agents that need a look come first, then those at work.
    private static func rank(_ agent: JSONValue) -> String {
        let order = ["quarantined", "unreachable", "offline", "busy", "draining", "waiting", "paused", "idle"]
        let place = order.firstIndex(of: agent["status"]?.string ?? "") ?? order.count
        return "\(place) \(agent["name"]?.string ?? "")"
    }
}
