import Kernel

/// A deliverable as an agent sends it.
struct DeliverableDraft: Sendable {
    let fence: Int64
    let name: String
    let contentType: String
    let content: [UInt8]

    /// Throws `schema_violation` with every place where JSON content does not match its task's schema.
    func check(against schema: JSONValue?) throws {
        guard let schema, Deliverable.isJSON(name: name, contentType: contentType) else { return }
        let document: JSONValue
        do {
            document = try JSONParser.parse(content, depthMax: Limits.jsonDepthStored)
        } catch let failure as JSONParser.Failure {
            throw Problem(
                .schemaViolation, "\"\(name)\" is not JSON: \(failure.reason), at byte \(failure.offset).",
                hint: "The task asks for JSON that matches its deliverableSchema.", field: "content")
        }
        let violations = try JSONSchema(schema).validate(document)
        guard !violations.isEmpty else { return }
        throw Problem(
            .schemaViolation, "\"\(name)\" does not match the task's schema: \(violations[0].sentence)",
            hint: "Mend the places in `violations` and send it again.", field: "content",
            members: JSONObject([JSONObject.Member(name: "violations", value: .list(violations))]))
    }
}

extension TaskService {
    /// Seals content that is checked and already kept under `sha256`: gives it its revision. The same
    /// content under the same name again is the revision that is there.
    func seal(
        _ draft: DeliverableDraft, sha256: String, task id: String, limits: Limits, by principal: Principal,
        in transaction: Transaction
    ) throws -> Deliverable {
        var (task, worker) = try owned(
            id, fence: draft.fence, by: principal, verb: "deliverables", takesLate: true, in: transaction)
        let earlier = try deliverables.all(of: task.id, in: transaction)
        guard earlier.count < limits.deliverablesPerTask else {
            throw Problem.invalid("deliverables", "a task has at most \(limits.deliverablesPerTask) revisions in all")
        }
        let sameName = earlier.filter { $0.name == draft.name }
        if let last = sameName.last, last.sha256 == sha256, last.fence == draft.fence { return last }
        let deliverable = Deliverable(
            id: DeliverableID(world), taskID: task.id, name: draft.name, revision: (sameName.last?.revision ?? 0) + 1,
            contentType: draft.contentType, size: Int64(draft.content.count), sha256: sha256,
            agent: worker ?? principal.name, keyID: principal.keyID, fence: draft.fence, round: task.reviewRounds,
            isApproved: false, createdAt: world.now, correlationID: task.correlationID)
        try deliverables.insert(deliverable, in: transaction)
        let hasBegun = task.state.isLeased ? try start(&task, by: principal, in: transaction) != nil : false
        if hasBegun { try journal.startAttempt(of: task, in: transaction) }
        let before = task
        if task.state.isLeased {
            if !hasBegun { task.extendLease(now: world.now) }
            task.markProgress(now: world.now)
        }
        var data = JSONObject()
        data["name"] = .string(deliverable.name)
        data["revision"] = .int(deliverable.revision)
        data["sha256"] = .string(sha256)
        data["size"] = .int(deliverable.size)
        try journal.keep(&task, from: before, "task.deliverable_sealed", by: principal.actor, data, in: transaction)
        return deliverable
    }
}
