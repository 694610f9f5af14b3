import CKafka
import Foundation
import Kernel
import Testing

@testable import Telemetry

/// librdkafka's mock cluster, and a consumer of it.
private final class MockKafka {
    struct Message: Equatable {
        let key: String?
        let record: JSONValue
        let headers: [String: String]
    }

    struct Failure: Error {}

    static let topic = "reeve-logs"
    private let host: OpaquePointer
    private let cluster: OpaquePointer
    private let consumer: OpaquePointer

    init() throws {
        guard let host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), nil, 0),
            let cluster = rd_kafka_mock_cluster_new(host, 1)
        else { throw Failure() }
        (self.host, self.cluster) = (host, cluster)
        rd_kafka_mock_topic_create(cluster, Self.topic, 1, 1)
        let configuration = rd_kafka_conf_new()
        rd_kafka_conf_set(configuration, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), nil, 0)
        rd_kafka_conf_set(configuration, "group.id", "tests", nil, 0)
        guard let consumer = rd_kafka_new(RD_KAFKA_CONSUMER, configuration, nil, 0) else { throw Failure() }
        self.consumer = consumer
        let partitions = rd_kafka_topic_partition_list_new(1)
        let partition = rd_kafka_topic_partition_list_add(partitions, Self.topic, 0)
        partition?.pointee.offset = Int64(RD_KAFKA_OFFSET_BEGINNING)
        rd_kafka_assign(consumer, partitions)
        rd_kafka_topic_partition_list_destroy(partitions)
    }

    deinit {
        rd_kafka_destroy(consumer)
        rd_kafka_mock_cluster_destroy(cluster)
        rd_kafka_destroy(host)
    }

    var address: KafkaAddress {
        get throws {
            let brokers = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
            return try KafkaAddress("kafka://\(brokers)/\(Self.topic)")
        }
    }

    func isDown(_ isDown: Bool) {
        if isDown { rd_kafka_mock_broker_set_down(cluster, 1) } else { rd_kafka_mock_broker_set_up(cluster, 1) }
    }

    /// The next message, waited for a moment.
    func next() throws -> Message? {
        guard let message = rd_kafka_consumer_poll(consumer, 500) else { return nil }
        defer { rd_kafka_message_destroy(message) }
        guard message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
        let key = message.pointee.key.map {
            String(decoding: UnsafeRawBufferPointer(start: $0, count: message.pointee.key_len), as: UTF8.self)
        }
        let bytes = UnsafeRawBufferPointer(start: message.pointee.payload, count: message.pointee.len)
        var headers: [String: String] = [:]
        var list: OpaquePointer?
        rd_kafka_message_headers(message, &list)
        var (name, value, size) = (UnsafePointer<CChar>?.none, UnsafeRawPointer?.none, 0)
        for index in 0..<2
        where rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
            guard let name, let value else { continue }
            headers[String(cString: name)] = String(
                decoding: UnsafeRawBufferPointer(start: value, count: size), as: UTF8.self)
        }
        return Message(key: key, record: try JSONParser.parse(Array(bytes)), headers: headers)
    }
}

@Suite("Logs on their way to Kafka", .serialized)
struct KafkaOutletTests {
    private static func records(_ numbers: Range<Int>) -> [LogRecord] {
        numbers.map { number in
            var record = LogRecord(at: 1_800_000_000_000_000_000 + Int64(number))
            record.message = "line \(number)"
            if number % 2 == 0 {
                (record.correlationID, record.agent, record.category) = ("c-\(number)", "scribe", .tool)
            }
            return record
        }
    }

    private static func rows(_ numbers: Range<Int>) -> LogRows {
        records(numbers).reduce(into: LogRows()) { $0.append(LogRow.encode($1)) }
    }

    /// Sends, and reads what comes, until there are so many messages.
    private static func messages(_ count: Int, of kafka: MockKafka, _ outlet: KafkaOutlet) async throws
        -> [MockKafka.Message]
    {
        var found: [MockKafka.Message] = []
        for _ in 0..<60 where found.count < count {
            try await outlet.send()
            while found.count < count, let message = try kafka.next() { found.append(message) }
        }
        return found
    }

    /// Sends until all of it is confirmed.
    private static func settle(_ outlet: KafkaOutlet, _ kafka: MockKafka) async throws {
        for _ in 0..<60 where outlet.counts.waiting > 0 {
            try await outlet.send()
            // The wait for a message that does not come is the pause.
            if outlet.counts.waiting > 0 { _ = try kafka.next() }
        }
    }

    @Test("each record is a message in the shared schema, in their order, with its key and its headers")
    func messages() async throws {
        try await withTelemetryFolder { folder in
            let kafka = try MockKafka()
            let outlet = try KafkaOutlet(try kafka.address, folder: folder, quota: 1 << 20)
            let ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live, kafka: outlet)
            try await ingest.take(Self.rows(0..<3), refused: [:])
            try await ingest.take(Self.rows(3..<6), refused: [:])
            #expect(outlet.counts.waiting == 0)
            try await ingest.flush()
            #expect(outlet.counts.waiting == 6)
            let found = try await Self.messages(6, of: kafka, outlet)
            #expect(found.map(\.record) == Self.records(0..<6).map(\.json))
            #expect(found.map(\.key) == ["c-0", nil, "c-2", nil, "c-4", nil])
            #expect(found.first?.headers == ["category": "tool", "agent": "scribe"])
            #expect(found.last?.headers == ["category": "system"])
            try await Self.settle(outlet, kafka)
            #expect(outlet.counts == .init(delivered: 6))
            try await ingest.close()
        }
    }

    @Test("while the broker is away records wait, also over a start, and nobody else does")
    func away() async throws {
        try await withTelemetryFolder { folder in
            let kafka = try MockKafka()
            kafka.isDown(true)
            var outlet = try KafkaOutlet(try kafka.address, folder: folder, quota: 1 << 20)
            var ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live, kafka: outlet)
            try await ingest.take(Self.rows(0..<4), refused: [:])
            try await ingest.flush()
            try await outlet.send()
            #expect((outlet.counts.delivered, outlet.counts.waiting) == (0, 4))
            // A process that ends without a word: what it took is in the ingest's spool too.
            outlet = try KafkaOutlet(try kafka.address, folder: folder, quota: 1 << 20)
            ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live, kafka: outlet)
            try await ingest.take(Self.rows(4..<6), refused: [:])
            try await ingest.flush()
            #expect(outlet.counts.waiting == 6)
            try await outlet.send()
            kafka.isDown(false)
            let found = try await Self.messages(6, of: kafka, outlet)
            #expect(found.map(\.record) == Self.records(0..<6).map(\.json))
            try await Self.settle(outlet, kafka)
            #expect((outlet.counts.delivered, outlet.counts.waiting) == (6, 0))
            try await ingest.close()
            // What was confirmed does not go out again.
            let again = try KafkaOutlet(try kafka.address, folder: folder, quota: 1 << 20)
            let last = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live, kafka: again)
            try await last.take(Self.rows(6..<7), refused: [:])
            try await last.flush()
            #expect(again.counts.waiting == 1)
            let more = try await Self.messages(1, of: kafka, again)
            #expect(more.map(\.record) == Self.records(6..<7).map(\.json))
            #expect(try kafka.next() == nil)
            try await last.close()
        }
    }

    @Test("a queue that is full passes over what comes and counts it, and the archive has it all the same")
    func full() async throws {
        try await withTelemetryFolder { folder in
            let kafka = try MockKafka()
            kafka.isDown(true)
            let outlet = try KafkaOutlet(try kafka.address, folder: folder, quota: 2_000)
            let ingest = try TelemetryIngest(folder: folder, quota: 1 << 20, world: .live, kafka: outlet)
            for number in 0..<100 {
                try await ingest.take(Self.rows(number..<number + 1), refused: [:])
                try await ingest.flush()
            }
            let counts = outlet.counts
            #expect(counts.dropped > 0)
            #expect(counts.waiting > 0)
            #expect(counts.waiting + counts.dropped == 100)
            #expect(ingest.ledgers[.logs].stored == 100)
            kafka.isDown(false)
            let found = try await Self.messages(counts.waiting, of: kafka, outlet)
            #expect(found.map(\.record) == Self.records(0..<counts.waiting).map(\.json))
            try await Self.settle(outlet, kafka)
            #expect(outlet.counts.waiting == 0)
            // There is room again.
            try await ingest.take(Self.rows(200..<201), refused: [:])
            try await ingest.flush()
            #expect((outlet.counts.waiting, outlet.counts.dropped) == (1, counts.dropped))
            try await ingest.close()
        }
    }

    @Test("a record that Kafka never takes is counted, and stands in nobody's way")
    func tooLarge() async throws {
        try await withTelemetryFolder { folder in
            let kafka = try MockKafka()
            let outlet = try KafkaOutlet(try kafka.address, folder: folder, quota: 16 << 20)
            let ingest = try TelemetryIngest(folder: folder, quota: 16 << 20, world: .live, kafka: outlet)
            var large = LogRecord(at: 1_800_000_000_000_000_000)
            large.message = String(repeating: "x", count: 1_500_000)
            var rows = Self.rows(0..<1)
            rows.append(LogRow.encode(large))
            rows.append(Self.rows(1..<2))
            try await ingest.take(rows, refused: [:])
            try await ingest.flush()
            let found = try await Self.messages(2, of: kafka, outlet)
            #expect(found.map(\.record) == Self.records(0..<2).map(\.json))
            try await Self.settle(outlet, kafka)
            #expect(outlet.counts == .init(delivered: 2, failed: 1))
            try await ingest.close()
        }
    }

    @Test(
        "an address names brokers and a topic, and where a password is",
        arguments: [
            ("kafka://a:9092/t", "plaintext"), ("kafkas://a:9092,b:9092/my.topic_1-x", "ssl"),
            ("kafka://me@a:9092/t?passwordFile=/x&mechanism=SCRAM-SHA-512", "sasl_plaintext"),
            ("kafkas://me@a:9092/t?passwordEnvironment=PATH&ca=/etc/ca.pem", "sasl_ssl"),
        ])
    func address(_ text: String, _ security: String) throws {
        let address = try KafkaAddress(text)
        if case .file("/x") = address.password {
            #expect(throws: Problem.self) { try address.settings() }
        } else {
            let settings = Dictionary(uniqueKeysWithValues: try address.settings().map { ($0.name, $0.value) })
            #expect(settings["security.protocol"] == security)
            #expect(settings["enable.idempotence"] == "true")
            #expect(settings["acks"] == "all")
            #expect(settings["sasl.username"] == (address.user == nil ? nil : "me"))
        }
    }

    @Test(
        "an address that is none is refused, without a password that stands in it",
        arguments: [
            "http://a/t", "kafka://", "kafka://a:9092", "kafka://a:9092/", "kafka:///t", "kafka://a,,b/t",
            "kafka://me:secret@a/t", "kafka://me@a/t", "kafka://a/t?passwordFile=/x", "kafka://a/t?x=secret",
            "kafka://a/a b", "kafka://a/..", "kafka://me@a/t?passwordFile=/x&mechanism=GSSAPI",
        ])
    func badAddress(_ text: String) throws {
        let problem = #expect(throws: Problem.self) { try KafkaAddress(text) }
        #expect(problem.map { !"\($0)".contains("me:secret") } == true)
    }
}
