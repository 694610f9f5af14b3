/// Texts of a block, each of which stands once and is known by its number.
struct TextTable {
    private(set) var bytes: [UInt8] = []
    /// Where each text ends.
    private var ends: [Int] = []
    /// Numbers by the hash of their text; a place without one has 0.
    private var slots = [Int32](repeating: 0, count: 64)
    private var last = 0

    var count: Int { ends.count }

    /// The text's number, which is 1 for the first; 0 stands for none.
    mutating func number(of text: UnsafeRawBufferPointer) -> Int {
        // The row before often says the same.
        if last > 0, isText(last, text) { return last }
        var slot = hash(text) & (slots.count - 1)
        while slots[slot] != 0 {
            if isText(Int(slots[slot]), text) {
                last = Int(slots[slot])
                return last
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        bytes.append(contentsOf: text)
        ends.append(bytes.count)
        slots[slot] = Int32(ends.count)
        last = ends.count
        if ends.count * 2 > slots.count { grow() }
        return last
    }

    func write(to columns: inout ColumnWriter) {
        columns.append(ends.count)
        var start = 0
        for end in ends {
            columns.append(end - start)
            start = end
        }
        columns.append(raw: bytes)
    }

    func text(_ number: Int) -> String { String(decoding: bytes[range(number)], as: UTF8.self) }

    private func range(_ number: Int) -> Range<Int> { (number == 1 ? 0 : ends[number - 2])..<ends[number - 1] }

    private func isText(_ number: Int, _ text: UnsafeRawBufferPointer) -> Bool {
        let range = range(number)
        guard range.count == text.count else { return false }
        return bytes.withUnsafeBytes { known in
            (0..<range.count).allSatisfy { known[range.lowerBound + $0] == text[$0] }
        }
    }

    /// Seeded by the process, so that nobody can choose texts that share their places.
    private func hash(_ text: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: text)
        return hasher.finalize()
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        for number in 1...ends.count {
            let range = range(number)
            var slot = bytes.withUnsafeBytes { hash(UnsafeRawBufferPointer(rebasing: $0[range])) } & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(number)
        }
    }
}
