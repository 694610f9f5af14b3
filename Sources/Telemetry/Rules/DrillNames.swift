/// What drills are called, so that they are told apart from a fleet's own: rules that are not a drill's leave them out.
public enum DrillNames {
    /// The model of drills, and its provider.
    public static let model = "reeve-drill"
    /// The type of their agents.
    public static let agentType = "reeve-drill"
    /// The tool that they call.
    public static let tool = "reeve-drill-search"
    /// The label of their alerts: the drill's id.
    public static let label = "drill"
    /// What projects, agents and queues of drills begin with; eight hexadecimal digits follow.
    public static let prefix = "drill-"
    /// What a call says to the model of drills so that its provider fails.
    public static let fails = "drill: the provider fails"
    /// What a call says to it so that it costs much.
    public static let burns = "drill: many tokens"

    private static let digits = 8

    /// Whether a project, an agent or a queue is a drill's: `drill-01a2b3c4`, or what follows behind a hyphen.
    public static func isOfDrill(_ name: some StringProtocol) -> Bool { project(of: name) != nil }

    /// The project of a drill's agent: `drill-01a2b3c4` of `drill-01a2b3c4-hung`; `nil` of others.
    public static func project(of name: some StringProtocol) -> String? {
        let bytes = name.utf8
        guard name.hasPrefix(prefix) else { return nil }
        let rest = bytes.dropFirst(prefix.utf8.count)
        let drawn = rest.prefix(digits)
        guard drawn.count == digits, drawn.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }),
            rest.count == digits || rest.dropFirst(digits).first == UInt8(ascii: "-")
        else { return nil }
        return String(name.prefix(prefix.utf8.count + digits))
    }

    /// Whether what has these labels is about a drill.
    public static func isOfDrill(_ labels: LabelSet) -> Bool {
        isOfDrill(labels["agent"]) || isOfDrill(labels["queue"]) || labels["model"] == model
            || labels["provider"] == model || labels["agent_type"] == agentType || labels["tool"] == tool
            || isOfDrill(labels["project"]) || isOfDrill(labels["scope"].drop { $0 != ":" }.dropFirst())
    }

    /// Whether a model call is a drill's: the agents of drills may ask for other models as well, which cost what they
    /// cost.
    public static func isOfDrill(model: String, agent: String?) -> Bool {
        model == Self.model && agent.map(isOfDrill) == true
    }
}
