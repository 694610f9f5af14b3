import Control
import Gateway
import Kernel

/// Writes what judges said into the records of the calls that they judged, which are kept by then or a moment later.
struct GatewayJudgements: Sendable {
    static let interval = Span.seconds(1)
    /// Calls of one commit.
    static let batchMax = 200

    let gateway: ModelGateway
    let calls: CallService
    let storage: any Storage

    /// Where the store fails, and where a record is not kept yet, the same is tried the next time.
    func look() async throws {
        var left = gateway.takeJudgements()[...]
        var late: [Judgement] = []
        defer { gateway.giveBack(late + left) }
        while !left.isEmpty {
            let batch = left.prefix(Self.batchMax)
            // Asked before the store is, so that none is missed that is kept meanwhile.
            let unkept = Set(batch.map(\.call).filter { gateway.liveCall($0) != nil })
            let found = try await storage.write(.soon) { transaction in
                try batch.filter { judgement in
                    try calls.note("judge", judgement.json, of: judgement.call, in: transaction)
                }.map(\.call)
            }
            // One that was kept and is not found is too old to be kept still.
            late += batch.filter { !found.contains($0.call) && unkept.contains($0.call) }
            left = left.dropFirst(batch.count)
        }
    }

    var loops: [Loop] { [Loop("gateway.judgements", every: Self.interval) { try await look() }] }
}
