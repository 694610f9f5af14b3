import Kernel
import NIOCore
import NIOPosix

/// Calls for embeddings that are sent as one (`embeddingBatch`). Each has its own record, holds its own money and gets
/// its own part of the answer; the provider is asked once, by a call that belongs to none of them.
extension ModelCall {
    /// A call's part in a batch.
    enum BatchPart {
        /// It waits, or is on its way with others.
        case joined(kind: String, at: Timestamp)
        /// It got its share, or goes on by itself.
        case over
    }

    /// Headers that a provider may tell accounts apart by (OpenAI API reference, "Authentication").
    private static let headersOfAccounts = ["openai-organization", "openai-project", "openai-beta"]

    /// Whether the call waits for others, or goes with them; `false` where it has to be sent by itself.
    func joinsBatch() -> Bool {
        guard request.door == .embeddings, let settings = model?.settings.embeddingBatch, batch == nil, onEnd == nil,
            !record.isStreamed
        else { return false }
        batch = .over
        guard let asked = EmbeddingRequest(request.body) else { return false }
        let kind = kind(of: asked)
        let me = NIOLoopBound(self, eventLoop: loop)
        let (loop, gateway) = (loop, gateway)
        let member = EmbeddingBatches.Member(id: record.id, request: request, asked: asked) { share in
            loop.execute { me.value.take(share) }
        }
        let joining = gateway.embeddings.join(member, kind, settings)
        if joining.isWaiting { batch = .joined(kind: kind, at: gateway.world.now) }
        if let number = joining.opened {
            loop.scheduleTask(in: .microseconds(settings.wait.microseconds)) {
                ModelCall.send(gateway.embeddings.due(number, kind), gateway, on: loop)
            }
        }
        for members in joining.full { Self.send(members, gateway, on: loop) }
        return joining.isWaiting
    }

    /// The same for calls that one request may be made of: all but the inputs, and whose key it goes out with.
    private func kind(of asked: EmbeddingRequest) -> String {
        var parts = [record.model, asked.likeness]
        parts += targets.indices.map { resolution(for: $0).words }
        parts += Self.headersOfAccounts.map { request.headers[$0] ?? "" }
        return Digest.sha256(parts.map { "\($0.utf8.count):\($0)" }.joined().utf8)
    }

    // MARK: the joint call

    /// Sends what several calls ask as one. On the event loop that is named.
    private static func send(
        _ members: [EmbeddingBatches.Member], _ gateway: ModelGateway, on loop: any EventLoop
    ) {
        guard let first = members.first else { return }
        guard members.count > 1 else { return first.wake(.alone(nil)) }
        let request = DoorRequest(
            door: .embeddings, headers: first.request.headers, body: EmbeddingRequest.joined(members.map(\.asked)),
            principal: first.request.principal, requestID: first.request.requestID,
            correlationID: first.request.correlationID, traceparent: first.request.traceparent,
            isTraced: first.request.isTraced)
        let answer = HeldAnswer()
        let call = ModelCall(request, gateway: gateway, answer: answer, on: loop)
        call.onEnd = { record in share(answer, record, members, gateway, on: loop) }
        call.carry()
    }

    /// Asks the targets, and nothing else: those whom the call is for were let in already.
    private func carry() {
        do {
            try prepare(read())
        } catch {
            return refuse(error)
        }
        withKeys { $0.decide() }
    }

    /// Hands out what came.
    private static func share(
        _ answer: HeldAnswer, _ record: CallRecord, _ members: [EmbeddingBatches.Member], _ gateway: ModelGateway,
        on loop: any EventLoop
    ) {
        let all = members.reduce(0) { $0 + $1.asked.inputs.count }
        let joints = members.indices.map { place in
            JointCall(
                record: record, calls: members.count, place: place, inputs: members[place].asked.inputs.count,
                inputsOfAll: all)
        }
        guard record.status == .done else {
            // One bad input is not the others' fault.
            let isAnothersFault = [400, 413, 422].contains(answer.status)
            for (member, joint) in zip(members, joints) {
                member.wake(
                    isAnothersFault
                        ? .alone(joint)
                        : .failed(status: answer.status, headers: answer.headers, answer.body, joint))
            }
            return
        }
        let body = answer.body
        let price = gateway.entry(record.model)?.targets.first { $0.target.label == record.target }?.price
        // Vectors are long.
        NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
            Self.shares(Array(body.readableBytesView), members.map(\.asked), joints, price)
        }.whenComplete { result in
            let shares = (try? result.get()) ?? joints.map { Self.unreadable($0) }
            for (member, share) in zip(members, shares) { member.wake(share) }
        }
    }

    /// The parts of an answer with what each used and costs: together exactly what the provider told.
    static func shares(
        _ body: [UInt8], _ asked: [EmbeddingRequest], _ joints: [JointCall], _ price: PriceTable?
    ) -> [EmbeddingShare] {
        let reply = EmbeddingReply(body, inputs: asked.reduce(0) { $0 + $1.inputs.count })
        let weights = asked.map(\.tokens)
        let told = reply.flatMap { UsageReader.read($0.usage, dialect: .openAI) }.flatMap { usage in
            usage.buckets.isEmpty ? nil : usage
        }
        let parts = told?.buckets.shares(by: weights)
        let at = joints.first?.record.startedAt
        let whole = told.flatMap { told in at.flatMap { price?.cost(of: told.buckets, at: $0) } }
        // By tokens, so that a price of whole nano-dollars a token is exact for each.
        let costs = whole.map { Apportioning.shares(of: $0.value, by: parts?.map(\.total) ?? weights) }
        var next = 0
        return asked.indices.map { index in
            let range = next..<next + asked[index].inputs.count
            next = range.upperBound
            guard let reply else { return unreadable(joints[index]) }
            let usage = parts.map { TokenUsage(buckets: $0[index], isEstimated: true) }
            return .answered(
                reply.part(range, tokens: usage?.buckets.inputTotal), usage: usage,
                cost: costs.map { NanoDollars($0[index]) }, joints[index])
        }
    }

    /// What came is no answer to what was asked.
    private static func unreadable(_ joint: JointCall) -> EmbeddingShare {
        let error = DialectError(
            .badGateway, code: "provider_malformed",
            "The provider's answer has not one vector for each input of a joint call. Ask it without embeddingBatch.")
        return .failed(
            status: error.status(for: .chat), headers: [("content-type", "application/json")],
            ByteBuffer(bytes: error.body(for: .chat, requestID: joint.record.id).bytes), joint)
    }

    // MARK: a call's share

    private func take(_ share: EmbeddingShare) {
        guard !hasEnded, case .joined(_, let since)? = batch else { return }
        batch = .over
        waited = waited + (gateway.world.now - since)
        switch share {
        case .alone(let joint):
            if let joint { note(joint, isTold: false) }
            if hasLeft || isStopped { end(.canceled) } else { decide() }
        case .answered(let body, let usage, let cost, let joint):
            note(joint, isTold: usage != nil)
            record.target = joint.record.target
            record.rawUsage = joint.record.rawUsage
            record.priceFrom = joint.record.priceFrom
            if let usage {
                record.usage = usage
                record.cost = cost
            } else {
                guess()
            }
            record.noteCost(record.cost)
            capture?.isWhole = true
            if answer != nil { respond(200, [("content-type", "application/json")], body) }
            end(.done)
        case .failed(let status, let headers, let body, let joint):
            note(joint, isTold: false)
            if record.failure == nil { record.failure = joint.record.failure ?? "provider_malformed" }
            if answer != nil { respond(status, headers.filter { Self.isShared($0.name) }, body) }
            end(.failed)
        }
    }

    /// The provider told no usage: each is booked with its own guess, as if it had been sent alone.
    private func guess() {
        let usage = TokenUsage.estimated(
            inputBytes: Int64(record.requestBytes), outputBytes: 0, dialect: .openAI)
        record.usage = usage
        let price = targets.first { $0.target.label == record.target }?.price
        record.cost = price?.cost(of: usage.buckets, at: record.startedAt)
    }

    private func note(_ joint: JointCall, isTold: Bool) {
        record.attempts = joint.record.attempts
        record.provider = joint.record.provider
        record.open = joint.record.open
        record.joint = JointPart(isFirst: joint.place == 0, isTold: isTold, attempts: joint.record.attempts.count)
        record.notes.append("batch", joint.json)
    }

    /// Headers that speak of one call are not those of all.
    private static func isShared(_ name: String) -> Bool {
        !name.hasPrefix("x-reeve-") && name != "request-id"
    }

    // MARK: who leaves

    /// Whether the call is on its way with others, and stays until its share is known, though nobody waits for it.
    func staysInBatch() -> Bool {
        guard case .joined(let kind, _)? = batch else { return false }
        guard gateway.embeddings.leave(record.id, kind) else { return true }
        batch = .over
        return false
    }

    /// Tells the caller why there is no answer; what the call costs is booked when it is known.
    func tellAhead(_ error: DialectError) {
        if record.failure == nil { record.failure = error.code }
        respond(
            error.status(for: dialect), [("content-type", "application/json")],
            ByteBuffer(bytes: error.body(for: dialect, requestID: request.requestID).bytes))
    }
}

/// What a record keeps of a joint call.
struct JointPart: Sendable {
    /// Whether it is the first of those that were joined: the one that the joint call is counted with.
    let isFirst: Bool
    /// Whether its usage is a share of what the provider told.
    let isTold: Bool
    /// So many of the first attempts were made for all of them.
    let attempts: Int
}

extension CallRecord {
    /// So many of the first attempts are counted with another call.
    var attemptsElsewhere: Int { joint.map { $0.isFirst ? 0 : $0.attempts } ?? 0 }
}

/// Keeps a call's answer for whoever had it made. Belongs to the call's event loop.
final class HeldAnswer: Answering {
    private(set) var status = 0
    private(set) var headers: [(name: String, value: String)] = []
    private(set) var body = ByteBuffer()

    func respond(_ status: Int, _ headers: [(name: String, value: String)], _ body: ByteBuffer) {
        begin(status, headers)
        self.body = body
    }

    func begin(_ status: Int, _ headers: [(name: String, value: String)]) {
        self.status = status
        self.headers = headers
    }

    func write(_ bytes: ByteBuffer) { body.writeImmutableBuffer(bytes) }
    func flush() {}
    var isReading: Bool { true }
    func finish() {}
}
