import Control
import Kernel
import Telemetry

/// The guards that a request passes before its body is looked at, in this order: the address's and the key's rate, the
/// key, the route's permission, the body's size.
struct Admission: Sendable {
    private let routes: RouteTable
    private let access: AccessService
    private let limits: Limits
    private let ids: TraceIDs
    /// What traces belong to; `nil` where nobody keeps spans.
    private let bindings: TraceBindings?
    /// Values that must not stand in an address or in the names that a client gives its request.
    private let watch: SecretWatch?
    private let world: World
    private let keyRate: RateLimiter
    private let addressRate: RateLimiter

    init(
        routes: [Route], access: AccessService, limits: Limits, world: World, bindings: TraceBindings? = nil,
        watch: SecretWatch? = nil
    ) {
        self.bindings = bindings
        self.watch = watch
        self.routes = RouteTable(routes)
        self.access = access
        self.limits = limits
        self.world = world
        ids = TraceIDs(world.entropy)
        keyRate = RateLimiter(
            perSecond: Double(limits.keyRequestsPerSecond), burst: Double(limits.keyRequestsPerSecond))
        addressRate = RateLimiter(
            perSecond: Double(limits.addressRequestsPerSecond), burst: Double(limits.addressRequestsPerSecond))
    }

    /// A request on its way in. Two references, as it is passed along much.
    struct Visit: Sendable {
        /// What came.
        fileprivate final class Arrival: Sendable {
            let head: RequestHead
            let remoteAddress: String
            let requestID: String
            let correlationID: String
            let traceparent: String
            /// Whether the client named them, now or with an earlier request of the trace.
            let isCorrelated: Bool
            let isTraced: Bool

            init(
                _ head: RequestHead, remoteAddress: String, requestID: String, _ ids: TraceIDs,
                _ bindings: TraceBindings?, _ watch: SecretWatch?
            ) {
                let traceparent = TraceIDs.acceptedTraceparent(head.headers["traceparent"])
                let correlationID =
                    CorrelationID.accepted(
                        head.headers["x-correlation-id"].map { watch?.clean(name: $0, at: "headers") ?? $0 })
                    ?? traceparent.flatMap { bindings?.correlationID(of: $0) }
                self.head = head
                self.remoteAddress = remoteAddress
                self.requestID = requestID
                self.traceparent = traceparent ?? ids.traceparent()
                self.correlationID = correlationID ?? TraceIDs.traceID(of: self.traceparent)
                isCorrelated = correlationID != nil
                isTraced = traceparent != nil
            }
        }

        /// Where it goes, and in whose name.
        fileprivate final class Entry: Sendable {
            let route: Route
            let parameters: [String: String]
            let query: [(name: String, value: String)]
            let principal: Principal

            init(
                _ route: Route, _ parameters: [String: String], query: [(name: String, value: String)] = [],
                principal: Principal = .stranger
            ) {
                self.route = route
                self.parameters = parameters
                self.query = query
                self.principal = principal
            }
        }

        fileprivate let arrival: Arrival
        /// `nil` until a route is found.
        fileprivate var entry: Entry?

        var head: RequestHead { arrival.head }
        var remoteAddress: String { arrival.remoteAddress }
        var requestID: String { arrival.requestID }
        var correlationID: String { arrival.correlationID }
        var traceparent: String { arrival.traceparent }
        var isCorrelated: Bool { arrival.isCorrelated }
        var isTraced: Bool { arrival.isTraced }
        /// What goes on beside the trace (W3C Trace Context §3.3).
        var tracestate: String? { isTraced ? TraceContext.acceptedState(head.headers["tracestate"]) : nil }
        var route: Route? { entry?.route }
        var parameters: [String: String] { entry?.parameters ?? [:] }
        var query: [(name: String, value: String)] { entry?.query ?? [] }
        var principal: Principal { entry?.principal ?? .stranger }
    }

    /// How far the guards came without asking the store.
    enum Verdict: Sendable {
        case admitted(Visit)
        case refused(Visit, any Error)
        /// The store has to say whose credential it is; then ``Admission/settle(_:_:)`` goes on.
        case asking(Visit, AccessService.Unseen)
    }

    /// A name for a request that cannot be read far enough to become one.
    func newRequestID() -> String { ids.request() }

    /// - Parameter passes: What the connection's last requests were let in by.
    func begin(_ head: RequestHead, from remoteAddress: String, _ passes: inout Passes) -> Verdict {
        let requestID = ids.request()
        var visit = Visit(
            arrival: Visit.Arrival(head, remoteAddress: remoteAddress, requestID: requestID, ids, bindings, watch))
        do {
            if let pass = passes.pass(head, revocations: access.revocations, at: world.now) {
                visit.entry = pass
                try checkRate(pass.principal)
                try checkSize(visit)
                return .admitted(visit)
            }
            return try judge(&visit, &passes)
        } catch {
            return .refused(visit, error)
        }
    }

    private func judge(_ visit: inout Visit, _ passes: inout Passes) throws -> Verdict {
        guard visit.head.hasOneHost else {
            try takeFromAddress(visit)
            throw Problem(
                .badRequest, "The request has no Host header, or more than one.",
                hint: "Send exactly one, as HTTP/1.1 demands (RFC 9112 §3.2).")
        }
        let match = routes.match(visit.head.method, visit.head.path)
        // Only a route with a permission looks at credentials: open ones serve strangers.
        guard case .found(let route, let parameters) = match, route.permission != .open else {
            try takeFromAddress(visit)
            try found(match, &visit)
            try checkSize(visit)
            return .admitted(visit)
        }
        visit.entry = Visit.Entry(route, parameters)
        guard let credential = credential(visit.head) else {
            try takeFromAddress(visit)
            throw unauthenticated(visit.head)
        }
        let revocations = access.revocations
        switch access.recognise(credential) {
        case .known(let principal):
            let admitted = try admit(visit, principal)
            if let entry = admitted.entry, visit.head.hasKeyHeader {
                passes.keep(entry, of: visit.head, revocations: revocations, at: world.now)
            }
            return .admitted(admitted)
        case .impossible:
            try takeFromAddress(visit)
            throw unauthenticated(visit.head)
        case .unseen(let unseen):
            // Strangers may make the store work only so often; a good key gets its token back.
            try takeFromAddress(visit)
            return .asking(visit, unseen)
        }
    }

    /// Goes on with a credential that the store had to be asked about; throws what refuses the request.
    func settle(_ visit: Visit, _ unseen: AccessService.Unseen) async throws -> Visit {
        guard let principal = try await access.resolve(unseen) else { throw unauthenticated(visit.head) }
        addressRate.giveBack(visit.remoteAddress)
        return try admit(visit, principal)
    }

    private func credential(_ head: RequestHead) -> Credential? {
        if head.hasKeyHeader { return head.key.map(Credential.key) }
        return head.session.map(Credential.session)
    }

    private func admit(_ visit: Visit, _ principal: Principal) throws -> Visit {
        try checkRate(principal)
        guard let entry = visit.entry, case let route = entry.route, route.permission.admits(principal.role) else {
            throw Problem(
                .forbidden, "A key with the role \"\(principal.role.rawValue)\" may not do this.",
                hint: "Use a key with one of the roles: \(visit.route?.permission.roleNames ?? "none").")
        }
        if !visit.head.hasKeyHeader { try checkOrigin(visit.head) }
        var admitted = visit
        admitted.entry = clean(
            Visit.Entry(route, entry.parameters, query: try query(visit.head), principal: principal))
        try checkSize(admitted)
        return admitted
    }

    /// An address becomes a name, a filter or a line of the log: values of secrets are taken out of it. Where secrets
    /// are written and read it is the name of one.
    private func clean(_ entry: Visit.Entry) -> Visit.Entry {
        guard let watch, !entry.parameters.isEmpty || !entry.query.isEmpty, !watch.current.isEmpty,
            !entry.route.path.hasPrefix("/api/v1/secrets"), !entry.route.path.hasPrefix("/v1/secret")
        else { return entry }
        return Visit.Entry(
            entry.route, entry.parameters.mapValues { watch.clean(name: $0, at: "addresses") },
            query: entry.query.map {
                (watch.clean(name: $0.name, at: "addresses"), watch.clean(name: $0.value, at: "addresses"))
            },
            principal: entry.principal)
    }

    /// The headers as handlers see them: what names a request is kept with what was answered.
    private func headers(_ visit: Visit, _ route: Route) -> RequestHeaders {
        guard let watch, route.method == .post, let key = visit.head.headers["idempotency-key"] else {
            return visit.head.headers
        }
        let clean = watch.clean(name: key, at: "headers")
        return clean == key ? visit.head.headers : visit.head.headers.replacing("idempotency-key", with: clean)
    }

    private func checkRate(_ principal: Principal) throws {
        guard let seconds = keyRate.take(principal.keyID, at: world.now) else { return }
        throw Problem(
            .rateLimited, "This key sent more than \(limits.keyRequestsPerSecond) requests a second.",
            hint: "Wait \(seconds) s, then send the same request again.", retryAfterSeconds: seconds)
    }

    /// Settles what an open route, or none, means for the request.
    private func found(_ match: RouteTable.Match, _ visit: inout Visit) throws {
        switch match {
        case .found(let route, let parameters):
            visit.entry = Visit.Entry(route, parameters)
            visit.entry = Visit.Entry(route, parameters, query: try query(visit.head))
            // A browser must not be made to log in as somebody else by another site.
            if route.method != .get { try checkOrigin(visit.head, isStrict: false) }
        case .otherMethods(let methods):
            let names = methods.map(\.rawValue) + (methods.contains(.get) ? ["HEAD"] : [])
            let allowed = names.sorted().joined(separator: ", ")
            throw Problem(
                .methodNotAllowed, "\(visit.head.path.prefix(200)) does not take \(visit.head.methodName.prefix(20)).",
                hint: "Use one of: \(allowed).", members: JSONObject([.init(name: "allow", value: .string(allowed))]))
        case .none:
            throw Problem(
                .notFound, "There is nothing at \(visit.head.path.prefix(200)).",
                hint: "The addresses of the interface begin with /api/v1/; openapi.json lists them.")
        case .malformed:
            throw Problem(
                .badRequest, "The path cannot be decoded.",
                hint: "Percent-encode it as UTF-8, without NUL.")
        }
    }

    private func query(_ head: RequestHead) throws -> [(name: String, value: String)] {
        guard !head.rawQuery.isEmpty else { return [] }
        guard let pairs = PercentCoding.pairs(head.rawQuery.utf8) else {
            throw Problem(.badRequest, "The query cannot be decoded.", hint: "Percent-encode it as UTF-8, without NUL.")
        }
        return pairs
    }

    private func takeFromAddress(_ visit: Visit) throws {
        guard let seconds = addressRate.take(visit.remoteAddress, at: world.now) else { return }
        throw Problem(
            .rateLimited,
            "Your address sent more than \(limits.addressRequestsPerSecond) requests a second without a valid key.",
            hint: "Wait \(seconds) s, and send a valid key.", retryAfterSeconds: seconds)
    }

    private func checkSize(_ visit: Visit) throws {
        let max = bodyBytesMax(visit)
        if let bytes = visit.head.declaredBytes, bytes > max { throw Self.tooLarge(max) }
    }

    func bodyBytesMax(_ visit: Visit) -> Int { visit.route?.bodyBytesMax ?? limits.bodyBytes }

    static func tooLarge(_ max: Int) -> Problem {
        Problem(
            .bodyTooLarge, "The body is larger than \(max) bytes.",
            hint: "Send less at once; `limits.bodyBytes` is the setting for most addresses.")
    }

    /// Refuses what another site may have made the browser send with its cookie (Fetch Metadata §2.4, RFC 6454).
    ///
    /// - Parameter isStrict: Whether a request that says nothing of where it comes from is refused too.
    private func checkOrigin(_ head: RequestHead, isStrict: Bool = true) throws {
        guard head.method != .get else { return }
        if let site = head.headers["sec-fetch-site"] {
            if site == "same-origin" || site == "none" { return }
        } else if let origin = head.headers["origin"] {
            let host = origin.split(separator: "://", maxSplits: 1).last.map(String.init)
            if origin != "null", let host, host == head.headers["host"] { return }
        } else if !isStrict {
            return
        }
        throw Problem(
            .csrf, "A browser's session may change things only from Reeve's own pages.",
            hint: "Send a key in the Authorization header instead of the cookie.")
    }

    private func unauthenticated(_ head: RequestHead) -> Problem {
        head.hasKeyHeader || head.session != nil
            ? Problem(
                .unauthenticated, "The key or session is unknown, revoked or past its time.",
                hint: "Ask an administrator for a key, or log in again.")
            : Problem(
                .unauthenticated, "This address needs a key.",
                hint: "Send the header \"Authorization: Bearer <key>\".")
    }

    /// A refusal as the client sees it: browsers that asked for a page are shown the way in.
    func refusal(_ problem: Problem, _ visit: Visit) -> APIReply {
        if problem.code == .unauthenticated, visit.head.wantsPage, visit.route?.shape.isPage == true {
            return .redirect("/login")
        }
        if let refusal = visit.route?.refusal { return refusal(problem, visit.requestID) }
        var reply = APIReply.problem(problem, requestID: visit.requestID)
        if problem.code == .unauthenticated { reply.headers.append(("www-authenticate", "Bearer realm=\"reeve\"")) }
        if case .string(let allowed)? = problem.members["allow"] { reply.headers.append(("allow", allowed)) }
        return reply
    }

    /// A request that names both says which correlation id its trace belongs to. One that only looks says nothing.
    func bind(_ visit: Visit) {
        guard let bindings, visit.isCorrelated, visit.isTraced, visit.head.method != .get,
            let context = TraceContext(visit.traceparent)
        else { return }
        bindings.bind(context.traceID, to: visit.correlationID)
    }

    /// The request as its handler sees it.
    func request(_ visit: Visit, route: Route, body: [UInt8]) -> APIRequest {
        bind(visit)
        return APIRequest(
            method: route.method, route: route.path, path: visit.head.path, parameters: visit.parameters,
            query: visit.query, headers: headers(visit, route), isHead: visit.head.isHead, body: body,
            principal: visit.principal.on(visit.correlationID), requestID: visit.requestID,
            correlationID: visit.correlationID, isCorrelated: visit.isCorrelated, traceparent: visit.traceparent,
            isTraced: visit.isTraced, tracestate: visit.tracestate, remoteAddress: visit.remoteAddress, limits: limits)
    }
}

extension Admission {
    /// What the last requests of a connection were let in by. A head that is known to be the same means the same route
    /// and the same key for a moment, unless a key was revoked.
    struct Passes {
        /// As long as uses of one key count as one.
        static let lifetime = Span.seconds(1)

        private struct Pass {
            let series: Int
            let entry: Visit.Entry
            let revocations: UInt64
            let until: Timestamp
        }

        private var passes: [Pass] = []

        fileprivate func pass(_ head: RequestHead, revocations: UInt64, at now: Timestamp) -> Visit.Entry? {
            guard head.series != 0 else { return nil }
            for pass in passes where pass.series == head.series {
                return pass.revocations == revocations && now < pass.until ? pass.entry : nil
            }
            return nil
        }

        fileprivate mutating func keep(
            _ entry: Visit.Entry, of head: RequestHead, revocations: UInt64, at now: Timestamp
        ) {
            guard head.series != 0 else { return }
            passes.removeAll { $0.series == head.series }
            if passes.count == HeadMemory.headsMax { passes.removeFirst() }
            passes.append(
                Pass(series: head.series, entry: entry, revocations: revocations, until: now + Self.lifetime))
        }
    }
}

extension ProblemCode {
    static let headersTooLarge = ProblemCode("headers_too_large", 431, "The headers are too large")
    static let notImplemented = ProblemCode("not_implemented", 501, "No address takes this method")
}

extension Principal {
    /// Whoever comes to an open address. It has the role that may do least.
    static let stranger = Principal(keyID: "stranger", name: "stranger", role: .ingest)
}

extension Permission {
    /// The roles that are admitted, for messages.
    var roleNames: String {
        switch self {
        case .open: "any"
        case .roles(let roles): roles.map(\.rawValue).sorted().joined(separator: ", ")
        }
    }
}
