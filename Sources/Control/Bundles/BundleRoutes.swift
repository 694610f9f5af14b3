import Kernel

/// Bundles over HTTP: pushed and rolled back by operators, read by all who may look, and by each agent its own.
public struct BundleRoutes: Sendable {
    /// Bytes of a push: JSON may need two for one.
    static let pushBytesMax = 3 * AgentBundle.bytesMax

    let service: BundleService
    let values: ConfigValueService
    let trials: BundleTrialService
    let exchange: Exchange

    public init(
        service: BundleService, values: ConfigValueService, trials: BundleTrialService, exchange: Exchange
    ) {
        (self.service, self.trials) = (service, trials)
        self.values = values
        self.exchange = exchange
    }

    public var routes: [Route] {
        let path = "/api/v1/agents/{name}/bundles"
        return [
            Route(
                .get, "/api/v1/agents/{name}/config", .read,
                "What an agent is to run with; takes If-None-Match",
                shape: .one(
                    "BundleFiles", query: [("version", ["type": "string"], "One of its versions, as a claim names it")]
                ), handler: config),
            Route(
                .post, path, .operate, "Makes files what an agent is to run with; the same content is the same version",
                shape: .one("BundleVersion", body: "BundleDraft", success: 201), bodyBytesMax: Self.pushBytesMax,
                handler: push),
            Route(
                .post, "/api/v1/bundles", .operate, "Makes files what several agents are to run with, all or none",
                shape: .one("BundlePush", body: "BundleManyDraft", success: 201), bodyBytesMax: Self.pushBytesMax,
                handler: pushMany),
            Route(
                .get, path, .read, "Lists an agent's bundles, the newest first", shape: .list("BundleVersion"),
                handler: list),
            Route(
                .post, "\(path)/rollback", .operate, "Makes an earlier version what an agent is to run with",
                shape: .one("BundleChange", body: "BundleRollback"), handler: rollback),
            Route(
                .get, "\(path)/{version}", .read, "A version with its files", shape: .one("BundleVersionFiles"),
                handler: show),
            Route(
                .get, "\(path)/{version}/diff", .read, "What differs from another version, as a unified diff",
                shape: .one("BundleDiff", query: [("from", ["type": "string"], "The version to compare with")]),
                handler: diff),
            Route(
                .get, "\(path)/{version}/blame", .read, "Each line of a file with the version that last changed it",
                shape: .one("BundleBlame", query: [("path", ["type": "string"], "The file")]), handler: blame),
            Route(
                .get, "/api/v1/bundles/status", .read, "Which version each agent is to run with, and does",
                shape: .list(
                    "AgentConfigState",
                    query: [("behind", ["type": "boolean"], "Only those that are behind, or are not")]),
                handler: status),
        ]
    }

    /// The agent of the address; an agent's key reads its own alone.
    static func agent(_ request: APIRequest) throws -> String {
        let name = request.parameter("name")
        if let own = request.principal.agent, own != name {
            throw Problem(
                .forbidden, "This key belongs to the agent \"\(own)\", and \"\(name.prefix(80))\" is another one.",
                hint: "Ask for /api/v1/agents/\(own)/…, or use that agent's own key.")
        }
        return name
    }

    // MARK: What agents ask

    private func config(_ request: APIRequest) async throws -> APIReply {
        let name = try Self.agent(request)
        let base = try await values.base(name, version: request.queryValue("version"), exchange.storage)
        guard let version = base.version else {
            throw Problem(
                .notFound, "Nobody has pushed a bundle for the agent \"\(name)\" to run with.",
                hint: "`reeve config push DIR --agent \(name)` does.")
        }
        let tag = Agent.configETag(version.version, revision: base.revision)
        let etag = "\"\(tag)\""
        if EntityTag.isNamed(etag, by: request.headers["if-none-match"]) {
            return APIReply(status: 304, headers: [("etag", etag)])
        }
        let held = try await exchange.storage.read { try values.standing(base, in: $0) }
        let bundle = try await service.bundle(version.version, exchange.storage)
        var reply = APIReply.json([
            "version": .string(version.version), "etag": .string(tag), "files": .list(bundle.files), "values": held,
        ])
        reply.headers += [("etag", etag), ("cache-control", "private, no-cache")]
        return reply
    }

    // MARK: What people ask

    private func push(_ request: APIRequest) async throws -> APIReply {
        if let kept = try await exchange.kept(request) { return kept }
        let name = try Fields.checkedName(request.parameter("name"), path: "name", limits: request.limits)
        let fields = try request.fields()
        let push = try await read(fields)
        return try await exchange.commit(request) { transaction in
            let pushed = try trials.push(push, to: [name], by: request.principal, in: transaction)
            guard let (version, isNew) = pushed.versions.first else { throw Problem.notFound("agent", name) }
            var object = version.json.object ?? JSONObject()
            if let trial = pushed.trial { object["rollout"] = trial.document(at: trials.world.now) }
            return .json(.object(object), status: isNew ? 201 : 200)
        }
    }

    private func pushMany(_ request: APIRequest) async throws -> APIReply {
        if let kept = try await exchange.kept(request) { return kept }
        let fields = try request.fields()
        let named = try fields.optionalNames("agents", max: BundleTrial.membersMax)
        let type = try fields.optionalName("type")
        guard (named == nil) != (type == nil), named?.isEmpty != true else {
            throw Problem.invalid("agents", "either agents or a type is expected")
        }
        let push = try await read(fields)
        return try await exchange.commit(request) { transaction in
            let names = try named.map { Array(Set($0)).sorted() } ?? trials.names(ofType: type ?? "", in: transaction)
            let pushed = try trials.push(push, to: names, by: request.principal, in: transaction)
            return .json(
                [
                    "version": .string(push.bundle.version), "message": .string(push.message),
                    "author": .string(request.principal.actor), "agents": .list(names),
                    "rollout": .of(pushed.trial?.document(at: trials.world.now)),
                ], status: pushed.versions.contains(where: \.isNew) ? 201 : 200)
        }
    }

    /// What is pushed, with its contents kept.
    private func read(_ fields: Fields) async throws -> BundlePush {
        let message = try fields.optionalString("message", max: BundleService.messageCharactersMax) ?? ""
        var rollout: BundleTrialDraft?
        if fields.value("rollout")?.bool == nil, let asked = try fields.optionalFields("rollout") {
            rollout = try BundleTrialDraft(asked)
        } else if try fields.optionalBool("rollout") == true {
            rollout = BundleTrialDraft()
        }
        rollout?.message = message
        let bundle = try AgentBundle(
            fields.objects("files", max: AgentBundle.filesMax).map { file in
                BundleFile(
                    path: try file.string("path", max: RelativePath.bytesMax),
                    content: try file.string("content", max: AgentBundle.fileBytesMax))
            })
        try service.check(bundle)
        return BundlePush(
            bundle: bundle, files: try await service.keep(bundle), message: message, rollout: rollout)
    }

    private func rollback(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let version = try fields.string("version", max: 64)
        let message = try fields.optionalString("message", max: BundleService.messageCharactersMax) ?? ""
        return try await exchange.commit(request) { transaction in
            .json(
                try trials.rollback(
                    request.parameter("name"), to: version, message: message, by: request.principal, in: transaction
                ).json)
        }
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let (name, page) = (try Self.agent(request), try request.page())
        return try await exchange.storage.read { transaction in
            let (items, next) = try service.versions(of: name, page: page, in: transaction)
            return .list(items, next: next)
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let name = try Self.agent(request)
        let version = try await exchange.storage.read {
            try service.version(request.parameter("version"), of: name, in: $0)
        }
        let bundle = try await service.bundle(version.version, exchange.storage)
        guard case .object(var object) = version.json else { return .json(version.json) }
        object["fileCount"] = object["files"]
        object["files"] = .list(bundle.files)
        return .json(.object(object))
    }

    private func diff(_ request: APIRequest) async throws -> APIReply {
        let name = try Self.agent(request)
        guard let from = request.queryValue("from") else { throw Problem.invalid("from", "it is missing") }
        let diff = try await service.diff(from, request.parameter("version"), of: name, exchange.storage)
        return .json([
            "from": .string(diff.old.version), "to": .string(diff.new.version), "diff": .string(diff.text),
        ])
    }

    private func blame(_ request: APIRequest) async throws -> APIReply {
        let name = try Self.agent(request)
        guard let path = request.queryValue("path") else { throw Problem.invalid("path", "it is missing") }
        let lines = try await service.blame(path, at: request.parameter("version"), of: name, exchange.storage)
        return .json([
            "path": .string(path),
            "items": .array(
                lines.map { line, version in
                    [
                        "line": line.number.json, "text": .string(line.text), "version": .string(version.version),
                        "author": .string(version.author), "message": .string(version.message),
                        "at": version.createdAt.json,
                    ]
                }),
        ])
    }

    private func status(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let isBehind: Bool? = try request.queryValue("behind").map { text in
            guard let flag = Bool(text) else { throw Problem.invalid("behind", "true or false is expected") }
            return flag
        }
        return try await exchange.storage.read { transaction in
            let (items, next) = try service.states(isBehind: isBehind, page: page, in: transaction)
            return .list(items, next: next)
        }
    }
}

/// The JSON Schemas of bundles, by the names that routes refer to.
public enum BundleShapes {
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("BundleVersion", object(version, required: ["version", "author", "message"])),
        ("BundleVersionFiles", object(versionFiles, required: ["version", "files"])),
        (
            "BundleFiles",
            object(
                ["version": text, "etag": text, "files": files, "values": ["type": "object"]],
                required: ["version", "files"])
        ),
        (
            "BundleDraft",
            object(
                ["files": files, "message": optionalText, "rollout": BundleTrialShapes.draftOrFlag],
                required: ["files"])
        ),
        (
            "BundleManyDraft",
            object(
                [
                    "files": files, "message": optionalText, "rollout": BundleTrialShapes.draftOrFlag,
                    "agents": ["type": "array", "items": text], "type": text,
                ], required: ["files"])
        ),
        (
            "BundlePush",
            object(
                [
                    "version": text, "message": text, "author": text, "agents": ["type": "array", "items": text],
                    "rollout": ["anyOf": [RouteShape.ref("BundleRollout"), ["type": "null"]]],
                ], required: ["version", "agents"])
        ),
        ("BundleRollback", object(["version": text, "message": optionalText], required: ["version"])),
        ("BundleChange", object(change, required: ["version", "author", "message"])),
        ("BundleDiff", object(["from": text, "to": text, "diff": text], required: ["from", "to", "diff"])),
        ("BundleBlame", object(["path": text, "items": ["type": "array", "items": line]], required: ["items"])),
        ("AgentConfigState", object(state, required: ["agent", "desired", "reported", "behind"])),
    ]

    private static let text: JSONValue = ["type": "string"]
    private static let optionalText: JSONValue = ["type": ["string", "null"]]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let files: JSONValue = [
        "type": "array", "maxItems": .int(Int64(AgentBundle.filesMax)),
        "items": object(["path": text, "content": text], required: ["path", "content"]),
    ]
    private static let version: JSONValue = [
        "version": text, "agent": text, "number": count, "parent": optionalText, "author": text, "message": text,
        "files": count, "bytes": count, "createdAt": time, "takenBack": ["type": ["object", "null"]],
    ]
    private static let versionFiles: JSONValue = [
        "version": text, "agent": text, "number": count, "parent": optionalText, "author": text, "message": text,
        "files": files, "fileCount": count, "bytes": count, "createdAt": time,
        "takenBack": ["type": ["object", "null"]],
    ]
    private static let change: JSONValue = [
        "version": text, "message": text, "author": text, "agent": text,
        "kind": ["type": "string", "enum": .list(BundleChange.Kind.allCases.map(\.rawValue))],
        "previous": optionalText, "at": time,
    ]
    private static let line: JSONValue = [
        "type": "object",
        "properties": [
            "line": count, "text": text, "version": text, "author": text, "message": text, "at": time,
        ],
    ]
    private static let state: JSONValue = [
        "agent": text, "desired": optionalText, "reported": optionalText, "behind": ["type": "boolean"],
        "lastHeartbeatAt": ["type": ["string", "null"], "format": "date-time"],
    ]

    private static func object(_ properties: JSONValue, required: [String]) -> JSONValue {
        ["type": "object", "required": .list(required), "properties": properties]
    }
}
