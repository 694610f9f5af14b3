import Kernel

/// Tokens of a prompt where nobody counts them: `count_tokens` on a model whose provider has no such address, and holds
/// of budgets.
///
/// The rule: a token for each four bytes of UTF-8, of texts, names, schemas and arguments, rounded up once for the
/// whole; and on top fixed numbers for what providers put around: each message, tool, image and document.
enum TokenEstimate {
    static let bytesPerToken = 4
    static let perRequest = 3
    static let perMessage = 4
    static let perTool = 8
    /// Anthropic counts width × height / 750; this is a picture of a thousand pixels by a thousand.
    static let perImage = 1_334
    /// A document of a page or two, or unknown length.
    static let perDocument = 3_000

    /// - Parameter bytesPerToken: 1 for what the text cannot exceed.
    static func count(_ request: ModelRequest, bytesPerToken: Int = TokenEstimate.bytesPerToken) -> Int {
        var sum = Sum()
        for part in request.system { sum.add(part) }
        if !request.system.isEmpty { sum.tokens += perMessage }
        for message in request.messages {
            sum.tokens += perMessage
            for part in message.parts { sum.add(part) }
        }
        for tool in request.tools {
            sum.tokens += perTool
            sum.bytes += tool.name.utf8.count + (tool.description?.utf8.count ?? 0)
            sum.bytes += tool.schema?.bytes.count ?? 0
        }
        sum.tokens += request.serverTools.count * perTool
        if case .schema(_, _, let schema, _) = request.format.value { sum.bytes += schema.bytes.count }
        return perRequest + sum.tokens + (sum.bytes + bytesPerToken - 1) / bytesPerToken
    }

    private struct Sum {
        var tokens = 0
        var bytes = 0

        mutating func add(_ part: ModelPart) {
            switch part.kind {
            case .text(let text), .refusal(let text): bytes += text.utf8.count
            case .image: tokens += TokenEstimate.perImage
            case .document(.text(let text), _): bytes += text.utf8.count
            case .document: tokens += TokenEstimate.perDocument
            case .toolCall(let call): bytes += call.name.utf8.count + call.arguments.utf8.count
            case .toolResult(let result): for part in result.parts { add(part) }
            case .reasoning(let reasoning): bytes += reasoning.text.utf8.count
            case .foreign(let value), .trace(let value): bytes += value.bytes.count
            }
        }
    }
}
