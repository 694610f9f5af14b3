import Control
import Foundation
import Kernel

/// All that the settings say of alerts, of who is told, and of what is done about them: read before anything starts.
public struct AlertPlan: Sendable {
    public let rules: AlertRuleSet
    public let notification: NotificationSettings
    public let containment: ContainmentPolicy
    public let runbooks: RunbookShelf
    /// Who answers; `nil` where the settings name no file.
    public let onCall: OnCallPlan?

    /// Nothing but what is shipped, and no rules, as in simulations.
    public init() {
        (rules, notification) = (AlertRuleSet(), NotificationSettings())
        (containment, runbooks, onCall) = (ContainmentPolicy(), RunbookShelf(.shipped), nil)
    }

    /// - Throws: ``Problem`` `invalid_settings`, with the place of what is wrong.
    public init(_ settings: Settings) throws {
        let section = settings.alerts
        rules = try AlertRuleSet(AlertSettings(section))
        do {
            notification = try NotificationSettings(section.document, file: section.file)
        } catch { throw Self.refusal(error.detail, error.field ?? "alerts", section.file, hint: error.hint) }
        onCall = try OnCallFile.plan(settings.oncall, receivers: notification)
        do {
            containment = try ContainmentPolicy(section.document)
            runbooks = try RunbookShelf(
                configuredBy: section.document, beside: (section.file as NSString).deletingLastPathComponent)
        } catch let problem as Problem {
            throw Self.refusal(problem.detail, problem.field ?? "alerts", section.file, hint: problem.hint)
        } catch let fault as RunbookLibrary.Fault {
            throw Self.refusal("\(fault)", "alerts.runbooks", section.file)
        }
    }

    private static func refusal(_ detail: String, _ field: String, _ file: String, hint: String = "") -> Problem {
        let finding = SettingsFinding(path: field, place: file, sentence: detail)
        return Problem(
            .invalidSettings, "\(detail) (\(file))", hint: hint, field: field,
            members: JSONObject([.init(name: "findings", value: .list([finding]))]))
    }
}
