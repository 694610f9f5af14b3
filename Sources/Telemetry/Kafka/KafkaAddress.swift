import Foundation
import Kernel

/// Where logs go: `kafka://host:9092,host:9092/topic`, or `kafkas://` over TLS.
///
/// A user before the hosts signs in by SASL, with what `passwordFile=` or `passwordEnvironment=` names behind the
/// question mark; `mechanism=` is `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`, and `ca=` the path of certificates.
public struct KafkaAddress: Sendable, Equatable {
    public static let schemes = ["kafka", "kafkas"]
    static let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    private static let topicMax = 249

    enum Password: Sendable, Equatable {
        case file(String)
        case environment(String)
    }

    let brokers: String
    let topic: String
    let isSecure: Bool
    let user: String?
    let password: Password?
    let mechanism: String
    let ca: String?

    /// - Throws: ``Problem``, in words for whoever wrote the address.
    public init(_ text: String) throws {
        func bad(_ detail: String, _ hint: String) -> Problem { Problem(.invalidSettings, detail, hint: hint) }
        let shape = "It looks like kafka://host:9092,host:9092/topic?passwordFile=/run/secrets/kafka."
        let halves = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let scheme = Self.schemes.first(where: { text.hasPrefix("\($0)://") }), let first = halves.first else {
            throw bad("The address of Kafka cannot be read.", shape)
        }
        let rest = first.dropFirst(scheme.count + 3).split(separator: "/", omittingEmptySubsequences: false)
        guard rest.count == 2, !rest[1].isEmpty else { throw bad("The address of Kafka names no topic.", shape) }
        let place = rest[0].split(separator: "@", omittingEmptySubsequences: false)
        guard place.count <= 2, let hosts = place.last, !hosts.isEmpty,
            hosts.split(separator: ",", omittingEmptySubsequences: false).allSatisfy({ !$0.isEmpty })
        else { throw bad("The address of Kafka names no hosts.", shape) }
        user = place.count == 2 ? String(place[0]) : nil
        guard user?.contains(":") != true, user != "" else {
            throw bad(
                "A password does not belong in the address of Kafka.",
                "Write passwordFile= or passwordEnvironment= behind the question mark.")
        }
        topic = String(rest[1])
        // Kafka's Topic.java: letters, digits, '.', '_' and '-', 249 at most.
        guard topic.utf8.count <= Self.topicMax, topic != ".", topic != "..",
            topic.utf8.allSatisfy({ $0 == 0x2E || $0 == 0x5F || $0 == 0x2D || Self.isLetterOrDigit($0) })
        else { throw bad("\"\(topic.prefix(80))\" is no name of a topic.", "Letters, digits, `.`, `_` and `-` are.") }
        (brokers, isSecure) = (String(hosts), scheme == "kafkas")
        var options: [String: String] = [:]
        for pair in halves.count == 2 ? halves[1].split(separator: "&") : [] {
            let words = pair.split(separator: "=", maxSplits: 1).map { String($0).removingPercentEncoding ?? "" }
            guard words.count == 2, ["passwordFile", "passwordEnvironment", "mechanism", "ca"].contains(words[0]) else {
                throw bad("The address of Kafka has `\(pair.prefix(40))`, which is not known there.", shape)
            }
            options[words[0]] = words[1]
        }
        mechanism = options["mechanism"] ?? "PLAIN"
        guard Self.mechanisms.contains(mechanism) else {
            throw bad("Kafka's mechanism \"\(mechanism)\" is not known.", Self.mechanisms.joined(separator: ", "))
        }
        ca = options["ca"]
        password =
            options["passwordFile"].map(Password.file) ?? options["passwordEnvironment"].map(Password.environment)
        guard (user == nil) == (password == nil) else {
            throw bad("A user of Kafka and where its password is belong together.", shape)
        }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
    }

    /// What librdkafka is told (librdkafka, "CONFIGURATION.md"), with the password as it is read now.
    ///
    /// - Throws: ``Problem`` where the password cannot be read.
    func settings() throws -> [(name: String, value: String)] {
        let security = user == nil ? (isSecure ? "ssl" : "plaintext") : (isSecure ? "sasl_ssl" : "sasl_plaintext")
        var settings = [
            (name: "bootstrap.servers", value: brokers), ("client.id", "reeve"), ("security.protocol", security),
            ("enable.idempotence", "true"), ("acks", "all"), ("compression.type", "zstd"), ("linger.ms", "50"),
            // Whether a broker is away is no message's fault: what is not taken waits.
            ("message.timeout.ms", "0"), ("queue.buffering.max.messages", "1000000"),
            ("queue.buffering.max.kbytes", "1048576"), ("reconnect.backoff.max.ms", "2000"),
        ]
        if let ca { settings.append(("ssl.ca.location", ca)) }
        if let user, let password {
            settings += [
                ("sasl.mechanisms", mechanism), ("sasl.username", user), ("sasl.password", try Self.read(password)),
            ]
        }
        return settings
    }

    private static func read(_ password: Password) throws -> String {
        let text: String?
        let place: String
        switch password {
        case .file(let path):
            place = "the file \(path)"
            text = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
        case .environment(let name):
            place = "the variable \(name)"
            text = ProcessInfo.processInfo.environment[name]
        }
        guard let found = text?.trimmingCharacters(in: .newlines), !found.isEmpty else {
            throw Problem(
                .invalidSettings, "Kafka's password cannot be read from \(place).",
                hint: "Write it there, and see that Reeve may read it.")
        }
        return found
    }
}
