import Kernel
import Telemetry

/// A call as spans: one for the call, and one below it for each attempt at a provider. Made of the record, away from
/// the call's way; a call that nobody instrumented has a trace all the same.
extension CallRecord {
    public var spans: [OwnSpan] {
        guard let place = TraceContext(trace.traceparent) else { return [] }
        let call = callSpan(in: place)
        let costs = attemptCosts
        return [call] + attempts.indices.map { attemptSpan($0, cost: costs[$0], of: call) }
    }

    /// The trace that it belongs to.
    public var traceID: TraceID? { TraceContext(trace.traceparent)?.traceID }

    private func callSpan(in place: TraceContext) -> OwnSpan {
        let operation = GenAIName.operation(door)
        let endedAt = status == .running ? nil : startedAt + duration
        var span = OwnSpan(
            place.child(spanID()), parent: trace.hasParent ? place.spanID : nil, "\(operation) \(model)", .server,
            from: startedAt, to: endedAt)
        span.add("gen_ai.operation.name", operation)
        span.add("gen_ai.request.model", model)
        // `provider/model`.
        span.add("gen_ai.response.model", target?.split(separator: "/", maxSplits: 1).last.map(String.init))
        span.add("gen_ai.provider.name", provider)
        span.add("gen_ai.agent.name", agent)
        span.add("gen_ai.conversation.id", session)
        span.add("correlation_id", correlationID)
        span.add("task_id", task)
        span.add("reeve.call", id)
        span.add("reeve.project", project)
        span.add("reeve.tier", tier)
        span.add("reeve.cache", cache)
        if !tags.isEmpty {
            span.attributes.append(Attribute("reeve.tags", .array(tags.map(AttributeValue.string))))
        }
        if isStreamed { span.attributes.append(Attribute("gen_ai.request.stream", .bool(true))) }
        addOutcome(to: &span)
        span.content = content
        return span
    }

    private func addOutcome(to span: inout OwnSpan) {
        if let buckets = usage?.buckets {
            span.add("gen_ai.usage.input_tokens", buckets.inputTotal)
            span.add("gen_ai.usage.output_tokens", buckets.outputTotal)
            if buckets[.cacheRead] > 0 { span.add("gen_ai.usage.cache_read.input_tokens", buckets[.cacheRead]) }
            if buckets.cacheWriteTotal > 0 {
                span.add("gen_ai.usage.cache_creation.input_tokens", buckets.cacheWriteTotal)
            }
            if buckets[.reasoning] > 0 { span.add("gen_ai.usage.reasoning.output_tokens", buckets[.reasoning]) }
            if isEstimated { span.attributes.append(Attribute("reeve.usage.estimated", .bool(true))) }
        }
        span.add("reeve.cost.usd", cost.map { Double($0.value) / 1e9 })
        span.add("gen_ai.response.time_to_first_chunk", firstToken?.seconds)
        if httpStatus > 0 { span.add("http.response.status_code", Int64(httpStatus)) }
        if let refusal {
            span.events.append(
                OwnSpan.Event(
                    "refused by a budget", at: startedAt + duration,
                    [
                        Attribute("reeve.budget.scope", .string(refusal.scope)),
                        Attribute("reeve.budget.code", .string(refusal.code)),
                    ]))
        }
        guard status == .failed || status == .canceled else { return }
        span.add("error.type", failure ?? status.rawValue)
        span.error = refusal?.detail ?? failure ?? status.rawValue
    }

    private func attemptSpan(_ index: Int, cost: NanoDollars?, of call: OwnSpan) -> OwnSpan {
        let attempt = attempts[index]
        var span = OwnSpan(
            call.context.child(spanID(index + 1)), parent: call.context.spanID, "attempt \(attempt.target)", .client,
            from: attempt.startedAt, to: attempt.startedAt + attempt.duration)
        span.add("gen_ai.agent.name", agent)
        span.add("gen_ai.conversation.id", session)
        span.add("correlation_id", correlationID)
        span.add("task_id", task)
        span.add("reeve.target", attempt.target)
        span.add("reeve.attempt.reason", attempt.reason)
        span.add("reeve.cost.usd", cost.map { Double($0.value) / 1e9 })
        span.add("http.response.status_code", attempt.status.map(Int64.init))
        span.add("error.type", attempt.failure)
        span.error = attempt.failure
        // Neither its tokens nor its model: the call above has them, and they would count twice.
        if attempt.failure == nil { span.add("reeve.category", TelemetryCategory.model.rawValue) }
        return span
    }
}

extension ModelGateway: RunningSpans {
    public func spans(of trace: TraceID) -> [OwnSpan] {
        liveCalls().filter { $0.status == .running && $0.traceID == trace }.flatMap(\.spans)
    }
}
