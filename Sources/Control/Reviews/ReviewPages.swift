import Kernel

/// The inbox of what waits for a verdict.
public struct ReviewPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let tasks: TaskService
    let blobs: any Blobs

    private static let itemsMax = 100

    public init(shell: PageShell, storage: any Storage, tasks: TaskService, blobs: any Blobs) {
        self.shell = shell
        self.storage = storage
        self.tasks = tasks
        self.blobs = blobs
    }

    public var routes: [Route] {
        [shell.route("/reviews", .read, "What waits for a verdict", handler: show)]
    }

    /// The list, and of the chosen task what a verdict needs.
    private struct Inbox: Sendable {
        var items: [AgentTask]
        let hasMore: Bool
        var chosen: AgentTask?
        var deliverables: [Deliverable] = []
        var reviews: [Review] = []
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let wanted = request.queryValue("task")
        let inbox = try await storage.read { try self.inbox(wanted, in: $0) }
        let isDiff = request.queryValue("view") != "content"
        var selected: ReviewItemView?
        if let task = inbox.chosen {
            let files = await files(inbox.deliverables, of: task, isDiff: isDiff)
            selected = ReviewItemView(
                task, deliverables: inbox.deliverables, reviews: inbox.reviews, files: files,
                principal: request.principal, now: now)
        }
        let count = inbox.items.count
        let view = ReviewInboxView(
            subtitle: count == 0
                ? "nothing waits for a verdict"
                : "\(count)\(inbox.hasMore ? " and more" : "") wait\(count == 1 ? "s" : "") for a verdict",
            hasItems: count > 0,
            items: inbox.items.map { ReviewRowView($0, isCurrent: $0.id == inbox.chosen?.id, now: now) },
            selected: selected,
            noItems: EmptyView(
                headline: "Nothing waits for a verdict",
                explanation: "A task that is created with a review comes here once its agent has submitted it:",
                command: """
                    curl -X POST \(request.origin)/api/v1/tasks -H "Authorization: Bearer $REEVE_KEY" \\
                      -d '{"project":"demo","queue":"default","type":"brief","title":"Write a brief","review":true}'
                    """))
        return try await shell.page(
            "Reviews", at: .reviews, template: "reviews", view: view, topics: ["task"], request: request)
    }

    private func inbox(_ wanted: String?, in transaction: Transaction) throws -> Inbox {
        let found = try tasks.store.inReview(page: Page(limit: Self.itemsMax), in: transaction)
        let oldestFirst = found.prefix(Self.itemsMax).sorted {
            ($0.submittedAt ?? $0.updatedAt, $0.id) < ($1.submittedAt ?? $1.updatedAt, $1.id)
        }
        var inbox = Inbox(items: oldestFirst, hasMore: found.count > Self.itemsMax)
        let chosen = oldestFirst.first { $0.id.text == wanted } ?? oldestFirst.first
        guard let chosen else { return inbox }
        inbox.chosen = chosen
        inbox.deliverables = try tasks.deliverables.all(of: chosen.id, in: transaction)
        inbox.reviews = try tasks.deliverables.reviews(of: chosen.id, in: transaction)
        return inbox
    }

    // MARK: Content

    /// The newest revision of each deliverable; where a reviewer saw an earlier one, what changed since.
    private func files(_ all: [Deliverable], of task: AgentTask, isDiff: Bool) async -> [ReviewFileView] {
        let byName = Dictionary(grouping: all, by: \.name).sorted { $0.key < $1.key }
        var files: [ReviewFileView] = []
        for (_, revisions) in byName.prefix(DeliverablePreview.deliverablesMax) {
            let sorted = revisions.sorted { $0.revision < $1.revision }
            guard let newest = sorted.last else { continue }
            let earlier = sorted.last { $0.round < newest.round }
            let preview = await DeliverablePreview.load(newest, blobs: blobs)
            var diff: LineDiff?
            if isDiff, let earlier, let text = preview.text {
                let before = await DeliverablePreview.load(earlier, blobs: blobs).text
                diff = before.flatMap { LineDiff(from: $0, to: text) }
            }
            files.append(
                ReviewFileView(newest, earlier: earlier, preview: preview, diff: diff, isDiff: isDiff, task: task))
        }
        return files
    }
}

// MARK: - Views

struct ReviewInboxView: PageView {
    let subtitle: String
    let hasItems: Bool
    let items: [ReviewRowView]
    let selected: ReviewItemView?
    let noItems: EmptyView
}

/// An entry of the inbox.
struct ReviewRowView: PageView {
    let id: String
    let path: String
    let title: String
    let agent: String
    let round: Int64?
    let since: TimeView
    let isCurrent: Bool

    init(_ task: AgentTask, isCurrent: Bool, now: Timestamp) {
        id = task.id.text
        path = PagePath.query("/reviews", [("task", task.id.text)])
        title = task.title
        agent = task.owner ?? "no agent"
        round = task.reviewRounds > 0 ? task.reviewRounds + 1 : nil
        since = .ago(task.submittedAt ?? task.updatedAt, now: now)
        self.isCurrent = isCurrent
    }
}

/// The task under review.
struct ReviewItemView: PageView {
    let id: String
    let title: String
    let taskPath: String
    let apiPath: String
    /// What a verdict is bound to.
    let sha256: String
    let shortSHA: String
    let agent: LinkView?
    let since: TimeView
    let hasFeedback: Bool
    let feedback: [RemarkView]
    let files: [ReviewFileView]
    let canReview: Bool
    let approvals: String?

    init(
        _ task: AgentTask, deliverables: [Deliverable], reviews: [Review], files: [ReviewFileView],
        principal: Principal, now: Timestamp
    ) {
        id = task.id.text
        title = task.title
        taskPath = PagePath.task(task.id.text)
        apiPath = "/api/v1" + PagePath.task(task.id.text)
        sha256 = task.submissionSHA256 ?? ""
        shortSHA = String(sha256.prefix(12))
        agent = .agent(task.owner)
        since = .ago(task.submittedAt ?? task.updatedAt, now: now)
        feedback = reviews.reversed().map { RemarkView($0, now: now) }
        hasFeedback = !feedback.isEmpty
        self.files = files
        canReview = Permission.operate.admits(principal.role)
        let wanted = task.review?.approvals ?? 1
        let given = reviews.count { $0.verdict == .approve && $0.sha256 == task.submissionSHA256 }
        approvals = wanted > 1 ? "\(given) of \(wanted) approvals so far." : nil
    }
}

/// A deliverable under review.
struct ReviewFileView: PageView {
    struct Modes: PageView {
        let contentMode: String
        let diffMode: String
        let earlier: Int64
    }

    struct DiffLine: PageView {
        let op: String
        let old: String
        let new: String
        let text: String
    }

    let id: String
    let name: String
    let revision: Int64
    let contentType: String
    let size: String
    let contentPath: String
    let modes: Modes?
    let isDiff: Bool
    let lines: [DiffLine]
    let hasPreview: Bool
    let preview: String?
    let previewNote: String?

    init(
        _ deliverable: Deliverable, earlier: Deliverable?, preview: DeliverablePreview, diff: LineDiff?, isDiff: Bool,
        task: AgentTask
    ) {
        id = deliverable.id.text
        name = deliverable.name
        revision = deliverable.revision
        contentType = deliverable.contentType
        size = PageText.bytes(deliverable.size)
        contentPath = deliverable.url
        modes = earlier.map { earlier in
            Modes(
                contentMode: PagePath.query("/reviews", [("task", task.id.text), ("view", "content")]),
                diffMode: PagePath.query("/reviews", [("task", task.id.text), ("view", "diff")]),
                earlier: earlier.revision)
        }
        self.isDiff = diff != nil
        lines = (diff?.lines ?? []).map { line in
            DiffLine(
                op: line.kind.rawValue, old: line.old.map(String.init) ?? "", new: line.new.map(String.init) ?? "",
                text: line.text)
        }
        hasPreview = preview.text != nil
        self.preview = preview.text
        let isTooDifferent = isDiff && earlier != nil && diff == nil && preview.text != nil
        let note = isTooDifferent ? "The revisions differ too much to compare line by line here." : preview.note
        previewNote = note.isEmpty ? nil : note
    }
}
