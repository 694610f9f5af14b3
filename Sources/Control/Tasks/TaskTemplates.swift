import Kernel

/// Tasks made from a schedule's template.
extension TaskService: TaskCreation {
    public func checkTemplate(_ template: Fields) throws {
        let draft = try TaskDraft(template, policy: policy)
        try checkModel(of: draft)
        guard draft.dependsOn.isEmpty else {
            throw Problem.invalid(
                template.path("dependsOn"), "a schedule's tasks depend on nothing",
                hint: "Let the task that the schedule makes create the others as a graph.")
        }
    }

    /// The key stands in for the template's own `uniqueKey`: two ticks are two tasks, one tick is one.
    public func createTask(
        from template: JSONValue, key: String, by principal: Principal, in transaction: Transaction
    ) throws -> String {
        var draft = try TaskDraft(Fields(template.object ?? JSONObject(), limits: limits), policy: policy)
        draft.uniqueKey = draft.uniqueKey ?? key
        return try create(draft, by: principal, from: .nobody, in: transaction).task.id.text
    }
}
