import Kernel
import NIOCore

/// Answers are judged by another model when their callers have them: never in their way.
extension ModelCall {
    /// Hands the answer to a judge, where the settings and chance pick it.
    func submit(_ said: SaidAnswer, to judge: JudgeSettings, _ document: JSONValue?) {
        // A judge is never judged: there would be no end to it.
        guard !isInner, record.status == .done, !said.isEmpty,
            let target = targets.first(where: { $0.target.label == record.target }),
            judge.share >= 1 || gateway.world.entropy.fraction() < judge.share,
            let document, let asked = try? dialect.readRequest(document)
        else { return }
        let new = JudgeCase(
            call: record.id, model: model?.settings.name ?? record.model,
            correlationID: record.correlationID, traceparent: record.traceparentOfCall, target: target, settings: judge,
            question: JudgeCase.question(of: asked),
            answer: JudgeCase.answer(of: said))
        guard let now = gateway.judges.submit(new) else { return }
        let (loop, gateway) = (loop, gateway)
        // What is left of this call comes first.
        loop.execute { gateway.ask(now, on: loop) }
    }
}

extension ModelGateway {
    /// Asks a judge, through the door that agents use: its call is priced, booked and kept as any other. On the event
    /// loop that is named.
    fileprivate func ask(_ judged: JudgeCase, on loop: any EventLoop) {
        let principal = Principal(
            keyID: Principal.system.keyID, name: Principal.system.name, role: .agent, agent: judged.settings.agent)
        let request = DoorRequest(
            door: .chat,
            headers: RequestHeaders([("content-type", "application/json"), (CallHeaders.tags, "judge")]),
            body: judged.body, principal: principal, requestID: judged.call, correlationID: judged.correlationID,
            traceparent: judged.traceparent, isTraced: true, isCorrelated: true)
        let gateway = self
        let answer = InnerAnswer { status, call, body in
            let judgement = Self.judgement(of: judged, status: status, call: call, body: body)
            if let score = judgement.score { judged.target.judge(judged: score, at: gateway.world.now) }
            guard let next = gateway.judges.finished(judged, judgement) else { return }
            loop.execute { gateway.ask(next, on: loop) }
        }
        let call = ModelCall(request, gateway: self, answer: answer, on: loop)
        call.isInner = true
        call.start()
    }

    static func judgement(of judged: JudgeCase, status: Int, call: String?, body: ByteBuffer) -> Judgement {
        func judgement(_ outcome: Judgement.Outcome, _ score: Double? = nil) -> Judgement {
            Judgement(
                call: judged.call, outcome: outcome, score: score, model: judged.settings.model, judgeCall: call)
        }
        guard status == 200 else { return judgement(status == 402 ? .refused : .failed) }
        guard let document = try? JSONParser.parse(body.readableBytesView, depthMax: TopLevelScan.depthMax),
            let reply = try? Dialect.chat.readReply(document), let score = JudgeCase.score(reply.text)
        else { return judgement(.unreadable) }
        return judgement(.scored, score)
    }

    // MARK: writing down

    /// What judges said since this was last asked, to stand in the records of the calls that they judged.
    public func takeJudgements() -> [Judgement] { judges.takeVerdicts() }
    /// The records of these are not there yet.
    public func giveBack(_ judgements: [Judgement]) { judges.giveBack(judgements) }
}

extension TargetState {
    /// Takes a judge's score of an answer, in 0...1.
    func judge(judged score: Double, at now: Timestamp) {
        standing.withLock { $0.breaker.record(quality: score, by: .judge, at: now) }
    }
}
