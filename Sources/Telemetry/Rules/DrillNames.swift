/// What drills are called, so that they are told apart from a fleet's own: rules that are not a drill's leave them out.
public enum DrillNames {
    /// The model of drills, and its provider.
    public static let model = "reeve-drill"
    /// The type of their agents.
    public static let agentType = "reeve-drill"
    /// The tool that they call.
    public static let tool = "reeve-drill-search"
    /// What projects, agents and queues of drills begin with; eight hexadecimal digits follow.
    public static let prefix = "drill-"

    /// Whether a project, an agent or a queue is a drill's: `drill-01a2b3c4`, or what follows behind a hyphen.
    public static func isOfDrill(_ name: some StringProtocol) -> Bool {
        guard name.hasPrefix(prefix) else { return false }
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        let digits = rest.prefix(8)
        guard digits.count == 8, digits.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) else {
            return false
        }
        return rest.count == 8 || rest.dropFirst(8).first == UInt8(ascii: "-")
    }

    /// Whether what has these labels is about a drill.
    public static func isOfDrill(_ labels: LabelSet) -> Bool {
        isOfDrill(labels["agent"]) || isOfDrill(labels["queue"]) || labels["model"] == model
            || labels["provider"] == model || labels["agent_type"] == agentType || labels["tool"] == tool
    }
}
