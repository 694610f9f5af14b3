/// A function with the types that it takes and gives.
public struct PromQLFunction: Sendable {
    public let name: String
    let parameters: [PromQLType]
    /// How many of the last may be left out; `nil` where the last may stand any number of times, or not at all.
    let optional: Int?
    let result: PromQLType

    private init(_ name: String, _ parameters: [PromQLType], optional: Int? = 0, _ result: PromQLType = .vector) {
        self.name = name
        self.parameters = parameters
        self.optional = optional
        self.result = result
    }

    static let ofValues = ["abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn"]
    static let ofTimes = [
        "minute", "hour", "day_of_week", "day_of_month", "month", "year", "days_in_month",
    ]
    static let ofRanges = [
        "rate", "irate", "increase", "delta", "idelta", "deriv", "resets", "changes", "sum_over_time",
        "avg_over_time", "min_over_time", "max_over_time", "count_over_time", "last_over_time", "stddev_over_time",
        "stdvar_over_time", "present_over_time", "absent_over_time",
    ]

    /// All that there are, by their names.
    static let all: [String: PromQLFunction] = {
        var all: [PromQLFunction] = []
        all += ofValues.map { PromQLFunction($0, [.vector]) }
        all += ofTimes.map { PromQLFunction($0, [.vector], optional: 1) }
        all += ofRanges.map { PromQLFunction($0, [.range]) }
        all += ["absent", "timestamp", "sort", "sort_desc"].map { PromQLFunction($0, [.vector]) }
        all += [
            PromQLFunction("predict_linear", [.range, .scalar]),
            PromQLFunction("quantile_over_time", [.scalar, .range]),
            PromQLFunction("histogram_quantile", [.scalar, .vector]),
            PromQLFunction("round", [.vector, .scalar], optional: 1),
            PromQLFunction("clamp", [.vector, .scalar, .scalar]),
            PromQLFunction("clamp_min", [.vector, .scalar]),
            PromQLFunction("clamp_max", [.vector, .scalar]),
            PromQLFunction("time", [], .scalar),
            PromQLFunction("vector", [.scalar]),
            PromQLFunction("scalar", [.vector], .scalar),
            PromQLFunction("label_replace", [.vector, .string, .string, .string, .string]),
            PromQLFunction("label_join", [.vector, .string, .string, .string], optional: nil),
        ]
        return Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
    }()

    /// What Prometheus has besides, for a message that says so.
    static let unsupported: Set<String> = [
        "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "day_of_year", "deg", "histogram_avg",
        "histogram_count", "histogram_fraction", "histogram_sum", "holt_winters", "double_exponential_smoothing",
        "mad_over_time", "pi", "rad", "sin", "sinh", "sort_by_label", "sort_by_label_desc", "tan", "tanh",
    ]
}
