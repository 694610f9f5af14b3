import Kernel

/// The addresses at which the SDKs of both dialects look for models.
public struct ModelRoutes: Sendable {
    /// Bytes of a request for a model (Anthropic API reference, "Request size limits": 32 MB).
    public static let bodyBytesMax = 32 << 20

    let gateway: ModelGateway

    public init(gateway: ModelGateway) {
        self.gateway = gateway
    }

    /// Agents, and people who try something out.
    private static let callers = Permission.work

    public var routes: [Route] {
        ModelDoor.allCases.map { door in
            Route(
                .post, door.rawValue, Self.callers, door.summary, shape: RouteShape(body: ["type": "object"]),
                bodyBytesMax: Self.bodyBytesMax, refusal: Self.refusal(door.dialect), door: door.rawValue
            ) { _ in
                throw Problem(.internalError, "This address is answered on its connection.")
            }
        } + [
            Route(
                .get, "/v1/models", Self.callers, "Lists the models that agents may ask for, as the caller's SDK does",
                shape: RouteShape(reply: ["type": "object"]), refusal: Self.refusal(.chat), handler: list),
            Route(
                .get, "/v1/models/{name*}", Self.callers, "Shows one model",
                shape: RouteShape(reply: ["type": "object"]), refusal: Self.refusal(.chat), handler: show),
        ]
    }

    /// How addresses beside these doors refuse, as a caller of OpenAI's or of Anthropic's dialect knows it.
    public static var openAIRefusal: Route.Refusal { refusal(.chat) }
    public static var anthropicRefusal: Route.Refusal { refusal(.messages) }

    /// A refusal of Reeve's own in the dialect of a door.
    static func refusal(_ dialect: Dialect) -> Route.Refusal {
        { problem, requestID in
            let error = DialectError(problem)
            var reply = APIReply.json(error.body(for: dialect, requestID: requestID))
            reply.status = error.status(for: dialect)
            if !dialect.isOpenAI { reply.headers.append(("request-id", requestID)) }
            if let seconds = problem.retryAfterSeconds { reply.headers.append(("retry-after", String(seconds))) }
            return reply
        }
    }

    /// Anthropic's SDK names its version with every request.
    private static func isAnthropic(_ request: APIRequest) -> Bool { request.headers["anthropic-version"] != nil }

    private func list(_ request: APIRequest) -> APIReply {
        let models = gateway.settings.models
        guard Self.isAnthropic(request) else {
            return .json(["object": "list", "data": .array(models.map { Self.openAI($0, $0.name) })])
        }
        return .json([
            "data": .array(models.map { Self.anthropic($0, $0.name) }), "has_more": false,
            "first_id": .of(models.first?.name), "last_id": .of(models.last?.name),
        ])
    }

    private func show(_ request: APIRequest) -> APIReply {
        let isAnthropic = Self.isAnthropic(request)
        let name = request.parameter("name")
        // A tier is no model of the list; whether it has one can be asked by its name.
        guard let model = gateway.settings.resolve(name), model != gateway.settings.drill else {
            let error = DialectError.unknownModel(name)
            let dialect: Dialect = isAnthropic ? .messages : .chat
            var reply = APIReply.json(error.body(for: dialect, requestID: request.requestID))
            reply.status = error.status(for: dialect)
            return reply
        }
        return .json(isAnthropic ? Self.anthropic(model, name) : Self.openAI(model, name))
    }

    /// OpenAI API reference, "The model object".
    private static func openAI(_ model: ModelSettings, _ name: String) -> JSONValue {
        ["id": .string(name), "object": "model", "created": 0, "owned_by": .of(model.targets.first?.provider)]
    }

    /// Anthropic API reference, "Models".
    private static func anthropic(_ model: ModelSettings, _ name: String) -> JSONValue {
        [
            "type": "model", "id": .string(name), "display_name": .string(name),
            "created_at": "1970-01-01T00:00:00Z",
        ]
    }
}

extension ModelDoor {
    fileprivate var summary: String {
        switch self {
        case .chat: "Asks a model, as OpenAI's Chat Completions"
        case .responses: "Asks a model, as OpenAI's Responses"
        case .embeddings: "Embeds texts, as OpenAI's Embeddings"
        case .messages: "Asks a model, as Anthropic's Messages"
        case .countTokens: "Counts the tokens of a message, as Anthropic's Messages"
        }
    }
}

extension ModelGateway {
    /// Reads the sections of the settings file, and the scripts that they name. Throws ``Problem`` `invalid_settings`
    /// with the path of what is wrong.
    public static func settings(_ catalogue: Settings.Catalogue) throws -> GatewaySettings {
        do {
            let settings = try GatewaySettings(catalogue.document).withDrill()
            _ = try ScriptedProviders.scripts(settings, settingsFile: catalogue.file)
            return settings
        } catch let problem as Problem {
            let path = problem.field ?? ""
            // Most details begin with their field.
            let place = path.isEmpty || problem.detail.hasPrefix("\(path): ") ? "" : "\(path): "
            let sentence = "\(place)\(problem.detail) (\(catalogue.file))"
            let finding = SettingsFinding(path: path, place: catalogue.file, sentence: sentence)
            throw Problem(
                .invalidSettings, sentence, hint: problem.hint, field: problem.field,
                members: JSONObject([.init(name: "findings", value: .list([finding]))]))
        }
    }
}

extension DialectError {
    /// A refusal that Reeve makes at every address, as a model's caller knows it.
    init(_ problem: Problem) {
        let message = problem.hint.isEmpty ? problem.detail : "\(problem.detail) \(problem.hint)"
        switch problem.code.status {
        case 401: self.init(.authentication, message)
        case 403: self.init(.permission, message)
        case 404, 405: self.init(.notFound, code: problem.code.name, message)
        case 413: self.init(.tooLarge, message)
        case 429: self.init(.rateLimit, message)
        case 503: self.init(.unavailable, message)
        case 400..<500:
            self.init(
                .invalidRequest, status: problem.code.status, code: problem.code.name, param: problem.field, message)
        default: self.init(.server, code: problem.code.name, message)
        }
    }
}
