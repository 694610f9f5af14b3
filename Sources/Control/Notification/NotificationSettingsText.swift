import Kernel
import Telemetry

extension NotificationSettings {
    /// The routes as Alertmanager's own settings have them, without addresses or secrets: JSON, which is YAML too.
    var alertmanagerText: String {
        var object = JSONObject()
        if let route { object.append("route", Self.object(route)) }
        object.append("receivers", .array(receivers.map { ["name": .string($0.name)] }))
        object.append(
            "inhibit_rules",
            .array(
                // Alertmanager's words have none for who leans on whom.
                inhibitions.filter { !$0.isByProvider }.map { rule in
                    [
                        "source_matchers": Self.list(rule.sources), "target_matchers": Self.list(rule.targets),
                        "equal": .list(rule.equal),
                    ]
                }))
        return JSONValue.object(object).prettyText
    }

    private static func list(_ matchers: [LabelMatcher]) -> JSONValue { .list(matchers.map(\.description)) }

    private static func object(_ route: AlertRoute) -> JSONValue {
        var object = JSONObject()
        object.append("receiver", .string(route.receiver))
        switch route.grouping {
        case .all: object.append("group_by", ["..."])
        case .by(let names): object.append("group_by", .list(names))
        }
        object.append("group_wait", .string(route.groupWait.prometheusText))
        object.append("group_interval", .string(route.groupInterval.prometheusText))
        object.append("repeat_interval", .string(route.repeatInterval.prometheusText))
        if !route.matchers.isEmpty { object.append("matchers", list(route.matchers)) }
        if route.goesOn { object.append("continue", true) }
        if !route.routes.isEmpty { object.append("routes", .array(route.routes.map(Self.object))) }
        return .object(object)
    }
}
