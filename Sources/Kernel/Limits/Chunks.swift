extension RandomAccessCollection where Index == Int {
    /// Its elements in their order, so many together at most: what is asked, written or sent at one time is bounded.
    public func chunks(of size: Int) -> [SubSequence] {
        precondition(size > 0, "chunks of \(size) elements would never end")
        return stride(from: startIndex, to: endIndex, by: size).map { self[$0..<Swift.min($0 + size, endIndex)] }
    }
}
