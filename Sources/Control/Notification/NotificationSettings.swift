import Foundation
import Kernel
import Telemetry

/// Who is told of alerts, and when: what the section `alerts` of the settings file says beside its rules.
public struct NotificationSettings: Sendable {
    /// The section's members that are read here.
    public static let members = ["receivers", "route", "inhibit", "shippedInhibitions", "times", "watchdog"]
    public static let receiversMax = 50
    static let inhibitionsMax = 100
    static let timesMax = 100

    public let receivers: [AlertReceiver]
    /// `nil` where nobody is told anything.
    public let route: AlertRoute?
    public let inhibitions: [AlertInhibition]
    /// Moments lie in a name's times if they lie in one of them.
    let times: [String: [AlertTimes]]
    /// Where the alert `Watchdog` goes, which always fires: whoever stops hearing of it knows that nothing is evaluated
    /// or sent any more.
    let watchdog: AlertRoute?
    /// The file that paths of secrets begin beside.
    let file: String

    /// Nobody is told anything.
    public init() {
        (receivers, route, times, watchdog, file) = ([], nil, [:], nil, "")
        inhibitions = Self.shippedInhibitions
    }

    /// - Parameters:
    ///   - document: The section `alerts`; members that are not in ``members`` are somebody else's.
    ///   - file: The settings file's name.
    public init(_ document: JSONValue, file: String = "") throws(Problem) {
        do {
            let fields = Fields(document.object ?? JSONObject(), limits: Limits(), path: "alerts")
            self.file = file
            receivers = try Self.receivers(fields)
            times = try Self.times(fields)
            let reader = RouteReader(receivers: Set(receivers.map(\.name)), times: Set(times.keys))
            if let root = try fields.optionalFields("route") {
                route = try reader.root(root)
            } else if let only = receivers.first, receivers.count == 1 {
                route = reader.root(to: only.name)
            } else {
                guard receivers.isEmpty else {
                    throw Problem.invalid("alerts/route", "with several receivers it has to say who is told what")
                }
                route = nil
            }
            inhibitions =
                try Self.inhibitions(fields)
                + (try fields.optionalBool("shippedInhibitions") == false ? [] : Self.shippedInhibitions)
            watchdog = try fields.optionalFields("watchdog").map(reader.watchdog)
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.invalidSettings, "The section alerts cannot be read.", cause: error)
        }
    }

    public func receiver(_ name: String) -> AlertReceiver? { receivers.first { $0.name == name } }

    /// The routes that an alert takes; none where nobody is told.
    ///
    /// Another Alertmanager has routes of its own, and hears of all. Beside it nobody hears of drills, and of the
    /// severity `none` only who is named by a route that asks for it, or for the alert by its name.
    func routes(for alert: Alert) -> [AlertRoute] {
        if let watchdog, alert.origin == .rule, alert.name == Self.watchdogName { return [watchdog] }
        let found = route?.matching(alert.labels) ?? []
        guard alert.drill != nil || alert.severity == "none" else { return found }
        return found.filter { route in
            receiver(route.receiver)?.kind == .alertmanager || (route.isExpress && alert.drill == nil)
        }
    }

    /// The alert that always fires.
    static let watchdogName = "Watchdog"

    var allRoutes: [AlertRoute] { (route?.all ?? []) + (watchdog.map { [$0] } ?? []) }

    /// Whether a route tells nothing at a moment.
    func isMuted(_ route: AlertRoute, at moment: Timestamp) -> Bool {
        func holds(_ name: String) -> Bool { times[name]?.contains { $0.contains(moment) } ?? false }
        if route.muteTimes.contains(where: holds) { return true }
        return !route.activeTimes.isEmpty && !route.activeTimes.contains(where: holds)
    }

    // MARK: Reading

    private static func receivers(_ fields: Fields) throws -> [AlertReceiver] {
        guard fields.value("receivers") != nil else { return [] }
        var receivers: [AlertReceiver] = []
        for item in try fields.objects("receivers", max: receiversMax) {
            let receiver = try AlertReceiver(item)
            guard !receivers.contains(where: { $0.name == receiver.name }) else {
                throw Problem.invalid(item.path("name"), "another receiver is called \"\(receiver.name)\"")
            }
            receivers.append(receiver)
        }
        return receivers
    }

    private static func inhibitions(_ fields: Fields) throws -> [AlertInhibition] {
        guard fields.value("inhibit") != nil else { return [] }
        return try fields.objects("inhibit", max: inhibitionsMax).map { item in
            try item.refuseOthers(than: ["source", "target", "equal"])
            let (sources, targets) = (
                try RouteReader.matchers(item, "source"), try RouteReader.matchers(item, "target")
            )
            for (name, matchers) in [("source", sources), ("target", targets)] where matchers.isEmpty {
                throw Problem.invalid(item.path(name), "it is missing")
            }
            return AlertInhibition(
                sources: sources, targets: targets, equal: try item.optionalNames("equal", max: Alert.labelsMax) ?? [])
        }
    }

    private static func times(_ fields: Fields) throws -> [String: [AlertTimes]] {
        guard fields.value("times") != nil else { return [:] }
        var times: [String: [AlertTimes]] = [:]
        for item in try fields.objects("times", max: timesMax) {
            let name = try item.name("name")
            guard times[name] == nil else { throw Problem.invalid(item.path("name"), "it stands there twice") }
            if item.value("intervals") == nil {
                times[name] = [try AlertTimes(item, others: ["name"])]
            } else {
                try item.refuseOthers(than: ["name", "intervals"])
                times[name] = try item.objects("intervals", max: timesMax).map { try AlertTimes($0) }
            }
        }
        return times
    }

    /// What follows from a provider's outage, or from a fleet that was paused, is told of once, by its cause.
    static let shippedInhibitions: [AlertInhibition] = ShippedInhibitions.entries.compactMap { entry in
        func named(_ names: [String]) -> [LabelMatcher]? {
            (try? LabelMatcher("alertname", .matches, names.joined(separator: "|"))).map { [$0] }
        }
        guard let sources = named(entry.sources), let targets = named(entry.targets) else { return nil }
        return AlertInhibition(
            sources: sources, targets: targets, equal: entry.equal, isOwn: true, isByProvider: entry.isByProvider)
    }
}

extension AlertTimes {
    private static let members = ["times", "weekdays", "daysOfMonth", "months", "years", "location"]

    /// `{times: ["09:00-17:00"], weekdays: ["monday:friday"], daysOfMonth, months, years, location: Europe/Berlin}`.
    init(_ fields: Fields, others: [String] = []) throws {
        self.init()
        try fields.refuseOthers(than: Self.members + others)
        minutes = try Self.list(fields, "times", "09:00-17:00") { text in
            let ends = text.split(separator: "-", omittingEmptySubsequences: false).map(String.init)
            return ends.count == 2 ? Self.minutes(from: ends[0], to: ends[1]) : nil
        }
        weekdays = try Self.list(fields, "weekdays", "monday:friday", Self.weekdays)
        days = try Self.list(fields, "daysOfMonth", "1:5", Self.days)
        months = try Self.list(fields, "months", "january:march", Self.months)
        years = try Self.list(fields, "years", "2026:2027", Self.years)
        if let name = try fields.optionalString("location", max: 100) {
            guard let zone = TimeZone(identifier: name) else {
                throw Problem.invalid(fields.path("location"), "\"\(name)\" is no time zone such as Europe/Berlin")
            }
            self.zone = zone
        }
    }

    private static func list<Part>(
        _ fields: Fields, _ name: String, _ example: String, _ read: (String) -> Part?
    ) throws -> [Part] {
        try (fields.optionalArray(name, max: 100) ?? []).enumerated().map { index, item in
            // Days and years are written as numbers as well.
            guard let part = (item.string ?? item.int.map(String.init)).flatMap(read) else {
                throw Problem.invalid(
                    "\(fields.path(name))/\(index)",
                    "something such as \"\(example)\" is expected, not \(RouteReader.quoted(item))")
            }
            return part
        }
    }
}
