/// Sections of the settings file that are documents of their own: what stands below them has names of the operator's
/// own, so ``SettingsTable`` cannot list it. Who reads such a section judges it; here is what belongs in it.
public enum SettingsSections {
    public struct Member: Sendable {
        public let name: String
        /// What is accepted, in words.
        public let takes: String
        /// One sentence for the reference.
        public let summary: String
    }

    public struct Section: Sendable {
        public let name: String
        /// The guide's page that tells more.
        public let guide: String
        /// Empty where the section is one value.
        public let members: [Member]
        public let summary: String
    }

    public static let all: [Section] = [providers, models] + single + [alerts]

    private static let providers = Section(
        name: "providers", guide: "models.md",
        members: [
            Member(
                name: "providers.NAME", takes: "`kind`, `baseURL`, keys, headers",
                summary: "A place that answers calls.")
        ], summary: "Where models are had.")

    private static let models = Section(
        name: "models", guide: "models.md",
        members: [
            Member(
                name: "models.NAME", takes: "`targets`, `price`, `tier`, guards",
                summary: "What agents ask for by a name, where it is had and what it costs.")
        ], summary: "What agents ask for.")

    private static let single = [
        Section(
            name: "allowFloating", guide: "models.md", members: [],
            summary: "A list of names of models that need not be pinned to a version."),
        Section(
            name: "loops", guide: "models.md", members: [],
            summary: "What holds a run that goes in circles; `false` for nothing."),
        Section(
            name: "taskTypes", guide: "models.md", members: [],
            summary: "Which model, or tier, the tasks of a type ask for."),
    ]

    private static let alerts = Section(
        name: "alerts", guide: "alerts.md",
        members: [
            Member(name: "alerts.rules", takes: "patterns of files", summary: "Rule files of Prometheus' form."),
            Member(
                name: "alerts.shipped", takes: "true or false", summary: "Whether the rules that Reeve ships count."),
            Member(name: "alerts.without", takes: "names of alerts", summary: "Shipped alerts that are left out."),
            Member(
                name: "alerts.interval", takes: "a length of time from 1s on",
                summary: "How often groups that say nothing are evaluated; 1m unless given."),
            Member(
                name: "alerts.retentionDays", takes: "a whole number from 1 to 3650 (days)",
                summary: "How long alerts that ended are shown; 90 unless given."),
            Member(
                name: "alerts.receivers", takes: "a list of `name`, `kind`, `url` or `urlFile`, and more",
                summary: "Who is told, and by which way."),
            Member(
                name: "alerts.route",
                takes: "`receiver`, `groupBy`, `groupWait`, `groupInterval`, `repeatInterval`, `routes`",
                summary: "Who is told of what, and how often."),
            Member(
                name: "alerts.inhibit", takes: "a list of `source`, `target`, `equal`",
                summary: "What keeps quiet what."),
            Member(
                name: "alerts.shippedInhibitions", takes: "true or false",
                summary: "Whether what follows from an outage is kept quiet."),
            Member(
                name: "alerts.times", takes: "a list of `name` and intervals", summary: "Times that routes refer to."),
            Member(name: "alerts.watchdog", takes: "a route", summary: "Where the alert `Watchdog` goes."),
            Member(
                name: "alerts.containment", takes: "`default`, `modes`, `never`, `limits` and more",
                summary: "What is done about incidents without asking."),
            Member(
                name: "alerts.runbooks", takes: "patterns of files", summary: "Runbooks in the place of shipped ones."),
        ], summary: "Rules, who is told of alerts, and what is done about them.")

    /// The page's part about them.
    static var markdown: String {
        all.map { section in
            var text = "\n## \(section.name)\n\n\(section.summary) The guide says [more](../guide/\(section.guide))."
            text += " It stands in the file alone, and counts at the next start.\n"
            guard !section.members.isEmpty else { return text }
            text += "\n| setting | takes | meaning |\n|---|---|---|\n"
            return text + section.members.map { "| `\($0.name)` | \($0.takes) | \($0.summary) |\n" }.joined()
        }.joined()
    }
}
