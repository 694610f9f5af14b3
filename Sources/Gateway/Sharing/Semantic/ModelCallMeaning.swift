import Kernel
import NIOCore

/// Answers to questions that mean the same as one that was answered before (`cache: {semantic: …}`).
extension ModelCall {
    /// What a call is looked for by, and kept under.
    struct Meaning {
        let group: String
        let askedAt: Timestamp
        /// Whether the question's vector is being asked for.
        var isAsking = true
        /// `nil` until it is known, and where it could not be had in time.
        var vector: SemanticVector?
    }

    /// Asks what the question means, and looks for an answer when that is known; `false` where it may not be.
    func looksForMeaning() -> Bool {
        guard let model, let semantic = model.semantic, !isInner,
            let question = SemanticQuestion(request, semantic.settings),
            let group = CallKey.digest(
                request, question.rest, model.settings, scope: scope(model.settings.cache?.scope ?? .key))
        else { return false }
        sharing?.meaning = Meaning(group: group, askedAt: gateway.world.now)
        let me = NIOLoopBound(self, eventLoop: loop)
        let due = min(totalDue, .now() + .microseconds(semantic.settings.wait.microseconds))
        timer = loop.scheduleTask(deadline: due) { me.value.hears(nil) }
        // The vector is the caller's cost, as the answer would be.
        let body: JSONValue = [
            "model": .string(semantic.settings.model), "input": .string(question.text), "encoding_format": "float",
        ]
        let context = record.traceparentOfCall
        let asked = DoorRequest(
            door: .embeddings, headers: ["content-type": "application/json"], body: body.bytes,
            principal: request.principal, requestID: request.requestID, correlationID: record.correlationID,
            traceparent: context, isTraced: true, isCorrelated: true)
        let loop = loop
        let answer = InnerAnswer { status, _, body in
            let reply = status == 200 ? try? JSONParser.parse(body.readableBytesView, depthMax: 8) : nil
            let vector = reply.flatMap { SemanticVector(reply: $0) }
            // It may be answered while it is being asked.
            loop.execute { me.value.hears(vector) }
        }
        let call = ModelCall(asked, gateway: gateway, answer: answer, on: loop)
        call.isInner = true
        call.record.task = record.task
        call.record.session = record.session
        call.record.project = record.project
        call.record.tags = record.tags
        call.start()
        return true
    }

    /// The question's vector came, or comes too late.
    private func hears(_ vector: SemanticVector?) {
        guard !hasEnded, let meaning = sharing?.meaning, meaning.isAsking else { return }
        sharing?.meaning?.isAsking = false
        sharing?.meaning?.vector = vector
        timer?.cancel()
        timer = nil
        let now = gateway.world.now
        waited = waited + (now - meaning.askedAt)
        if let vector, let found = model?.semantic?.find(meaning.group, vector, at: now) {
            record.notes.append(
                "semantic", ["similarity": .double((found.similarity * 10_000).rounded() / 10_000)])
            return replay(found.answer, "semantic")
        }
        if !followsAnother() { proceed() }
    }

    /// Keeps an answer for questions that mean the same, where it is nothing but words.
    func keepMeaning(_ kept: KeptAnswer, _ meaning: Meaning?) {
        guard let meaning, let vector = meaning.vector, let capture, let semantic = model?.semantic,
            let said = SaidAnswer(capture, dialect: dialect, isStreamed: record.isStreamed),
            said.calls.isEmpty, said.refusal.isEmpty, !said.text.isEmpty, said.stop != .maxTokens
        else { return }
        semantic.keep(kept, meaning.group, vector)
    }
}
