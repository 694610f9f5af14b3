import Control
import Gateway
import Kernel
import Logging
import ServiceLifecycle
import Telemetry
import UnixSignals

/// A whole Reeve, made and wired but not yet listening. `reeve serve` and the tests make the same one.
public struct App: Sendable {
    public let features: Features
    public let settings: Settings
    /// What the start found in `admin.key`.
    public let adminKey: AdminKeyFile.Finding
    /// A way in for whoever started the server; `nil` where no admin key is in force.
    public let loginLink: LoginLink?

    fileprivate let scripted: ScriptedProviders
    fileprivate let directory: DataDirectory
    fileprivate let world: World
    fileprivate let relay: LogRelay?

    /// Every address of the interface, for the server and for the reference.
    public var routes: [Route] { features.routes }

    /// Reeve's own lines stand beside all others.
    private var relayLoops: [Loop] {
        guard let relay, let ingest = features.spans else { return [] }
        return [
            Loop("telemetry.own_logs", every: .seconds(1)) {
                let (lines, dropped) = relay.drain()
                if dropped > 0 {
                    Logger(label: "reeve.telemetry").warning("\(dropped) of Reeve's own lines came too fast to keep")
                }
                if !lines.isEmpty { try await ingest.takeOwn(lines) }
            }
        ]
    }

    /// The server as a group of services: run it, and tell it to stop.
    ///
    /// They stop in the reverse of their order: first no more requests come in and those in flight finish, then the
    /// loops end, then the store is closed.
    ///
    /// - Parameters:
    ///   - signals: Those that stop it gracefully.
    ///   - onListening: Called with the real port once connections are accepted.
    public func services(
        stoppingAt signals: [UnixSignal] = [], onListening: @escaping @Sendable (Int) async -> Void
    ) -> ServiceGroup {
        let logger = Logger(label: "reeve.http")
        // What the libraries have to say of a start and a stop is for those who look for it.
        var quiet = Logger(label: "reeve.server")
        quiet.logLevel = max(quiet.logLevel, .warning)
        let admission = Admission(
            routes: routes, access: features.access, limits: settings.limits, world: world,
            bindings: features.spans?.bindings, watch: features.secrets.watch)
        let listener = Listener(
            host: settings.http.host, port: settings.http.port,
            responder: Responder(
                admission: admission, limits: settings.limits, gateway: features.gateway,
                meters: features.requests, watch: features.secrets.watch, world: world, logger: logger),
            connections: features.connections
        ) { [address = features.alerting.address] port in
            address.listens(on: port)
            await onListening(port)
        }
        let loops = LoopRunner(loops: features.loops + relayLoops, world: world, logger: Logger(label: "reeve.loops"))
        var configuration = ServiceGroupConfiguration(
            services: [
                .init(service: StorageCloser(storage: features.storage, ledger: features.ledger)),
                .init(service: BudgetCloser(clerk: features.budgetClerk)),
                .init(
                    service: SpanCloser(
                        spans: features.spans, ownSpans: features.ownSpans, ledger: features.ledger)),
                .init(service: SeriesCloser(metrics: features.metrics)),
                .init(service: ScriptedCloser(scripted: scripted)),
                .init(service: loops),
                .init(service: listener),
            ],
            gracefulShutdownSignals: signals, logger: quiet)
        configuration.maximumGracefulShutdownDuration = .seconds(Listener.drainSeconds * 2)
        return ServiceGroup(configuration: configuration)
    }
}

/// The key of secrets, and what whoever starts Reeve should know of it.
private func sealing(
    _ settings: Settings, _ directory: DataDirectory, _ storage: any Storage, _ world: World
) async throws -> SecretSealing {
    let source = try settings.secrets.source(dataDirectory: directory.path)
    let sealing = try await SecretSealing.open(source, storage: storage, world: world)
    let logger = Logger(label: "reeve.secrets")
    if let path = sealing.madeAt {
        logger.warning("made \(path), the key that seals secrets: keep a copy of it away from this machine")
    }
    if let fault = sealing.fault { logger.error("secrets cannot be read or written: \(fault.detail) \(fault.hint)") }
    return sealing
}

/// Makes a Reeve: takes the data directory, opens and migrates the store, makes every feature, sees to the admin key.
///
/// - Parameters:
///   - relay: What Reeve itself logs, on its way to all other logs.
///   - watch: Whose values must not turn up anywhere.
/// - Throws: ``Problem``, in words for whoever starts it.
public func buildApp(
    _ settings: Settings, world: World = .live, relay: LogRelay? = nil, watch: SecretWatch? = nil
) async throws -> App {
    let watch = try watch ?? SecretWatch(entropy: world.entropy, patterns: KeyPatterns(settings.secrets))
    let catalogue = try ModelGateway.settings(settings.catalogue)
    let plan = try AlertPlan(settings)
    let calendar = try settings.secrets.rotationWindows.map { try RotationCalendar($0) } ?? .always
    let kafkaAddress = try settings.telemetry.kafka.map(KafkaAddress.init)
    let clickHouse = try settings.telemetry.storeURL.map(ClickHouseAddress.init)
    let directory = try DataDirectory(settings.storage.dataDirectory)
    let location =
        settings.storage.databaseURL.map { StorageLocation.postgres(url: $0) }
        ?? .sqlite(path: directory.databasePath)
    let storage = try StorageOpener.open(location, migrations: Features.migrations, world: world)
    var started: ScriptedProviders?
    do {
        let scripted = try await ScriptedProviders.start(
            catalogue, settingsFile: settings.catalogue.file, world: world)
        started = scripted
        let telemetryLogger = Logger(label: "reeve.telemetry")
        let kafka = try kafkaAddress.map { address in
            try KafkaOutlet(
                address, folder: directory.telemetryPath, quota: settings.telemetry.kafkaQueueBytes
            ) { telemetryLogger.warning("\($0)") }
        }
        let spans = try TelemetryIngest(
            folder: directory.telemetryPath, quota: settings.telemetry.spoolBytes,
            diskQuota: settings.telemetry.diskQuota, world: world,
            clickHouse: clickHouse.map { ($0, HTTPClickHouse()) }, kafka: kafka, watch: watch,
            onWarning: { telemetryLogger.warning("\($0)") }, onNotice: { telemetryLogger.notice("\($0)") })
        let metrics = MetricIngest(
            store: try SeriesStore(
                folder: directory.telemetryPath, quota: settings.telemetry.spoolBytes,
                days: settings.telemetry.metricsDays, world: world
            ) { telemetryLogger.warning("\($0)") }, folder: directory.telemetryPath, world: world, watch: watch
        ) { telemetryLogger.warning("\($0)") }
        let sealing = try await sealing(settings, directory, storage, world)
        let features = Features(
            storage: storage, blobs: DirectoryBlobs(root: directory.blobsPath), settings: settings,
            catalogue: scripted.settings, world: world,
            journal: try HoldJournal(
                folder: directory.budgetsPath, boot: HoldJournal.systemBoot, records: RecordRounds()),
            replicaID: try HoldJournal.identity(in: directory.budgetsPath, world: world), spans: spans,
            metrics: metrics, plan: plan, sealing: sealing, watch: watch, calendar: calendar)
        // Agents that held tasks before this start may call as soon as it listens.
        try await features.goOn()
        let logger = Logger(label: "reeve.gateway")
        for fault in features.keyring.reload() { logger.warning("a provider's key is missing: \(fault)") }
        let adminKey = try await AdminKeyFile(dataDirectory: directory.path).prepare(features.access, world: world)
        return App(
            features: features, settings: settings, adminKey: adminKey,
            loginLink: try await features.access.startLink(),
            scripted: scripted, directory: directory, world: world, relay: relay)
    } catch {
        await started?.close()
        await storage.close()
        throw error
    }
}
