import Kernel

/// Rotations of secrets over HTTP. None of these answers has a value in it.
public struct SecretRotationRoutes: Sendable {
    let service: SecretRotationService

    public init(service: SecretRotationService) {
        self.service = service
    }

    public var routes: [Route] {
        SecretRoutes.paths.flatMap { below("\(SecretRoutes.root)/\($0)/rotation") } + masterKeyRoutes
    }

    private var masterKeyRoutes: [Route] {
        [
            Route(
                .get, "/api/v1/master-key", .administer,
                "Show the versions of the master key, never the keys, and how many values each seals",
                shape: RouteShape(reply: ["type": "object"])
            ) { _ in .json(try await service.secrets.masterKey()) },
            Route(
                .post, "/api/v1/master-key/rewrap", .administer,
                "Seal a part of what older versions of the master key sealed anew; again until none is left",
                shape: RouteShape(reply: ["type": "object"])
            ) { request in
                _ = try service.secrets.sealing.sealer()
                let progress = try await service.secrets.rewrap(by: request.principal, max: SecretService.rewrapMax)
                return .json([
                    "rewrapped": progress.done.json, "failed": progress.failed.json, "left": progress.left.json,
                ])
            },
        ]
    }

    private func below(_ root: String) -> [Route] {
        func post(
            _ word: String, _ body: String, _ summary: String, isBodyRequired: Bool = true,
            _ handler: @escaping Route.Handler
        ) -> Route {
            Route(
                .post, word.isEmpty ? root : "\(root)/\(word)", .operate, summary,
                shape: .one("SecretRotation", body: body, isBodyRequired: isBodyRequired), handler: handler)
        }
        return [
            Route(
                .get, root, .operate, "Show how far a secret's rotation is, and who still uses the old value",
                shape: .one("SecretRotation")
            ) { .json(try await service.view(try SecretRoutes.path($0)).json) },
            Route(
                .put, root, .operate, "Say how often a secret is rotated, and which call proves a new value",
                shape: .one("SecretRotation", body: "SecretRotationTerms"), handler: setTerms),
            post("", "SecretRotationDraft", "Stage a new value, which nobody gets yet", stage),
            post(
                "verify", "SecretRotationProof", "Have the new value proven, by a call or by a person's word",
                isBodyRequired: false, verify),
            post("issue", "", "Give the new value out; who has the old one keeps it", isBodyRequired: false) {
                .json(try await service.issue(try SecretRoutes.path($0), by: $0.principal).json)
            },
            post("retire", "", "Let the old value go, if nobody needs it any more", isBodyRequired: false) {
                .json(try await service.retire(try SecretRoutes.path($0), by: $0.principal).json)
            },
            post(
                "return", "SecretRotationReason", "Give the old value out again; the new one is destroyed",
                isBodyRequired: false, takeBack),
            post(
                "compromise", "SecretCompromise", "Cut a version that others know, at once and whoever uses it",
                compromise),
        ]
    }

    // MARK: handlers

    private func stage(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["value", "data", "overlapHours"])
        let bounds = [SecretRotation.overlapMin, SecretRotation.overlapMax].map(Self.hours)
        let hours = try fields.optionalInt("overlapHours", in: bounds[0]...bounds[1])
        guard let data = try SecretRoutes.data(fields) else {
            throw Problem.invalid("value", "either value or data is expected")
        }
        var view = try await service.stage(
            try SecretRoutes.path(request), data, overlap: hours.map(Span.hours), by: request.principal)
        view.warnings = SecretService.warnings(of: data)
        return .json(view.json)
    }

    private static func hours(_ span: Span) -> Int64 { span.microseconds / Span.hours(1).microseconds }

    private func verify(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.optionalFields()
        try fields.refuseOthers(than: ["probe", "reason"])
        let probe = try fields.optionalFields("probe").map(SecretProbe.init)
        let reason = try reason(fields)
        guard probe == nil || reason == nil else {
            throw Problem.invalid("reason", "either a probe or a reason is expected")
        }
        let view = try await service.verify(
            try SecretRoutes.path(request), reason.map { .word($0) } ?? .probe(probe), by: request.principal)
        return .json(view.json)
    }

    private func reason(_ fields: Fields) throws -> String? {
        guard let text = try fields.optionalString("reason", max: SecretRotationService.reasonMax) else { return nil }
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw Problem.invalid("reason", "it says nothing", hint: "Say it in a sentence: it stands in the audit.")
        }
        return text
    }

    private func takeBack(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.optionalFields()
        try fields.refuseOthers(than: ["reason"])
        let view = try await service.takeBack(
            try SecretRoutes.path(request), try reason(fields), by: request.principal)
        return .json(view.json)
    }

    private func compromise(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["version", "reason", "value", "data"])
        let version = try fields.int("version", in: 1...Int64(Int32.max))
        guard let reason = try reason(fields) else {
            throw Problem.invalid("reason", "it is missing", hint: "Say how others came to know it.")
        }
        let data = try SecretRoutes.data(fields)
        var (view, holders) = try await service.compromise(
            try SecretRoutes.path(request), version: Int(version), reason: reason, data: data, by: request.principal)
        view.warnings = data.map(SecretService.warnings) ?? []
        var object = view.json.object ?? JSONObject()
        object["holders"] = .array(
            holders.prefix(SecretRotationService.usersShownMax).map {
                ["actor": .string($0.actor), "agent": .of($0.agent), "lastUsedAt": $0.lastAt.json]
            })
        // What can be done about those who hold it, for the incident that the alert opens.
        let agents = Set(holders.compactMap(\.agent)).sorted().prefix(SecretRotationService.usersShownMax)
        object["containment"] =
            agents.isEmpty
            ? [] : [["action": "quarantineAgent", "parameters": ["agents": .list(Array(agents))]]]
        return .json(.object(object))
    }

    private func setTerms(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        try fields.refuseOthers(than: ["rotateEveryDays", "probe"])
        let days = try fields.optionalInt("rotateEveryDays", in: 1...SecretRotationService.rotateEveryDaysMax)
        let probe = try fields.optionalFields("probe").map(SecretProbe.init)
        let view = try await service.set(
            rotateEvery: days.map { .hours(24 * $0) }, probe: probe, of: try SecretRoutes.path(request),
            by: request.principal)
        return .json(view.json)
    }

    // MARK: shapes

    private static let text: JSONValue = ["type": "string"]
    private static let maybe: JSONValue = ["type": ["string", "null"]]
    private static let whole: JSONValue = ["type": "integer"]

    private static let probeSchema: JSONValue = [
        "type": ["object", "null"],
        "properties": [
            "url": text, "method": ["type": "string", "enum": .list(SecretProbe.Method.allCases.map(\.rawValue))],
            "headers": ["type": "object", "description": "Texts; {{field}} stands for a value of the secret"],
            "expect": ["type": "array", "items": whole],
        ],
    ]

    private static let view: JSONValue = [
        "type": "object", "required": ["path", "version", "state", "rotateEveryDays", "dueAt", "due", "probe"],
        "properties": [
            "path": text, "version": whole, "state": maybe, "oldVersion": whole, "newVersion": whole,
            "overlapHours": whole, "stagedAt": text, "stagedBy": text, "issuedAt": maybe, "endedAt": maybe,
            "proof": ["type": ["object", "null"], "properties": ["kind": text, "detail": text]],
            "compromised": ["type": "boolean"], "allowed": ["type": "array", "items": text],
            "waitsFor": ["type": "array", "items": text],
            "waits": [
                "type": "array",
                "items": ["type": "object", "required": ["what"], "properties": ["what": text, "until": maybe]],
            ],
            "warnings": ["type": "array", "items": text],
            "users": [
                "type": "array",
                "items": [
                    "type": "object",
                    "properties": [
                        "actor": text, "agent": maybe, "lastUsedAt": text, "moved": ["type": "boolean"],
                        "running": whole,
                    ],
                ],
            ],
            "rotateEveryDays": whole, "dueAt": maybe, "due": ["type": "boolean"], "probe": probeSchema,
            "holders": ["type": "array"], "containment": ["type": "array"],
        ],
    ]

    private static let value: [(String, JSONValue)] = [
        ("value", ["type": "string", "description": "The value; stands as `value` in `data`"]),
        ("data", ["type": "object", "description": "Several values by their names"]),
    ]

    private static func body(_ properties: [(String, JSONValue)], required: [String] = []) -> JSONValue {
        [
            "type": "object", "additionalProperties": false, "required": .list(required),
            "properties": .object(JSONObject(properties.map { .init(name: $0.0, value: $0.1) })),
        ]
    }

    /// The JSON shapes that `openapi.json` names.
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("SecretRotation", view),
        (
            "SecretRotationDraft",
            body(value + [("overlapHours", ["type": "integer", "minimum": 24, "maximum": 720])])
        ),
        ("SecretRotationProof", body([("probe", probeSchema), ("reason", text)])),
        ("SecretRotationReason", body([("reason", text)])),
        (
            "SecretRotationTerms",
            body([
                (
                    "rotateEveryDays",
                    ["type": "integer", "minimum": 1, "maximum": .int(SecretRotationService.rotateEveryDaysMax)]
                ), ("probe", probeSchema),
            ])
        ),
        (
            "SecretCompromise",
            body(
                [("version", ["type": "integer", "minimum": 1]), ("reason", text)] + value,
                required: ["version", "reason"])
        ),
    ]
}
