import Control
import Gateway
import Kernel
import Logging

/// Answers requests that were let in: calls the route's handler, turns what it throws into problems, dresses the reply.
///
/// The one place where requests are logged. Neither queries nor headers go into the log, as they hold secrets.
struct Responder: Sendable {
    let admission: Admission
    let limits: Limits
    /// What answers model calls.
    let gateway: ModelGateway
    let meters: RequestMeters
    private let watch: SecretWatch?
    private let world: World
    private let logger: Logger

    init(
        admission: Admission, limits: Limits, gateway: ModelGateway, meters: RequestMeters,
        watch: SecretWatch? = nil, world: World, logger: Logger
    ) {
        self.watch = watch
        self.meters = meters
        self.admission = admission
        self.limits = limits
        self.gateway = gateway
        self.world = world
        self.logger = logger
    }

    func reply(to visit: Admission.Visit, body: [UInt8]) async -> APIReply {
        guard let route = visit.route else { preconditionFailure("a visit without a route was admitted") }
        let body = clean(body, route)
        do {
            return try await route.handler(admission.request(visit, route: route, body: body)).packed(for: visit)
        } catch {
            return refusal(of: error, visit)
        }
    }

    /// What agents and others send to Reeve's own addresses is kept and shown, so no value of a secret gets in, and
    /// nothing that looks like a key. The doors of records look for themselves, as bodies may be packed there; what is
    /// said to models is theirs.
    private func clean(_ body: [UInt8], _ route: Route) -> [UInt8] {
        guard let watch, !body.isEmpty, Self.keptDoors.contains(where: route.path.hasPrefix),
            !route.path.hasPrefix("/api/v1/secrets")
        else { return body }
        let parts = route.path.split(separator: "/")
        let last = parts.count > 2 ? parts[2] : parts.last ?? "requests"
        let noun = parts.contains("deliverables") ? "deliverables" : last
        let door = noun == "ingest" ? "events" : String(noun)
        // Their key comes with an event.
        if route.path.hasPrefix("/v2/") { return watch.clean(keyed: body, at: door) }
        // These are refused with the line where something looks like a key: a prompt without it would be another one.
        if parts.contains("bundles") || parts.contains("config") {
            return watch.clean(checked: body, remarks: ["message", "reason"], at: door)
        }
        return watch.clean(body, at: door, as: route.path.hasPrefix("/v1/files") ? .json : nil)
    }

    /// The addresses whose bodies are kept, or repeated, as they come.
    private static let keptDoors = [
        "/api/", "/v1/files", "/v1/batches", "/v1/messages/batches", "/v2/", "/ofrep/", "/prometheus/",
        "/v1/secret/metadata",
    ]

    /// What the client hears of whatever stopped its request. What went wrong inside stands in the log alone, under the
    /// id that the client is given.
    func refusal(of error: any Error, _ visit: Admission.Visit) -> APIReply {
        let problem =
            switch error {
            case let problem as Problem: problem
            case is CancellationError:
                Problem(
                    .overloaded, "Reeve is stopping.", hint: "Send the same request again in a few seconds.",
                    retryAfterSeconds: 2)
            default:
                Problem(
                    .internalError, "Reeve failed at this request.",
                    hint: "Report the requestId to whoever runs Reeve.", cause: error)
            }
        if !(error is CancellationError) { logCause(of: problem, visit) }
        return admission.refusal(watch.map { problem.clean($0) } ?? problem, visit)
    }

    private func logCause(of problem: Problem, _ visit: Admission.Visit) {
        guard problem.code.status >= 500 else { return }
        var metadata = metadata(visit)
        metadata["code"] = .string(problem.code.name)
        if let cause = problem.cause { metadata["cause"] = .string("\(cause)") }
        logger.log(
            level: problem.code.status == 500 ? .error : .warning, "\(problem.detail)", metadata: metadata)
    }

    /// Counts a request that was answered, and logs one line at debug.
    func ended(_ visit: Admission.Visit, status: Int, since start: Timestamp) {
        meters.ended(visit.route, status: status, after: max(.zero, world.now - start))
        guard logger.logLevel <= .debug else { return }
        var metadata = metadata(visit)
        metadata["status"] = .stringConvertible(status)
        metadata["duration_ms"] = .stringConvertible(Double((world.now - start).microseconds) / 1_000)
        logger.debug("request", metadata: metadata)
    }

    /// The client went away before it was answered.
    func left(_ visit: Admission.Visit, since start: Timestamp) {
        meters.ended(visit.route, status: nil, after: max(.zero, world.now - start))
    }

    /// A stream that broke off for another reason than its reader's leaving.
    func logBrokenStream(_ visit: Admission.Visit, _ error: any Error) {
        var metadata = metadata(visit)
        metadata["cause"] = .string("\(error)")
        logger.warning("a streamed reply broke off", metadata: metadata)
    }

    private func metadata(_ visit: Admission.Visit) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "method": .string(visit.head.methodName), "path": .string(visit.head.path),
            "correlation_id": .string(visit.correlationID), "request_id": .string(visit.requestID),
        ]
        if let agent = visit.principal.agent { metadata["agent_id"] = .string(agent) }
        return metadata
    }

    var now: Timestamp { world.now }
}

extension Problem {
    /// Without values of secrets, which a client may have sent as a name and would read again here.
    fileprivate func clean(_ watch: SecretWatch) -> Problem {
        Problem(
            code, watch.clean(detail, at: "errors"), hint: watch.clean(hint, at: "errors"),
            field: field.map { watch.clean($0, at: "errors") },
            members: watch.clean(.object(members), at: "errors").object ?? members,
            retryAfterSeconds: retryAfterSeconds, cause: cause)
    }
}
