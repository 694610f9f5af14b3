import Kernel

/// Roll-outs over HTTP: begun, looked at, and ended by operators.
public struct BundleTrialRoutes: Sendable {
    static let path = "/api/v1/agents/{name}/config/rollout"
    static let reasonCharactersMax = 1_000

    let service: BundleTrialService
    let exchange: Exchange

    public init(service: BundleTrialService, exchange: Exchange) {
        (self.service, self.exchange) = (service, exchange)
    }

    public var routes: [Route] {
        [
            Route(
                .get, Self.path, .read, "The latest roll-out that an agent had a part in",
                shape: .one("BundleRollout"), handler: show),
            Route(
                .post, Self.path, .operate, "Gives a version to a share of an agent's tasks, then to more",
                shape: .one("BundleRollout", body: "BundleRolloutDraft", success: 201), handler: begin),
            act(.promote, "Goes on to the next step, or to the end, though nothing proves it"),
            act(.resume, "Counts anew, once what gave units away wrongly is mended"),
            act(.cancel, "Ends it: the old version stays"),
            Route(
                .get, "/api/v1/bundles/rollouts", .read, "Lists roll-outs, the newest first",
                shape: .list("BundleRollout"), handler: list),
        ]
    }

    private func act(_ verb: BundleTrialService.Verb, _ words: String) -> Route {
        Route(
            .post, "\(Self.path)/\(verb.rawValue)", .operate, words,
            shape: .one("BundleRollout", body: "Reason", isBodyRequired: false)
        ) { request in
            let fields = request.body.isEmpty ? nil : try request.fields()
            let reason = try fields?.optionalString("reason", max: Self.reasonCharactersMax) ?? ""
            return try await exchange.commit(request) { transaction in
                let trial = try service.act(
                    verb, on: request.parameter("name"), reason: reason, by: request.principal, in: transaction)
                return .json(trial.document(at: service.world.now))
            }
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let name = try BundleRoutes.agent(request)
        return .json(
            try await exchange.storage.read {
                try service.current(name, in: $0).document(at: service.world.now)
            })
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let (items, next) = try await exchange.storage.read {
            page.cut(try service.store.list(page: page, in: $0), cursor: \.id.text)
        }
        return .json(["items": .array(items.map { $0.document(at: service.world.now) }), "next": .of(next)])
    }

    private func begin(_ request: APIRequest) async throws -> APIReply {
        let fields = try request.fields()
        let name = request.parameter("name")
        let version = try fields.string("version", max: 64)
        var draft = try BundleTrialDraft(fields)
        draft.message = try fields.optionalString("message", max: BundleService.messageCharactersMax) ?? ""
        let others = try fields.optionalNames("agents", max: BundleTrial.membersMax) ?? []
        let named = draft
        return try await exchange.commit(request) { transaction in
            guard try service.bundles.agents.agent(named: name, in: transaction) != nil else {
                throw Problem.notFound("agent", name)
            }
            let known = try service.bundles.version(version, of: name, in: transaction)
            let names = Set(others + [name]).sorted()
            guard names.count <= BundleTrial.membersMax else {
                throw Problem.invalid("agents", "at most \(BundleTrial.membersMax) agents are allowed")
            }
            for other in names { _ = try service.bundles.version(known.version, of: other, in: transaction) }
            let trial = try service.begin(
                known.version, to: names, named, by: request.principal, in: transaction)
            return .json(trial.document(at: service.world.now), status: 201)
        }
    }
}

extension BundleTrialDraft {
    static let unitsMax: Int64 = 1_000_000
    static let secondsMax: Double = 86_400 * 30

    init(_ fields: Fields) throws {
        unit = try fields.optionalChoice("unit", BundleTrial.Unit.self) ?? .tasks
        if fields.value("steps") != nil {
            steps = try fields.objects("steps", max: BundleRollout.stepsMax).map(BundleRollout.Step.init)
            guard !steps.isEmpty else { throw Problem.invalid(fields.path("steps"), "at least one is expected") }
            for (before, step) in zip(steps, steps.dropFirst()) where step.share <= before.share {
                throw Problem.invalid(fields.path("steps"), "each step gives more than the one before it")
            }
        }
        if let names = try fields.optionalNames("measures", max: BundleRollout.Measure.allCases.count) {
            let known = names.compactMap(BundleRollout.Measure.init)
            guard known.count == names.count, !known.isEmpty else {
                let all = BundleRollout.Measure.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.invalid(fields.path("measures"), "of \(all), at least one is expected")
            }
            measures = Set(known)
        }
    }
}

extension BundleRollout.Step {
    /// The bound on how much worse may pass, where none is given.
    static let marginDefault = 0.05

    /// - Throws: ``Problem`` where a part is missing or out of bounds.
    fileprivate init(_ fields: Fields) throws {
        guard let share = try fields.optionalDouble("share", in: 0.0001...0.99),
            let seconds = try fields.optionalDouble("seconds", in: 1...BundleTrialDraft.secondsMax)
        else { throw Problem.invalid(fields.path("share"), "a step has a share and seconds") }
        self.init(
            share: share, lasts: .seconds(seconds),
            unitsMin: Int(try fields.optionalInt("unitsMin", in: 1...BundleTrialDraft.unitsMax) ?? 30),
            margin: try fields.optionalDouble("margin", in: 0...1) ?? Self.marginDefault)
    }
}

/// The JSON Schemas of roll-outs.
public enum BundleTrialShapes {
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("BundleRollout", trial), ("BundleRolloutDraft", draft),
    ]

    private static let text: JSONValue = ["type": "string"]
    private static let textOrNull: JSONValue = ["type": ["string", "null"]]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let timeOrNull: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let unit: JSONValue = ["type": "string", "enum": .list(BundleTrial.Unit.allCases.map(\.rawValue))]
    private static let steps: JSONValue = [
        "type": "array", "minItems": 1, "maxItems": .int(Int64(BundleRollout.stepsMax)),
        "items": [
            "type": "object", "required": ["share", "seconds"],
            "properties": [
                "share": ["type": "number", "minimum": 0.0001, "maximum": 1],
                "seconds": ["type": "number", "minimum": 1], "unitsMin": ["type": "integer", "minimum": 1],
                "margin": ["type": "number", "minimum": 0, "maximum": 1],
            ],
        ],
    ]
    private static let choices: JSONValue = [
        "unit": unit, "steps": steps,
        "measures": [
            "type": "array", "minItems": 1,
            "items": ["type": "string", "enum": .list(BundleRollout.Measure.allCases.map(\.rawValue))],
        ],
    ]

    /// `true`, or how.
    static let draftOrFlag: JSONValue = [
        "anyOf": [["type": ["boolean", "null"]], ["type": "object", "properties": choices]]
    ]

    private static var draft: JSONValue {
        var properties = choices.object ?? JSONObject()
        properties["version"] = text
        properties["message"] = textOrNull
        properties["agents"] = ["type": "array", "items": text]
        return ["type": "object", "required": ["version"], "properties": .object(properties)]
    }

    private static let trial: JSONValue = [
        "type": "object",
        "required": ["id", "version", "unit", "agents", "state", "step", "share", "verdict", "words"],
        "properties": [
            "id": text, "version": text, "unit": unit, "agents": ["type": "array", "items": ["type": "object"]],
            "given": ["type": "array", "items": text],
            "state": ["type": "string", "enum": .list(BundleRollout.State.allCases.map(\.rawValue))],
            "step": ["type": "integer", "minimum": 1], "share": ["type": "number"], "steps": steps,
            "stepStartedAt": time, "stepEndsAt": timeOrNull, "begun": count, "begunNew": count,
            "measures": ["type": "object"],
            "verdict": ["type": "string", "enum": .list(Verdict.allCases.map(\.rawValue))], "words": text,
            "waitsFor": textOrNull, "unproven": ["type": "boolean"], "costLimitUSD": ["type": ["number", "null"]],
            "author": text, "message": text, "reason": textOrNull, "createdAt": time, "updatedAt": time,
            "endedAt": timeOrNull,
        ],
    ]
}
