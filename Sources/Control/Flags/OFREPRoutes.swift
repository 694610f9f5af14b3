import Kernel

/// The door of OpenFeature's SDKs: OFREP 0.3.0, single and bulk evaluations, and the stream that tells of changes.
public struct OFREPRoutes: Sendable {
    /// Bytes of a question.
    public static let bodyBytesMax = 65_536
    /// Seconds after which a client that nobody looks at should let its stream go.
    static let inactivitySeconds: Int64 = 120

    let service: FlagService
    let access: AccessService
    private let publicURL: String?
    private let streams: StreamCount

    public init(service: FlagService, access: AccessService, publicURL: String?, limits: Limits) {
        self.service = service
        self.access = access
        self.publicURL = publicURL
        streams = StreamCount(max: limits.flagStreams)
    }

    public var routes: [Route] {
        [
            Route(
                .post, "/ofrep/v1/evaluate/flags/{key}", .read, "Evaluate a flag (OFREP)",
                shape: .one("OFREPDecision", body: "OFREPQuestion", isBodyRequired: false),
                bodyBytesMax: Self.bodyBytesMax, refusal: OFREPReply.refusal, handler: one),
            Route(
                .post, "/ofrep/v1/evaluate/flags", .read, "Evaluate all flags (OFREP); takes If-None-Match",
                shape: .one("OFREPDecisions", body: "OFREPQuestion", isBodyRequired: false, query: Self.hints),
                bodyBytesMax: Self.bodyBytesMax, refusal: OFREPReply.refusal, handler: all),
            Route(
                .get, "/ofrep/v1/stream", .read, "Changes of flags (server-sent events)",
                shape: RouteShape(contentType: "text/event-stream"), refusal: OFREPReply.refusal
            ) { try stream($0, for: $0.principal.keyID) },
            // Open, as browsers' EventSource can send no key: the handler looks at the ticket itself.
            Route(
                .get, "/ofrep/v1/stream/ticket", .open, "The same, at the address that a bulk evaluation gives",
                shape: RouteShape(
                    query: [("ticket", ["type": "string"], "What that address carries")],
                    contentType: "text/event-stream"),
                refusal: OFREPReply.refusal
            ) { try stream($0, for: await keyID(ofTicketIn: $0)) },
        ]
    }

    private static let hints: [(name: String, schema: JSONValue, summary: String)] = [
        ("flagConfigEtag", ["type": "string"], "The etag of the stream's message that this request follows"),
        ("flagConfigLastModified", ["type": "string"], "The lastModified of that message"),
    ]

    // MARK: Evaluating

    private func context(_ request: APIRequest) throws -> FlagContext {
        guard !request.body.isEmpty else { return try FlagContext(nil, agent: request.principal.agent) }
        let body = try request.json()
        guard let object = body.object else {
            throw FlagFailure(.parseError, "The body is \(body.typeName), where {\"context\":{…}} is expected.")
        }
        return try FlagContext(object["context"], agent: request.principal.agent)
    }

    /// Who only looks leaves no trace in sessions.
    private func isPinning(_ request: APIRequest) -> Bool { request.principal.role != .viewer }

    private func one(_ request: APIRequest) async throws -> APIReply {
        let key = request.parameter("key")
        do {
            let context = try context(request)
            let decisions = try await service.decide(
                [key], in: service.book.edition, for: context, pins: isPinning(request))
            guard let decision = try decisions.first?.get() else {
                throw FlagFailure(.general, "Nothing was evaluated.")
            }
            return .json(OFREPReply.json(decision))
        } catch let failure as FlagFailure {
            return OFREPReply.reply(failure, key: String(key.prefix(FeatureFlag.nameMax)))
        }
    }

    private func all(_ request: APIRequest) async throws -> APIReply {
        let context: FlagContext
        do {
            context = try self.context(request)
        } catch let failure as FlagFailure {
            return OFREPReply.reply(failure, key: nil)
        }
        // Told of a change by another replica, this one may not know of it yet.
        let told = request.queryValue("flagConfigEtag").flatMap { FlagBook.Edition.revision(ofTag: $0) } ?? 0
        if told > service.book.edition.revision { try await service.book.refresh() }
        let edition = service.book.edition
        let keys = edition.keys
        let decisions = try await service.decide(keys, in: edition, for: context, pins: isPinning(request))
        let flags = zip(keys, decisions).map { key, decision in
            switch decision {
            case .success(let decision): OFREPReply.json(decision)
            case .failure(let failure): OFREPReply.json(failure, key: key)
            }
        }
        let ticket = FlagTicket(keyID: request.principal.keyID, at: service.world.now)
        let tag = Self.tag(context, flags, edition, ticket)
        let headers = [("etag", tag), ("cache-control", "private, no-cache")]
        if let known = request.headers["if-none-match"], Self.names(known, tag) {
            return APIReply(status: 304, headers: headers)
        }
        let url = "\(origin(request))/ofrep/v1/stream/ticket?ticket=\(ticket.text(secret: edition.secret))"
        let stream: JSONValue = [
            "type": "sse", "url": .string(url), "inactivityDelaySec": .int(Self.inactivitySeconds),
        ]
        var reply = APIReply.json([
            "flags": .array(flags), "eventStreams": [stream], "metadata": ["version": .string(edition.tag)],
        ])
        reply.headers += headers
        return reply
    }

    /// The answer as a whole: another context, another state of the flags, another address for the stream.
    private static func tag(
        _ context: FlagContext, _ flags: [JSONValue], _ edition: FlagBook.Edition, _ ticket: FlagTicket
    ) -> String {
        var bytes = JSONValue.object(context.attributes).bytes
        for flag in flags { flag.write(to: &bytes) }
        bytes += Array("\(edition.tag) \(ticket.payload)".utf8)
        return "\"\(Digest.sha256(bytes).prefix(32))\""
    }

    /// RFC 9110 §13.1.2: weak comparison.
    private static func names(_ known: String, _ tag: String) -> Bool {
        known.split(separator: ",").contains { part in
            let text = part.drop { $0 == " " }.prefix { $0 != " " }
            return text == "*" || text == tag || text == "W/\(tag)" || "\"\(text)\"" == tag
        }
    }

    private func origin(_ request: APIRequest) -> String {
        let url = publicURL ?? "http://\(request.headers["host"] ?? "127.0.0.1")"
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }

    // MARK: Telling

    private func stream(_ request: APIRequest, for keyID: String) throws -> APIReply {
        guard let slot = streams.take() else {
            throw Problem(
                .overloaded, "All \(request.limits.flagStreams) places for streams of flags are taken.",
                hint: "Evaluate in bulk from time to time instead, with If-None-Match.", retryAfterSeconds: 30)
        }
        let tail = FlagTail(
            service: service, access: access, keyID: keyID,
            seen: request.headers["last-event-id"].flatMap { $0.isEmpty ? nil : $0 })
        return .eventStream(slot, tail.run)
    }

    /// Whose key the ticket was given to.
    private func keyID(ofTicketIn request: APIRequest) async throws -> String {
        let secret = service.book.edition.secret
        guard let text = request.queryValue("ticket"),
            let keyID = FlagTicket.keyID(of: text, secret: secret, at: service.world.now),
            try await access.isInForce(keyID: keyID)
        else {
            throw Problem(
                .unauthenticated, "This address needs the ticket that a bulk evaluation gave of late.",
                hint: "Evaluate in bulk again for a new address, or take /ofrep/v1/stream with a key.")
        }
        return keyID
    }
}
