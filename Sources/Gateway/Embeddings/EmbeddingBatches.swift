import Kernel
import NIOCore
import Synchronization

/// Calls for embeddings that wait to be sent together, by what they have in common. They wait for a moment only.
final class EmbeddingBatches: Sendable {
    /// Kinds of calls that wait at the same time; a call of a further kind goes alone.
    static let kindsMax = 1_000

    struct Member: Sendable {
        /// The call's.
        let id: String
        let request: DoorRequest
        let asked: EmbeddingRequest
        /// Called on any thread, once.
        let wake: @Sendable (EmbeddingShare) -> Void
    }

    private struct Batch {
        let number: UInt64
        var members: [Member] = []
        var inputs = 0
        var bytes = 0

        mutating func add(_ member: Member) {
            members.append(member)
            inputs += member.asked.inputs.count
            bytes += member.asked.bytes
        }

        func takes(_ member: Member, _ settings: EmbeddingBatchSettings) -> Bool {
            inputs + member.asked.inputs.count <= settings.inputs
                && bytes + member.asked.bytes <= EmbeddingBatchSettings.bytesMax
        }
    }

    struct Joining {
        /// Whether the call waits; else it goes alone.
        var isWaiting = true
        /// The batch that it opened, which somebody has to send when its time has come.
        var opened: UInt64?
        /// Those that are full, to be sent now.
        var full: [[Member]] = []
    }

    private struct State {
        var batches: [String: Batch] = [:]
        var last: UInt64 = 0
    }

    private let state = Mutex(State())

    func join(_ member: Member, _ kind: String, _ settings: EmbeddingBatchSettings) -> Joining {
        state.withLock { state in
            var joining = Joining()
            guard member.asked.inputs.count < settings.inputs else { return Joining(isWaiting: false) }
            if let batch = state.batches[kind], !batch.takes(member, settings) {
                joining.full.append(batch.members)
                state.batches[kind] = nil
            }
            let isKnown = state.batches[kind] != nil
            guard isKnown || state.batches.count < Self.kindsMax else {
                joining.isWaiting = false
                return joining
            }
            if !isKnown { state.last += 1 }
            var batch = state.batches.removeValue(forKey: kind) ?? Batch(number: state.last)
            batch.add(member)
            if batch.inputs >= settings.inputs {
                joining.full.append(batch.members)
            } else {
                joining.opened = isKnown ? nil : batch.number
                state.batches[kind] = batch
            }
            return joining
        }
    }

    /// The time of a batch has come; empty where it was sent before.
    func due(_ number: UInt64, _ kind: String) -> [Member] {
        state.withLock { state in
            guard let batch = state.batches[kind], batch.number == number else { return [] }
            state.batches[kind] = nil
            return batch.members
        }
    }

    /// A call waits no more; `false` where it is on its way with others.
    func leave(_ id: String, _ kind: String) -> Bool {
        state.withLock { state in
            guard var batch = state.batches.removeValue(forKey: kind) else { return false }
            defer { state.batches[kind] = batch }
            guard let index = batch.members.firstIndex(where: { $0.id == id }) else { return false }
            let member = batch.members.remove(at: index)
            batch.inputs -= member.asked.inputs.count
            batch.bytes -= member.asked.bytes
            return true
        }
    }

    var count: Int { state.withLock { $0.batches.count } }
}

/// What a call gets of a joint one.
enum EmbeddingShare: Sendable {
    /// It goes on by itself: nobody joined it, or the provider found a fault in what was joined.
    case alone(JointCall?)
    /// Its part of the answer.
    case answered(ByteBuffer, usage: TokenUsage?, cost: NanoDollars?, JointCall)
    /// The provider's error, or ours, which all get.
    case failed(status: Int, headers: [(name: String, value: String)], ByteBuffer, JointCall)
}

/// A joint call, as one of those that it was made for keeps it.
struct JointCall: Sendable {
    /// What was tried. Nobody else keeps it.
    let record: CallRecord
    /// Calls that were joined, and which of them this is.
    let calls: Int
    let place: Int
    /// Inputs of this call, and of all of them.
    let inputs: Int
    let inputsOfAll: Int

    /// For the record.
    var json: JSONValue {
        ["calls": calls.json, "inputs": inputs.json, "inputsOfAll": inputsOfAll.json]
    }
}
