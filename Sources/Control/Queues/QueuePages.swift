import Kernel

/// The queues, those in trouble first.
public struct QueuePages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let queues: QueueService
    let workload: any QueueWorkload

    /// Queues shown on one page.
    private static let queuesMax = 200

    public init(shell: PageShell, storage: any Storage, queues: QueueService, workload: any QueueWorkload) {
        self.shell = shell
        self.storage = storage
        self.queues = queues
        self.workload = workload
    }

    public var routes: [Route] {
        [shell.route("/queues", .read, "The queues", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let after = try request.page().after
        let view = try await storage.read { transaction in
            let found = try queues.queues(page: Page(limit: Self.queuesMax, after: after), in: transaction)
            let since = now - .minutes(QueueRoutes.throughputMinutes)
            let depths = try workload.depths(in: transaction)
            let throughput = try workload.throughput(since: since, in: transaction)
            let rows = found.prefix(Self.queuesMax).map { queue in
                QueueRowView(
                    queue, depth: depths[queue.name] ?? QueueDepth(), throughput: throughput[queue.name] ?? [:],
                    now: now)
            }
            let paused = rows.count { $0.isPaused }
            let last = found.count > Self.queuesMax ? rows.last?.name : nil
            return QueueListView(
                subtitle: PageText.plural(rows.count, "queue") + (paused > 0 ? ", \(paused) paused" : ""),
                hasQueues: !rows.isEmpty, queues: rows.sorted { ($0.trouble, $1.name) > ($1.trouble, $0.name) },
                noQueues: Self.nothing(request), pager: PagerView(after: after, next: last, of: "/queues"))
        }
        return try await shell.page(
            "Queues", at: .queues, template: "queues", view: view, topics: ["task", "queue"], request: request)
    }

    private static func nothing(_ request: APIRequest) -> EmptyView {
        EmptyView(
            headline: "No queues yet", explanation: "A queue is made by the first task that names it:",
            command: """
                curl -X POST \(request.origin)/api/v1/tasks -H "Authorization: Bearer $REEVE_KEY" \\
                  -d '{"project":"demo","queue":"default","type":"hello","title":"Say hello"}'
                """)
    }
}

struct QueueListView: PageView {
    let subtitle: String
    let hasQueues: Bool
    let queues: [QueueRowView]
    let noQueues: EmptyView
    let pager: PagerView
}

/// A queue as a row.
struct QueueRowView: PageView {
    /// Ready tasks that wait longer than this are a queue's trouble.
    private static let longWait = Span.minutes(10)

    let name: String
    let state: String
    let path: String
    let apiPath: String
    let readyPath: String
    let runningPath: String
    let heldPath: String
    let ready: String
    let oldest: TimeView?
    let running: String
    let limit: String?
    let gauge: ShareView?
    let held: String
    let pauseText: String?
    let problem: String?
    let model: String?
    let isPaused: Bool
    let spark: SparkView?
    /// How much a person should look at it: the most first.
    let trouble: Int

    init(_ queue: Queue, depth: QueueDepth, throughput: [Int64: Int64], now: Timestamp) {
        name = queue.name
        model = queue.model
        isPaused = queue.pause != nil
        state = isPaused ? "paused" : "open"
        path = PagePath.query("/tasks", [("queue", queue.name)])
        apiPath = "/api/v1/queues/\(PagePath.encoded(queue.name))"
        readyPath = PagePath.query("/tasks", [("queue", queue.name), ("status", "ready")])
        runningPath = PagePath.query("/tasks", [("queue", queue.name), ("status", "claimed,running")])
        heldPath = PagePath.query("/tasks", [("queue", queue.name), ("status", "held")])
        ready = PageText.count(depth.ready)
        oldest = depth.oldestReadyAt.map { .span($0, now: now) }
        running = PageText.count(depth.leased)
        limit = queue.concurrency.map(PageText.count)
        gauge = queue.concurrency.map { ShareView($0 == 0 ? 1 : Double(depth.leased) / Double($0), hotAbove: 1) }
        held = PageText.count(depth.held)
        pauseText = queue.pause.map { "by \($0.actor), \(PageText.span(now - $0.at)) ago: \($0.reason)" }
        let isSlow = depth.oldestReadyAt.map { now - $0 > Self.longWait } ?? false
        var problems: [String] = []
        if depth.held > 0 { problems.append("\(PageText.count(depth.held)) set aside") }
        if isSlow, !isPaused {
            problems.append(depth.leased == 0 ? "nobody takes its tasks" : "tasks wait for longer than 10 minutes")
        }
        problem = problems.isEmpty ? nil : problems.joined(separator: "; ")
        trouble = (isPaused ? 4 : 0) + (depth.held > 0 ? 2 : 0) + (isSlow ? 1 : 0)
        let next = now.microseconds / 60_000_000 + 1
        let values = (next - QueueRoutes.throughputMinutes..<next).map { throughput[$0] ?? 0 }
        spark = SparkView(values, label: "\(values.reduce(0, +)) done in the last 30 minutes")
    }
}
