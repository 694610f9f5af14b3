import Kernel
import Testing

@testable import Runner

@Suite struct LineTests {
    @Test func linesAreTheSameHoweverTheStreamIsCut() {
        let bytes = Array("one\r\ntwo\n\n\u{1F600}four\nrest".utf8)
        for size in 1...bytes.count {
            var splitter = LineSplitter()
            var lines: [String] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                lines += splitter.feed(bytes[start..<min(bytes.count, start + size)]).map(\.text)
            }
            if let last = splitter.finish() { lines.append(last.text) }
            #expect(lines == ["one", "two", "", "\u{1F600}four", "rest"])
        }
    }

    @Test func longLinesAreCutAndTheNextOneIsWhole() {
        var splitter = LineSplitter(lineBytesMax: 8)
        let lines = splitter.feed(Array("0123456789abcdef\nnext\n12345678\n".utf8)[...])
        #expect(lines.map(\.text) == ["01234567", "next", "12345678"])
        #expect(lines.map(\.isCut) == [true, false, false])
    }

    @Test func noiseBecomesText() {
        var generator = SplitMix(state: 3)
        var splitter = LineSplitter(lineBytesMax: 100)
        for _ in 0..<200 {
            let noise = (0..<300).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            for line in splitter.feed(noise[...]) { #expect(line.text.utf8.count <= 300) }
        }
    }

    @Test func aFloodIsBoundedAndCounted() {
        let start = Timestamp(microseconds: 0)
        var allowance = LineAllowance(linesPerSecond: 10, burst: 20, now: start)
        let passed = (0..<100).filter { _ in allowance.take(at: start).passes }.count
        #expect(passed == 20)
        let (passes, dropped) = allowance.take(at: start + .seconds(1))
        #expect(passes && dropped == 80)
    }

    @Test func theTailKeepsTheEndAndTheHeadTheBeginning() {
        var tail = ByteTail(limit: 32)
        var head = ByteHead(limit: 8)
        for index in 0..<100 {
            tail.append(Array("line \(index)\n".utf8))
            head.append(Array("line \(index)\n".utf8))
        }
        #expect(tail.lastLines(2) == "line 98\nline 99")
        #expect(head.bytes == Array("line 0\nl".utf8) && head.isCut)
    }

    @Test func logLinesAreJSONAndPlain() throws {
        let at = try #require(Timestamp(rfc3339: "2026-11-20T08:15:30Z"))
        let line = LogLine(.info, "a \u{1B}[31mred\u{7} word", agent: "crane", stream: .stderr, taskID: "task_123456")
        let json = try JSONParser.parse(line.json(at: at))
        #expect(json["timestamp"]?.string == "2026-11-20T08:15:30.000000Z")
        #expect(json["agent_id"]?.string == "crane" && json["stream"]?.string == "stderr")
        #expect(json["message"]?.string == "a \u{1B}[31mred\u{7} word")
        #expect(line.plain(at: at) == "08:15:30 crane 123456 ! a ·[31mred· word")
    }
}

@Suite struct ProcessEntryTests {
    @Test func commandNamesMayHoldAnything() throws {
        let stat = "42 (a) (b c) S 1 40 40 0 -1 4194304 100 0 0 0 7 5 3 1 20 0 1 0 12345 1000000 250 1844674"
        let entry = try #require(ProcessEntry(stat: stat))
        #expect(entry.pid == 42 && entry.parent == 1 && entry.group == 40 && entry.state == "S")
        #expect(entry.cpuTicks == 16 && entry.residentPages == 250 && entry.isAlive)
        #expect(ProcessEntry(stat: "42 no parentheses") == nil)
        #expect(ProcessEntry(stat: "42 (short) S 1 2") == nil)
    }

    @Test func percentIsNeverNegative() {
        let earlier = GroupUsage(cpuSeconds: 10)
        #expect(GroupUsage(cpuSeconds: 11).cpuPercent(since: earlier, seconds: 2) == 50)
        #expect(GroupUsage(cpuSeconds: 3).cpuPercent(since: earlier, seconds: 2) == 0)
        #expect(GroupUsage(cpuSeconds: 11).cpuPercent(since: earlier, seconds: 0) == 0)
    }
}
