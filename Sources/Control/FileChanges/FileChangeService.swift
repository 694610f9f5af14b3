import Foundation
import Kernel
import Synchronization
import Telemetry

/// Writes into the log of events what people changed in files: settings, prices, models, rules, runbooks, routes and
/// who is on call, each with what it was and what it is.
///
/// Files are compared with what this replica was told last, also over restarts; those of a new replica with those of
/// others whose files come from the same place. What another one has told of already is not told again, so that a
/// change that is rolled out over many stands in the log once (``FileChangeNews``).
public final class FileChangeService: Sendable {
    /// How often files that are read anew while Reeve runs are compared.
    static let interval = Span.seconds(1)
    /// How often a replica says that it is there.
    static let noteEvery = Span.minutes(1)
    /// Replicas that were not there for so long are forgotten.
    static let rememberedFor = Span.hours(24 * 14)
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
    /// Where the files come from: replicas with another settings file are compared with nobody of this one.
    private let origin: String
    /// One look after the other: a slow one would else tell what a later one told as the other way round.
    private let turn = Turn()
    /// The revisions that were compared last.
    private let seen = Mutex<[FileChangePart: Int64]>([:])
    private let notedAt = Mutex<Timestamp?>(nil)

    public init(
        settings: Settings, onCall: OnCallPlan?, sources: [Source], events: Events, storage: any Storage,
        replica: String, world: World
    ) {
        (self.settings, self.onCall, self.sources) = (settings, onCall, sources)
        (self.events, self.storage, self.replica, self.world) = (events, storage, replica, world)
        let file = settings.catalogue.file.isEmpty ? settings.alerts.file : settings.catalogue.file
        origin = file.isEmpty ? "" : URL(fileURLWithPath: file).standardizedFileURL.path
    }

    /// Compares all of it, once Reeve starts.
    public func begin() async throws {
        let draft = Hexadecimal.encode(world.entropy.bytes(FileChangeVeil.keyBytes))
        try await storage.write { transaction in
            let key = try self.store.key(or: draft, in: transaction)
            for (part, things) in self.parts(FileChangeVeil(key: Array(key.utf8))) {
                try self.compare(part, things, in: transaction)
            }
        }
        try await look()
    }

    /// What is read once.
    private func parts(_ veil: FileChangeVeil) -> [(FileChangePart, FileChangeThings)] {
        let (catalogue, section) = (settings.catalogue.document, settings.alerts.document)
        let (models, prices) = FileChangeReading.models(catalogue)
        return [
            (.setting, FileChangeReading.settings(settings)),
            (.provider, FileChangeReading.providers(catalogue, veil)), (.model, models), (.price, prices),
            (.receiver, FileChangeReading.receivers(section, veil)), (.route, FileChangeReading.routes(section)),
            (.oncall, FileChangeReading.onCall(onCall, veil)),
        ]
    }

    /// Compares what is read anew while Reeve runs, where it was.
    func look() async throws { try await turn.run { try await round() } }

    private func round() async throws {
        for source in sources {
            let revision = await source.revision()
            guard seen.withLock({ $0[source.part] }) != revision else { continue }
            let things = await source.things()
            try await storage.write { try self.compare(source.part, things, in: $0) }
            seen.withLock { $0[source.part] = revision }
        }
        try await note()
    }

    /// Says now and then that this replica is there: of one that is gone nothing is known.
    private func note() async throws {
        let now = world.now
        guard notedAt.withLock({ $0 }).map({ now - $0 >= Self.noteEvery || now < $0 }) ?? true else { return }
        try await storage.write { [store, replica, origin] in
            try store.note(
                replica, origin: origin, at: now, forgetting: now - Self.rememberedFor, in: $0)
        }
        notedAt.withLock { $0 = now }
    }

    public var loops: [Loop] { [Loop("fileChanges.look", every: Self.interval) { try await self.look() }] }

    func compare(_ part: FileChangePart, _ things: FileChangeThings, in transaction: Transaction) throws {
        let own = try store.row(of: replica, part, in: transaction)
        guard own?.things != things else { return }
        let others = try store.others(than: replica, part, of: origin, in: transaction)
        try store.put(things, of: replica, part, origin: origin, at: world.now, in: transaction)
        let news = FileChangeNews(part: part, things: things, own: own, others: others, now: world.now)
        for data in news.told(file: file(of: part), replica: replica) {
            try events.append(EventDraft(part.eventType, actor: Self.actor, data: data), in: transaction)
        }
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
