import Foundation
import Kernel
import Telemetry

/// What settings and files say, as things that are compared. Pure: the same files lead to the same things.
enum FileChangeReading {
    /// The version of the program, among its settings.
    static let version = "version"
    /// Sections of the settings file that are parts of their own.
    private static let ownSections: Set<String> = ["providers", "models"]

    static func settings(_ settings: Settings) -> FileChangeThings {
        var things = FileChangeThings()
        things.put(version, ["": ReeveVersion.current])
        for entry in SettingsTable.entries {
            let value = entry.show(settings)
            things.put(entry.path, ["": value.string ?? value.text])
        }
        for member in settings.catalogue.document.object?.members ?? [] where !ownSections.contains(member.name) {
            things.put(member.name, member.value)
        }
        for member in settings.alerts.document.object?.members ?? []
        where !NotificationSettings.members.contains(member.name) {
            things.put("\(Settings.Alerts.section).\(member.name)", member.value)
        }
        return things
    }

    // MARK: Models

    private static let priceMember = "price"
    /// Members of a provider that say nothing secret.
    private static let openOfProvider: Set<String> = [
        "kind", "apiKeyFile", "apiKeyEnvironment", "apiKeySecret", "keyPolicy", "keyFallbackOn", "keyHeader", "script",
    ]

    static func providers(_ catalogue: JSONValue, _ veil: FileChangeVeil) -> FileChangeThings {
        var things = FileChangeThings()
        for provider in catalogue["providers"]?.object?.members ?? [] {
            things.put(provider.name, open(provider.value, openOfProvider, address: "baseURL", veil))
        }
        return things
    }

    /// Models but for what they cost, and what they cost.
    static func models(_ catalogue: JSONValue) -> (models: FileChangeThings, prices: FileChangeThings) {
        var (models, prices) = (FileChangeThings(), FileChangeThings())
        for model in catalogue["models"]?.object?.members ?? [] {
            guard var rest = model.value.object else { continue }
            var cost = JSONObject()
            if let price = rest[priceMember] { cost.append(priceMember, price) }
            rest[priceMember] = nil
            if let targets = rest["targets"]?.array {
                rest["targets"] = .array(
                    targets.map { target in
                        guard var one = target.object, let price = one[priceMember] else { return target }
                        cost.append(label(one), price)
                        one[priceMember] = nil
                        return .object(one)
                    })
            }
            models.put(model.name, .object(rest))
            if !cost.isEmpty { prices.put(model.name, .object(cost)) }
        }
        return (models, prices)
    }

    private static func label(_ target: JSONObject) -> String {
        "\(target["provider"]?.string ?? "")/\(target["model"]?.string ?? "")"
    }

    // MARK: Alerts

    /// Members of a receiver that say nothing secret; files and variables are named, not read.
    private static let openOfReceiver: Set<String> = [
        "kind", "allowPrivate", "sendResolved", "timeoutSeconds", "caFile", "urlFile", "urlEnvironment", "bearerFile",
        "bearerEnvironment", "secretFile", "secretEnvironment", "routingKeyFile", "routingKeyEnvironment",
        "passwordFile", "passwordEnvironment", "tls",
    ]

    static func receivers(_ section: JSONValue, _ veil: FileChangeVeil) -> FileChangeThings {
        var things = FileChangeThings()
        for receiver in section["receivers"]?.array ?? [] {
            guard var members = receiver.object, let name = members["name"]?.string else { continue }
            members["name"] = nil
            things.put(name, open(.object(members), openOfReceiver, address: "url", veil))
        }
        return things
    }

    /// Who is told what, and when: routes, inhibitions, times.
    static func routes(_ section: JSONValue) -> FileChangeThings {
        var things = FileChangeThings()
        for member in section.object?.members ?? []
        where NotificationSettings.members.contains(member.name) && member.name != "receivers" {
            things.put(member.name, member.value)
        }
        return things
    }

    /// The members that are open as they are, the address by its host, and of the rest whether it is still the same.
    private static func open(
        _ value: JSONValue, _ names: Set<String>, address: String, _ veil: FileChangeVeil
    ) -> JSONValue {
        guard let object = value.object else { return veil.hidden(value) }
        var open = JSONObject()
        for member in object.members {
            if names.contains(member.name) {
                open.append(member.name, member.value)
            } else if member.name == address, let text = member.value.string {
                open.append("host", .string(ReceiverURL.host(text)))
                open.append(address, veil.hidden(member.value))
            } else if let nested = member.value.object {
                open.append(
                    member.name,
                    .object(
                        JSONObject(
                            nested.members.map {
                                .init(name: $0.name, value: veil.hidden($0.value))
                            })))
            } else {
                open.append(member.name, veil.hidden(member.value))
            }
        }
        return .object(open)
    }

    /// Rules by their names, with the group of those that others are called like.
    static func rules(_ book: RuleBook) -> FileChangeThings {
        var things = FileChangeThings()
        for entry in book.entries where !entry.isOfDrill {
            for rule in entry.group.rules {
                var members = [
                    "expr": rule.query.text, "file": (entry.file as NSString).lastPathComponent,
                    "group": entry.group.name, "interval": duration(entry.interval),
                ]
                for label in rule.labels { members["labels.\(label.name)"] = label.text.source }
                if let alert = rule.alert {
                    members["for"] = duration(alert.holdsFor)
                    members["keep_firing_for"] = duration(alert.keepsFiringFor)
                    for one in alert.annotations { members["annotations.\(one.name)"] = one.text.source }
                }
                var name = rule.name
                var count = 1
                while things.byName[name] != nil, count < rulesAlikeMax {
                    count += 1
                    name = "\(rule.name) (\(entry.group.name)\(count > 2 ? " \(count)" : ""))"
                }
                things.put(name, members)
            }
        }
        return things
    }

    /// Rules of one name that are told apart.
    private static let rulesAlikeMax = 100

    private static func duration(_ milliseconds: Int64) -> String {
        Span.milliseconds(milliseconds).prometheusText
    }

    static func runbooks(_ library: RunbookLibrary) -> FileChangeThings {
        var things = FileChangeThings()
        for runbook in library.runbooks {
            var members = runbook.json.object ?? JSONObject()
            for name in ["name", "url", "shipped"] { members[name] = nil }
            members["file"] = .string(runbook.isShipped ? "shipped" : (runbook.file as NSString).lastPathComponent)
            things.put(runbook.name, .object(members))
        }
        return things
    }

    // MARK: On-call

    static func onCall(_ plan: OnCallPlan?, _ veil: FileChangeVeil) -> FileChangeThings {
        var things = FileChangeThings()
        guard let plan else { return things }
        for person in plan.people {
            // How somebody is reached is theirs.
            let ways = JSONValue.list([person.email, person.ntfy].compactMap(\.self))
            things.put(
                "person \(person.name)",
                [
                    "receivers": person.receivers.joined(separator: ", "),
                    "contact": veil.hidden(ways).string ?? "",
                ])
        }
        for schedule in plan.schedules {
            var members = ["zone": schedule.clock.name]
            for layer in schedule.layers {
                let windows = layer.windows.map { "\($0.from)-\($0.to) \($0.weekdays.sorted())" }
                members["layer \(layer.name)"] =
                    "\(layer.people.joined(separator: ", ")) by \(layer.length / WallClock.hour) h from "
                    + "\(Timestamp(microseconds: layer.starts).rfc3339.prefix(16)), priority \(layer.priority)"
                    + (windows.isEmpty ? "" : ", only \(windows.joined(separator: " "))")
            }
            for override in schedule.overrides {
                members["override \(override.from.rfc3339)"] = "\(override.person) until \(override.until.rfc3339)"
            }
            things.put("schedule \(schedule.name)", members)
        }
        for chain in plan.chains {
            let steps = chain.steps.map { step in
                switch step {
                case .notify(let target): "\(target.kind) \(target.name)"
                case .wait(let span): "wait \(span.prometheusText)"
                }
            }
            things.put(
                "chain \(chain.name)", ["steps": steps.joined(separator: ", "), "repeats": "\(chain.repeats)"])
        }
        for (path, rule) in plan.paths {
            var members = rule.bySeverity
            members["default"] = rule.fallback
            things.put("path \(path.rawValue)", members)
        }
        if let fallback = plan.fallback { things.put("path default", ["": fallback]) }
        return things
    }
}
