import Testing

@testable import Telemetry

/// What is carried over and what is left out, for tests of what comes along.
extension Archive {
    /// Carries spans of a block over to another part, and says how many.
    func copySpans(
        of block: Int64, in part: ArchivePart, to other: ArchivePart, where isMeant: (SpanHead) -> Bool
    ) throws -> Int {
        let copied = try copy(of: block, in: part) { record in
            guard case .span(let span) = record else { return false }
            return isMeant(span.head)
        }
        guard let block = copied?.copy.block else { return 0 }
        try append([block], to: other, through: nil)
        return block.count
    }

    /// Leaves spans of a block out, and says how many.
    func deleteSpans(of block: Int64, in part: ArchivePart, where isMeant: (SpanHead) -> Bool) throws -> Int {
        let copied = try copy(of: block, in: part) { record in
            guard case .span(let span) = record else { return true }
            return !isMeant(span.head)
        }
        guard let copied else { return 0 }
        #expect(try replace(block, in: part, by: copied))
        return copied.copy.left
    }
}
