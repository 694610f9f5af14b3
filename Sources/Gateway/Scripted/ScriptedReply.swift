import Kernel

/// A reply of the scripted model as the server is to send it, with all that goes wrong on the way.
struct ScriptedReply: Sendable {
    enum Step: Sendable, Equatable {
        case send([UInt8])
        case wait(Span)
        /// Holds the connection and sends nothing more.
        case hang
        /// Closes the connection in the middle of the reply.
        case cut
    }

    var status = 200
    var headers: [(name: String, value: String)] = []
    /// Whether a status line is sent at all before the first step.
    var hasHead = true
    var steps: [Step] = []
    /// Whether the steps are a stream of events, and no body of known length.
    var isStream = false

    static func json(_ value: JSONValue, status: Int = 200) -> ScriptedReply {
        ScriptedReply(status: status, headers: [("content-type", "application/json")], steps: [.send(value.bytes)])
    }

    /// A stream of events, one piece each.
    static func events(_ events: [[UInt8]]) -> ScriptedReply {
        ScriptedReply(
            headers: [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")],
            steps: events.map(Step.send), isStream: true)
    }
}

extension ScriptedReply {
    /// The same reply, going wrong as the fault says.
    func broken(by fault: Script.Fault) -> ScriptedReply {
        if fault.hangs { return ScriptedReply(hasHead: false, steps: [.hang]) }
        if fault.cutsAfter == 0 { return ScriptedReply(hasHead: false, steps: [.wait(fault.delay), .cut]) }
        var reply = self
        reply.steps = []
        var sent = 0
        let last = isStream && fault.omitsEnd ? steps.dropLast() : steps[...]
        for step in last {
            if sent > 0, fault.pause > .zero { reply.steps.append(.wait(fault.pause)) }
            if fault.malformedAfter == sent, isStream { reply.steps.append(.send(Array("data: {\"no json\n\n".utf8))) }
            if fault.stallsAfter == sent { return reply.delayed(by: fault).ending(with: .hang) }
            if fault.cutsAfter == sent { return reply.delayed(by: fault).ending(with: .cut) }
            reply.steps.append(step)
            sent += 1
        }
        if fault.stallsAfter == sent { return reply.delayed(by: fault).ending(with: .hang) }
        if fault.cutsAfter == sent { return reply.delayed(by: fault).ending(with: .cut) }
        return reply.delayed(by: fault)
    }

    private func ending(with step: Step) -> ScriptedReply {
        var reply = self
        reply.steps.append(step)
        // What is cut must have been longer.
        reply.isStream = true
        return reply
    }

    /// The delay stands before the first byte, so before the status line too.
    private func delayed(by fault: Script.Fault) -> ScriptedReply {
        guard fault.delay > .zero else { return self }
        var reply = self
        reply.steps.insert(.wait(fault.delay), at: 0)
        return reply
    }
}

/// Server-sent events (the HTML standard §9.2) as the providers write them.
enum ScriptedEvent {
    /// OpenAI's chat: data alone.
    static func data(_ value: JSONValue) -> [UInt8] { Array("data: ".utf8) + value.bytes + Array("\n\n".utf8) }

    /// Named by the document's own `type`: OpenAI's responses and Anthropic's messages.
    static func named(_ value: JSONValue) -> [UInt8] {
        Array("event: \(value["type"]?.string ?? "message")\n".utf8) + data(value)
    }

    static let done = Array("data: [DONE]\n\n".utf8)
}
