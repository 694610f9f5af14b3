import Kernel
import Telemetry

/// Which rules are evaluated, from the section `alerts` of the settings file. Who is told of alerts stands beside it;
/// see ``members``.
public struct AlertSettings: Sendable {
    /// All that the section may hold.
    public static let members =
        ["rules", "shipped", "without", "interval", "retentionDays", "containment", "runbooks"]
        + NotificationSettings.members
    /// Patterns of rule files.
    static let patternsMax = 100

    public var rules = RuleBook.Sources()
    /// Days for which alerts that ended are shown.
    public var retentionDays: Int64 = 90

    public init() {}

    /// - Throws: ``Problem`` `invalid_settings` with the path of what is wrong.
    public init(_ section: Settings.Alerts) throws {
        rules.settingsFile = section.file
        guard !section.document.isNull else { return }
        do { try read(section) } catch let problem as Problem {
            let finding = SettingsFinding(
                path: problem.field ?? Settings.Alerts.section, place: section.file, sentence: problem.detail)
            throw Problem(
                .invalidSettings, "\(problem.detail) (\(section.file))", hint: problem.hint, field: problem.field,
                members: JSONObject([.init(name: "findings", value: .list([finding]))]))
        }
    }

    private mutating func read(_ section: Settings.Alerts) throws {
        guard let object = section.document.object else {
            throw Problem.invalid(Settings.Alerts.section, "`rules`, `receivers` and `route` are expected below it")
        }
        let fields = Fields(object, limits: Limits(), path: Settings.Alerts.section)
        try fields.refuseOthers(than: Self.members)
        rules.patterns =
            try fields.optionalArray("rules", max: Self.patternsMax)?.map { value in
                guard let pattern = value.string, !pattern.isEmpty else {
                    throw Problem.invalid(fields.path("rules"), "patterns of files are expected, such as rules/*.yml")
                }
                return pattern
            } ?? []
        rules.hasShipped = try fields.optionalBool("shipped") ?? true
        rules.without = Set(try fields.optionalNames("without", max: 1_000) ?? [])
        let known = Set(ShippedRules.alertNames)
        if let unknown = rules.without.subtracting(known).sorted().first {
            throw Problem.invalid(
                fields.path("without"), "Reeve ships no alert \"\(unknown)\"",
                hint: "It ships \(known.sorted().joined(separator: ", ")).")
        }
        if let interval = try Self.duration(fields, "interval") {
            guard interval >= RuleBook.intervalMin else {
                throw Problem.invalid(fields.path("interval"), "1s is the shortest")
            }
            rules.interval = interval
        }
        retentionDays = try fields.optionalInt("retentionDays", in: 1...3_650) ?? retentionDays
    }

    /// Milliseconds of a length of time: `30s`, or a number of seconds.
    static func duration(_ fields: Fields, _ name: String) throws -> Int64? {
        guard let value = fields.value(name) else { return nil }
        if let text = value.string, let milliseconds = PromQLDuration.milliseconds(text) { return milliseconds }
        if value.string == nil, let span = try fields.optionalSpan(name, in: 0...31_536_000) {
            return span.microseconds / 1_000
        }
        throw Problem.invalid(fields.path(name), "a length of time is expected, such as 30s, 5m or 4h")
    }
}
