import CKafka
import Kernel
import Synchronization

/// What became of the messages that were handed over, by the entry that they are of.
final class KafkaReports: Sendable {
    struct State {
        /// Messages of each entry of which nothing is known yet.
        var open: [Int64: Int] = [:]
        /// Whether something came back that another try may bring through.
        var mustRepeat = false
        var delivered = 0
        /// Messages that Kafka never takes, such as too large ones.
        var failed = 0
        var lastFault: String?
    }

    private let state = Mutex(State())

    func with<Value>(_ body: (inout State) -> Value) -> Value { state.withLock { body(&$0) } }

    func heard(_ error: rd_kafka_resp_err_t, of entry: Int64) {
        state.withLock { state in
            state.open[entry, default: 1] -= 1
            if error == RD_KAFKA_RESP_ERR_NO_ERROR {
                state.delivered += 1
                state.lastFault = nil
            } else if KafkaProducer.isFinal(error) {
                state.failed += 1
            } else {
                state.mustRepeat = true
            }
        }
    }
}

/// A producer of librdkafka: idempotent, and asking all replicas.
///
/// `@unchecked Sendable`: librdkafka's handle may be used by any number of threads ("INTRODUCTION.md", "Threads and
/// callbacks"), and nothing else is kept here but constants.
final class KafkaProducer: @unchecked Sendable {
    private let client: OpaquePointer
    private let topic: String
    private let reports: KafkaReports

    /// - Throws: ``Problem`` where a setting is none.
    init(_ address: KafkaAddress, reports: KafkaReports) throws {
        guard let configuration = rd_kafka_conf_new() else { throw Self.problem("there is no memory") }
        var text = [CChar](repeating: 0, count: 512)
        for (name, value) in try address.settings() {
            guard rd_kafka_conf_set(configuration, name, value, &text, text.count) == RD_KAFKA_CONF_OK else {
                rd_kafka_conf_destroy(configuration)
                throw Self.problem(Self.string(text))
            }
        }
        rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(reports).toOpaque())
        rd_kafka_conf_set_dr_msg_cb(configuration) { _, message, opaque in
            guard let message, let opaque else { return }
            let entry = Int64(Int(bitPattern: message.pointee._private))
            Unmanaged<KafkaReports>.fromOpaque(opaque).takeUnretainedValue().heard(message.pointee.err, of: entry)
        }
        rd_kafka_conf_set_error_cb(configuration) { _, _, reason, opaque in
            guard let reason, let opaque else { return }
            let text = String(cString: reason)
            Unmanaged<KafkaReports>.fromOpaque(opaque).takeUnretainedValue().with { $0.lastFault = text }
        }
        // It would write to standard error by itself.
        rd_kafka_conf_set_log_cb(configuration, nil)
        guard let client = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, &text, text.count) else {
            rd_kafka_conf_destroy(configuration)
            throw Self.problem(Self.string(text))
        }
        (self.client, self.topic, self.reports) = (client, address.topic, reports)
    }

    /// What was handed over and not reported is forgotten; it is in the queue on the disk.
    deinit {
        rd_kafka_purge(client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING)
        rd_kafka_destroy(client)
    }

    private static func problem(_ reason: String) -> Problem {
        Problem(
            .invalidSettings, "Logs cannot go to Kafka: \(reason).",
            hint: "Look at the setting telemetry.kafka.")
    }

    private static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether no other try can bring a message through.
    static func isFinal(_ error: rd_kafka_resp_err_t) -> Bool {
        error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE
            || error == RD_KAFKA_RESP_ERR_INVALID_RECORD || error == RD_KAFKA_RESP_ERR_INVALID_MSG
    }

    /// Whether this producer can go on no more.
    var isBroken: Bool { rd_kafka_fatal_error(client, nil, 0) != RD_KAFKA_RESP_ERR_NO_ERROR }

    /// Hands a record over, as a message of an entry.
    func send(_ record: LogRecord, of entry: Int64) {
        let payload = record.json.bytes
        let key = record.correlationID.map { Array($0.utf8) }
        let milliseconds = record.time / 1_000_000
        let opaque = UnsafeMutableRawPointer(bitPattern: Int(entry))
        let agent = record.agent
        let error = (key ?? []).withUnsafeBytes { keyBytes in
            payload.withUnsafeBytes { bytes in
                record.category.rawValue.withCString { category in
                    // An empty key is a key; a record without one goes to any partition.
                    let start = key == nil ? nil : keyBytes.baseAddress
                    func produce(_ agent: UnsafePointer<CChar>?) -> rd_kafka_resp_err_t {
                        reeve_kafka_produce(
                            client, topic, start, keyBytes.count, bytes.baseAddress, bytes.count, milliseconds,
                            category, agent, opaque)
                    }
                    return agent.map { $0.withCString { produce($0) } } ?? produce(nil)
                }
            }
        }
        if error != RD_KAFKA_RESP_ERR_NO_ERROR { reports.heard(error, of: entry) }
    }

    /// Takes the reports that have come.
    func poll() { rd_kafka_poll(client, 0) }

    /// Waits for reports, so long at most.
    func settle(milliseconds: Int32) { rd_kafka_flush(client, milliseconds) }
}
