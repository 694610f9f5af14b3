import Kernel

/// Prometheus' HTTP API, for dashboards and clients that speak it (Prometheus documentation, "HTTP API").
public struct QueryRoutes: Sendable {
    /// Where it begins: a client adds `/api/v1/…` to what it is told.
    public static let root = "/prometheus"

    private let reader: any SeriesReader
    private let about: @Sendable () -> [String: MetricAbout]
    private let rules: RuleEngine?
    private let world: World
    private let runner = QueryRunner()

    /// - Parameters:
    ///   - ingest: Knows what the metrics are that came in.
    ///   - rules: What evaluates rules; `nil` where nothing does.
    public init(reader: any SeriesReader, ingest: MetricIngest, rules: RuleEngine? = nil, world: World) {
        self.reader = reader
        self.rules = rules
        self.world = world
        about = { ingest.about() }
    }

    public var routes: [Route] {
        both("query", "Work out a PromQL expression for one moment", Self.shape(["query", "time"]), instant)
            + both(
                "query_range", "Work out a PromQL expression for each step of a range",
                Self.shape(["query", "start", "end", "step"]), range)
            + both("series", "The series that selectors match", Self.shape(["match[]", "start", "end"]), series)
            + both("labels", "The names of labels", Self.shape(["match[]", "start", "end"]), labels)
            + both("query_exemplars", "Exemplars of a query; none are kept", Self.shape(["query"])) { _ in
                QueryReply.success(.array([]))
            }
            + both("format_query", "Whether an expression can be read, as it was given", Self.shape(["query"]), format)
            + [
                route(
                    .get, "label/{name}/values", "The values of a label", Self.shape(["match[]", "start", "end"]),
                    labelValues),
                // Clients look at the root to see whether anybody is there.
                Route(
                    .get, "\(Self.root)/", .operateOrView, "Whether Prometheus' HTTP API is here",
                    shape: Self.shape([]), refusal: { problem, _ in QueryReply.refusal(problem) }
                ) { _ in QueryReply.success(.string("Reeve answers here as Prometheus does, below /api/v1.")) },
                route(.get, "metadata", "What metrics are", Self.shape(["metric"]), metadata),
                route(
                    .get, "rules", "Rules with what came of them at last", Self.shape(["type"]), listRules),
                route(.get, "alerts", "Alerts of rules that are pending or fire", Self.shape([])) { _ in
                    QueryReply.success(await rules?.alertsJSON() ?? ["alerts": []])
                },
                route(.get, "status/buildinfo", "The version, for clients that ask", Self.shape([])) { _ in
                    QueryReply.success(Self.buildInformation)
                },
            ]
    }

    /// The version is that of the Prometheus whose PromQL this is: clients choose by it what they ask.
    private static let buildInformation: JSONValue = [
        "version": "2.42.0", "revision": "", "branch": "reeve", "buildUser": "",
        "buildDate": "", "goVersion": "",
    ]

    private static func shape(_ names: [String]) -> RouteShape {
        RouteShape(
            query: names.map { ($0, ["type": "string"], "As Prometheus takes it") },
            reply: ["type": "object", "required": ["status", "data"]])
    }

    private func route(
        _ method: APIRequest.Method, _ path: String, _ summary: String, _ shape: RouteShape,
        _ handler: @escaping Route.Handler
    ) -> Route {
        Route(
            method, "\(Self.root)/api/v1/\(path)", .operateOrView, summary, shape: shape,
            refusal: { problem, _ in QueryReply.refusal(problem) }
        ) { request in
            do { return try await handler(request) } catch let refusal as QueryReply.Refusal {
                return refusal.reply
            } catch is QueryRunner.Busy {
                throw Problem(
                    .overloaded, "\(QueryLimits.queriesMax) queries are being worked on.", retryAfterSeconds: 1)
            } catch let fault as QueryFault {
                let kind: QueryReply.Refusal.Kind = if case .timeout = fault { .timeout } else { .execution }
                return QueryReply.Refusal(kind: kind, text: "\(fault)").reply
            }
        }
    }

    /// By address, and by form for those that are long.
    private func both(
        _ path: String, _ summary: String, _ shape: RouteShape, _ handler: @escaping Route.Handler
    ) -> [Route] {
        var form = shape
        form.body = ["type": "object", "additionalProperties": ["type": "string"]]
        form.bodyType = "application/x-www-form-urlencoded"
        form.isBodyRequired = false
        return [route(.get, path, summary, shape, handler), route(.post, path, "\(summary), by form", form, handler)]
    }

    private func parameters(_ request: APIRequest) throws -> QueryParameters {
        try QueryParameters(request, now: now)
    }

    private var now: Int64 { SeriesStore.milliseconds(world.now) }

    private func listRules(_ request: APIRequest) async throws -> APIReply {
        let type = request.queryValue("type")
        guard type.map({ ["", "alert", "record"].contains($0) }) ?? true else {
            throw QueryReply.Refusal(kind: .badData, text: "not supported value \(QueryText.quoted(type ?? ""))")
        }
        return QueryReply.success(await rules?.rulesJSON(type: type == "" ? nil : type) ?? ["groups": []])
    }

    // MARK: Queries

    private func instant(_ request: APIRequest) async throws -> APIReply {
        let parameters = try parameters(request)
        let time = try parameters.time("time", default: now)
        let query = try parameters.query()
        return try await runner.run(for: try parameters.timeout()) { isOver in
            QueryReply.success(try query.answer(at: time, from: reader, isOver: isOver))
        }
    }

    private func range(_ request: APIRequest) async throws -> APIReply {
        let parameters = try parameters(request)
        let start = try parameters.time("start")
        let end = try parameters.time("end")
        guard end >= start else {
            throw QueryReply.Refusal.bad("end", "end timestamp must not be before start time")
        }
        guard let step = try parameters.duration("step") else {
            throw QueryReply.Refusal.bad("step", "cannot parse \"\" to a valid duration")
        }
        guard step > 0 else {
            throw QueryReply.Refusal.bad(
                "step",
                "zero or negative query resolution step widths are not accepted. Try a positive integer")
        }
        guard (end - start) / step <= QueryLimits.pointsMax else {
            throw QueryReply.Refusal(
                kind: .badData,
                text: "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
                    + "resolution (?step=XX)")
        }
        let query = try parameters.query()
        guard query.expression.type == .vector || query.expression.type == .scalar else {
            throw QueryReply.Refusal.bad(
                "query",
                "invalid expression type \"\(query.expression.type.rawValue)\" for range query, must be Scalar or "
                    + "instant Vector")
        }
        return try await runner.run(for: try parameters.timeout()) { isOver in
            QueryReply.success(
                .matrix(try query.answer(from: start, through: end, step: step, from: reader, isOver: isOver)))
        }
    }

    private func format(_ request: APIRequest) async throws -> APIReply {
        QueryReply.success(.string(try parameters(request).query().text))
    }

    // MARK: Names

    /// The labels of all series that one of the selectors matches, or of all series without any.
    private func labelSets(_ parameters: QueryParameters) async throws -> Set<LabelSet> {
        let selectors = try parameters.selectors()
        let times = try parameters.times()
        return try await runner.run { isOver in
            var found: Set<LabelSet> = []
            for selector in selectors.isEmpty ? [[]] : selectors {
                found.formUnion(try reader.labelSets(selector, in: times, isOver: isOver))
            }
            return found
        }
    }

    private func series(_ request: APIRequest) async throws -> APIReply {
        let parameters = try parameters(request)
        guard !parameters.all("match[]").isEmpty else {
            throw QueryReply.Refusal(kind: .badData, text: "no match[] parameter provided")
        }
        let found = try await labelSets(parameters)
        return QueryReply.success(.array(found.sorted().prefix(QueryLimits.namesMax).map(\.json)))
    }

    private func labels(_ request: APIRequest) async throws -> APIReply {
        var names: Set<String> = []
        for labels in try await labelSets(try parameters(request)) { names.formUnion(labels.pairs.map(\.name)) }
        return QueryReply.success(.list(names.sorted()))
    }

    private func labelValues(_ request: APIRequest) async throws -> APIReply {
        let name = request.parameter("name")
        guard Evaluation.isLabelName(name) else {
            throw QueryReply.Refusal(kind: .badData, text: "invalid label name: \(QueryText.quoted(name))")
        }
        var values: Set<String> = []
        for labels in try await labelSets(try parameters(request)) { values.insert(labels[name]) }
        values.remove("")
        return QueryReply.success(.list(Array(values.sorted().prefix(QueryLimits.namesMax))))
    }

    private func metadata(_ request: APIRequest) async throws -> APIReply {
        let wanted = try parameters(request)["metric"]
        let members = about().filter { wanted == nil || $0.key == wanted }.sorted { $0.key < $1.key }
        return QueryReply.success(
            .object(
                JSONObject(
                    members.map { name, about in
                        let one: JSONValue = [
                            "type": .string(about.kind), "help": .string(about.help), "unit": .string(about.unit),
                        ]
                        return .init(name: name, value: .array([one]))
                    })))
    }
}
