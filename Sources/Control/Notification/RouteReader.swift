import Kernel
import Telemetry

/// Reads the tree of routes from settings: each takes from the one above it what it does not say.
struct RouteReader {
    static let depthMax = 16
    static let routesMax = 200
    static let groupByDefault = ["alertname", "agent_type", "provider"]
    /// Lengths of time that a route may name.
    static let spans: ClosedRange<Span> = .zero ... .hours(24 * 365)

    let receivers: Set<String>
    let times: Set<String>

    private static let members = [
        "receiver", "groupBy", "groupWait", "groupInterval", "repeatInterval", "matchers", "continue", "muteTimes",
        "activeTimes", "routes",
    ]

    /// What a route takes from the one above.
    private struct Inherited {
        var receiver: String
        var grouping: AlertRoute.Grouping
        var groupWait: Span
        var groupInterval: Span
        var repeatInterval: Span
        var isExpress = false
    }

    private func defaults(_ receiver: String) -> Inherited {
        Inherited(
            receiver: receiver, grouping: .by(Self.groupByDefault), groupWait: .seconds(30),
            groupInterval: .minutes(5), repeatInterval: .hours(4))
    }

    func root(_ fields: Fields) throws -> AlertRoute {
        let receiver = try receiver(fields) ?? (receivers.count == 1 ? receivers.first : nil)
        guard let receiver else { throw Problem.invalid(fields.path("receiver"), "it is missing") }
        for name in ["matchers", "continue", "muteTimes", "activeTimes"] where fields.value(name) != nil {
            throw Problem.invalid(fields.path(name), "the first route takes all alerts at all times")
        }
        var count = 0
        return try route(fields, defaults(receiver), key: "{}", depth: 1, &count)
    }

    /// All alerts to one receiver.
    func root(to receiver: String) -> AlertRoute {
        let own = defaults(receiver)
        return AlertRoute(
            key: "{}", matchers: [], receiver: receiver, grouping: own.grouping, groupWait: own.groupWait,
            groupInterval: own.groupInterval, repeatInterval: own.repeatInterval, muteTimes: [], activeTimes: [],
            goesOn: false, routes: [])
    }

    /// The route of the alert that always fires: told at each interval.
    func watchdog(_ fields: Fields) throws -> AlertRoute {
        try fields.refuseOthers(than: ["receiver", "interval"])
        guard let receiver = try receiver(fields) else {
            throw Problem.invalid(fields.path("receiver"), "it is missing")
        }
        let interval = try span(fields, "interval") ?? .minutes(5)
        guard interval >= .seconds(1) else { throw Problem.invalid(fields.path("interval"), "at least 1s is expected") }
        // Each flush finds that it was told long enough ago.
        return AlertRoute(
            key: "{}/watchdog", matchers: [], receiver: receiver, grouping: .by(["alertname"]), groupWait: .zero,
            groupInterval: interval, repeatInterval: interval * 0.5, muteTimes: [], activeTimes: [], goesOn: false,
            routes: [])
    }

    private func receiver(_ fields: Fields) throws -> String? {
        guard let name = try fields.optionalString("receiver", max: 256) else { return nil }
        guard receivers.contains(name) else {
            throw Problem.invalid(
                fields.path("receiver"), "there is no receiver \"\(name)\"",
                hint: "Known are: \(receivers.sorted().joined(separator: ", ")).")
        }
        return name
    }

    private func route(
        _ fields: Fields, _ above: Inherited, key: String, depth: Int, _ count: inout Int
    ) throws -> AlertRoute {
        try fields.refuseOthers(than: Self.members)
        count += 1
        guard depth <= Self.depthMax, count <= Self.routesMax else {
            throw Problem.invalid(
                fields.path("routes"), "\(Self.routesMax) routes, \(Self.depthMax) below each other, are the most")
        }
        var own = above
        own.receiver = try receiver(fields) ?? above.receiver
        own.grouping = try grouping(fields) ?? above.grouping
        own.groupWait = try span(fields, "groupWait") ?? above.groupWait
        own.groupInterval = try span(fields, "groupInterval") ?? above.groupInterval
        own.repeatInterval = try span(fields, "repeatInterval") ?? above.repeatInterval
        let matchers = try Self.matchers(fields, "matchers")
        own.isExpress = above.isExpress || matchers.contains(where: Self.isExpress)
        for (name, span) in [("groupInterval", own.groupInterval), ("repeatInterval", own.repeatInterval)]
        where span < .seconds(1) {
            throw Problem.invalid(fields.path(name), "at least 1s is expected")
        }
        var below: [AlertRoute] = []
        var keys: Set<String> = []
        for item in fields.value("routes") == nil ? [] : try fields.objects("routes", max: Self.routesMax) {
            let matchers = try Self.matchers(item, "matchers")
            var itemKey = "\(key)/{\(matchers.map(\.description).joined(separator: ","))}"
            // Two of the same matchers below one route are two places all the same.
            if !keys.insert(itemKey).inserted { itemKey += "#\(below.count)" }
            below.append(try route(item, own, key: itemKey, depth: depth + 1, &count))
        }
        return AlertRoute(
            key: key, matchers: matchers, receiver: own.receiver, grouping: own.grouping,
            groupWait: own.groupWait, groupInterval: own.groupInterval, repeatInterval: own.repeatInterval,
            muteTimes: try timeNames(fields, "muteTimes"), activeTimes: try timeNames(fields, "activeTimes"),
            goesOn: try fields.optionalBool("continue") ?? false, routes: below, isExpress: own.isExpress)
    }

    private static func isExpress(_ matcher: LabelMatcher) -> Bool {
        ["alertname", "severity"].contains(matcher.name) && matcher.isEqual && !matcher.matches("")
    }

    /// What was read, for a refusal.
    static func quoted(_ value: JSONValue) -> String {
        value.string.map { "\"\($0.prefix(100))\"" } ?? String(value.text.prefix(100))
    }

    private func grouping(_ fields: Fields) throws -> AlertRoute.Grouping? {
        guard let items = try fields.optionalArray("groupBy", max: Alert.labelsMax) else { return nil }
        let names = try items.enumerated().map { index, item in
            guard let name = item.string, !name.isEmpty, name.utf8.count <= 256 else {
                throw Problem.invalid(
                    "\(fields.path("groupBy"))/\(index)", "the name of a label is expected, not \(Self.quoted(item))")
            }
            return name
        }
        if names.contains("...") {
            guard names.count == 1 else {
                throw Problem.invalid(fields.path("groupBy"), "\"...\" stands for all labels, and stands alone")
            }
            return .all
        }
        return .by(names)
    }

    private func timeNames(_ fields: Fields, _ name: String) throws -> [String] {
        let names = try fields.optionalNames(name, max: NotificationSettings.timesMax) ?? []
        for unknown in names where !times.contains(unknown) {
            throw Problem.invalid(
                fields.path(name), "there are no times \"\(unknown)\"",
                hint: times.isEmpty
                    ? "Name them in `times`." : "Known are: \(times.sorted().joined(separator: ", ")).")
        }
        return names
    }

    /// `30s`, `1h30m`, or a number of seconds.
    private func span(_ fields: Fields, _ name: String) throws -> Span? {
        guard let value = fields.value(name) else { return nil }
        let span = value.string.flatMap(Span.init(prometheus:)) ?? value.double.map { Span.seconds($0) }
        guard let span, Self.spans.contains(span) else {
            throw Problem.invalid(
                fields.path(name),
                "a length of time such as 30s or 1h30m, up to a year, is expected, not \(Self.quoted(value))")
        }
        return span
    }

    /// A list of matchers, or one text of them.
    static func matchers(_ fields: Fields, _ name: String) throws -> [LabelMatcher] {
        if let text = fields.value(name)?.string { return try AlertMatcherText.parse(text, field: fields.path(name)) }
        return try (fields.optionalArray(name, max: AlertMatcherText.matchersMax) ?? []).enumerated()
            .flatMap { index, item in
                let path = "\(fields.path(name))/\(index)"
                guard let text = item.string else {
                    throw Problem.invalid(path, "a matcher such as severity=\"critical\" is expected")
                }
                return try AlertMatcherText.parse(text, field: path)
            }
    }
}
