import Kernel
import Telemetry

/// The rules that a server begins with, read and ready, and where they came from.
public struct AlertRuleSet: Sendable {
    public let settings: AlertSettings
    public let book: RuleBook

    /// No rules at all, as in simulations.
    public init() {
        settings = AlertSettings()
        book = RuleBook()
    }

    /// - Throws: ``Problem`` `invalid_settings`, with `FILE:LINE:COLUMN` of all that is wrong with the files.
    public init(_ settings: AlertSettings) throws {
        self.settings = settings
        do { book = try RuleBook.load(settings.rules) } catch {
            let findings = error.lines.map {
                SettingsFinding(path: "alerts.rules", place: settings.rules.settingsFile, sentence: $0)
            }
            throw Problem(
                .invalidSettings, "alerts.rules names rules that cannot be loaded:\n\(error)",
                hint: "`reeve alerts check FILE` says the same without a server.", field: "alerts.rules",
                members: JSONObject([.init(name: "findings", value: .list(findings))]))
        }
    }
}
