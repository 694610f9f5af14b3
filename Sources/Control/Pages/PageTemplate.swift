import Foundation
import Mustache

/// A piece of HTML with holes, kept beside the page that fills it. Its name is what other templates include it by.
public struct PageTemplate: Sendable {
    let name: String
    let text: String

    init(_ name: String, _ text: String) {
        self.name = name
        self.text = text
    }
}

/// What a template is filled from: a value whose stored properties are the template's names.
///
/// A property that is `nil` counts as absent *here*; it never lets an outer value of the same name show through, as
/// Mustache's search through the stack would.
public protocol PageView: MustacheParent, Sendable {}

extension PageView {
    public func child(named name: String) -> Any? {
        for child in Mirror(reflecting: self).children where child.label == name {
            let value = Mirror(reflecting: child.value)
            guard value.displayStyle == .optional else { return child.value }
            return value.children.first?.value ?? NSNull()
        }
        return nil
    }
}

/// Every template, parsed once.
///
/// Values always reach the page escaped: a template that asks for a raw one is refused when the library is made, so
/// what agents write can never become markup.
struct PageLibrary: Sendable {
    private let library: MustacheLibrary

    /// The templates of all pages. They are part of the program, so one that does not parse is a mistake in the code.
    static let shared: PageLibrary = {
        let templates: [[PageTemplate]] = [
            ShellTemplates.all, FleetPageTemplates.all, AgentPageTemplates.all, TaskPageTemplates.all,
            TaskDetailTemplates.all, QueuePageTemplates.all, ReviewPageTemplates.all, EventPageTemplates.all,
            AuditPageTemplates.all, KeyPageTemplates.all, SchedulePageTemplates.all, CallPageTemplates.all,
            CostPageTemplates.all, ModelPageTemplates.all, BudgetPageTemplates.all,
            TracePageTemplates.all, SessionPageTemplates.all, RetentionPageTemplates.all, LogPageTemplates.all,
            OverviewPageTemplates.all, IncidentPageTemplates.all, OnCallPageTemplates.all,
            ContainmentTemplates.all, AlertPageTemplates.all, RunbookPageTemplates.all, BundlePageTemplates.all,
            FlagPageTemplates.all, SecretPageTemplates.all, ConfigValuePageTemplates.all,
        ]
        do {
            return try PageLibrary(templates.flatMap(\.self))
        } catch {
            preconditionFailure("a page template does not parse: \(error)")
        }
    }()

    enum Fault: Error {
        /// The template holds `{{{name}}}` or `{{&name}}`.
        case rawValue(template: String)
        case repeated(template: String)
    }

    init(_ templates: [PageTemplate]) throws {
        var parsed: [String: MustacheTemplate] = [:]
        for template in templates {
            guard !template.text.contains("{{{"), !template.text.contains("{{&") else {
                throw Fault.rawValue(template: template.name)
            }
            guard parsed[template.name] == nil else { throw Fault.repeated(template: template.name) }
            parsed[template.name] = try MustacheTemplate(string: template.text)
        }
        library = MustacheLibrary(templates: parsed)
    }

    func render(_ name: String, _ view: some PageView) -> String {
        guard let text = library.render(view, withTemplate: name) else { preconditionFailure("no template \(name)") }
        return text
    }
}
