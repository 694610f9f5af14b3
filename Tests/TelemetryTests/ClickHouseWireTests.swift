import Kernel
import Testing

@testable import Telemetry

@Suite("What ClickHouse is told")
struct ClickHouseWireTests {
    @Test(
        "an address says where and who, and never shows its password",
        arguments: [
            ("clickhouse://h", "http://h:8123/", "clickhouse://default@h:8123/default"),
            ("clickhouse://u:p%40ss@h:1/db", "http://h:1/", "clickhouse://u@h:1/db"),
            ("clickhouses://u:pw@h/db", "https://h:8443/", "clickhouses://u@h:8443/db"),
            ("clickhouse://u:pw@h/db?secure=1", "https://h:8443/", "clickhouses://u@h:8443/db"),
            ("clickhouse://u:pw@[::1]:9/db", "http://[::1]:9/", "clickhouse://u@[::1]:9/db"),
        ])
    func address(_ text: String, _ url: String, _ shown: String) throws {
        let address = try ClickHouseAddress(text)
        #expect(address.url == url)
        #expect("\(address)" == shown)
        #expect(String(reflecting: address) == shown)
    }

    @Test("a password is read as it is meant")
    func password() throws {
        #expect(try ClickHouseAddress("clickhouse://u:p%40s%2Fs@h/db").password == "p@s/s")
    }

    @Test(
        "an address that is none is refused, without what stands in it",
        arguments: [
            "http://h", "clickhouse://", "clickhouse:///db", "clickhouse://u:secret@h/a/b",
            "clickhouse://u:secret@h/db?compress=1", "clickhouse://u:secret@h/db?secure=yes",
        ])
    func badAddress(_ text: String) throws {
        let problem = #expect(throws: Problem.self) { try ClickHouseAddress(text) }
        #expect(problem.map { !"\($0)".contains("secret") } == true)
    }

    @Test("values stand beside a query and not in it")
    func binding() {
        let odd = "'; DROP TABLE x --"
        let part: ClickHouseQuery = "b > \(7 as Int64)"
        let query: ClickHouseQuery =
            "SELECT a WHERE a = \(odd) AND \(part) AND c IN \(list: ["x", odd]) LIMIT \(count: 3)"
        let (text, tables) = query.rendered()
        #expect(
            text == "SELECT a WHERE a = (SELECT v0 FROM bound) AND b > (SELECT v1 FROM bound) AND c IN "
                + "(SELECT v FROM bound0) LIMIT 3")
        let bytes = Array(odd.utf8)
        #expect(
            tables == [
                .init(name: "bound", structure: "v0 String, v1 Int64", rows: [18] + bytes + [7, 0, 0, 0, 0, 0, 0, 0]),
                .init(name: "bound0", structure: "v String", rows: [1, 0x78, 18] + bytes),
            ])
    }

    @Test("rows are read as they were written, and no further than they go")
    func rows() throws {
        var writer = ColumnWriter()
        writer.append(byte: 200)
        writer.append(day: 40_000)
        writer.append(word: 70_000)
        writer.append(int: -5)
        writer.append(optional: nil)
        writer.append(optional: 9)
        writer.append(texts: ["a", ""])
        var reader = ColumnReader(writer.bytes)
        #expect(try (reader.byte(), reader.day(), reader.word(), reader.int()) == (200, 40_000, 70_000, -5))
        #expect(try (reader.optional(), reader.optional()) == (nil, 9))
        #expect(try reader.texts() == ["a", ""])
        #expect(reader.rest.isEmpty)
        #expect(throws: ClickHouseFault.self) {
            _ = try ColumnReader.rows(Array(writer.bytes.dropLast())) { row in
                _ = try (row.byte(), row.day(), row.word(), row.int(), row.optional(), row.optional(), row.texts())
            }
        }
    }

    @Test(
        "a partition is read as ClickHouse writes it",
        arguments: [#"('2026-11-22','tool')"#, #"(\'2026-11-22\',\'tool\')"#])
    func partition(_ text: String) {
        let part = ClickHousePart(partition: text)
        #expect(part == ClickHousePart(category: .tool, day: 20_779))
        #expect(part?.date == "2026-11-22")
        #expect(ClickHousePart(partition: "('2026-11-22','other')") == nil)
        #expect(ClickHousePart(partition: "all") == nil)
    }
}
