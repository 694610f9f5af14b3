import Kernel
import NIOCore

/// Answers of other calls: from the cache, or of the same call under way.
extension ModelCall {
    /// How a call takes part.
    struct Sharing {
        let key: String
        var role = CallsInFlight.Role.alone
        /// The caller wants its answer kept nowhere.
        var keepsNothing = false
        /// It takes nobody else's answer.
        var isFresh = false
        /// What it asks, where the cache knows questions by their meaning.
        var meaning: Meaning?
    }

    /// Answers from memory, or waits for the same call; `false` where a target has to be asked.
    func answersFromMemory() -> Bool {
        guard let model, model.settings.cache != nil || model.settings.sharesCallsInFlight else { return false }
        if model.settings.cache != nil { record.cache = "miss" }
        let wishes = request.headers["cache-control"]?.lowercased() ?? ""
        let isFresh = wishes.contains("no-cache") || wishes.contains("no-store") || wishes.contains("max-age=0")
        guard let key = CallKey.make(request, model.settings, scope: scope(model.settings.cache?.scope ?? .key)) else {
            return false
        }
        if !isFresh, let kept = model.cache?.find(key, at: gateway.world.now) {
            replay(kept, "hit")
            return true
        }
        sharing = Sharing(key: key, keepsNothing: wishes.contains("no-store"), isFresh: isFresh)
        if capture == nil { capture = AnswerCapture() }
        if model.semantic != nil, !isFresh, looksForMeaning() { return true }
        return followsAnother()
    }

    /// Waits for the same call under way; `false` where there is none.
    func followsAnother() -> Bool {
        guard let model, var sharing, model.settings.sharesCallsInFlight, !sharing.isFresh else { return false }
        defer { self.sharing = sharing }
        let me = NIOLoopBound(self, eventLoop: loop)
        let loop = loop
        sharing.role = gateway.inFlight.join(sharing.key, id: record.id) { answer in
            loop.execute { me.value.heard(answer) }
        }
        guard sharing.role == .follower else { return false }
        timer = loop.scheduleTask(deadline: totalDue) { me.value.heard(nil) }
        followedAt = gateway.world.now
        return true
    }

    /// Who shares answers with whom.
    func scope(_ scope: CacheSettings.Scope) -> String {
        switch scope {
        case .key: "key:\(record.keyID)"
        case .agent: record.agent.map { "agent:\($0)" } ?? "key:\(record.keyID)"
        case .project: "project:\(record.project ?? "default")"
        case .shared: "shared"
        }
    }

    /// What became of the call that this one waited for.
    private func heard(_ answer: KeptAnswer?) {
        guard let sharing, sharing.role == .follower, !hasEnded else { return }
        gateway.inFlight.leave(sharing.key, id: record.id)
        self.sharing?.role = .alone
        timer?.cancel()
        timer = nil
        if let followedAt { waited = waited + (gateway.world.now - followedAt) }
        if let answer { replay(answer, "shared") } else { proceed() }
    }

    func replay(_ kept: KeptAnswer, _ verdict: String) {
        record.cache = verdict
        dropped = kept.dropped
        record.target = kept.target
        record.cost = .zero
        record.saved = kept.cost ?? .zero
        if let refusal = barrier(kept) { return fail(refusal, nil) }
        let headers = [(name: "content-type", value: kept.contentType)]
        if kept.isStreamed {
            record.httpStatus = 200
            record.answerBytes = kept.body.readableBytes
            record.firstToken = gateway.world.now - record.startedAt
            capture?.add(kept.body)
            answer?.begin(200, headers + ownHeaders)
            answer?.write(kept.body)
            answer?.flush()
            answer?.finish()
            answer = nil
        } else {
            respond(200, headers, kept.body)
        }
        end(.done)
    }

    /// The call is over: its answer is kept, and those who waited for it get it or go on by themselves.
    func settleSharing() {
        guard let sharing else { return }
        self.sharing = nil
        if sharing.role == .follower { gateway.inFlight.leave(sharing.key, id: record.id) }
        let kept = keptAnswer
        if sharing.role == .leader { gateway.inFlight.land(sharing.key, kept) }
        // What another target than the first said is not what the model would say.
        guard let kept, let cache = model?.cache, !sharing.keepsNothing, kept.target == targets.first?.target.label
        else { return }
        cache.keep(kept, for: sharing.key)
        keepMeaning(kept, sharing.meaning)
    }

    private var keptAnswer: KeptAnswer? {
        guard let capture, capture.isWhole, capture.status == 200, !capture.isTooLong, capture.body.readableBytes > 0,
            let target = record.target
        else { return nil }
        return KeptAnswer(
            contentType: capture.contentType, body: capture.body, isStreamed: record.isStreamed, dropped: dropped,
            target: target, cost: record.cost, madeAt: gateway.world.now)
    }
}
