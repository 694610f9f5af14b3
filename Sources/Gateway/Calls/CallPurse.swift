import Kernel
import Synchronization

/// What a call may come to, and what it holds of its budgets for that.
struct CallPurse: Sendable {
    /// Tokens of an answer whose request and model name no limit.
    static let outputTokensAssumed: Int64 = 16_384
    /// A stream holds so many tokens ahead of what was seen of it.
    static let tokensAhead: Int64 = 64
    /// What every answer needs, when little is left.
    static let outputTokensLeast: Int64 = 1
    /// Searches of a call that names a search tool.
    static let searchesAssumed: Int64 = 10

    var scopes: [BudgetScope] = []
    /// Those of them that have a budget.
    var counting: [BudgetScope] = []
    var bound: CallBound
    var hold = BudgetHold.none
    /// What it is held for.
    var amounts = BudgetAmounts.zero
    /// Tokens of output that the hold suffices for.
    var outputTokens: Int64
    /// The output that the provider is asked for at most, where less is left than the caller wanted.
    var outputTokensAllowed: Int64?
    /// Whether more is being asked for.
    var isGrowing = false

    /// What so much output comes to at the dearest of these prices.
    func amounts(_ outputTokens: Int64, _ prices: [PriceTable?], at time: Timestamp) -> BudgetAmounts {
        var bound = bound
        bound.outputTokensMax = outputTokens
        let dearest = prices.compactMap { $0?.upperBound(of: bound, at: time)?.value }.max() ?? 0
        let (output, isOver) = outputTokens.multipliedReportingOverflow(by: bound.answers)
        return BudgetAmounts(
            nanoUSD: dearest, tokens: bound.inputTokensMax + (isOver ? UsageCounts.tokensMax : output), calls: 1,
            steps: 1)
    }

    /// How much output fits into what is left; `nil` where nothing does.
    func outputFitting(_ left: BudgetAmounts, _ prices: [PriceTable?], at time: Timestamp) -> Int64? {
        var low: Int64 = 0
        var high = bound.outputTokensMax
        // The cost rises with the output, so halving finds the largest that fits.
        while low < high {
            let middle = low + (high - low + 1) / 2
            if amounts(middle, prices, at: time).fits(left) { low = middle } else { high = middle - 1 }
        }
        return low >= Self.outputTokensLeast ? low : nil
    }

    /// For the record: `{scopes, nanoUSD, tokens}`, and `outputTokensAllowed` where it was lowered.
    var json: JSONValue {
        var object = JSONObject()
        object.append("scopes", .array(counting.map(\.json)))
        object.append("nanoUSD", .int(amounts.nanoUSD))
        object.append("tokens", .int(amounts.tokens))
        if let outputTokensAllowed { object.append("outputTokensAllowed", .int(outputTokensAllowed)) }
        return .object(object)
    }
}

/// What answers of one kind really come to, by agent and model.
struct CallSizes: Sendable {
    /// Streams are held for as much output as this share of those before did not exceed.
    static let share = 0.9

    private struct Key: Hashable, Sendable {
        let agent: String?
        let model: String
        let door: ModelDoor
    }

    private var outputs = LearnedQuantiles<Key>()

    mutating func learn(_ record: CallRecord) {
        guard record.usage?.isEstimated == false else { return }
        outputs.record(
            record.outputTokens, for: Key(agent: record.agent, model: record.model, door: record.door))
    }

    func output(of record: CallRecord) -> Int64? {
        outputs.quantile(Self.share, for: Key(agent: record.agent, model: record.model, door: record.door))
    }
}

/// Which project an agent's calls belong to.
public protocol AgentProjects: Sendable {
    /// From memory; `nil` where the store has to be asked.
    func known(_ agent: String) -> String?
    func find(_ agent: String) async -> String
}

/// Which task an agent's calls belong to where they name none.
public protocol AgentTasks: Sendable {
    /// The task that the agent holds by a live claim, where that is exactly one. From memory, for each call.
    func held(by agent: String) -> String?
    /// What a task asks for that an agent holds by a live claim. From memory too.
    func wish(of task: String) -> TaskWish
    /// Where the calls belong that this agent makes for a task that it holds by a live claim. From memory too.
    func trace(of task: String, by agent: String?) -> TaskTrace?
    /// The version of its bundle that a roll-out gave the agent for a task that it holds by a live claim; `nil` where
    /// the task is in none. From memory too.
    func bundle(of task: String, by agent: String?) -> String?
}

extension DialectError {
    init(_ refusal: BudgetRefusal) {
        switch refusal {
        case .exceeded: self.init(.budget, code: refusal.code, refusal.message)
        case .inFlight: self.init(.rateLimit, code: refusal.code, refusal.message)
        case .unavailable: self.init(.unavailable, code: refusal.code, refusal.message)
        }
    }
}
