import Kernel

/// Backtests over HTTP: how often an alert would have fired over the series that are kept.
public struct BacktestRoutes: Sendable {
    /// Of a reader that asks for no other period.
    private static let periodDefault = "7d"
    private static let stepDefault: Int64 = 60_000
    private static let path = "/api/v1/alerts/backtest"

    private let reader: any SeriesReader
    private let rules: @Sendable () async throws -> [RuleProgram]
    private let world: World
    /// One at a time: a backtest reads as much as hundreds of queries.
    private let runner = QueryRunner(max: 1, time: RuleBacktest.time)

    /// - Parameter rules: The rules that are known by name at that moment; the shipped ones unless others are given.
    public init(
        reader: any SeriesReader, world: World,
        rules: @escaping @Sendable () async throws -> [RuleProgram] = { try ShippedRules.programs().map(\.program) }
    ) {
        self.reader = reader
        self.world = world
        self.rules = rules
    }

    public var routes: [Route] {
        let text: JSONValue = ["type": "string"]
        let reply: JSONValue = ["$ref": "#/components/schemas/AlertBacktest"]
        return [
            Route(
                .get, Self.path, .operateOrView, "How often an alert would have fired",
                shape: RouteShape(
                    query: [
                        ("rule", text, "The alert's name"),
                        ("since", text, "From when on: RFC 3339, or how long ago, such as 30d; 7d unless given"),
                        ("step", text, "Between two evaluations, such as 5m; the group's interval, or 1m"),
                    ], reply: reply)
            ) { request in
                try await answer(
                    request.queryValue("rule"), nil, since: request.queryValue("since"), request.queryValue("step"))
            },
            Route(
                .post, Self.path, .operateOrView, "How often an alert of a rule file would have fired",
                shape: RouteShape(
                    body: [
                        "type": "object",
                        "properties": [
                            "rules": [
                                "type": "string", "description": "A rule file of Prometheus'; else what Reeve knows",
                            ],
                            "rule": ["type": "string", "description": "May be left out where there is one alert"],
                            "since": text, "step": text,
                        ],
                    ], reply: reply),
                bodyBytesMax: 2 * RuleReader.bytesMax
            ) { request in
                let fields = try request.fields()
                return try await answer(
                    try fields.optionalString("rule"), try fields.optionalString("rules", max: RuleReader.bytesMax),
                    since: try fields.optionalString("since"), try fields.optionalString("step"))
            },
        ]
    }

    /// What `openapi.json` calls the answer.
    public static let schemas: [(name: String, schema: JSONValue)] = [
        ("AlertBacktest", AlertBacktestShape.report)
    ]

    private func answer(_ name: String?, _ text: String?, since: String?, _ step: String?) async throws -> APIReply {
        let programs: [RuleProgram]
        do {
            if let text { programs = [try RuleReader.read(text)] } else { programs = try await rules() }
        } catch let refusal as RuleReader.Refusal {
            throw Problem(
                .badData, refusal.description, hint: "Each line says where it is wrong, as LINE:COLUMN.",
                field: "rules")
        }
        let backtest = try chosen(name, of: programs)
        guard let from = LogTime(since ?? Self.periodDefault, now: world.now)?.nanoseconds else {
            throw Problem.invalid("since", "RFC 3339, or how long ago, such as 12h or 30d, is expected")
        }
        let length: Int64? =
            if let step { PromQLLexer.duration(step) } else { backtest.interval ?? Self.stepDefault }
        guard let length, length >= RuleBacktest.stepMin else {
            throw Problem.invalid("step", "a length of time of a second or more, such as 1m, is expected")
        }
        // Whole steps, so that the same question has the same answer for as long as a step.
        let through = SeriesStore.milliseconds(world.now) / length * length
        let first = (from / 1_000_000 + length - 1) / length * length
        guard first <= through else { throw Problem.invalid("since", "a time in the past is expected") }
        do {
            let report = try await runner.run(for: RuleBacktest.time) { isOver in
                try backtest.run(over: reader, from: first, through: through, step: length, isOver: isOver)
            }
            return .json(report.json)
        } catch is QueryRunner.Busy {
            throw Problem(.overloaded, "Another backtest is under way.", retryAfterSeconds: 5)
        } catch let fault as QueryFault {
            throw Problem.invalid(
                "since", "\(fault)", hint: "Ask for a shorter period, or for fewer evaluations by a longer step.")
        }
    }

    private func chosen(_ name: String?, of programs: [RuleProgram]) throws -> RuleBacktest {
        let names = RuleBacktest.names(in: programs)
        let only = names.count == 1 ? names.first : nil
        guard let wanted = name ?? only else {
            throw Problem.invalid("rule", "the name of an alert is expected", hint: Self.list(names))
        }
        guard let backtest = RuleBacktest(wanted, in: programs) else {
            throw Problem(
                .notFound, "There is no alert \"\(wanted.prefix(80))\".", hint: Self.list(names),
                members: JSONObject([.init(name: "names", value: .list(names))]))
        }
        return backtest
    }

    private static func list(_ names: [String]) -> String {
        names.isEmpty ? "There are no alerts in these rules." : "There are: \(names.joined(separator: ", "))."
    }
}

extension RuleBacktest {
    /// The shortest step, in milliseconds: that of the fastest group.
    static let stepMin: Int64 = 1_000
}

extension ProblemCode {
    static let badData = ProblemCode("bad_data", 400, "A rule cannot be read")
}

/// The shape of a backtest's answer.
enum AlertBacktestShape {
    static let report: JSONValue = [
        "type": "object",
        "required": ["rule", "from", "until", "stepSeconds", "evaluations", "count", "perWeek", "episodes"],
        "properties": [
            "rule": ["type": "string"], "from": time, "until": time, "stepSeconds": ["type": "number"],
            "evaluations": ["type": "integer"],
            "count": ["type": "integer", "description": "How often it would have fired"],
            "perWeek": ["type": "number"],
            "firingSeconds": ["type": "number", "description": "For how long at least one alert would have fired"],
            "withoutData": [
                "type": "number", "minimum": 0, "maximum": 1,
                "description": "The share of the period without any sample of what the rule asks for",
            ],
            "absentMetrics": ["type": "array", "items": ["type": "string"]],
            "failedEvaluations": ["type": "integer"], "failure": ["type": ["string", "null"]],
            "episodes": ["type": "array", "items": episode],
        ],
    ]

    private static let time: JSONValue = ["type": "string", "format": "date-time"]

    private static let episode: JSONValue = [
        "type": "object", "required": ["labels", "activeAt", "start", "end", "peak"],
        "properties": [
            "labels": ["type": "object", "additionalProperties": ["type": "string"]], "activeAt": time, "start": time,
            "end": ["type": ["string", "null"], "format": "date-time"],
            "peak": ["type": "string", "description": "The largest value; the smallest, where small ones fire it"],
        ],
    ]
}
