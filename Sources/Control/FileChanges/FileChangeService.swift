import Kernel
import Synchronization
import Telemetry

/// Writes into the log of events what people changed in files: settings, prices, models, rules, runbooks, routes and
/// who is on call, each with what it was and what it is.
///
/// Files are compared with what this replica was told last, also over restarts. A replica that is new, as one of a
/// container without a disk, goes by what another one was told; and what another one has told of already is not told
/// again, so that a change that is rolled out over many stands in the log once.
public final class FileChangeService: Sendable {
    /// How often files that are read anew while Reeve runs are compared.
    static let interval = Span.seconds(1)
    /// Changes of one part that are told one by one at one time.
    static let changesMax = 100
    /// Who changed a file: nobody knows more.
    static let actor = "file"

    /// A part that may change while Reeve runs.
    public struct Source: Sendable {
        let part: FileChangePart
        /// Another number once it changed.
        let revision: @Sendable () async -> Int64
        let things: @Sendable () async -> FileChangeThings

        public static func rules(_ book: @escaping @Sendable () async -> (book: RuleBook, revision: Int64)) -> Source {
            Source(part: .rule) {
                await book().revision
            } things: {
                FileChangeReading.rules(await book().book)
            }
        }

        public static func runbooks(_ shelf: RunbookShelf) -> Source {
            Source(part: .runbook) {
                shelf.revision
            } things: {
                FileChangeReading.runbooks(shelf.library)
            }
        }
    }

    private let settings: Settings
    private let onCall: OnCallPlan?
    private let sources: [Source]
    private let store = FileChangeStore()
    private let events: Events
    private let storage: any Storage
    private let replica: String
    private let world: World
    /// The revisions that were compared last.
    private let seen = Mutex<[FileChangePart: Int64]>([:])

    public init(
        settings: Settings, onCall: OnCallPlan?, sources: [Source], events: Events, storage: any Storage,
        replica: String, world: World
    ) {
        (self.settings, self.onCall, self.sources) = (settings, onCall, sources)
        (self.events, self.storage, self.replica, self.world) = (events, storage, replica, world)
    }

    /// Compares all of it, once Reeve starts.
    public func begin() async throws {
        let catalogue = settings.catalogue.document
        let (models, prices) = FileChangeReading.models(catalogue)
        let section = settings.alerts.document
        let parts: [(FileChangePart, FileChangeThings)] = [
            (.setting, FileChangeReading.settings(settings)), (.provider, FileChangeReading.providers(catalogue)),
            (.model, models), (.price, prices), (.receiver, FileChangeReading.receivers(section)),
            (.route, FileChangeReading.routes(section)), (.oncall, FileChangeReading.onCall(onCall)),
        ]
        try await storage.write { transaction in
            for (part, things) in parts { try self.compare(part, things, in: transaction) }
        }
        try await look()
    }

    /// Compares what is read anew while Reeve runs, where it was.
    func look() async throws {
        for source in sources {
            let revision = await source.revision()
            guard seen.withLock({ $0[source.part] }) != revision else { continue }
            let things = await source.things()
            try await storage.write { try self.compare(source.part, things, in: $0) }
            seen.withLock { $0[source.part] = revision }
        }
    }

    public var loops: [Loop] { [Loop("fileChanges.look", every: Self.interval) { try await self.look() }] }

    func compare(_ part: FileChangePart, _ things: FileChangeThings, in transaction: Transaction) throws {
        let own = try store.row(of: replica, part, in: transaction)
        guard own?.things != things else { return }
        let other = try store.latest(besides: replica, part, in: transaction)
        try store.put(things, of: replica, part, at: world.now, in: transaction)
        let before: FileChangeThings
        if let own {
            before = own.things
        } else {
            // The first of all has nothing to compare with.
            guard let other else { return }
            before = other.things.withoutLocal(part)
        }
        let after = own == nil ? things.withoutLocal(part) : things
        let changes = FileChange.between(before, after).filter { change in
            guard let other, let own, other.changedAt > own.changedAt else { return true }
            return part.isLocal(change.name) || other.things.byName[change.name] != after.byName[change.name]
        }
        for change in changes.prefix(Self.changesMax) {
            try append(part, change.data(part, file: file(of: part)), in: transaction)
        }
        let rest = changes.dropFirst(Self.changesMax)
        guard let first = rest.first else { return }
        let summary = "\(rest.count) more changed, \(first.name) among them"
        try append(part, ["name": "…", "change": "changed", "summary": .string(summary)], in: transaction)
    }

    private func append(_ part: FileChangePart, _ data: JSONValue, in transaction: Transaction) throws {
        try events.append(EventDraft(part.eventType, actor: Self.actor, data: data), in: transaction)
    }

    /// The file that says so, where it is one.
    private func file(of part: FileChangePart) -> String {
        switch part {
        case .setting, .provider, .model, .price: settings.catalogue.file
        case .route, .receiver: settings.alerts.file
        case .oncall: settings.oncall.file ?? ""
        case .rule, .runbook: ""
        }
    }
}
